package httpadapter_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/egress"
)

// often makes sweeps as frequent as they get.
const often = 2 * time.Second

// The server closes, says so, and only then the sender is asked again.
func TestAConnectionThatItsPeerClosedIsNotUsedAgain(t *testing.T) {
	closed := make(chan struct{}, 10)
	url := rawServer(t, func(c net.Conn) {
		readRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, whole("ok")) // without a word of closing
		_ = c.Close()
		closed <- struct{}{}
	})
	a := open(t, httpadapter.Options{NoCleanup: true})
	for range 5 {
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt(url))
		if !result.Success || result.ConnectionReused {
			t.Fatalf("%s, reused %v", result.ErrorMessage(), result.ConnectionReused)
		}
		<-closed
	}
	if s := a.ConnectionStats(); s.ConnectionErrors != 0 || s.ConnectionReuses != 0 {
		t.Errorf("stats = %+v", s)
	}
}

func TestUnaskedBytesEndAConnection(t *testing.T) {
	wrote := make(chan struct{}, 10)
	url := rawServer(t, func(c net.Conn) {
		readRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, whole("ok"))
		_, _ = io.WriteString(c, whole("poison")) // the answer to a request that is yet to come
		wrote <- struct{}{}
		untilClosed(c)
	})
	a := open(t, httpadapter.Options{})
	for range 3 {
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt(url))
		if string(result.Body) != "ok" {
			t.Fatalf("body = %q, %s", result.Body, result.ErrorMessage())
		}
		<-wrote
	}
}

// TLS brings both answers in one piece, of which the first is just what is read at once.
func TestUnaskedBytesUnderTLSEndAConnection(t *testing.T) {
	ca := newAuthority(t, "ours")
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue("127.0.0.1", false)}, DynamicRecordSizingDisabled: true}
	const readAhead = 4 << 10
	good := whole(strings.Repeat("x", 4000))
	good = strings.Replace(good, "OK\r\n", "OK\r\nX: "+strings.Repeat("x", readAhead-len(good)-len("X: \r\n"))+"\r\n", 1)
	url := rawServer(t, func(c net.Conn) {
		secured := tls.Server(c, config)
		readRequest(bufio.NewReader(secured))
		_, _ = io.WriteString(secured, good+whole("poison"))
		untilClosed(secured)
	})
	a := open(t, httpadapter.Options{TLS: &tls.Config{RootCAs: ca.pool()}})
	for range 3 {
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt(strings.Replace(url, "http", "https", 1)))
		if len(good) != readAhead || len(result.Body) != 4000 || result.ConnectionReused {
			t.Fatalf("body = %q, reused %v, %s", result.Body, result.ConnectionReused, result.ErrorMessage())
		}
	}
}

func TestAnIdleConnectionThatItsPeerClosedIsClosed(t *testing.T) {
	ended := make(chan error, 1)
	url := rawServer(t, func(c net.Conn) {
		readRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, whole("ok"))
		_ = c.(*net.TCPConn).CloseWrite()
		_, err := c.Read(make([]byte, 1)) // until the other side closes too
		ended <- err
	})
	a := open(t, httpadapter.Options{DNSCacheTTL: often, KeepAlive: time.Hour})
	if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(url)); !result.Success {
		t.Fatal(result.ErrorMessage())
	}
	if err := <-ended; err != io.EOF {
		t.Errorf("err = %v", err)
	}
}

func TestConnectionsToAHostThatMovedAreClosed(t *testing.T) {
	ended := make(chan struct{}, 1)
	at := rawServer(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for readRequest(in) {
			_, _ = io.WriteString(c, whole("ok"))
		}
		ended <- struct{}{}
	})
	var moved atomic.Bool
	names := resolverFunc(func(host string) []netip.Addr {
		if moved.Load() {
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})
	a := open(t, httpadapter.Options{
		KeepAlive: time.Hour,
		Egress:    egress.Options{Resolver: names, Allow: loopback, DNSCacheTTL: often},
	})
	named := strings.Replace(at, "127.0.0.1", "hook.example", 1)
	for i := range 2 {
		if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(named)); !result.Success || result.ConnectionReused != (i > 0) {
			t.Fatal(result.ErrorMessage(), result.ConnectionReused)
		}
	}
	moved.Store(true)
	<-ended
}

type resolverFunc func(host string) []netip.Addr

func (f resolverFunc) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return f(host), nil
}

func TestIdleConnectionsEndWithKeepAlive(t *testing.T) {
	ended := make(chan struct{}, 3)
	at := rawServer(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for readRequest(in) {
			_, _ = io.WriteString(c, whole("ok"))
		}
		ended <- struct{}{}
	})
	a := open(t, httpadapter.Options{KeepAlive: 20 * time.Millisecond, NoCleanup: true})
	for range 3 {
		if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(at)); !result.Success {
			t.Fatal(result.ErrorMessage())
		}
		<-ended
	}
	for a.HealthCheck(t.Context()).Pool.Open != 0 { // the slot goes a moment later
		runtime.Gosched()
	}
}

// What a receiver announces counts to the moment, less a second for the way, and where it
// is shorter than the adapter's own.
func TestAReceiversKeepAliveIsBelieved(t *testing.T) {
	const own = 30 * time.Second
	for hint, keeps := range map[string]time.Duration{
		"timeout=5": 4 * time.Second, "max=5, timeout=3": 2 * time.Second, "timeout=1": time.Millisecond, "timeout=0": time.Millisecond,
		"timeout=60, max=5": own, "timeout=x": own, "nonsense": own, "": own,
	} {
		t.Run("announcing "+hint, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := openWith(t, httpadapter.Options{KeepAlive: own, Dialer: inMemory(func(c net.Conn) {
					in := bufio.NewReader(c)
					for readRequest(in) {
						_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: "+hint+"\r\n\r\n")
					}
				})})
				reused := func() bool {
					result := a.Deliver(t.Context(), delivery("{}"), endpointAt("http://hook.example/"))
					if !result.Success {
						t.Error(result.ErrorMessage())
					}
					return result.ConnectionReused
				}
				reused()
				if time.Sleep(keeps - time.Nanosecond); !reused() {
					t.Errorf("a connection is not used again before %v", keeps)
				}
				time.Sleep(keeps)
				synctest.Wait() // the adapter closes it at that moment, too
				if reused() {
					t.Errorf("a connection is used again after %v", keeps)
				}
			})
		})
	}
}

func TestDNSCacheHitsAreCounted(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	asked := 0
	names := resolverFunc(func(string) []netip.Addr { asked++; return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	at, _ := url.Parse(server.URL)
	for name, test := range map[string]struct {
		ttl         time.Duration
		host        string
		hits, asked int
	}{
		"cached":    {0, "hook.example", 3, 1},
		"no cache":  {-1, "hook.example", 0, 4},
		"a literal": {0, "127.0.0.1", 0, 0},
	} {
		asked = 0
		a := open(t, httpadapter.Options{
			KeepAlive: -1, DNSCacheTTL: test.ttl, Egress: egress.Options{Resolver: names, Allow: loopback},
		})
		for range 4 {
			result := a.Deliver(t.Context(), delivery("{}"), endpointAt("http://"+test.host+":"+at.Port()))
			if !result.Success {
				t.Fatal(result.ErrorMessage())
			}
		}
		if s := a.ConnectionStats(); s.DNSCacheHits != int64(test.hits) || asked != test.asked {
			t.Errorf("%s: %d hits and %d look-ups, want %d and %d", name, s.DNSCacheHits, asked, test.hits, test.asked)
		}
	}
}
