package egress

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMoveIsToldWithinOneTTL(t *testing.T) {
	const ttl = 300 * time.Second
	old, next := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, after := range []time.Duration{time.Millisecond, 100 * time.Second, 269 * time.Second, 271 * time.Second, 299 * time.Second, 301 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			moves := time.Now().Add(after)
			d := newDialer(t, Options{Resolver: lookupFunc(func(context.Context, string, string) ([]netip.Addr, error) {
				if time.Now().Before(moves) {
					return []netip.Addr{old}, nil
				}
				return []netip.Addr{next}, nil
			})})
			_, _, _ = d.cache.resolve(t.Context(), "a.test") // as a dial does
			time.Sleep(7 * time.Second)                      // sweeps are at no particular time
			for !d.Moved(t.Context(), "a.test", old) {
				if time.Since(moves) > ttl {
					t.Fatalf("moved after %v, not told %v later", after, time.Since(moves))
				}
				time.Sleep(ttl / 20)
			}
			if time.Now().Before(moves) {
				t.Errorf("told %v before the move", time.Until(moves))
			}
		})
	}
}

// What is dialled is judged even if all that comes before it let it pass.
func TestControlJudges(t *testing.T) {
	c := newCanary(t, "127.0.0.1")
	d := newDialer(t, Options{})
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), c.port)
	if _, err := d.connect(t.Context(), &target{name: "a.test", host: "a.test", port: c.port}, to); blockedBy(err) != RuleLoopback {
		t.Errorf("err = %v, want it blocked as loopback", err)
	}
	if c.reached.Load() != 0 {
		t.Error("the canary was reached")
	}
}

func TestDialerIsSafeForConcurrentUse(t *testing.T) {
	c := newCanary(t, "127.0.0.1")
	d := newDialer(t, Options{
		Allow: prefixList("127.0.0.1/32"), DNSCacheTTL: time.Millisecond, DNSCacheHosts: 3,
		Resolver: lookupFunc(func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}, nil
		}),
	})
	var dialling sync.WaitGroup
	for i := range 16 {
		dialling.Go(func() {
			host := string(rune('a'+i%5)) + ".test"
			for range 50 {
				if _, err := dial(d, "tcp", c.at(host)); err != nil {
					t.Errorf("%s: %v", host, err)
					return
				}
				d.Moved(t.Context(), host, netip.MustParseAddr("127.0.0.1"))
				d.Stats()
			}
		})
	}
	dialling.Wait()
	if s := d.Stats(); s.Hits+s.Misses != 16*50 || s.Hosts > 3 {
		t.Errorf("Stats = %+v after 800 dials with room for 3 hosts", s)
	}
	for range 4 { // dials while it closes end one way or the other
		dialling.Go(func() {
			for {
				if _, err := dial(d, "tcp", c.at("a.test")); err != nil {
					return
				}
			}
		})
	}
	_ = d.Close()
	dialling.Wait()
}
