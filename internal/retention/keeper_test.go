package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

const day = 24 * time.Hour

// direct is a Writer that makes changes one after another.
type direct struct{ mu sync.Mutex }

func (w *direct) Do(ctx context.Context, _ []store.Lane, do func(context.Context) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return do(context.WithoutCancel(ctx))
}

// held is lanes that hold a delivery of every event.
type held struct {
	mu       sync.Mutex
	events   map[store.EventKey]bool
	reviewed bool
	cuts     int
}

func (l *held) Forget(_ time.Time, _ store.TenantKey, gone func(store.EventKey) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for event := range l.events {
		if gone(event) {
			delete(l.events, event)
		}
	}
}

func (l *held) Review(time.Time, store.TenantKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reviewed = true
}

func (l *held) Cut(context.Context, store.TenantKey, func(store.EventKey) bool, time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts++
	return nil
}

// world is a store with a tenant, an endpoint and some events.
type world struct {
	store  *memstore.Store
	tenant store.TenantKey
	events []store.EventKey
	lanes  *held
	ended  int
}

func newWorld(t *testing.T, events int) *world {
	t.Helper()
	w := &world{store: memstore.New(), lanes: &held{events: make(map[store.EventKey]bool)}}
	ctx := t.Context()
	key := must(w.store.NewKey(ctx))(t)
	w.tenant = store.TenantKey(key)
	if err := w.store.InsertTenant(ctx, store.Tenant{Key: w.tenant, Organisation: "org", Name: "Acme", CreatedAt: time.Now()}, nil); err != nil {
		t.Fatal(err)
	}
	ep := store.Endpoint{Key: store.EndpointKey(must(w.store.NewKey(ctx))(t)), Tenant: w.tenant, CreatedAt: time.Now()}
	if err := w.store.InsertEndpoint(ctx, ep, nil); err != nil {
		t.Fatal(err)
	}
	batch := &store.Batch{Now: time.Now()}
	for range events {
		batch.Accepts = append(batch.Accepts, store.Accept{
			Tenant: w.tenant, RouteVersion: must(w.store.Routes(ctx, w.tenant))(t).Version, Endpoints: []store.EndpointKey{ep.Key}, Type: "a", Payload: []byte("{}"),
		})
	}
	for _, verdict := range must(w.store.Commit(ctx, batch))(t) {
		w.events = append(w.events, verdict.Event)
		w.lanes.events[verdict.Event] = true
	}
	return w
}

func must[T any](got T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}

// run runs a Keeper until stop.
func (w *world) run(t *testing.T) (k *Keeper, stop func()) {
	k = New(Parts{
		Store: w.store, Writer: new(direct), Lanes: w.lanes, Defaults: webhook.Retention{Payloads: 30 * day, Attempts: 60 * day, Events: 90 * day},
		Ended: func(open []store.Turn) { w.ended += len(open) }, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		k.Run(ctx)
		close(ended)
	}()
	return k, sync.OnceFunc(func() {
		cancel()
		<-ended
	})
}

func (w *world) finish(t *testing.T) {
	t.Helper()
	batch := &store.Batch{Now: time.Now()}
	lanes := must(w.store.Lanes(t.Context(), 0, 9))(t)
	for _, event := range w.events {
		batch.Outcomes = append(batch.Outcomes, store.Outcome{
			Tenant: w.tenant, Endpoint: lanes[0].Endpoint, Event: event, State: webhook.Succeeded, Attempt: &store.Attempt{Number: 1, Succeeded: true, StartedAt: time.Now()},
		})
	}
	must(w.store.Commit(t.Context(), batch))(t)
}

func TestWhatHasHadItsTimeGoesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.finish(t)
		asked := 0
		w.store.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
			if operation == "Sweep" && moment == memstore.Before {
				if asked++; asked%5 == 0 {
					return errors.New("disk error") // and is tried again
				}
			}
			return nil
		}
		k, stop := w.run(t)
		defer stop()
		payload := func() bool {
			return must(w.store.Payloads(t.Context(), w.events[:1]))(t)[0].Event != 0
		}
		time.Sleep(30*day - time.Hour)
		if !payload() {
			t.Error("a payload is gone before its time")
		}
		time.Sleep(2 * time.Hour)
		if payload() {
			t.Error("a payload is there after its time")
		}
		time.Sleep(60 * day)
		if _, err := w.store.Event(t.Context(), w.tenant, w.events[0]); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an event after its time: %v", err)
		}
		if got := k.Stats(); got != (Stats{Payloads: 3, Attempts: 3, Events: 3}) {
			t.Errorf("counted %+v", got)
		}
		if asked > 3*90 { // twice a day, and again where it failed
			t.Errorf("the store was asked %d times in 90 days", asked)
		}
	})
}

func TestChangedTimesAreHeededSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.finish(t)
		k, stop := w.run(t)
		defer stop()
		time.Sleep(10 * day)
		tenant := must(w.store.Tenant(t.Context(), "org", w.tenant))(t)
		tenant.Version, tenant.Retention.Events = 2, 5*day
		if err := w.store.UpdateTenant(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		k.Look()
		time.Sleep(time.Second)
		if _, err := w.store.Event(t.Context(), w.tenant, w.events[0]); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an event after its new time: %v", err)
		}
	})
}

// TestExpungeIsDoneWhateverBreaksOff has the store fail, not know, or crash at each of its
// operations in turn; a crash is followed by another Run.
func TestExpungeIsDoneWhateverBreaksOff(t *testing.T) {
	for _, everything := range []bool{false, true} {
		for name, fault := range map[string]func(moment memstore.Moment) error{
			"nothing":        func(memstore.Moment) error { return nil },
			"fails before":   at(memstore.Before, errors.New("disk error")),
			"fails after":    at(memstore.After, errors.New("disk error")),
			"does not know":  at(memstore.After, store.ErrCommitUnknown),
			"crashes before": at(memstore.Before, memstore.Crash),
			"crashes after":  at(memstore.After, memstore.Crash),
		} {
			for _, operation := range []string{"Expunges", "ExpungeStep", "Scrub"} {
				for nth := 1; nth <= 4; nth++ {
					t.Run(fmt.Sprintf("%s %d of %s everything %v", name, nth, operation, everything), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { expungeThrough(t, everything, operation, nth, fault) })
					})
				}
			}
		}
	}
}

func at(when memstore.Moment, err error) func(memstore.Moment) error {
	return func(moment memstore.Moment) error {
		if moment == when {
			return err
		}
		return nil
	}
}

func expungeThrough(t *testing.T, everything bool, operation string, nth int, fault func(memstore.Moment) error) {
	w := newWorld(t, 5)
	asked := must(w.store.InsertExpunge(t.Context(), "org", store.Expunge{Tenant: w.tenant, Everything: everything, AskedAt: time.Now()}))(t)
	calls, steps, scrubbed := 0, 0, 0
	faults := func(_ context.Context, called string, moment memstore.Moment) error {
		if moment == memstore.Before {
			switch called {
			case "ExpungeStep":
				steps++
			case "Scrub":
				scrubbed = steps
			}
		}
		if called != operation {
			return nil
		}
		if moment == memstore.Before {
			calls++
		}
		if calls != nth {
			return nil
		}
		return fault(moment)
	}
	w.store.Faults = faults
	for crashed := true; crashed; {
		k, stop := w.run(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := k.Await(ctx, asked)
		cancel()
		stop()
		if crashed = err != nil; crashed {
			w.store = w.store.Reopen()
			w.store.Faults = faults
		}
	}
	w.store = w.store.Reopen() // without faults
	for _, event := range w.events {
		_, err := w.store.Event(t.Context(), w.tenant, event)
		if must(w.store.Payloads(t.Context(), []store.EventKey{event}))(t)[0].Event != 0 || (err != nil) != everything {
			t.Errorf("event %d: %v", event, err)
		}
	}
	if left := must(w.store.Expunges(t.Context(), 0, 9))(t); len(left) > 0 {
		t.Errorf("not done: %+v", left)
	}
	if len(w.lanes.events) > 0 && !w.lanes.reviewed {
		t.Errorf("the lanes hold %v, and were not told to look again", w.lanes.events)
	}
	if scrubbed != steps {
		t.Errorf("the files were scrubbed after step %d, and there were %d", scrubbed, steps)
	}
}

func TestWhoeverWaitsForAnExpungeIsToldOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.store.Faults = func(_ context.Context, operation string, _ memstore.Moment) error {
			if operation == "ExpungeStep" {
				return errors.New("disk error")
			}
			return nil
		}
		k, stop := w.run(t)
		if err := k.Await(t.Context(), store.Expunge{Key: 77}); err != nil { // done before, by somebody else's asking
			t.Errorf("one that is not there: %v", err)
		}
		asked := must(w.store.InsertExpunge(t.Context(), "org", store.Expunge{Tenant: w.tenant, AskedAt: time.Now()}))(t)
		told := make(chan error)
		go func() { told <- k.Await(t.Context(), asked) }()
		time.Sleep(time.Minute)
		if got := k.Stats().Expunges; got != 1 {
			t.Errorf("%d are waiting, want 1", got)
		}
		stop()
		if err := <-told; !errors.Is(err, ErrStopped) {
			t.Errorf("%v, want %v", err, ErrStopped)
		}
	})
}
