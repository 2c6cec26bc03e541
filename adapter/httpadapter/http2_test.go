package httpadapter_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/webhook"
)

// clearHTTP2 serves HTTP/2 without TLS and counts connections.
func clearHTTP2(t testing.TB, streams int, handler http.HandlerFunc) (server *httptest.Server, conns *atomic.Int64) {
	t.Helper()
	conns = new(atomic.Int64)
	server = httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server, conns
}

func endpoint2(url string) *webhook.Endpoint {
	ep := endpointAt(url)
	ep.Protocol = webhook.HTTP2
	return ep
}

// deliverAll makes n deliveries at the same time and returns their results.
func deliverAll(t testing.TB, a *httpadapter.Adapter, n int, ep *webhook.Endpoint) []webhook.Result {
	results := make([]webhook.Result, n)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i] = a.Deliver(t.Context(), delivery("{}"), ep) })
	}
	wg.Wait()
	return results
}

func TestHTTP2SharesAConnection(t *testing.T) {
	const requests = 50
	var wg sync.WaitGroup
	wg.Add(requests)
	server, conns := clearHTTP2(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Warm") == "" {
			wg.Done()
			wg.Wait() // all are here at the same time
		}
		_, _ = io.WriteString(w, "ok")
	})
	a := open(t, httpadapter.Options{MaxConcurrent: -1})
	warm := endpoint2(server.URL)
	warm.Headers = map[string]string{"Warm": "yes"}
	if result := a.Deliver(t.Context(), delivery("{}"), warm); !result.Success {
		t.Fatal(result.ErrorMessage())
	}
	for _, result := range deliverAll(t, a, requests, endpoint2(server.URL)) {
		if !result.Success || !result.ConnectionReused || string(result.Body) != "ok" {
			t.Errorf("%s, reused %v", result.ErrorMessage(), result.ConnectionReused)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	if s := a.ConnectionStats(); s.TotalRequests != requests+1 || s.ConnectionReuses != requests || s.PoolExhausted != 0 {
		t.Errorf("stats = %+v", s)
	}
}

func TestHTTP2WaitsForAFreeStream(t *testing.T) {
	var now, most atomic.Int64
	server, conns := clearHTTP2(t, 2, func(w http.ResponseWriter, _ *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		_, _ = io.WriteString(w, "ok")
	})
	a := open(t, httpadapter.Options{MaxConcurrent: -1, PoolSizePerHost: 2})
	for range 5 {
		for _, result := range deliverAll(t, a, 40, endpoint2(server.URL)) {
			if !result.Success {
				t.Fatal(result.ErrorMessage())
			}
		}
	}
	t.Logf("%d connections, %d streams at a time, %+v", conns.Load(), most.Load(), a.ConnectionStats())
	if open := a.HealthCheck(t.Context()).Pool.Open; open > 2 || most.Load() > 4 {
		t.Errorf("%d connections open, %d streams at a time", open, most.Load())
	}
}

func TestHTTP2ServerThatLeavesIsReplaced(t *testing.T) {
	server, conns := clearHTTP2(t, 100, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // GOAWAY behind this answer
		_, _ = io.WriteString(w, "ok")
	})
	a := open(t, httpadapter.Options{})
	for range 4 {
		if result := a.Deliver(t.Context(), delivery("{}"), endpoint2(server.URL)); !result.Success {
			t.Fatal(result.ErrorMessage())
		}
	}
	if n := conns.Load(); n < 2 {
		t.Errorf("%d connections, want a new one after a GOAWAY", n)
	}
}

func TestHTTP2EndlessBodyHarmsNoNeighbour(t *testing.T) {
	server, conns := clearHTTP2(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Endless") == "" {
			_, _ = io.WriteString(w, "ok")
			return
		}
		for {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	a := open(t, httpadapter.Options{})
	bad := endpoint2(server.URL)
	bad.Headers = map[string]string{"Endless": "yes"}
	for range 3 {
		result := a.Deliver(t.Context(), delivery("{}"), bad)
		if result.Fault == nil || result.Fault.Code != webhook.FaultBodyTooLarge || result.StatusCode != 200 {
			t.Errorf("%+v", result.Fault)
		}
		if result := a.Deliver(t.Context(), delivery("{}"), endpoint2(server.URL)); !result.Success {
			t.Errorf("the neighbour: %s", result.ErrorMessage())
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestHTTP2DeadlineEndsAStreamAndDistrustsItsConnection(t *testing.T) {
	release := make(chan struct{})
	server, conns := clearHTTP2(t, 100, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Hang") != "" {
			<-release
		}
	})
	defer close(release)
	a := open(t, httpadapter.Options{})
	if result := a.Deliver(t.Context(), delivery("{}"), endpoint2(server.URL)); !result.Success {
		t.Fatal(result.ErrorMessage())
	}
	hang := endpoint2(server.URL)
	hang.Headers, hang.Timeout = map[string]string{"Hang": "yes"}, 30*time.Millisecond
	result := a.Deliver(t.Context(), delivery("{}"), hang)
	if result.Fault == nil || result.Fault.Code != webhook.FaultResponseTimeout {
		t.Errorf("%+v", result.Fault)
	}
	result = a.Deliver(t.Context(), delivery("{}"), endpoint2(server.URL))
	if !result.Success || result.ConnectionReused || conns.Load() != 2 {
		t.Errorf("%s, reused %v, %d connections", result.ErrorMessage(), result.ConnectionReused, conns.Load())
	}
}

// rawHTTP2 answers the first request of each connection with frames of the test's own.
func rawHTTP2(t testing.TB, answer func(c net.Conn, f *http2.Framer, stream uint32)) string {
	return rawServer(t, func(c net.Conn) {
		if _, err := io.CopyN(io.Discard, c, int64(len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		if f.WriteSettings() != nil {
			return
		}
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if settings, ok := frame.(*http2.SettingsFrame); ok && !settings.IsAck() && f.WriteSettingsAck() != nil {
				return
			}
			if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
				answer(c, f, headers.StreamID)
				untilClosed(c)
				return
			}
		}
	})
}

func fields(pairs ...string) []byte {
	var out bytes.Buffer
	encoder := hpack.NewEncoder(&out)
	for i := 0; i < len(pairs); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return out.Bytes()
}

// What net/http tells in text alone: this test fails when a Go release changes it.
func TestHTTP2FaultsHaveStableCodes(t *testing.T) {
	type answer func(c net.Conn, f *http2.Framer, stream uint32)
	status := func(f *http2.Framer, stream uint32, end bool) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields(":status", "200"), EndHeaders: true, EndStream: end})
	}
	tests := map[string]struct {
		answer answer
		want   webhook.FaultCode
		status int
	}{
		"stream reset": {func(_ net.Conn, f *http2.Framer, stream uint32) { _ = f.WriteRSTStream(stream, http2.ErrCodeInternal) }, webhook.FaultReset, 0},
		"stream refused": {func(_ net.Conn, f *http2.Framer, stream uint32) {
			_ = f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}, webhook.FaultReset, 0},
		"reset in the body": {func(_ net.Conn, f *http2.Framer, stream uint32) {
			status(f, stream, false)
			_ = f.WriteData(stream, false, []byte("half"))
			_ = f.WriteRSTStream(stream, http2.ErrCodeInternal)
		}, webhook.FaultReset, 200},
		"leaves with an error": {func(c net.Conn, f *http2.Framer, _ uint32) {
			_ = f.WriteGoAway(0, http2.ErrCodeInternal, nil)
			_ = c.Close()
		}, webhook.FaultReset, 0},
		"closed": {func(c net.Conn, _ *http2.Framer, _ uint32) { _ = c.Close() }, webhook.FaultReset, 0},
		"closed in the body": {func(c net.Conn, f *http2.Framer, stream uint32) {
			status(f, stream, false)
			_ = c.Close()
		}, webhook.FaultReset, 200},
		"long header": {func(_ net.Conn, f *http2.Framer, stream uint32) {
			long := strings.Repeat("x", 1000)
			pairs := []string{":status", "200"}
			for range 12 {
				pairs = append(pairs, "x-long", long)
			}
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields(pairs...), EndHeaders: true, EndStream: true})
		}, webhook.FaultHeadersTooLarge, 0},
		"no status": {func(_ net.Conn, f *http2.Framer, stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields("x-a", "b"), EndHeaders: true, EndStream: true})
		}, webhook.FaultMalformedResponse, 0},
		"status of letters": {func(_ net.Conn, f *http2.Framer, stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields(":status", "abc"), EndHeaders: true, EndStream: true})
		}, webhook.FaultMalformedResponse, 0},
		"data before the header": {func(_ net.Conn, f *http2.Framer, stream uint32) {
			_ = f.WriteData(stream, true, []byte("body"))
		}, webhook.FaultMalformedResponse, 0},
		"body longer than it says": {func(_ net.Conn, f *http2.Framer, stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields(":status", "200", "content-length", "1"), EndHeaders: true})
			_ = f.WriteData(stream, true, []byte("too long"))
		}, webhook.FaultMalformedResponse, 200},
		"not HTTP/2": {func(c net.Conn, _ *http2.Framer, _ uint32) {
			_, _ = io.WriteString(c, strings.Repeat("HTTP/1.1 400 Bad Request\r\n\r\n", 10))
		}, webhook.FaultMalformedResponse, 0},
		"flood of 1xx": {func(_ net.Conn, f *http2.Framer, stream uint32) {
			for range 1000 {
				if f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields(":status", "103", "link", "</x>"), EndHeaders: true}) != nil {
					return
				}
			}
		}, webhook.FaultMalformedResponse, 0},
		"silent": {func(net.Conn, *http2.Framer, uint32) {}, webhook.FaultResponseTimeout, 0},
		"half a body": {func(_ net.Conn, f *http2.Framer, stream uint32) {
			status(f, stream, false)
			_ = f.WriteData(stream, false, []byte("half"))
		}, webhook.FaultBodyTooSlow, 200},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := rawHTTP2(t, test.answer)
			a := open(t, httpadapter.Options{ConnectTimeout: 20 * time.Second, Timeout: patience(test.want), MaxHeaderBytes: 8 << 10})
			result := a.Deliver(t.Context(), delivery("{}"), endpoint2(url))
			if result.Success || result.Fault == nil {
				t.Fatalf("%+v", result)
			}
			if result.Fault.Code != test.want || result.StatusCode != test.status {
				t.Errorf("got %s and %d (%s; %v), want %s and %d", result.Fault.Code, result.StatusCode, result.Fault.Phase, result.Fault.Cause, test.want, test.status)
			}
		})
	}
}

func TestCloseEndsHTTP2(t *testing.T) {
	arrived := make(chan struct{})
	server, _ := clearHTTP2(t, 100, func(_ http.ResponseWriter, r *http.Request) { arrived <- struct{}{}; <-r.Context().Done() })
	a := open(t, httpadapter.Options{})
	done := make(chan webhook.Result)
	go func() { done <- a.Deliver(context.Background(), delivery("{}"), endpoint2(server.URL)) }()
	<-arrived
	_ = a.Close()
	if result := <-done; result.Fault == nil || result.Fault.Code != webhook.FaultClosed {
		t.Errorf("%+v", result.Fault)
	}
}

func TestBothProtocolsAskForTheSamePath(t *testing.T) {
	var got atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got.Store(r.Host + r.RequestURI)
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	a := open(t, httpadapter.Options{})
	host := server.Listener.Addr().String()
	for path, want := range map[string]string{
		"": "/", "/a%2Fb ü?x=y z&ü": "/a%2Fb%20%C3%BC?x=y%20z&%C3%BC", "//a//b/?": "//a//b/?", "/a;b=c/(d)": "/a;b=c/(d)",
	} {
		for _, protocol := range []webhook.Protocol{webhook.HTTP1, webhook.HTTP2} {
			ep := endpointAt(server.URL + path)
			ep.Protocol = protocol
			result := a.Deliver(t.Context(), delivery("{}"), ep)
			if !result.Success || got.Load() != host+want {
				t.Errorf("%s over %s: %v (%s), want %s", path, protocol, got.Load(), result.ErrorMessage(), host+want)
			}
		}
	}
}
