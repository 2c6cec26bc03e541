package httpadapter_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/egress"
)

// joined copies between two connections until both are done.
func joined(a, b net.Conn) {
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(a, b); _ = a.Close() })
	wg.Go(func() { _, _ = io.Copy(b, a); _ = b.Close() })
	wg.Wait()
}

// connectProxy answers CONNECT.
func connectProxy(t testing.TB, asked chan<- string) *url.URL {
	return proxyAt(t, "http", rawServer(t, func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil || r.Method != http.MethodConnect {
			return
		}
		asked <- r.Host
		target, err := net.Dial("tcp", r.Host)
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		joined(c, target)
	}))
}

// socksProxy speaks as much of SOCKS5 (RFC 1928) as a connection to an IPv4 address takes.
func socksProxy(t testing.TB, asked chan<- string) *url.URL {
	return proxyAt(t, "socks5", rawServer(t, func(c net.Conn) {
		greeting := make([]byte, 2)
		if _, err := io.ReadFull(c, greeting); err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, c, int64(greeting[1]))
		_, _ = c.Write([]byte{5, 0})
		request := make([]byte, 10) // version, connect, 0, IPv4, address, port
		if _, err := io.ReadFull(c, request); err != nil {
			return
		}
		to := &net.TCPAddr{IP: request[4:8], Port: int(request[8])<<8 | int(request[9])}
		asked <- to.String()
		target, err := net.DialTCP("tcp", nil, to)
		if err != nil {
			return
		}
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		joined(c, target)
	}))
}

func proxyAt(t testing.TB, scheme, at string) *url.URL {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return &url.URL{Scheme: scheme, Host: u.Host}
}

func TestProxiesAreTunnels(t *testing.T) {
	ca := newAuthority(t, "ours")
	var got []received
	clear := serve(t, record(t, &got))
	secure := secureServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue("127.0.0.1", false)}})
	for scheme, start := range map[string]func(testing.TB, chan<- string) *url.URL{"http": connectProxy, "socks5": socksProxy} {
		for _, at := range []string{clear.URL, secure} {
			t.Run(scheme+" "+at[:5], func(t *testing.T) {
				asked := make(chan string, 10)
				a := open(t, httpadapter.Options{
					TLS:    &tls.Config{RootCAs: ca.pool()},
					Egress: egress.Options{Allow: loopback, Proxy: start(t, asked)},
				})
				for i := range 3 {
					result := a.Deliver(t.Context(), delivery("{}"), endpointAt(at))
					if !result.Success || result.ConnectionReused != (i > 0) {
						t.Fatalf("%d: %s, reused %v", i, result.ErrorMessage(), result.ConnectionReused)
					}
				}
				target, _ := url.Parse(at)
				if host := <-asked; host != target.Host || len(asked) != 0 {
					t.Errorf("the proxy was asked for %q and %d more, want %q", host, len(asked), target.Host)
				}
			})
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var got []received
	elsewhere := serve(t, record(t, &got))
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	a := open(t, httpadapter.Options{})
	result := a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL))
	if result.Success || result.StatusCode != 307 || result.Header["Location"][0] != elsewhere.URL || len(got) != 0 {
		t.Errorf("result = %+v, the other server got %d requests", result, len(got))
	}
}
