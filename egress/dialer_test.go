package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func newDialer(t *testing.T, o Options) *Dialer {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func prefixList(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestLoopbackNeedsAllow(t *testing.T) {
	reached := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer server.Close()

	closed := newDialer(t, Options{})
	client := &http.Client{Transport: &http.Transport{DialContext: closed.DialContext, DisableKeepAlives: true}}
	_, err := client.Get(server.URL)
	var blocked *BlockedError
	if !errors.As(err, &blocked) || blocked.Rule != RuleLoopback || blocked.IP != netip.MustParseAddr("127.0.0.1") {
		t.Fatalf("err = %v, want a *BlockedError of rule loopback for 127.0.0.1", err)
	}
	if reached != 0 {
		t.Fatal("the server was reached")
	}
	t.Log(err)

	open := newDialer(t, Options{Allow: prefixList("127.0.0.0/8")})
	client = &http.Client{Transport: &http.Transport{DialContext: open.DialContext, DisableKeepAlives: true}}
	resp, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if reached != 1 {
		t.Fatalf("reached = %d, want 1", reached)
	}
}

func TestClosedDialerDialsNoNames(t *testing.T) {
	d := newDialer(t, Options{})
	_ = d.Close()
	_, err := d.DialContext(context.Background(), "tcp", "example.com:443")
	var op *net.OpError
	if !errors.Is(err, net.ErrClosed) || !errors.As(err, &op) {
		t.Fatalf("err = %v, want net.ErrClosed in a *net.OpError", err)
	}
}
