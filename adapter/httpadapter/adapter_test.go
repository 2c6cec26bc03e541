package httpadapter_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

const secret = webhook.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

// open makes an adapter that may dial loopback, and closes it with the test.
func open(t testing.TB, opts httpadapter.Options) *httpadapter.Adapter {
	t.Helper()
	if opts.Egress.Allow == nil {
		opts.Egress.Allow = loopback
	}
	a, err := httpadapter.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func endpointAt(url string) *webhook.Endpoint {
	return &webhook.Endpoint{ID: webhook.NewEndpointID(), Name: "test", URL: url, Secret: secret}
}

func delivery(payload string) *webhook.Delivery {
	return &webhook.Delivery{ID: webhook.NewDeliveryID(), Event: webhook.NewEventID(), EventType: "invoice.paid", Payload: []byte(payload)}
}

// received is a request as a server saw it.
type received struct {
	method, proto string
	header        http.Header
	body          string
}

// record answers 200 and remembers what came.
func record(t testing.TB, got *[]received) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		*got = append(*got, received{r.Method, r.Proto, r.Header, string(body)})
		_, _ = io.WriteString(w, "thank you")
	}
}

func TestDeliverSendsThePayloadSignedAndReadsTheAnswer(t *testing.T) {
	var got []received
	server := serve(t, record(t, &got))
	a := open(t, httpadapter.Options{})
	ep := endpointAt(server.URL + "/hook?a=b")
	ep.Headers = map[string]string{"X-Api-Key": "k", "authorization": "Bearer t"}
	d := delivery(` {"b": 1,  "a":2} `)
	d.Attempt = 3

	result := a.Deliver(t.Context(), d, ep)
	if !result.Success || result.StatusCode != 200 || string(result.Body) != "thank you" || result.Fault != nil {
		t.Fatalf("result = %+v", result)
	}
	if result.Attempt != 3 || result.Method != "POST" || result.URL != ep.URL || result.Protocol != "HTTP/1.1" {
		t.Errorf("result = %+v", result)
	}
	if result.BytesSent != int64(len(d.Payload)) || result.BytesReceived != 9 || result.RemoteAddr.String() != server.Listener.Addr().String() {
		t.Errorf("sent %d, received %d, from %v", result.BytesSent, result.BytesReceived, result.RemoteAddr)
	}
	request := got[0]
	if request.body != string(d.Payload) || request.method != "POST" {
		t.Errorf("the server got %s %q", request.method, request.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Accept": "*/*", "Accept-Encoding": "gzip", "X-Api-Key": "k",
		"Authorization": "Bearer t", "Webhook-Id": string(d.Event),
	} {
		if values := request.header.Values(name); len(values) != 1 || values[0] != want {
			t.Errorf("%s = %q, want %q", name, values, want)
		}
	}
	if agent := request.header.Get("User-Agent"); !strings.HasPrefix(agent, "Neohook/") {
		t.Errorf("User-Agent = %q", agent)
	}
	verifier, err := signature.NewVerifier(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(request.header, []byte(request.body), time.Now()); err != nil {
		t.Error(err)
	}
}

func TestDeliverReusesConnections(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	a := open(t, httpadapter.Options{})
	for i := range 5 {
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL))
		if !result.Success || result.ConnectionReused != (i > 0) {
			t.Fatalf("delivery %d: success %v, reused %v", i, result.Success, result.ConnectionReused)
		}
	}
	if s := a.ConnectionStats(); s.TotalRequests != 5 || s.ConnectionReuses != 4 || s.ReuseRate != 0.8 || s.ConnectionErrors != 0 {
		t.Errorf("stats = %+v", s)
	}
}

func TestDeliverSpeaksHTTP2(t *testing.T) {
	var got []received
	handler := record(t, &got)
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())

	clear := httptest.NewUnstartedServer(handler)
	clear.Config.Protocols = new(http.Protocols)
	clear.Config.Protocols.SetUnencryptedHTTP2(true)
	clear.Config.Protocols.SetHTTP1(true)
	clear.Start()
	t.Cleanup(clear.Close)

	tests := map[string]struct {
		url      string
		protocol webhook.Protocol
		want     string
	}{
		"TLS":              {secure.URL, "", "HTTP/2.0"},
		"TLS, asked for":   {secure.URL, webhook.HTTP2, "HTTP/2.0"},
		"TLS, HTTP/1.1":    {secure.URL, webhook.HTTP1, "HTTP/1.1"},
		"clear":            {clear.URL, "", "HTTP/1.1"},
		"clear, asked for": {clear.URL, webhook.HTTP2, "HTTP/2.0"},
	}
	a := open(t, httpadapter.Options{TLS: &tls.Config{RootCAs: roots}})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ep := endpointAt(test.url)
			ep.Protocol = test.protocol
			for i := range 3 {
				result := a.Deliver(t.Context(), delivery("{}"), ep)
				if !result.Success || result.Protocol != test.want || string(result.Body) != "thank you" {
					t.Fatalf("%d: %s, %+v, %v", i, result.Protocol, result, result.ErrorMessage())
				}
			}
		})
	}
}

func TestDeliverEndsAtItsDeadline(t *testing.T) {
	release := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	})
	defer close(release)
	a := open(t, httpadapter.Options{Timeout: 200 * time.Millisecond, ConnectTimeout: 200 * time.Millisecond})
	for path, want := range map[string]webhook.FaultCode{"/": webhook.FaultResponseTimeout, "/body": webhook.FaultBodyTooSlow} {
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL+path))
		if result.Success || result.Fault == nil || result.Fault.Code != want || result.Fault.Kind != webhook.FaultTimeout {
			t.Errorf("%s: %+v", path, result.Fault)
		}
	}
}

func TestDeliverOverALimitWaits(t *testing.T) {
	const requests = 40
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	other := serve(t, func(http.ResponseWriter, *http.Request) {})
	for name, opts := range map[string]httpadapter.Options{
		"places":   {MaxConcurrent: 1},
		"host":     {MaxConcurrent: -1, PoolSizePerHost: 2},
		"pool":     {MaxConcurrent: -1, PoolSize: 1},
		"no bound": {MaxConcurrent: -1, PoolSize: -1, PoolSizePerHost: -1},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, opts)
			var wg sync.WaitGroup
			for i := range requests {
				url := server.URL
				if i%2 == 0 {
					url = other.URL
				}
				wg.Go(func() {
					if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(url)); !result.Success {
						t.Error(result.ErrorMessage())
					}
				})
			}
			wg.Wait()
			s := a.ConnectionStats()
			if s.TotalRequests != requests || s.ConnectionErrors != 0 {
				t.Errorf("stats = %+v", s)
			}
			t.Logf("%+v", s)
		})
	}
}

func TestVerifySendsTheVerificationEvent(t *testing.T) {
	var got []received
	server := serve(t, record(t, &got))
	a := open(t, httpadapter.Options{})
	if result := a.Verify(t.Context(), endpointAt(server.URL), nil); !result.Success {
		t.Fatal(result.ErrorMessage())
	}
	var event struct {
		EventType string    `json:"event_type"`
		Timestamp time.Time `json:"timestamp"`
		Data      struct {
			Test bool `json:"test"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(got[0].body), &event); err != nil || event.EventType != "verification.test" || !event.Data.Test || event.Timestamp.IsZero() {
		t.Errorf("payload = %s", got[0].body)
	}
	verifier, _ := signature.NewVerifier(secret)
	if err := verifier.Verify(got[0].header, []byte(got[0].body), time.Now()); err != nil {
		t.Error(err)
	}
}

func TestVerifySucceedsBelow500(t *testing.T) {
	status := 0
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	a := open(t, httpadapter.Options{})
	for _, status = range []int{200, 302, 404, 499, 500, 503} {
		result := a.Verify(t.Context(), endpointAt(server.URL), []byte("{}"))
		if result.Success != (status < 500) || result.StatusCode != status {
			t.Errorf("%d: success = %v", status, result.Success)
		}
	}
}

func TestConnectivityTakesAnyAnswer(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "HEAD" || r.Header.Get("Webhook-Id") != "" {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		w.WriteHeader(500)
	})
	a := open(t, httpadapter.Options{})
	if result := a.TestConnectivity(t.Context(), server.URL, 0); !result.Success || result.StatusCode != 500 {
		t.Errorf("result = %+v", result)
	}
	server.Close()
	result := a.TestConnectivity(t.Context(), server.URL, time.Second)
	if result.Success || result.Fault == nil || result.Fault.Code != webhook.FaultRefused || result.Fault.Phase != webhook.PhaseConnect {
		t.Errorf("fault = %+v", result.Fault)
	}
}

func TestWhatCannotBeSentIsAClearFault(t *testing.T) {
	a := open(t, httpadapter.Options{})
	ctx := context.Background()
	good := func() *webhook.Endpoint { return endpointAt("http://127.0.0.1:1/") }
	tests := map[string]webhook.Result{
		"nil delivery": a.Deliver(ctx, nil, good()),
		"nil endpoint": a.Deliver(ctx, delivery("{}"), nil),
		"both nil":     a.Deliver(ctx, nil, nil),
		"verify nil":   a.Verify(ctx, nil, nil),
		"no URL":       a.Deliver(ctx, delivery("{}"), endpointAt("")),
		"no host":      a.Deliver(ctx, delivery("{}"), endpointAt("http:///x")),
		"relative":     a.Deliver(ctx, delivery("{}"), endpointAt("/x")),
		"other scheme": a.Deliver(ctx, delivery("{}"), endpointAt("ftp://example.com/")),
		"bad port":     a.Deliver(ctx, delivery("{}"), endpointAt("http://example.com:99999/")),
		"opaque":       a.Deliver(ctx, delivery("{}"), endpointAt("http:example.com")),
		"control":      a.Deliver(ctx, delivery("{}"), endpointAt("http://exa\x00mple.com/")),
		"connectivity": a.TestConnectivity(ctx, "::", 0),
		"no id":        a.Deliver(ctx, &webhook.Delivery{}, good()),
	}
	for name, result := range tests {
		if result.Success || result.Fault == nil || result.Fault.Code != webhook.FaultInvalidRequest || result.Fault.Message == "" {
			t.Errorf("%s: %+v", name, result)
		}
		if result.StartedAt.IsZero() || result.CompletedAt.IsZero() {
			t.Errorf("%s: no times", name)
		}
	}
	if s := a.ConnectionStats(); s.TotalRequests != 0 {
		t.Errorf("stats = %+v", s)
	}
}

func TestCloseEndsWhatIsInFlight(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	server := serve(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	defer close(release)
	a := open(t, httpadapter.Options{MaxConcurrent: 1})
	results := make(chan webhook.Result)
	go func() { results <- a.Deliver(context.Background(), delivery("{}"), endpointAt(server.URL)) }()
	<-arrived
	go func() { results <- a.Deliver(context.Background(), delivery("{}"), endpointAt(server.URL)) }()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if result := <-results; result.Success || result.Fault.Code != webhook.FaultClosed {
			t.Errorf("%+v", result.Fault)
		}
	}
	if result := a.Deliver(context.Background(), delivery("{}"), endpointAt(server.URL)); result.Fault == nil || result.Fault.Code != webhook.FaultClosed {
		t.Errorf("%+v", result)
	}
	if h := a.Health(context.Background()); h.Status != webhook.Unhealthy {
		t.Errorf("health = %+v", h)
	}
}
