package egress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A forbidden target is a line of testdata/forbidden.txt.
type forbidden struct{ kind, text string }

func readForbidden(t testing.TB) []forbidden {
	t.Helper()
	file, err := os.Open("testdata/forbidden.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var list []forbidden
	for lines := bufio.NewScanner(file); lines.Scan(); {
		kind, text, found := strings.Cut(lines.Text(), "\t")
		if !found {
			continue
		}
		if strings.HasPrefix(text, `"`) {
			if text, err = strconv.Unquote(text); err != nil {
				t.Fatalf("%s: %v", lines.Text(), err)
			}
		}
		list = append(list, forbidden{kind, text})
	}
	return list
}

// urls are the URLs of a forbidden target on a port: parsed from text where that is
// possible, and put together from parts, as a program might.
func (f forbidden) urls(port uint16) []*url.URL {
	number := strconv.Itoa(int(port))
	text := strings.ReplaceAll(f.text, "PORT", number)
	if f.kind != "url" {
		text = "http://" + f.text + ":" + number + "/"
	}
	var list []*url.URL
	if u, err := url.Parse(text); err == nil {
		list = append(list, u)
	}
	if f.kind != "url" {
		list = append(list, &url.URL{Scheme: "http", Host: f.text + ":" + number, Path: "/"})
		if host, err := url.PathUnescape(f.text); err == nil && host != f.text {
			list = append(list, &url.URL{Scheme: "http", Host: host + ":" + number, Path: "/"})
		}
	}
	return list
}

// hosts are the texts that a dialer might be given for it.
func (f forbidden) hosts() []string {
	if f.kind == "url" {
		return nil
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(f.text, "["), "]")
	hosts := []string{f.text, bare}
	if host, err := url.PathUnescape(bare); err == nil && host != bare {
		hosts = append(hosts, host)
	}
	return hosts
}

// trap is a machine with something to hide: a canary on its loopback addresses, and a
// DNS that says of every name that it is there.
func trap(t *testing.T) (*canary, *zone) {
	z := newZone(t)
	z.otherwise(func(q question) reply { return addresses(q.name, "127.0.0.1", "::1") })
	return newCanary(t, "127.0.0.1", "::1", "127.0.0.2", "127.0.1.1", "127.1.2.3", "127.127.127.127", "127.255.255.254"), z
}

func client(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		Timeout:   10 * time.Second,
	}
}

// get asks for a URL and returns why that did not work.
func get(c *http.Client, u *url.URL) error {
	resp, err := c.Do(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

// wantRefused holds an error to one that came before anything was dialled: a refusal, or
// that the text is no URL or address at all.
func wantRefused(t *testing.T, f forbidden, way string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s %q, %s: no error", f.kind, f.text, way)
	}
	var op *net.OpError
	var malformed *net.AddrError
	if blockedBy(err) == "" && errors.As(err, &op) && !errors.As(err, &malformed) {
		t.Errorf("%s %q, %s: %v; want a *BlockedError", f.kind, f.text, way, err)
	}
}

func TestNoSpellingReachesTheCanary(t *testing.T) {
	list := readForbidden(t)
	if len(list) < 200 {
		t.Fatalf("%d spellings, want at least 200", len(list))
	}
	c, z := trap(t)
	d := newDialer(t, Options{Resolver: z.resolver()})
	guarded := client(d.DialContext)
	for _, f := range list {
		for _, u := range f.urls(c.port) {
			wantRefused(t, f, "http.Client", get(guarded, u))
			if err := d.CheckURL(u); f.kind != "name" && err == nil {
				t.Errorf("%s %q: CheckURL lets %s pass", f.kind, f.text, u)
			}
		}
		for _, host := range f.hosts() {
			for _, network := range []string{"tcp", "tcp4", "tcp6"} {
				_, err := dial(d, network, c.at(host))
				wantRefused(t, f, network, err)
			}
			_, err := dial(d, "tcp", host+":"+strconv.Itoa(int(c.port)))
			wantRefused(t, f, "tcp", err)
		}
	}
	if n := c.reached.Load(); n != 0 {
		t.Errorf("the canary was reached %d times", n)
	}
	t.Logf("%d spellings", len(list))
}

// The suite could not fail if nothing led to the canary.
func TestSpellingsReachTheCanaryWithoutADialer(t *testing.T) {
	c, z := trap(t)
	open := client((&net.Dialer{Resolver: z.resolver()}).DialContext)
	spellings := 0
	for _, f := range readForbidden(t) {
		if f.kind == "address" || f.kind == "url" {
			continue // some would leave this machine
		}
		for _, u := range f.urls(c.port) {
			if get(open, u) == nil {
				spellings++
				break
			}
		}
	}
	if spellings < 100 {
		t.Errorf("%d spellings reach the canary with net.Dialer, want at least 100", spellings)
	}
	t.Logf("%d spellings reach the canary with net.Dialer", spellings)
}

func TestAllowedSpellingsReachTheCanary(t *testing.T) {
	c, z := trap(t)
	d := newDialer(t, Options{Resolver: z.resolver(), Allow: prefixList("127.0.0.0/8", "::1/128")})
	allowed := client(d.DialContext)
	hosts := []string{
		"127.0.0.1", "127.1.2.3", "[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "localhost", "LOCALHOST", "localhost.", "a.localhost",
		"127.0.0.1.nip.io", "rebind.example.com", "bücher.example", "BÜCHER.example.", "１２７.0.0.1", "127。0。0。1", "ｌocalhost",
	}
	if c.v6 {
		hosts = append(hosts, "[::1]", "[0:0:0:0:0:0:0:1]", "[::0.0.0.1]")
	}
	for _, host := range hosts {
		u := &url.URL{Scheme: "http", Host: host + ":" + strconv.Itoa(int(c.port))}
		before := c.reached.Load()
		if err := errors.Join(d.CheckURL(u), get(allowed, u)); err != nil || c.reached.Load() == before {
			t.Errorf("%s: %v, and the canary was reached %d times", host, err, c.reached.Load()-before)
		}
	}
	// What is misspelt is refused even so.
	for _, host := range []string{"127.1", "0x7f000001", "127.0.0.1.", "0.0.0.0", "[::]", "[::1%25lo]", "[127.0.0.1]"} {
		u := &url.URL{Scheme: "http", Host: host + ":" + strconv.Itoa(int(c.port))}
		if err := d.CheckURL(u); err == nil {
			t.Errorf("CheckURL lets %s pass", u)
		}
		if err := get(allowed, u); err == nil && host != "[127.0.0.1]" { // net/http takes the brackets off
			t.Errorf("%s was reached", u)
		}
	}
}

// redirector sends whoever asks /?to=URL there.
func redirector(t *testing.T) *httptest.Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Location"] = []string{r.FormValue("to")}
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	_ = s.Listener.Close()
	s.Listener = listener
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func TestNoRedirectReachesTheCanary(t *testing.T) {
	c, z := trap(t)
	s := redirector(t) // on 127.0.0.3, which stands for a public address
	d := newDialer(t, Options{Resolver: z.resolver(), Allow: prefixList("127.0.0.3/32")})
	follows := client(d.DialContext)
	for _, f := range readForbidden(t) {
		if strings.HasPrefix(f.text, "//") {
			continue // would keep the scheme; the list has it with one, too
		}
		for _, u := range f.urls(c.port) {
			from, err := url.Parse(s.URL + "/?to=" + url.QueryEscape(u.String()))
			if err != nil {
				t.Fatal(err)
			}
			err = get(follows, from)
			if err == nil && !strings.HasPrefix(u.String(), "http") {
				continue // no place to go to: the client stays where it is
			}
			wantRefused(t, f, "redirect", err)
		}
	}
	if n := c.reached.Load(); n != 0 {
		t.Errorf("the canary was reached %d times", n)
	}
}

func TestNoRebindingReachesTheCanary(t *testing.T) {
	c, z := trap(t)
	public := newCanary(t, "127.0.0.3")
	// Each name is public when it is asked for first, then is not, by turns.
	z.otherwise(func(q question) reply {
		if q.count%2 == 0 {
			return addresses(q.name, "127.0.0.3")
		}
		return addresses(q.name, "127.0.0.1", "::1")
	})
	for name, ttl := range map[string]time.Duration{"without a cache": -1, "with a cache": time.Hour, "with a short cache": time.Nanosecond} {
		d := newDialer(t, Options{Resolver: z.resolver(), Allow: prefixList("127.0.0.3/32"), DNSCacheTTL: ttl})
		guarded := client(d.DialContext)
		for i := range 50 {
			for _, port := range []uint16{public.port, c.port} {
				u := &url.URL{Scheme: "http", Host: "h" + strconv.Itoa(i%5) + ".example:" + strconv.Itoa(int(port))}
				if err := get(guarded, u); err != nil && blockedBy(err) == "" && port == public.port {
					t.Errorf("%s, %s: %v", name, u, err)
				}
			}
		}
	}
	if n := c.reached.Load(); n != 0 {
		t.Errorf("the canary was reached %d times", n)
	}
	if public.reached.Load() == 0 {
		t.Error("the public server was never reached")
	}
}

func TestHTTP2ConnectionIsJudged(t *testing.T) {
	reached := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		_, _ = io.WriteString(w, r.Proto)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for _, allow := range [][]string{nil, {"127.0.0.0/8"}} {
		d := newDialer(t, Options{Allow: prefixList(allow...)})
		transport := s.Client().Transport.(*http.Transport).Clone()
		transport.DialContext, transport.ForceAttemptHTTP2 = d.DialContext, true
		resp, err := (&http.Client{Transport: transport}).Get(s.URL)
		if allow == nil {
			if blockedBy(err) != RuleLoopback || reached != 0 {
				t.Errorf("err = %v, reached %d times; want it blocked", err, reached)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		proto, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if string(proto) != "HTTP/2.0" {
			t.Errorf("%s, want HTTP/2.0", proto)
		}
		transport.CloseIdleConnections()
	}
}
