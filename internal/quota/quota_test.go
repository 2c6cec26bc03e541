package quota

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/store"
)

// counter is a store that says how much is open.
type counter struct {
	mu    sync.Mutex
	open  int
	takes time.Duration
	err   error
	asked int
}

// CountOpen takes its time, which is fake time wherever it takes any.
func (c *counter) CountOpen(_ context.Context, _ store.TenantKey, limit int) (int, error) {
	time.Sleep(c.takes)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return min(c.open, limit), c.err
}

func (c *counter) set(open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = open
}

func take(t *testing.T, q *Quota, tenant store.TenantKey, n int) bool {
	t.Helper()
	granted, err := q.Take(t.Context(), tenant, n)
	if err != nil {
		t.Fatal(err)
	}
	return granted
}

func TestTenantHasAsManyOpenAsItMayAndMoreOnceSomeHaveEnded(t *testing.T) {
	q := New(10, &counter{open: 4})
	if !take(t, q, 1, 6) || take(t, q, 1, 1) {
		t.Fatal("of 10, 4 were open: 6 more should be granted and a seventh not")
	}
	q.Settle(1, 6, true)
	if take(t, q, 1, 1) {
		t.Error("granted beyond the quota once it was stored")
	}
	q.End(1, 2)
	if !take(t, q, 1, 2) || take(t, q, 1, 1) {
		t.Error("two have ended: two should be granted and a third not")
	}
	q.Settle(1, 2, false)
	if !take(t, q, 1, 2) {
		t.Error("what was granted and not stored is not free again")
	}
	if !take(t, q, 2, 6) {
		t.Error("one tenant's quota is another's")
	}
}

func TestNothingIsCountedWithoutAQuotaOrForNobody(t *testing.T) {
	c := &counter{err: errors.New("disk error")}
	if !take(t, New(0, c), 1, 1_000_000) || !take(t, New(1, c), 1, 0) || c.asked != 0 {
		t.Error("the store was asked for nothing")
	}
}

func TestManyPublishersOfAFreshTenantCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{takes: time.Second}
		q := New(50, c)
		var granted sync.Map
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				if ok, err := q.Take(t.Context(), 1, 1); ok && err == nil {
					granted.Store(i, true)
				}
			})
		}
		all.Wait()
		n := 0
		granted.Range(func(any, any) bool { n++; return true })
		if n != 50 || c.asked != 1 {
			t.Errorf("%d granted after %d counts, want 50 after 1", n, c.asked)
		}
	})
}

func TestNumberThatIsOffIsCountedAgainOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{open: 10}
		q := New(10, c)
		for range 100 {
			if take(t, q, 1, 1) {
				t.Fatal("granted beyond the quota")
			}
		}
		c.set(3) // seven ended unseen
		time.Sleep(recountAfter)
		if !take(t, q, 1, 7) || c.asked != 2 {
			t.Errorf("after %d counts the quota is still full, want 7 more after 2", c.asked)
		}
	})
}

func TestStoreThatCannotCountIsAskedAgain(t *testing.T) {
	c := &counter{err: errors.New("disk error")}
	q := New(10, c)
	if _, err := q.Take(t.Context(), 1, 1); !errors.Is(err, c.err) {
		t.Errorf("err = %v, want the store's", err)
	}
	c.err = nil
	if !take(t, q, 1, 1) {
		t.Error("not granted")
	}
}

func BenchmarkTake(b *testing.B) {
	q := New(1<<40, &counter{})
	for b.Loop() {
		_, _ = q.Take(b.Context(), 1, 1)
		q.Settle(1, 1, true)
		q.End(1, 1)
	}
}
