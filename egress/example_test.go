package egress_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"

	"github.com/neohook/neohook/egress"
)

// The zero Options reach the public internet and nothing else.
func ExampleNew() {
	dialer, err := egress.New(egress.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dialer.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}

	_, err = client.Get("http://169.254.169.254/latest/meta-data/")
	var blocked *egress.BlockedError
	if errors.As(err, &blocked) {
		fmt.Println(blocked.IP, blocked.Rule)
		fmt.Println(blocked)
	}
	// Output:
	// 169.254.169.254 metadata
	// egress: "169.254.169.254" is blocked by rule metadata (169.254.169.254/32); to let it through, add 169.254.169.254/32 to the egress allow list (Allow)
}

// A receiver on this machine or in a private network needs its range in Allow.
func ExampleOptions_allow() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	dialer, err := egress.New(egress.Options{
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dialer.Close()
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(receiver.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 204 No Content
}

// AllowHosts narrows. It does not exempt a host from the judgement of its address.
func ExampleOptions_allowHosts() {
	dialer, err := egress.New(egress.Options{
		AllowHosts: []string{"*.example.com", "10.0.0.1"},
		HTTPSOnly:  true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dialer.Close()
	for _, text := range []string{
		"https://hooks.example.com/in", "http://hooks.example.com/in", "https://example.org/in", "https://10.0.0.1/in",
	} {
		u, err := url.Parse(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		var blocked *egress.BlockedError
		if errors.As(dialer.CheckURL(u), &blocked) {
			fmt.Println(text, "is refused by", blocked.Rule)
		} else {
			fmt.Println(text, "is fine so far")
		}
	}
	// Output:
	// https://hooks.example.com/in is fine so far
	// http://hooks.example.com/in is refused by scheme
	// https://example.org/in is refused by allow-hosts
	// https://10.0.0.1/in is refused by private
}

// CheckURL tells whoever enters a URL what is wrong with it.
func ExampleDialer_CheckURL() {
	dialer, err := egress.New(egress.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dialer.Close()
	for _, text := range []string{"http://example.com@2130706433/", "http://localhost:9000/", "https://hooks.example.com:22/"} {
		u, err := url.Parse(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(dialer.CheckURL(u))
	}
	// Output:
	// egress: "2130706433" is 127.0.0.1 and is blocked by rule spelling; write the address as 127.0.0.1
	// egress: "localhost" is blocked by rule localhost; to let it through, add 127.0.0.1/32 or ::1/128 to the egress allow list (Allow)
	// egress: "hooks.example.com" port 22 is blocked by rule port; the egress ports (Ports) would have to include it
}

// book is a Resolver of fixed answers.
type book map[string][]netip.Addr

func (b book) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, found := b[host]; found {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// A trace tells whether a look-up was answered from the cache.
func ExampleWithTrace() {
	receiver, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer receiver.Close()
	_, port, _ := net.SplitHostPort(receiver.Addr().String())

	dialer, err := egress.New(egress.Options{
		Allow:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Resolver: book{"hooks.example.com": {netip.MustParseAddr("127.0.0.1")}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dialer.Close()
	ctx := egress.WithTrace(context.Background(), func(dial egress.Dial) {
		fmt.Println(dial.Host, dial.Target.Addr(), "cached:", dial.Cached)
	})
	for range 2 {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("hooks.example.com", port))
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = conn.Close()
	}
	fmt.Printf("%+v\n", dialer.Stats())
	// Output:
	// hooks.example.com 127.0.0.1 cached: false
	// hooks.example.com 127.0.0.1 cached: true
	// {Hits:1 Misses:1 Refreshes:0 Hosts:1}
}
