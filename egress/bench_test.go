package egress

import (
	"context"
	"net"
	"net/netip"
	"testing"
)

// BenchmarkDialContext dials a name whose addresses are in the cache, beside net.Dialer
// with the address itself: what the policy and the cache cost a connection.
func BenchmarkDialContext(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	defer func() { _ = listener.Close(); <-done }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	d, err := New(Options{Allow: prefixList("127.0.0.0/8"), Resolver: lookupFunc(func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	})})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for name, dial := range map[string]func() (net.Conn, error){
		"cache hit": func() (net.Conn, error) {
			return d.DialContext(context.Background(), "tcp", "hooks.example.com:"+port)
		},
		"net.Dialer": func() (net.Conn, error) {
			dialer := net.Dialer{Timeout: defaultTimeout}
			return dialer.DialContext(context.Background(), "tcp", "127.0.0.1:"+port)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				conn, err := dial()
				if err != nil {
					b.Fatal(err)
				}
				_ = conn.(*net.TCPConn).SetLinger(0) // no TIME_WAIT: ports would run out
				_ = conn.Close()
			}
		})
	}
}

// BenchmarkJudge judges a public address: every rule is asked.
func BenchmarkJudge(b *testing.B) {
	p, err := newPolicy(Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, text := range []string{"93.184.216.34", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"} {
		b.Run(text, func(b *testing.B) {
			ip := netip.MustParseAddr(text)
			b.ReportAllocs()
			for b.Loop() {
				if p.judge(ip) != nil {
					b.Fatal("closed")
				}
			}
		})
	}
}

// BenchmarkResolve is the cache alone.
func BenchmarkResolve(b *testing.B) {
	o, _ := Options{Resolver: lookupFunc(func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	})}.withDefaults()
	c := newCache(o)
	defer c.close()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.resolve(ctx, "hooks.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
