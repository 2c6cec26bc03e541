package storetest

import (
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
)

func repeatedChangeIsMadeOnce(w *world) {
	once := w.once(1, time.Hour)
	t := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, t, once))
	w.replayed("InsertTenant", w.InsertTenant(w.ctx, w.newTenant(""), once), store.ReplayError{Answer: []byte("answer")})
	same(w, "tenants", len(mustGet[[]store.Tenant](w)(w.Tenants(w.ctx, organisation, store.Page{Limit: 9}))), 1)

	silent := w.once(2, time.Hour)
	silent.Answer = nil
	w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(t.Key, ""), silent))
	version := w.version(t.Key)
	w.replayed("InsertEndpoint", w.InsertEndpoint(w.ctx, w.newEndpoint(t.Key, ""), silent), store.ReplayError{})
	same(w, "endpoints", len(mustGet[store.Routes](w)(w.Routes(w.ctx, t.Key)).Endpoints), 1)
	same(w, "routes version", w.version(t.Key), version)
}

func repeatedUpdateIsMadeOnce(w *world) {
	ep := w.newEndpoint(w.tenant(), "")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	once := w.once(1, time.Hour)
	ep.Version, ep.Name = 2, "renamed"
	w.must(w.UpdateEndpoint(w.ctx, ep, once))
	again := ep
	again.Version, again.Name = 3, "once more"
	w.replayed("again", w.UpdateEndpoint(w.ctx, again, once), store.ReplayError{Answer: []byte("answer")})
	same(w, "endpoint", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, ep.Tenant, ep.Key)), ep)
}

func otherRequestIsAMismatch(w *world) {
	once := w.once(1, time.Hour)
	w.must(w.InsertTenant(w.ctx, w.newTenant(""), once))
	other := *once
	other.Body[0]++
	w.replayed("InsertTenant", w.InsertTenant(w.ctx, w.newTenant(""), &other), store.ReplayError{Mismatch: true})
	w.replayed("Replay", w.Replay(w.ctx, &other, w.now), store.ReplayError{Mismatch: true})
	w.replayed("the same", w.Replay(w.ctx, once, w.now), store.ReplayError{Answer: []byte("answer")})
}

func refusedChangeLeavesNoOnce(w *world) {
	w.must(w.InsertTenant(w.ctx, w.newTenant("taken"), nil))
	once := w.once(1, time.Hour)
	w.is("taken", w.InsertTenant(w.ctx, w.newTenant("taken"), once), store.ErrConflict)
	w.must(w.Replay(w.ctx, once, w.now))
	w.must(w.InsertTenant(w.ctx, w.newTenant("free"), once))

	ep := w.newEndpoint(w.tenant(), "")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	update := w.once(2, time.Hour)
	ep.Version = 5
	w.is("stale", w.UpdateEndpoint(w.ctx, ep, update), store.ErrStale)
	ep.Version = 2
	w.must(w.UpdateEndpoint(w.ctx, ep, update))
}

func replayComesBeforeOtherRefusals(w *world) {
	answered := store.ReplayError{Answer: []byte("answer")}
	once := w.once(1, time.Hour)
	t := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, t, once))
	w.replayed("UID taken meanwhile", w.InsertTenant(w.ctx, w.newTenant("acme"), once), answered)

	inserted, updated := w.once(2, time.Hour), w.once(3, time.Hour)
	ep := w.newEndpoint(t.Key, "primary")
	w.must(w.InsertEndpoint(w.ctx, ep, inserted))
	ep.Version = 2
	w.must(w.UpdateEndpoint(w.ctx, ep, updated))
	w.replayed("stale meanwhile", w.UpdateEndpoint(w.ctx, ep, updated), answered)
	w.must(w.DeleteTenant(w.ctx, t.Key, w.now))
	w.replayed("tenant gone meanwhile", w.InsertEndpoint(w.ctx, ep, inserted), answered)
	w.replayed("endpoint gone meanwhile", w.UpdateEndpoint(w.ctx, ep, updated), answered)
}

func replayChangesNothing(w *world) {
	once := w.once(1, time.Hour)
	for range 2 {
		w.must(w.Replay(w.ctx, once, w.now))
	}
	w.must(w.InsertTenant(w.ctx, w.newTenant(""), once))
	for range 2 {
		w.replayed("made", w.Replay(w.ctx, once, w.now), store.ReplayError{Answer: []byte("answer")})
	}
}

func onceHoldsUntilItsTTLHasPassed(w *world) {
	const ttl = 10 * time.Minute
	once := w.once(1, ttl)
	w.must(w.InsertTenant(w.ctx, w.newTenant(""), once))
	for _, at := range []time.Duration{0, time.Microsecond, ttl / 2, ttl - time.Microsecond} {
		again := *once
		again.Now = w.now.Add(at)
		answered := store.ReplayError{Answer: []byte("answer")}
		w.replayed(fmt.Sprint("Replay after ", at), w.Replay(w.ctx, once, again.Now), answered)
		w.replayed(fmt.Sprint("InsertTenant after ", at), w.InsertTenant(w.ctx, w.newTenant(""), &again), answered)
	}
	later := *once
	later.Now, later.Answer = w.now.Add(ttl), []byte("second")
	w.must(w.Replay(w.ctx, once, later.Now))
	w.must(w.InsertTenant(w.ctx, w.newTenant(""), &later))
	w.replayed("anew", w.Replay(w.ctx, once, later.Now.Add(ttl-1)), store.ReplayError{Answer: []byte("second")})
}

// amongMany makes one new thing a second, of two times to live, and repeats what was made
// at several distances. It says whether make should find the number new.
func amongMany(w *world, make func(once *store.Once) (isNew bool)) {
	w.Helper()
	ttl := func(number uint64) time.Duration {
		if number%3 == 0 {
			return time.Minute
		}
		return 7 * time.Second
	}
	until := map[uint64]time.Time{}
	for number := uint64(1); number <= 150; number++ {
		w.now = w.now.Add(time.Second)
		for _, back := range []uint64{0, 1, 5, 6, 7, 8, 40, 59, 60, 61} {
			repeated := number - min(back, number-1)
			live := w.now.Before(until[repeated])
			if isNew := make(w.once(repeated, ttl(repeated))); isNew == live {
				w.Fatalf("at %d, number %d: new is %v, though live is %v", number, repeated, isNew, live)
			}
			if !live {
				until[repeated] = w.now.Add(ttl(repeated))
			}
		}
	}
}

func changeIsKnownAmongMany(w *world) {
	amongMany(w, func(once *store.Once) bool {
		known := w.Replay(w.ctx, once, w.now)
		err := w.InsertTenant(w.ctx, w.newTenant(""), once)
		if (known == nil) != (err == nil) {
			w.Fatalf("Replay: %v, but InsertTenant: %v", known, err)
		}
		return err == nil
	})
}

func eventIsKnownAmongMany(w *world) {
	tenant := w.tenant()
	accept := w.accept(tenant)
	amongMany(w, func(once *store.Once) bool {
		accept.Once = once
		known := w.repeat(once)
		verdict := w.verdict(accept)
		if verdict.Kind != store.Accepted {
			same(w, "ReplayEvent", known, verdict)
		} else {
			same(w, "ReplayEvent of a new one", known.Kind, store.NotRepeated)
		}
		return verdict.Kind == store.Accepted
	})
}

// repeat is the verdict on a repeat.
func (w *world) repeat(once *store.Once) store.Verdict {
	w.Helper()
	return mustGet[store.Verdict](w)(w.ReplayEvent(w.ctx, once, w.now))
}

func onceHoldsWhenTheClockStepsBack(w *world) {
	tenant := w.tenant()
	const ttl = time.Hour
	publish := func(number uint64) store.VerdictKind {
		a := w.accept(tenant)
		a.Once = w.once(number, ttl)
		return w.verdict(a).Kind
	}
	start := w.now
	for step := range uint64(6) {
		w.now = start.Add(-3 * ttl * time.Duration(step)) // each in a span further back
		same(w, fmt.Sprint("step ", step), publish(step), store.Accepted)
		for made := range step + 1 {
			same(w, fmt.Sprintf("repeat of step %d at step %d", made, step), publish(made), store.Replayed)
			same(w, fmt.Sprintf("ReplayEvent of step %d at step %d", made, step), w.repeat(w.once(made, ttl)).Kind, store.Replayed)
		}
	}
}
