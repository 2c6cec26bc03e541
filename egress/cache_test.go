package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A book is a resolver in memory.
type book struct {
	mu     sync.Mutex
	asked  int
	answer func(host string, count int) ([]netip.Addr, error)
	takes  time.Duration
}

func (b *book) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	b.mu.Lock()
	b.asked++
	count := b.asked
	b.mu.Unlock()
	select {
	case <-time.After(b.takes):
		return b.answer(host, count)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// numbered answers the nth question with 192.0.2.n.
func numbered(_ string, count int) ([]netip.Addr, error) {
	return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(count)})}, nil
}

func openCache(t *testing.T, o Options) *cache {
	t.Helper()
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(o)
	t.Cleanup(c.close)
	return c
}

// expect resolves and holds the answer against the last byte of an address, or 0 for an error.
func expect(t *testing.T, c *cache, host string, want byte, cached bool) {
	t.Helper()
	addrs, was, err := c.resolve(t.Context(), host)
	var got byte
	if err == nil {
		got = addrs[0].As4()[3]
	}
	if got != want || was != cached {
		t.Errorf("after %v: answer %d (%v), cached %v; want %d, cached %v", time.Now().Format("04:05"), got, err, was, want, cached)
	}
}

func TestAnswerIsUsedForItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{answer: numbered}
		c := openCache(t, Options{Resolver: b, DNSCacheTTL: time.Minute})
		expect(t, c, "a", 1, false)
		time.Sleep(50 * time.Second)
		expect(t, c, "a", 1, true)
		time.Sleep(10 * time.Second)
		expect(t, c, "a", 2, false)
	})
}

func TestDefaultTTLIsFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openCache(t, Options{Resolver: &book{answer: numbered}})
		expect(t, c, "a", 1, false)
		time.Sleep(269 * time.Second)
		expect(t, c, "a", 1, true)
		time.Sleep(31 * time.Second)
		expect(t, c, "a", 2, false)
	})
}

func TestNegativeTTLKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openCache(t, Options{Resolver: &book{answer: numbered}, DNSCacheTTL: -1})
		expect(t, c, "a", 1, false)
		expect(t, c, "a", 2, false)
		if _, hosts := c.figures(); hosts != 0 {
			t.Errorf("%d hosts are kept", hosts)
		}
	})
}

func TestFailureIsKeptForTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{answer: func(host string, count int) ([]netip.Addr, error) {
			if count == 1 {
				return nil, errors.New("no answer")
			}
			return numbered(host, count)
		}}
		c := openCache(t, Options{Resolver: b})
		expect(t, c, "a", 0, false)
		time.Sleep(1900 * time.Millisecond)
		expect(t, c, "a", 0, true)
		time.Sleep(100 * time.Millisecond)
		expect(t, c, "a", 2, false)
	})
}

func TestFailureIsKeptNoLongerThanTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{answer: func(string, int) ([]netip.Addr, error) { return nil, errors.New("no answer") }}
		c := openCache(t, Options{Resolver: b, DNSCacheTTL: time.Second})
		expect(t, c, "a", 0, false)
		time.Sleep(time.Second)
		expect(t, c, "a", 0, false)
	})
}

func TestHostInUseIsRefreshedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{answer: numbered, takes: time.Second}
		c := openCache(t, Options{Resolver: b, DNSCacheTTL: 100 * time.Second})
		expect(t, c, "a", 1, false)
		time.Sleep(91 * time.Second)
		for range 10 {
			expect(t, c, "a", 1, true) // nobody waits for the refresh
		}
		time.Sleep(2 * time.Second)
		expect(t, c, "a", 2, true)
		time.Sleep(80 * time.Second)
		expect(t, c, "a", 2, true) // the refreshed answer has a TTL of its own
		if refreshes, _ := c.figures(); b.count() != 2 || refreshes != 1 {
			t.Errorf("asked %d times with %d refreshes, want 2 and 1", b.count(), refreshes)
		}
	})
}

func TestHostNotInUseIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{answer: numbered}
		c := openCache(t, Options{Resolver: b})
		expect(t, c, "a", 1, false)
		time.Sleep(time.Hour)
		if b.count() != 1 {
			t.Errorf("asked %d times, want once", b.count())
		}
	})
}

func TestFailedRefreshKeepsTheAnswerUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{answer: func(host string, count int) ([]netip.Addr, error) {
			if count > 1 {
				return nil, errors.New("no answer")
			}
			return numbered(host, count)
		}}
		c := openCache(t, Options{Resolver: b, DNSCacheTTL: 100 * time.Second})
		expect(t, c, "a", 1, false)
		time.Sleep(95 * time.Second)
		for range 4 { // within the next 2 s: one more look-up, not four
			expect(t, c, "a", 1, true)
			time.Sleep(400 * time.Millisecond)
		}
		if b.count() != 2 {
			t.Errorf("asked %d times, want 2", b.count())
		}
		time.Sleep(5 * time.Second)
		expect(t, c, "a", 0, false)
	})
}

func TestDialsOfOneHostShareALookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{answer: numbered, takes: time.Second}
		c := openCache(t, Options{Resolver: b})
		var waiting sync.WaitGroup
		for range 50 {
			waiting.Go(func() { expect(t, c, "a", 1, false) })
		}
		waiting.Wait()
		if b.count() != 1 {
			t.Errorf("asked %d times, want once", b.count())
		}
	})
}

func TestLookUpOutlivesTheCallerButNotItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openCache(t, Options{Resolver: &book{answer: numbered, takes: time.Hour}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		var failed *net.DNSError
		if _, _, err := c.resolve(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || !failed.IsTimeout {
			t.Errorf("err = %v, want a *net.DNSError of a deadline", err)
		}
		if _, _, err := c.resolve(t.Context(), "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want a deadline", err)
		}
		if took := time.Since(begun); took != lookupTimeout {
			t.Errorf("gave up after %v, want %v", took, lookupTimeout)
		}
	})
}

type secretKey struct{}

func TestLookUpTakesNoValuesOfTheCaller(t *testing.T) {
	var seen any
	c := openCache(t, Options{Resolver: lookupFunc(func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
		seen = ctx.Value(secretKey{})
		return numbered("", 1)
	})})
	_, _, _ = c.resolve(context.WithValue(t.Context(), secretKey{}, "trace"), "a")
	if seen != nil {
		t.Errorf("the resolver saw %v", seen)
	}
}

type lookupFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f lookupFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openCache(t, Options{Resolver: &book{answer: numbered}, DNSCacheHosts: 100})
		for i := range 1000 {
			if _, _, err := c.resolve(t.Context(), fmt.Sprint("host-", i)); err != nil {
				t.Fatal(err)
			}
			if _, hosts := c.figures(); hosts > 100 {
				t.Fatalf("%d hosts are kept, want at most 100", hosts)
			}
		}
	})
}

func TestExpiredHostMakesRoomFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{answer: numbered}
		c := openCache(t, Options{Resolver: b, DNSCacheHosts: 3, DNSCacheTTL: time.Minute})
		expect(t, c, "old", 1, false)
		time.Sleep(time.Minute)
		expect(t, c, "a", 2, false)
		expect(t, c, "b", 3, false)
		expect(t, c, "c", 4, false)
		expect(t, c, "a", 2, true)
		expect(t, c, "b", 3, true)
	})
}

func TestCloseWaitsForLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openCache(t, Options{Resolver: &book{answer: numbered, takes: time.Hour}})
		failed := make(chan error, 1)
		go func() {
			_, _, err := c.resolve(context.Background(), "a")
			failed <- err
		}()
		synctest.Wait()
		begun := time.Now()
		c.close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("err = %v, want net.ErrClosed", err)
		}
		if _, _, err := c.resolve(t.Context(), "b"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("err = %v, want net.ErrClosed", err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("close took %v", took)
		}
	})
}
