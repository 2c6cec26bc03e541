package bucket

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
)

// engine is one that sends for what it is told to, all the time.
type engine struct {
	t      *testing.T
	handle *memstore.Node
	loop   *Loop
	end    context.CancelFunc
	ended  chan struct{}
	away   atomic.Bool // the database, for this node

	mu        sync.Mutex
	held      map[store.Bucket]bool
	suspended []bool
	buried    int
	seen      store.View
	failGains int
	draining  func(ctx context.Context) // in Losing
}

// start runs a node in the test's bubble.
func start(t *testing.T, disk *memstore.Store, member store.Member) *engine {
	ctx, end := context.WithCancel(t.Context())
	e := &engine{t: t, handle: disk.Node(), end: end, ended: make(chan struct{}), held: make(map[store.Bucket]bool)}
	e.handle.Faults = func(context.Context, string, memstore.Moment) error {
		if e.away.Load() {
			return errors.New("no connection")
		}
		return nil
	}
	e.loop = New(e.handle, e, member, slog.New(slog.DiscardHandler))
	go func() {
		defer close(e.ended)
		e.loop.Run(ctx)
	}()
	return e
}

// stop ends a node in order.
func (e *engine) stop() {
	e.end()
	<-e.ended
}

func (e *engine) Gained(_ context.Context, buckets []store.Bucket) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failGains > 0 {
		e.failGains--
		return errors.New("can't read")
	}
	for _, bucket := range buckets {
		if e.held[bucket] {
			e.t.Errorf("bucket %d is gained twice", bucket)
		}
		e.held[bucket] = true
	}
	return nil
}

func (e *engine) Losing(ctx context.Context, buckets []store.Bucket) {
	e.mu.Lock()
	draining := e.draining
	e.mu.Unlock()
	if draining != nil {
		draining(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, bucket := range buckets {
		delete(e.held, bucket)
	}
}

func (e *engine) Buried() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.held)
	e.buried++
	e.is("it may begin, though it is buried", e.loop.Holds(), false)
}

func (e *engine) Suspended(suspended bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.suspended = append(e.suspended, suspended)
}

func (e *engine) Seen(view *store.View) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = *view
}

// pass lets fake time pass, and whatever happens by then.
func pass(long time.Duration) {
	time.Sleep(long)
	synctest.Wait()
}

func (e *engine) set(do func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	do()
}

// holds is how many buckets the engine sends for.
func (e *engine) holds() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.held)
}

func (e *engine) is(what string, got, want any) {
	e.t.Helper()
	if got != want {
		e.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

var delivers = store.Member{Delivers: true}

func TestNodesShareTheBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memstore.New()
		a := start(t, disk, delivers)
		pass(interval)
		a.is("alone", a.holds(), store.BucketCount)
		b, api := start(t, disk, delivers), start(t, disk, store.Member{})
		pass(3 * interval)
		a.is("of two", a.holds(), store.BucketCount/2)
		b.is("of two", b.holds(), store.BucketCount/2)
		b.is("one that does not deliver", api.holds(), 0)
		a.is("nodes seen", len(api.seen.Nodes), 3)
		a.stop()
		pass(2 * interval)
		b.is("after the other has left", b.holds(), store.BucketCount)
		b.stop()
		api.stop()
	})
}

func TestLookFindsWhatIsNewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memstore.New()
		a := start(t, disk, delivers)
		b := start(t, disk, delivers)
		pass(3 * interval)
		a.stop()
		b.loop.Look()
		synctest.Wait()
		b.is("after the other has left", b.holds(), store.BucketCount)
		b.stop()
	})
}

func TestNodeWithoutTheDatabaseIsSuspendedAndTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memstore.New()
		a, b := start(t, disk, delivers), start(t, disk, delivers)
		pass(3*interval + interval/2)
		a.is("it may begin", a.loop.Holds(), true)
		a.away.Store(true)
		pass(trust - interval/2 + glance)
		a.is("the lease has ended", a.loop.Holds(), false)
		a.is("suspended", a.suspended[len(a.suspended)-1], true)
		b.is("not taken over so soon", b.holds(), store.BucketCount/2)
		pass(patience)
		b.is("taken over", b.holds(), store.BucketCount)
		a.is("buried without knowing", a.buried, 0)

		a.away.Store(false)
		pass(4 * interval)
		a.is("it was buried", a.buried, 1)
		a.is("it may begin again", a.loop.Holds(), true)
		a.is("suspended", a.suspended[len(a.suspended)-1], false)
		a.is("its share", a.holds(), store.BucketCount/2)
		b.is("the other's", b.holds(), store.BucketCount/2)
		a.stop()
		b.stop()
	})
}

func TestDatabaseThatIsAwayForAllIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memstore.New()
		a, b := start(t, disk, delivers), start(t, disk, delivers)
		pass(3 * interval)
		a.away.Store(true)
		b.away.Store(true)
		pass(time.Minute)
		a.is("it may not begin", a.loop.Holds(), false)
		a.away.Store(false)
		pass(interval)
		b.away.Store(false)
		pass(interval)
		a.is("one", a.holds(), store.BucketCount/2)
		a.is("the other", b.holds(), store.BucketCount/2)
		a.is("buried", a.buried+b.buried, 0)
		a.is("it may begin again", a.loop.Holds(), true)
		a.stop()
		b.stop()
	})
}

func TestLosingIsGivenItsTimeWhileTheNodeLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memstore.New()
		a := start(t, disk, delivers)
		var took time.Duration
		draining := func(ctx context.Context) {
			began := time.Now()
			<-ctx.Done()
			took = time.Since(began)
			a.is("it may begin", a.loop.Holds(), true)
		}
		a.set(func() { a.draining = draining })
		pass(interval)
		b := start(t, disk, delivers)
		pass(4 * interval)
		a.is("time to end what is in flight", took, drain)
		a.is("left", a.holds(), store.BucketCount/2)
		a.is("buried", a.buried, 0)
		a.stop()
		b.stop()
	})
}

func TestFailedGainIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memstore.New()
		a := start(t, disk, delivers)
		a.set(func() { a.failGains = 3 })
		pass(interval + 4*retry)
		a.is("held", a.holds(), store.BucketCount)
		a.stop()
	})
}

func TestWhatIsDoneForABuriedNodeIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memstore.New()
		a := start(t, disk, delivers)
		cut := false
		draining := func(ctx context.Context) {
			for _, n := range a.seen.Nodes {
				if n.Key == a.loop.seat.node {
					bury(t, disk, n)
				}
			}
			a.loop.Look()
			<-ctx.Done()
			cut = errors.Is(ctx.Err(), context.Canceled)
		}
		a.set(func() { a.draining = draining })
		pass(interval)
		b := start(t, disk, delivers)
		pass(6 * interval)
		a.is("cut short", cut, true)
		a.is("buried", a.buried, 1)
		a.is("all", a.holds()+b.holds(), store.BucketCount)
		a.stop()
		b.stop()
	})
}

// bury ends a node by another, for this once.
func bury(t *testing.T, disk *memstore.Store, n store.Node) {
	third := disk.Node()
	_, joined := third.Join(t.Context(), store.Member{})
	if err := errors.Join(joined, third.Bury(t.Context(), n.Key, n.Beat), third.Leave(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestResigningGivesEverythingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memstore.New()
		a := start(t, disk, delivers)
		pass(interval)
		a.loop.Resign()
		pass(3 * interval)
		a.is("with nobody to give it to", a.holds(), store.BucketCount)
		b := start(t, disk, delivers)
		pass(4 * interval)
		a.is("what it has", a.holds(), 0)
		b.is("what the other has", b.holds(), store.BucketCount)
		a.is("buried", a.buried, 0)
		if err := a.handle.InsertTenant(t.Context(), store.Tenant{Key: 1}, nil); err != nil {
			t.Errorf("it can't write any more: %v", err)
		}
		a.stop()
		b.stop()
	})
}

func TestEndedLoopHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memstore.New()
		a := start(t, disk, delivers)
		pass(interval)
		a.stop()
		a.is("it may begin", a.loop.Holds(), false)
		if err := a.handle.InsertTenant(t.Context(), store.Tenant{Key: 1}, nil); !errors.Is(err, store.ErrBuried) {
			t.Errorf("a write of a node that has left: %v", err)
		}
	})
}
