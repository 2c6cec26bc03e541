package deferral

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/record/recordtest"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
)

// tower is a Clock with all that it works with. It is a Writer that stores at once.
type tower struct {
	*testing.T
	*memstore.Store
	records *record.Translator
	table   *routing.Table
	clock   *Clock

	mu           sync.Mutex
	transactions []int // deliveries opened in each
	opened       []store.Opening
	settled      map[store.TenantKey][]int
	before       func() // called ahead of each transaction, if set
}

func newTower(t *testing.T) *tower {
	t.Helper()
	w := &tower{T: t, Store: memstore.New(), records: recordtest.New(t), settled: make(map[store.TenantKey][]int)}
	w.table = routing.New(w, w.records, routing.Limits{})
	w.clock = New(Parts{
		Store: w, Routes: w.table, Writer: w, Log: slog.New(slog.DiscardHandler),
		Opened: func(_ time.Time, openings []store.Opening) {
			w.transactions = append(w.transactions, len(openings))
			w.opened = append(w.opened, openings...)
		},
		Settled: func(tenant store.TenantKey, deliveries int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.settled[tenant] = append(w.settled[tenant], deliveries)
		},
	})
	return w
}

func (w *tower) Do(ctx context.Context, _ []store.Lane, do func(context.Context) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.before != nil {
		w.before()
	}
	return do(ctx)
}

func (w *tower) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); w.clock.Run(ctx) }()
	w.Cleanup(func() { cancel(); <-ended })
}

func (w *tower) tenant(endpoints int) store.TenantKey {
	w.Helper()
	key, err := w.NewKey(w.Context())
	if err == nil {
		err = w.InsertTenant(w.Context(), store.Tenant{Key: store.TenantKey(key), Organisation: "org"}, nil)
	}
	if err != nil {
		w.Fatal(err)
	}
	for range endpoints {
		w.endpoint(store.TenantKey(key))
	}
	return store.TenantKey(key)
}

func (w *tower) endpoint(tenant store.TenantKey) {
	w.Helper()
	key, err := w.NewKey(w.Context())
	if err == nil {
		err = w.InsertEndpoint(w.Context(), store.Endpoint{Key: store.EndpointKey(key), Tenant: tenant}, nil)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// deferred stores events of a tenant that are due some time from now, and notes it.
func (w *tower) deferred(count int, tenant store.TenantKey, in time.Duration) {
	w.Helper()
	routes, err := w.Routes(w.Context(), tenant)
	if err != nil {
		w.Fatal(err)
	}
	batch := store.Batch{Now: time.Now()}
	for range count {
		batch.Accepts = append(batch.Accepts, store.Accept{Tenant: tenant, RouteVersion: routes.Version, Type: "a", DeliverAt: time.Now().Add(in)})
	}
	if _, err := w.Commit(w.Context(), &batch); err != nil {
		w.Fatal(err)
	}
	w.clock.Note(time.Now().Add(in))
}

// open waits until nothing moves and counts the deliveries that were opened so far.
func (w *tower) open() int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.opened)
}

func TestTransactionsAreBoundedInEventsAndDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTower(t)
		many, huge, none := w.tenant(3), w.tenant(500), w.tenant(0)
		w.deferred(200, many, time.Hour)
		w.deferred(2, huge, time.Hour+time.Second)
		w.deferred(300, none, time.Hour+2*time.Second)
		w.run()
		time.Sleep(time.Hour - time.Nanosecond)
		if n := w.open(); n != 0 {
			t.Fatalf("%d deliveries are open before their time", n)
		}
		time.Sleep(time.Minute)
		if n := w.open(); n != 200*3+2*500 {
			t.Errorf("%d deliveries are open", n)
		}
		perEvent := 3
		want := []int{85 * perEvent, 85 * perEvent, 30 * perEvent, 500, 500, 0, 0, 0} // by 256 deliveries, by one event, by 128 events
		if !slices.Equal(w.transactions, want) {
			t.Errorf("transactions opened %v deliveries, want %v", w.transactions, want)
		}
		if late := w.clock.Late(time.Now()); late != 0 || len(w.settled[none]) != 300 {
			t.Errorf("late by %v, and %d events for nobody were settled", late, len(w.settled[none]))
		}
	})
}

func TestEarlierEventIsNotMissedWhileALaterOneIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTower(t)
		tenant := w.tenant(1)
		w.deferred(1, tenant, 10*time.Hour)
		w.run()
		synctest.Wait()
		w.deferred(1, tenant, time.Hour)
		w.deferred(1, tenant, 2*time.Hour)
		for hours, want := range map[int]int{1: 1} {
			time.Sleep(time.Duration(hours) * time.Hour)
			if n := w.open(); n != want {
				t.Errorf("after %d hours %d are open, want %d", hours, n, want)
			}
		}
		time.Sleep(time.Hour)
		if n := w.open(); n != 2 {
			t.Errorf("after another %d are open, want 2", n)
		}
		time.Sleep(8 * time.Hour)
		if n := w.open(); n != 3 {
			t.Errorf("in the end %d are open, want 3", n)
		}
	})
}

func TestEventIsMatchedAnewWhereItsRoutesHaveChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTower(t)
		tenant := w.tenant(1)
		if _, err := w.table.Routes(t.Context(), tenant); err != nil { // what it has in memory
			t.Fatal(err)
		}
		w.endpoint(tenant) // is not told of this
		changes := 3
		w.before = func() {
			if changes--; changes >= 0 { // nor of these, which come between matching and storing
				w.endpoint(tenant)
			}
		}
		w.deferred(1, tenant, time.Minute)
		w.run()
		time.Sleep(time.Minute)
		if n := w.open(); n != 5 {
			t.Errorf("%d deliveries are open, want one for each of the 5 endpoints", n)
		}
		if got := w.settled[tenant]; !slices.Equal(got, []int{5}) {
			t.Errorf("settled as %v, want once", got)
		}
	})
}

func TestWhatEndsBetweenReadingAndStoringIsNotSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTower(t)
		tenant := w.tenant(1)
		w.deferred(2, tenant, time.Minute)
		w.before = func() {
			if err := w.CancelEvent(t.Context(), tenant, 1, time.Now()); err != nil && !errors.Is(err, store.ErrNotDeferred) {
				t.Error(err)
			}
		}
		w.run()
		time.Sleep(time.Minute)
		if n := w.open(); n != 1 || !slices.Equal(w.settled[tenant], []int{1}) {
			t.Errorf("%d are open, settled %v; want the one that was not cancelled", n, w.settled[tenant])
		}
	})
}

func TestStoreThatFailsIsAskedAgainAndTheClockIsLateMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTower(t)
		var mu sync.Mutex
		fails := map[string]bool{"Due": true, "Promote": true, "Routes": true}
		mend := func(operation string) {
			mu.Lock()
			defer mu.Unlock()
			delete(fails, operation)
		}
		tenant := w.tenant(1)
		w.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
			mu.Lock()
			defer mu.Unlock()
			if fails[operation] && moment == memstore.Before {
				return errors.New("disk error")
			}
			return nil
		}
		mend("Routes")
		w.deferred(1, tenant, time.Minute)
		w.table.Refresh(tenant)
		w.run()
		time.Sleep(2 * time.Minute)
		for _, operation := range []string{"Due", "Promote"} {
			if late := w.clock.Late(time.Now()); late < time.Minute {
				t.Errorf("while %s fails it is late by %v", operation, late)
			}
			if n := w.open(); n != 0 {
				t.Errorf("%d are open while %s fails", n, operation)
			}
			mend(operation)
			time.Sleep(2 * rest)
		}
		if n, late := w.open(), w.clock.Late(time.Now()); n != 1 || late != 0 {
			t.Errorf("then %d are open, and it is late by %v", n, late)
		}
	})
}
