package egress

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
)

// A canary is an HTTP server that counts who reaches it: connections, not requests.
type canary struct {
	port    uint16
	reached atomic.Int64
	v6      bool // it listens on ::1 too
}

// newCanary listens on one port of the given loopback addresses.
func newCanary(t *testing.T, ips ...string) *canary {
	t.Helper()
	c := new(canary)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "canary "+r.Host)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				c.reached.Add(1)
			}
		},
	}
	t.Cleanup(func() { _ = server.Close() })
	for _, ip := range ips {
		addr := netip.AddrPortFrom(netip.MustParseAddr(ip), c.port)
		listener, err := net.Listen("tcp", addr.String())
		if err != nil && addr.Addr().Is6() {
			t.Logf("no canary on %v: %v", addr, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c.v6 = c.v6 || addr.Addr().Is6()
		c.port = uint16(listener.Addr().(*net.TCPAddr).Port)
		go func() { _ = server.Serve(listener) }()
	}
	return c
}

func (c *canary) at(host string) string { return net.JoinHostPort(host, strconv.Itoa(int(c.port))) }

// dial connects and closes again.
func dial(d *Dialer, network, address string) (Dial, error) {
	var told Dial
	ctx := WithTrace(context.Background(), func(dial Dial) { told = dial })
	conn, err := d.DialContext(ctx, network, address)
	if err == nil {
		_ = conn.Close()
	}
	return told, err
}
