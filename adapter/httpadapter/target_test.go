package httpadapter

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/neohook/neohook/webhook"
)

func TestTargetsAreReadFromURLs(t *testing.T) {
	tests := map[string]struct{ in, addr, host, uri, shown, basic string }{
		"plain":          {"http://example.com", "example.com:80", "example.com", "/", "http://example.com", ""},
		"TLS":            {"https://example.com/a?b=c", "example.com:443", "example.com", "/a?b=c", "https://example.com/a?b=c", ""},
		"port":           {"https://Example.COM:8443/", "example.com:8443", "example.com:8443", "/", "https://Example.COM:8443/", ""},
		"port, default":  {"http://example.com:80/", "example.com:80", "example.com:80", "/", "http://example.com:80/", ""},
		"port, empty":    {"http://example.com:/", "example.com:80", "example.com", "/", "http://example.com:/", ""},
		"IPv6":           {"http://[2001:DB8::1]/", "[2001:db8::1]:80", "[2001:db8::1]", "/", "http://[2001:DB8::1]/", ""},
		"IPv6 with zone": {"http://[fe80::1%25eth0]:81/", "[fe80::1%eth0]:81", "[fe80::1]:81", "/", "http://[fe80::1%25eth0]:81/", ""},
		"other letters":  {"https://bücher.example/", "xn--bcher-kva.example:443", "xn--bcher-kva.example", "/", "https://bücher.example/", ""},
		"space in query": {"http://example.com/?a b", "example.com:80", "example.com", "/?a%20b", "http://example.com/?a b", ""},
		"escaped path":   {"http://example.com/a%2Fb ü", "example.com:80", "example.com", "/a%2Fb%20%C3%BC", "http://example.com/a%2Fb ü", ""},
		"password":       {"http://me:secret@example.com/", "example.com:80", "example.com", "/", "http://me:xxxxx@example.com/", "Basic bWU6c2VjcmV0"},
		"user alone":     {"http://me@example.com/", "example.com:80", "example.com", "/", "http://me@example.com/", "Basic bWU6"},
		"fragment":       {"http://example.com/a#b", "example.com:80", "example.com", "/a", "http://example.com/a#b", ""},
	}
	for name, test := range tests {
		got, err := parseTarget(test.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.addr != test.addr || got.hostField != test.host || got.requestURI != test.uri || got.shown != test.shown || got.basic != test.basic {
			t.Errorf("%s: got %+v, want %+v", name, *got, test)
		}
	}
	for _, in := range []string{
		"", "example.com", "//example.com/", "ftp://example.com/", "http://", "http://:80/", "http:/example.com", "http://example.com:0/",
		"http://example.com:65536/", "http://exa mple.com/", "http://example.com\r\nX: y/", "http://example.com/\x00", "http://[::1/", "http://xn--a.example/ü\x7f",
	} {
		if got, err := parseTarget(in); err == nil {
			t.Errorf("%q was taken as %+v", in, *got)
		}
	}
	if _, err := parseTarget("http://me:secret@example.com:x/"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("err = %v", err)
	}
}

// FuzzTarget: a URL is refused, or a server reads the request line and Host as one
// request for it.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		"http://example.com/a?b=c", "https://[::1%25eth0]:8443/", "http://u:p@bücher.example/ü?ü", "http://a/?a b\tc", "http://a//b//", "http://a/%zz", "http://a?\u2028",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		target, err := parseTarget(in)
		if err != nil {
			return
		}
		m := message{method: "POST", target: target, fields: []field{{"X-End", "yes"}}}
		head := m.appendHead(nil, false)
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(head))))
		if err != nil {
			t.Fatalf("%q gives %q: %v", in, head, err)
		}
		if r.Host != target.hostField || r.RequestURI != target.requestURI || r.Header.Get("X-End") != "yes" || len(r.Header) != 2 {
			t.Fatalf("%q gives %q: %q %q %v", in, head, r.Host, r.RequestURI, r.Header)
		}
	})
}

func TestCleanupIsDoneWithinOneTTL(t *testing.T) {
	for name, test := range map[string]struct {
		opts Options
		want string
	}{
		"default": {Options{}, "15s"}, "off": {Options{NoCleanup: true}, "-1ns"}, "short": {Options{DNSCacheTTL: 1}, "100ms"},
		"no cache": {Options{DNSCacheTTL: -1}, "15s"},
	} {
		o, err := test.opts.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		if got := o.cleanupEvery().String(); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// What could not be sent told its URL as it came.
func TestUnsendableURLIsToldWithoutItsPassword(t *testing.T) {
	adapter, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer adapter.Close()
	const url = "ftp://me:secret@example.com/"
	for name, result := range map[string]webhook.Result{
		"connectivity": adapter.TestConnectivity(t.Context(), url, 0),
		"delivery":     adapter.Deliver(t.Context(), &webhook.Delivery{ID: "dlv_1"}, &webhook.Endpoint{URL: url}),
	} {
		if want := "ftp://me:xxxxx@example.com/"; result.Fault == nil || result.URL != want || strings.Contains(result.Fault.Message, "secret") {
			t.Errorf("%s: url = %q, fault = %v, want %q and a fault without the password", name, result.URL, result.Fault, want)
		}
	}
}
