package httpadapter_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/webhook"
)

// zip compresses n bytes of nothing, about a thousandfold.
func zip(t testing.TB, n int64) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.CopyN(w, zeros{}, n); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// hostile is what receivers may do to a sender, and what must come of it. "" is an
// answer that counts.
var hostile = map[string]struct {
	handle func(t testing.TB) func(net.Conn)
	want   webhook.FaultCode
	status int
}{
	"endless body": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			forever(c, strings.Repeat("x", 64<<10))
		}
	}, webhook.FaultBodyTooLarge, 200},
	"endless body in chunks": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			forever(c, "1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n")
		}
	}, webhook.FaultBodyTooLarge, 200},
	"body announced as huge": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\n")
			forever(c, strings.Repeat("x", 64<<10))
		}
	}, webhook.FaultBodyTooLarge, 200},
	"trickling body": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
			untilClosed(c)
		}
	}, webhook.FaultBodyTooSlow, 200},
	"body of single bytes": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}
	}, webhook.FaultBodyTooSlow, 200},
	"header without end": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			forever(c, "X-More: "+strings.Repeat("x", 1000)+"\r\n")
		}
	}, webhook.FaultHeadersTooLarge, 0},
	"header of one line without end": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-More: ")
			forever(c, strings.Repeat("x", 4096))
		}
	}, webhook.FaultHeadersTooLarge, 0},
	"trickling header": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-M")
			untilClosed(c)
		}
	}, webhook.FaultResponseTimeout, 0},
	"compressed bomb": {func(t testing.TB) func(net.Conn) {
		bomb := zip(t, 4<<20)
		return answering("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + bomb)
	}, webhook.FaultBodyTooLarge, 200},
	"compressed bomb in pieces": {func(t testing.TB) func(net.Conn) {
		member := zip(t, 0) // many empty members: work without output
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
			forever(c, strings.Repeat(member, 1000))
		}
	}, webhook.FaultBodyTooLarge, 200},
	"broken compression": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 16\r\n\r\nthis is no gzip!")
	}, webhook.FaultMalformedResponse, 200},
	"compression cut short": {func(t testing.TB) func(net.Conn) {
		return answering(strings.Replace(whole(zip(t, 1000)[:20]), "OK\r\n", "OK\r\nContent-Encoding: gzip\r\n", 1))
	}, webhook.FaultMalformedResponse, 200},
	"bad chunk length": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n")
	}, webhook.FaultMalformedResponse, 200},
	"huge chunk length": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n")
	}, webhook.FaultMalformedResponse, 200},
	"chunk without end of line": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n")
	}, webhook.FaultMalformedResponse, 200},
	"two lengths": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")
	}, webhook.FaultMalformedResponse, 0},
	"negative length": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello")
	}, webhook.FaultMalformedResponse, 0},
	"unknown transfer encoding": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nuryyb")
	}, webhook.FaultMalformedResponse, 0},
	"not HTTP": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n"); untilClosed(c) }
	}, webhook.FaultMalformedResponse, 0},
	"status of letters": {func(testing.TB) func(net.Conn) { return answering("HTTP/1.1 abc OK\r\n\r\n") }, webhook.FaultMalformedResponse, 0},
	"status below 100": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n")
	}, webhook.FaultMalformedResponse, 0},
	"field without colon": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n")
	}, webhook.FaultMalformedResponse, 0},
	"flood of 1xx": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			forever(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
		}
	}, webhook.FaultMalformedResponse, 0},
	"a few 1xx": {func(testing.TB) func(net.Conn) {
		return answering("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + whole("ok"))
	}, "", 200},
	"switch of protocols": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
			forever(c, strings.Repeat("x", 4096))
		}
	}, "", 101},
	"closed at once":      {func(testing.TB) func(net.Conn) { return func(net.Conn) {} }, webhook.FaultReset, 0},
	"closed after a read": {func(testing.TB) func(net.Conn) { return func(c net.Conn) { readRequest(bufio.NewReader(c)) } }, webhook.FaultReset, 0},
	"reset": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_ = c.(*net.TCPConn).SetLinger(0)
		}
	}, webhook.FaultReset, 0},
	"reset in the header": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-H")
		}
	}, webhook.FaultReset, 0},
	"reset in the body": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		}
	}, webhook.FaultReset, 200},
	"reset in a chunk": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf")
		}
	}, webhook.FaultReset, 200},
	"an answer before the request": {func(testing.TB) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly")
			untilClosed(c)
		}
	}, "", 200},
	"two answers": {func(testing.TB) func(net.Conn) { return answering(whole("one") + whole("two")) }, "", 200},
}

func TestHostileReceiversAreBounded(t *testing.T) {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	for name, test := range hostile {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, test.handle(t))
			a := open(t, httpadapter.Options{ConnectTimeout: 20 * time.Second, Timeout: patience(test.want)})
			for range 2 { // the second finds what the first left behind
				result := a.Deliver(t.Context(), delivery(`{"a":1}`), endpointAt(url))
				code := webhook.FaultCode("")
				if result.Fault != nil {
					code = result.Fault.Code
				}
				if code != test.want || result.StatusCode != test.status {
					t.Fatalf("got %q and status %d (%s), want %q and %d", code, result.StatusCode, result.ErrorMessage(), test.want, test.status)
				}
				if wantSuccess := test.want == "" && test.status == 200; result.Success != wantSuccess {
					t.Errorf("success = %v", result.Success)
				}
				if len(result.Body) > httpadapter.DefaultMaxBodyBytes {
					t.Errorf("kept %d bytes", len(result.Body))
				}
				if result.BytesReceived > httpadapter.DefaultMaxResponseBytes {
					t.Errorf("read %d bytes", result.BytesReceived)
				}
			}
		})
	}
	runtime.GC()
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	t.Logf("heap %+d KiB, goroutines %+d", (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10, runtime.NumGoroutine()-goroutines)
}

// What one attempt costs in memory does not depend on what the receiver sends.
func TestHostileReceiversShareLittleMemory(t *testing.T) {
	const attempts = 200
	arrived := make(chan struct{}, attempts)
	url := rawServer(t, func(c net.Conn) {
		readRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", 100<<10))
		arrived <- struct{}{}
		untilClosed(c)
	})
	a := open(t, httpadapter.Options{MaxConcurrent: -1, PoolSize: -1, PoolSizePerHost: -1})
	runtime.GC()
	var before, during runtime.MemStats
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range attempts {
		wg.Go(func() { a.Deliver(ctx, delivery("{}"), endpointAt(url)) })
	}
	for range attempts {
		<-arrived
	}
	runtime.GC()
	runtime.ReadMemStats(&during)
	each := (int64(during.HeapAlloc+during.StackInuse) - int64(before.HeapAlloc+before.StackInuse)) / attempts
	more := runtime.NumGoroutine() - goroutines
	t.Logf("%d waiting attempts: %d KiB each (the receiver's part included), %d goroutines", attempts, each>>10, more)
	if each > 128<<10 {
		t.Errorf("%d bytes an attempt", each)
	}
	if most := 2*attempts + 10; more > most { // one each for the attempt and for the receiver
		t.Errorf("%d goroutines, want at most %d", more, most)
	}
	cancel()
	wg.Wait()
}

func TestReceiverThatNeverReadsEndsAtTheDeadline(t *testing.T) {
	url := rawServer(t, func(c net.Conn) {
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		var one [1]byte
		_, _ = c.Read(one[:])
		<-t.Context().Done()
	})
	for name, size := range map[string]int{"in one go": 30 << 10, "meanwhile": 8 << 20} {
		a := open(t, httpadapter.Options{ConnectTimeout: 20 * time.Second, Timeout: patience(webhook.FaultRequestTimeout)})
		result := a.Deliver(t.Context(), delivery(strings.Repeat("x", size)), endpointAt(url))
		want := webhook.FaultRequestTimeout
		if name == "in one go" { // what the system's buffers take has been sent
			want = webhook.FaultResponseTimeout
		}
		if result.Fault == nil || result.Fault.Code != want {
			t.Errorf("%s: %+v", name, result.Fault)
		}
	}
}

func TestAnAnswerBeforeTheBodyIsReadCounts(t *testing.T) {
	for name, closes := range map[string]bool{"and closes": true, "and waits": false} {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, func(c net.Conn) {
				in := bufio.NewReader(c)
				for line := ""; line != "\r\n"; { // the header alone
					var err error
					if line, err = in.ReadString('\n'); err != nil {
						return
					}
				}
				_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
				if closes {
					_ = c.(*net.TCPConn).CloseWrite()
				}
				<-t.Context().Done()
			})
			a := open(t, httpadapter.Options{Timeout: patience("")})
			result := a.Deliver(t.Context(), delivery(strings.Repeat("x", 8<<20)), endpointAt(url))
			if result.StatusCode != 413 || string(result.Body) != "big" || result.Fault != nil {
				t.Fatalf("%d %q %s", result.StatusCode, result.Body, result.ErrorMessage())
			}
			if h := a.HealthCheck(t.Context()); h.Pool.Open != 0 {
				t.Errorf("the connection was kept: %+v", h.Pool)
			}
		})
	}
}

func TestLargePayloadsArriveWhole(t *testing.T) {
	var got []received
	server := serve(t, record(t, &got))
	a := open(t, httpadapter.Options{})
	sizes := []int{0, 1, 4 << 10, 16<<10 - 1, 16 << 10, 16<<10 + 1, 32 << 10, 32<<10 + 1, 1 << 20}
	for i, size := range sizes {
		payload := strings.Repeat("0123456789", size/10+1)[:size]
		result := a.Deliver(t.Context(), delivery(payload), endpointAt(server.URL))
		if !result.Success || got[i].body != payload || result.BytesSent != int64(size) {
			t.Fatalf("%d bytes: %v, %d arrived, %d sent", size, result.ErrorMessage(), len(got[i].body), result.BytesSent)
		}
		if result.ConnectionReused != (i > 0) {
			t.Errorf("%d bytes: reused = %v", size, result.ConnectionReused)
		}
	}
}
