package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var proxySchemes = []string{"http", "https", "socks5"}

func TestTargetIsReachedThroughAProxy(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.3") // stands for a public address
	z.set("a.test.", "127.0.0.3")
	for _, scheme := range proxySchemes {
		t.Run(scheme, func(t *testing.T) {
			p := newProxyServer(t, scheme, "")
			d := newDialer(t, Options{Proxy: p.url, ProxyTLS: proxyTLS(t), Resolver: z.resolver(), Allow: prefixList("127.0.0.3/32")})
			resp, err := client(d.DialContext).Get("http://" + c.at("a.test"))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if want := "canary " + c.at("a.test"); string(body) != want {
				t.Errorf("body %q, want %q: the name stays in Host", body, want)
			}
			if got := p.asked(); !slices.Equal(got, []string{c.at("127.0.0.3")}) {
				t.Errorf("the proxy was asked for %v, want the address that was judged", got)
			}
			told, err := dial(d, "tcp", c.at("127.0.0.3"))
			if err != nil || !told.Proxied || !told.Literal || told.Target.String() != c.at("127.0.0.3") {
				t.Errorf("told %+v, %v", told, err)
			}
		})
	}
}

func TestTLSThroughAProxyIsWithTheName(t *testing.T) {
	z := newZone(t)
	z.set("example.com.", "127.0.0.1")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.TLS.ServerName)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, scheme := range proxySchemes {
		p := newProxyServer(t, scheme, "")
		d := newDialer(t, Options{Proxy: p.url, ProxyTLS: proxyTLS(t), Resolver: z.resolver(), Allow: prefixList("127.0.0.1/32")})
		transport := s.Client().Transport.(*http.Transport).Clone()
		transport.DialContext, transport.ForceAttemptHTTP2 = d.DialContext, true
		resp, err := (&http.Client{Transport: transport}).Get("https://example.com:" + port)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		transport.CloseIdleConnections()
		if string(body) != "HTTP/2.0 example.com" {
			t.Errorf("%s: %q, want HTTP/2.0 with the server name example.com", scheme, body)
		}
	}
}

func TestProxyPassword(t *testing.T) {
	c := newCanary(t, "127.0.0.3")
	for _, scheme := range proxySchemes {
		p := newProxyServer(t, scheme, "user:pass:word ü")
		u := *p.url
		with := func(user *url.Userinfo) error {
			u.User = user
			d := newDialer(t, Options{Proxy: &u, ProxyTLS: proxyTLS(t), Allow: prefixList("127.0.0.3/32")})
			_, err := dial(d, "tcp", c.at("127.0.0.3"))
			return err
		}
		if err := with(url.UserPassword("user", "pass:word ü")); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
		for _, user := range []*url.Userinfo{nil, url.User("user"), url.UserPassword("user", "secret")} {
			err := with(user)
			var failed *ProxyError
			if !errors.As(err, &failed) || scheme != "socks5" && failed.StatusCode != http.StatusProxyAuthRequired {
				t.Errorf("%s: err = %v, want a *ProxyError, of 407 over HTTP", scheme, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: the error has the password: %v", scheme, err)
			}
		}
	}
}

func TestProxyBypass(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.3", "127.0.0.4")
	z.set("direct.test.", "127.0.0.3")
	z.set("below.inner.test.", "127.0.0.3")
	z.set("range.test.", "127.0.0.4")
	z.set("other.test.", "127.0.0.3")
	p := newProxyServer(t, "http", "")
	d := newDialer(t, Options{
		Proxy: p.url, ProxyBypass: []string{"direct.test", "*.inner.test", "127.0.0.4/30", "192.0.2.1"},
		Resolver: z.resolver(), Allow: prefixList("127.0.0.3/32", "127.0.0.4/32"),
	})
	for host, proxied := range map[string]bool{
		"direct.test": false, "DIRECT.test.": false, "below.inner.test": false, "range.test": false, "127.0.0.4": false,
		"other.test": true, "127.0.0.3": true,
	} {
		before := len(p.asked())
		told, err := dial(d, "tcp", c.at(host))
		if err != nil || told.Proxied != proxied || (len(p.asked()) > before) != proxied {
			t.Errorf("%s: proxied %v, %v; want %v", host, told.Proxied, err, proxied)
		}
	}
	// Going around the proxy is not going around the policy.
	z.set("direct.test.", "127.0.0.1")
	d = newDialer(t, Options{Proxy: p.url, ProxyBypass: []string{"direct.test"}, Resolver: z.resolver()})
	if _, err := dial(d, "tcp", c.at("direct.test")); blockedBy(err) != RuleLoopback {
		t.Errorf("err = %v, want it blocked as loopback", err)
	}
}

func TestProxyThatResolvesGetsNames(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.1")
	for _, scheme := range proxySchemes {
		p := newProxyServer(t, scheme, "")
		d := newDialer(t, Options{Proxy: p.url, ProxyTLS: proxyTLS(t), ProxyResolves: true, Resolver: z.resolver(), DenyHosts: []string{"no.test"}})
		told, err := dial(d, "tcp", c.at("name.test"))
		if err != nil || !told.Proxied || told.Target.IsValid() {
			t.Errorf("%s: told %+v, %v", scheme, told, err)
		}
		if got := p.asked(); !slices.Equal(got, []string{c.at("name.test")}) {
			t.Errorf("%s: the proxy was asked for %v, want the name", scheme, got)
		}
		if z.asked("name.test.", "A") != 0 {
			t.Errorf("%s: the name was looked up here", scheme)
		}
		for host, want := range map[string]Rule{
			"127.0.0.1": RuleLoopback, "localhost": RuleLocalhost, "0x7f.1": RuleSpelling, "no.test": RuleDenyHost,
			"fe80::1%eth0": RuleLinkLocal,
		} {
			if _, err := dial(d, "tcp", c.at(host)); blockedBy(err) != want {
				t.Errorf("%s: %s: err = %v, want it blocked by %s", scheme, host, err, want)
			}
		}
	}
}

func TestNoProxyIsAskedForTheCanary(t *testing.T) {
	c, z := trap(t)
	for _, scheme := range proxySchemes {
		for _, resolves := range []bool{false, true} {
			p := newProxyServer(t, scheme, "")
			d := newDialer(t, Options{Proxy: p.url, ProxyTLS: proxyTLS(t), ProxyResolves: resolves, Resolver: z.resolver()})
			guarded := client(d.DialContext)
			for _, f := range readForbidden(t) {
				if resolves && f.kind == "name" {
					continue // the operator leaves those to the proxy
				}
				for _, u := range f.urls(c.port) {
					wantRefused(t, f, scheme, get(guarded, u))
				}
			}
			if got := p.asked(); len(got) > 0 {
				t.Errorf("%s: the proxy was asked for %v", scheme, got)
			}
		}
	}
	if n := c.reached.Load(); n != 0 {
		t.Errorf("the canary was reached %d times", n)
	}
}

// serveOnce answers the first bytes of each connection with a text, and then waits for
// the peer to close.
func serveOnce(t *testing.T, answer func(net.Conn)) *url.URL {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			answer(conn)
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return &url.URL{Scheme: "http", Host: listener.Addr().String()}
}

func TestProxyThatMisbehaves(t *testing.T) {
	say := func(text string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
	}
	tests := map[string]struct {
		answer func(net.Conn)
		says   string
	}{
		"refuses":         {say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), "answered 403 Forbidden"},
		"redirects":       {say("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"), "answered 302"},
		"speaks no HTTP":  {say("hello\r\n\r\n"), "answer to CONNECT: malformed"},
		"says nothing":    {func(conn net.Conn) { _ = conn.Close() }, "answer to CONNECT"},
		"endless header":  {say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<20)), "answer to CONNECT"},
		"endless interim": {say(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1<<13)), "answer to CONNECT"},
	}
	for name, test := range tests {
		d := newDialer(t, Options{Proxy: serveOnce(t, test.answer)})
		_, err := dial(d, "tcp", "8.8.8.8:443")
		var failed *ProxyError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: err = %v, want a *ProxyError that says %q", name, err, test.says)
		}
	}
}

func TestProxyThatHangsEndsWithTheContext(t *testing.T) {
	for _, scheme := range proxySchemes {
		asked := make(chan struct{})
		u := serveOnce(t, func(net.Conn) { close(asked) })
		u.Scheme = scheme
		d := newDialer(t, Options{Proxy: u, ProxyTLS: proxyTLS(t)})
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := d.DialContext(ctx, "tcp", "8.8.8.8:443")
			failed <- err
		}()
		<-asked
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: err = %v, want context.Canceled", scheme, err)
		}
	}
}

func TestProxyThatHangsEndsWithTheTimeout(t *testing.T) {
	d := newDialer(t, Options{Proxy: serveOnce(t, func(net.Conn) {}), Timeout: 50 * time.Millisecond})
	_, err := dial(d, "tcp", "8.8.8.8:443")
	var timeout net.Error
	var failed *ProxyError
	if !errors.As(err, &failed) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("err = %v, want a *ProxyError that is a timeout", err)
	}
}

func TestBytesThatComeWithTheProxysAnswerAreKept(t *testing.T) {
	u := serveOnce(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nfirst")
		_, _ = io.WriteString(conn, " then")
		_ = conn.(*net.TCPConn).CloseWrite()
	})
	d := newDialer(t, Options{Proxy: u})
	conn, err := d.DialContext(t.Context(), "tcp", "8.8.8.8:443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, _ := io.ReadAll(conn); string(got) != "first then" {
		t.Errorf("read %q, want %q", got, "first then")
	}
}

func TestProxyThatIsAwayIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	z := newZone(t)
	for _, scheme := range proxySchemes {
		u, _ := url.Parse(scheme + "://me:secret@" + address)
		d := newDialer(t, Options{Proxy: u, Resolver: z.resolver()})
		_, err := dial(d, "tcp", "8.8.8.8:443")
		var failed *ProxyError
		if !errors.As(err, &failed) || failed.Proxy != scheme+"://"+address || strings.Contains(err.Error(), "secret") {
			t.Errorf("err = %v, want a *ProxyError that names %s and no password", err, address)
		}
		u.Host = "absent.test:3128"
		d = newDialer(t, Options{Proxy: u, Resolver: z.resolver()})
		_, err = dial(d, "tcp", "8.8.8.8:443")
		var dns *net.DNSError
		if !errors.As(err, &failed) || !errors.As(err, &dns) {
			t.Errorf("err = %v, want a *net.DNSError in a *ProxyError", err)
		}
	}
}

func TestProxyByNameIsNotJudged(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.3")
	p := newProxyServer(t, "https", "")
	z.set("example.com.", "127.0.0.1")
	u := *p.url
	u.Host = "example.com:" + p.url.Port() // the name in its certificate
	d := newDialer(t, Options{Proxy: &u, ProxyTLS: proxyTLS(t), Resolver: z.resolver(), Allow: prefixList("127.0.0.3/32")})
	if _, err := dial(d, "tcp", c.at("127.0.0.3")); err != nil {
		t.Error(err)
	}
	if got := d.Stats(); got.Hits != 0 || got.Misses != 0 {
		t.Errorf("Stats = %+v: the proxy's name is no target's", got)
	}
	if _, err := dial(d, "tcp", "example.com:"+strconv.Itoa(int(c.port))); blockedBy(err) != RuleLoopback {
		t.Errorf("err = %v, want it blocked: as a target the name is judged", err)
	}
}

func TestSecondAddressIsTriedThroughTheProxy(t *testing.T) {
	z, c := newZone(t), newCanary(t, "127.0.0.4")
	z.set("half.test.", "127.0.0.3", "127.0.0.4")
	for _, scheme := range proxySchemes {
		p := newProxyServer(t, scheme, "")
		d := newDialer(t, Options{Proxy: p.url, ProxyTLS: proxyTLS(t), Resolver: z.resolver(), Allow: prefixList("127.0.0.0/8")})
		told, err := dial(d, "tcp", c.at("half.test"))
		if err != nil || told.Target.Addr() != netip.MustParseAddr("127.0.0.4") {
			t.Errorf("%s: told %+v, %v", scheme, told, err)
		}
		if got := fmt.Sprint(p.asked()); got != fmt.Sprint([]string{c.at("127.0.0.3"), c.at("127.0.0.4")}) {
			t.Errorf("%s: asked for %s", scheme, got)
		}
	}
}

func TestWrongProxyIsNamed(t *testing.T) {
	tests := map[string]string{
		"ftp://proxy.test":        "ftp://proxy.test is not http",
		"http://proxy.test/path":  "a host and port alone",
		"http://proxy.test?x=1":   "a host and port alone",
		"http:proxy.test":         "a host and port alone",
		"http://proxy.test:99999": "port",
		"http://0x7f.1":           "blocked by rule spelling",
		"http://":                 "spelling",
	}
	for text, says := range tests {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Proxy: u}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: err = %v, want one that says %q", text, err, says)
		}
	}
	u, _ := url.Parse("ftp://me:secret@proxy.test")
	if _, err := New(Options{Proxy: u}); strings.Contains(err.Error(), "secret") {
		t.Errorf("the error has the password: %v", err)
	}
	u, _ = url.Parse("http://proxy.test")
	if _, err := New(Options{Proxy: u, ProxyBypass: []string{"a b"}}); err == nil || !strings.Contains(err.Error(), "ProxyBypass") {
		t.Errorf("err = %v, want one that names ProxyBypass", err)
	}
}
