package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// counts is what a test expects, by name.
type counts map[store.Count]int64

func (c counts) whole() (whole store.Counts) {
	for what, n := range c {
		whole[what] = n
	}
	return whole
}

// always is a range in which a test's time is, by the beginnings of days.
func (w *world) always() store.SumQuery {
	return store.SumQuery{Unit: store.Hour, From: store.Day.Start(w.now).Add(-14 * 24 * time.Hour), To: store.Day.Start(w.now).Add(14 * 24 * time.Hour)}
}

func (w *world) sums(q store.SumQuery) []store.Sum {
	w.Helper()
	return mustGet[[]store.Sum](w)(w.Sums(w.ctx, q))
}

// total is the one sum over all the time of the test.
func (w *world) total(tenant store.TenantKey, ep store.EndpointKey) store.Counts {
	w.Helper()
	q := w.always()
	q.Tenant, q.Endpoint = tenant, ep
	switch sums := w.sums(q); len(sums) {
	case 0:
		return store.Counts{}
	case 1:
		return sums[0].Counts
	default:
		w.Fatalf("%d sums, want one", len(sums))
		return store.Counts{}
	}
}

// compactAll does all the upkeep that is due.
func (w *world) compactAll() {
	w.Helper()
	for more := true; more; {
		more = mustGet[bool](w)(w.CompactRollups(w.ctx, w.now))
	}
}

// recountFindsNothing holds what is stored to history.
func (w *world) recountFindsNothing() store.Recounted {
	w.Helper()
	found := mustGet[store.Recounted](w)(w.Recount(w.ctx, w.now))
	if found.Wrong != 0 || found.Off != nil {
		w.Errorf("a recount found %d of %d rollups wrong: %v", found.Wrong, found.Rollups, found.Off)
	}
	return found
}

func sumsCountWhatIsStored(w *world) {
	tenant := w.tenant()
	one, other := w.endpoint(tenant), w.endpoint(tenant)
	events := w.publish(3, tenant, one, other)
	w.publish(1, tenant)
	failed := w.outcome(tenant, one, events[0], 0, webhook.Waiting)
	timedOut := w.outcome(tenant, one, events[1], 0, webhook.Exhausted)
	timedOut.Attempt.StatusCode, timedOut.Attempt.TimedOut, timedOut.Attempt.Duration = 0, true, time.Hour
	unsent := store.Outcome{Tenant: tenant, Endpoint: one, Event: events[2], EventType: "invoice.paid", State: webhook.Cancelled, Reason: webhook.EndpointDisabled}
	w.record(failed, timedOut, unsent, w.outcome(tenant, one, events[0], 1, webhook.Succeeded), w.outcome(tenant, other, events[0], 0, webhook.Succeeded))

	const twentyMilliseconds = store.LatencyFirst + 8
	succeeded := counts{
		store.DeliveriesMade: 3, store.AttemptsSucceeded: 1, store.AttemptMicroseconds: 20_000, twentyMilliseconds: 1, store.EndedSucceeded: 1,
	}
	all := counts{
		store.DeliveriesMade: 3, store.AttemptsSucceeded: 1, store.AttemptsWithoutStatus: 1, store.AttemptsFailed5xx: 1,
		store.AttemptsTimedOut: 1, store.AttemptsThrottled: 1, store.AttemptMicroseconds: 2*20_000 + 3_600_000_000,
		twentyMilliseconds: 2, store.LatencyFirst + store.Count(len(store.Latencies)): 1,
		store.EndedSucceeded: 1, store.EndedExhausted: 1, store.EndedCancelled: 1,
	}
	same(w, "one endpoint", w.total(tenant, one), all.whole())
	same(w, "other endpoint", w.total(tenant, other), succeeded.whole())
	want := counts{store.EventsAccepted: 4}.whole()
	for _, part := range []counts{all, succeeded} {
		whole := part.whole()
		want.Add(&whole)
	}
	same(w, "tenant", w.total(tenant, 0), want)
	same(w, "another tenant", w.total(w.tenant(), 0), store.Counts{})
	found := w.recountFindsNothing()
	same(w, "events and attempts", []int64{found.Events, found.Attempts}, []int64{4, 4})
}

func sumsTellWhenItWas(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	minute := store.Minute.Start(w.now)
	w.now = minute
	event := w.publish(1, tenant, ep)[0]
	o := w.outcome(tenant, ep, event, 0, webhook.Succeeded)
	o.Attempt.StartedAt = minute.Add(2*time.Minute - time.Microsecond)
	o.Attempt.Duration = 0
	w.now = minute.Add(2 * time.Minute)
	w.record(o)

	q := store.SumQuery{Tenant: tenant, Unit: store.Minute, From: minute, To: minute.Add(time.Hour), Each: true}
	accepted := store.Sum{Start: minute, Counts: counts{store.EventsAccepted: 1, store.DeliveriesMade: 1}.whole()}
	attempted := store.Sum{Start: minute.Add(time.Minute), Counts: counts{store.AttemptsSucceeded: 1, store.LatencyFirst: 1}.whole()}
	ended := store.Sum{Start: minute.Add(2 * time.Minute), Counts: counts{store.EndedSucceeded: 1}.whole()}
	same(w, "minutes", w.sums(q), []store.Sum{accepted, attempted, ended})
	q.To = ended.Start
	same(w, "to is not included", w.sums(q), []store.Sum{accepted, attempted})
	q.From = attempted.Start
	same(w, "from is included", w.sums(q), []store.Sum{attempted})

	hour := accepted.Counts
	hour.Add(&attempted.Counts)
	hour.Add(&ended.Counts)
	for _, unit := range []store.Unit{store.Hour, store.Day} {
		start := unit.Start(minute)
		q.Unit, q.From, q.To = unit, start, start.Add(unit.Length())
		same(w, fmt.Sprint("unit ", unit), w.sums(q), []store.Sum{{Start: start, Counts: hour}})
		q.From, q.To = q.To, q.To.Add(unit.Length())
		same(w, fmt.Sprint("the one behind unit ", unit), w.sums(q), nil)
	}
}

func sumsTellTypesApart(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	var batch []store.Accept
	for _, eventType := range []string{"b", "a", "b"} {
		accept := w.accept(tenant, ep)
		accept.Type = eventType
		batch = append(batch, accept)
	}
	verdicts := w.commit(batch...)
	known := w.outcome(tenant, ep, verdicts[0].Event, 0, webhook.Succeeded)
	known.EventType = "b"
	unknown := w.outcome(tenant, ep, verdicts[1].Event, 0, webhook.Succeeded) // the store looks it up
	known.Attempt.Duration, unknown.Attempt.Duration = 0, 0
	w.record(known, unknown)

	delivered := func(events, delivered int64) store.Counts {
		return counts{
			store.EventsAccepted: events, store.DeliveriesMade: events,
			store.AttemptsSucceeded: delivered, store.LatencyFirst: delivered, store.EndedSucceeded: delivered,
		}.whole()
	}
	q := w.always()
	q.Tenant, q.ByType = tenant, true
	same(w, "by type", w.sums(q), []store.Sum{{Type: "a", Counts: delivered(1, 1)}, {Type: "b", Counts: delivered(2, 1)}})
	q.Type = "b"
	same(w, "one type", w.sums(q), []store.Sum{{Type: "b", Counts: delivered(2, 1)}})
	q.Type, q.ByType = "c", false
	same(w, "no such type", w.sums(q), nil)
	q.Type, q.Each, q.ByType = "", true, true
	start := store.Hour.Start(w.now)
	same(w, "each by type", w.sums(q), []store.Sum{
		{Start: start, Type: "a", Counts: delivered(1, 1)}, {Start: start, Type: "b", Counts: delivered(2, 1)},
	})
}

func firstTypesAreCountedApart(w *world) {
	tenant := w.tenant()
	batch := make([]store.Accept, store.MaxTypes+3)
	accept := w.accept(tenant)
	for i := range batch {
		batch[i] = accept
		batch[i].Type = fmt.Sprintf("type.%04d", i)
	}
	w.commit(batch...)
	w.commit(batch[len(batch)-1], batch[0])
	q := w.always()
	q.Tenant, q.ByType = tenant, true
	sums := w.sums(q)
	same(w, "types", len(sums), store.MaxTypes+1)
	same(w, "all others", sums[0], store.Sum{Counts: counts{store.EventsAccepted: 4}.whole()})
	same(w, "the first", sums[1], store.Sum{Type: "type.0000", Counts: counts{store.EventsAccepted: 2}.whole()})
	w.recountFindsNothing()
}

func onlyWhatIsStoredIsCounted(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	accept := w.accept(tenant, ep, ep) // named twice is one delivery
	accept.Once, accept.UID = w.once(1, time.Hour), "x"
	event := w.verdict(accept).Event
	w.commit(accept) // replayed
	again := accept
	again.Once = nil
	w.commit(again) // the UID is taken
	same(w, "published", w.total(tenant, 0), counts{store.EventsAccepted: 1, store.DeliveriesMade: 1}.whole())

	late := w.outcome(tenant, ep, event, 5, webhook.Exhausted) // of another try: only logged
	late.Attempt.Duration = 0
	ended := w.outcome(tenant, ep, event, 0, webhook.Exhausted)
	ended.Attempt.Duration = 0
	w.record(late, ended, ended) // ended once
	same(w, "recorded", w.total(tenant, ep), counts{
		store.DeliveriesMade: 1, store.AttemptsFailed5xx: 3, store.AttemptsThrottled: 3, store.LatencyFirst: 3, store.EndedExhausted: 1,
	}.whole())
	w.recountFindsNothing()
}

func everyDoorIsCounted(w *world) {
	tenant := w.tenant()
	ep, later := w.endpoint(tenant), w.endpoint(tenant)
	started := w.now
	events := w.publish(3, tenant, ep)
	deferred := w.accept(tenant)
	deferred.DeliverAt = w.now.Add(time.Minute)
	waiting := w.verdict(deferred).Event

	w.now = w.now.Add(2 * time.Hour)
	cancelled := mustGet[[]bool](w)(w.Cancel(w.ctx, w.now, []store.DeliveryRef{{Endpoint: ep, Event: events[0]}, {Endpoint: later, Event: events[0]}}))
	same(w, "cancelled", cancelled, []bool{true, false})
	keys, _, err := w.InsertSends(w.ctx, w.now, []store.Send{{Tenant: tenant, Endpoint: ep, Event: events[0]}, {Tenant: tenant, Endpoint: ep, Event: events[1]}},
		[]store.Opening{{Tenant: tenant, Endpoint: later, Event: events[0], DueAt: w.now}, {Tenant: tenant, Endpoint: ep, Event: events[0], DueAt: w.now}}, nil)
	w.must(err)
	var sent []store.Outcome
	for i, key := range keys { // the first recovers, the second closes
		o := w.outcome(tenant, ep, events[i], 0, webhook.Succeeded)
		o.Send, o.Attempt.Trigger, o.Attempt.Duration = key, webhook.Manual, 0
		sent = append(sent, o)
	}
	w.record(sent...)
	promoted := w.promote(store.Promotion{
		Event: waiting, Tenant: tenant, DueAt: deferred.DeliverAt,
		RouteVersion: w.version(tenant), Endpoints: []store.EndpointKey{later},
	})
	same(w, "promoted", promoted, []store.VerdictKind{store.Accepted})

	// Deliveries are counted with their event, also those that were opened later.
	q := store.SumQuery{Tenant: tenant, Unit: store.Hour, From: store.Hour.Start(started), To: store.Hour.Start(w.now).Add(time.Hour), Each: true}
	same(w, "hours", w.sums(q), []store.Sum{
		{Start: store.Hour.Start(started), Counts: counts{store.EventsAccepted: 4, store.DeliveriesMade: 5}.whole()},
		{Start: store.Hour.Start(w.now), Counts: counts{
			store.EndedCancelled: 1, store.Recovered: 1, store.EndedSucceeded: 1,
			store.AttemptsSucceeded: 2, store.AttemptsManual: 2, store.LatencyFirst: 2,
		}.whole()},
	})
	w.recountFindsNothing()
}

// days has things happen over some days and returns the tenant and an endpoint.
func days(w *world, count int) (tenant store.TenantKey, ep store.EndpointKey, events []store.EventKey) {
	tenant = w.tenant()
	ep = w.endpoint(tenant)
	for range count {
		for range 4 {
			event := w.publish(1, tenant, ep)[0]
			events = append(events, event)
			w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting))
			w.now = w.now.Add(5 * time.Hour)
		}
		w.now = w.now.Add(4 * time.Hour)
	}
	return tenant, ep, events
}

func upkeepChangesNoSum(w *world) {
	tenant, ep, _ := days(w, 5)
	queries := make(map[string]store.SumQuery)
	for _, unit := range []store.Unit{store.Minute, store.Hour, store.Day} {
		q := store.SumQuery{Tenant: tenant, Endpoint: ep, Unit: unit, Each: true, From: unit.Start(w.now.Add(-min(6*24*time.Hour, unit.Kept()))), To: unit.Start(w.now).Add(unit.Length())}
		if unit == store.Minute {
			q.From = q.From.Add(unit.Length())
		}
		queries[fmt.Sprint("unit ", unit)] = q
	}
	before := make(map[string][]store.Sum)
	for name, q := range queries {
		before[name] = w.sums(q)
	}
	same(w, "hours before", len(before["unit hour"]), 20)
	for more := true; more; {
		more = mustGet[bool](w)(w.CompactRollups(w.ctx, w.now))
		for name, q := range queries {
			same(w, name, w.sums(q), before[name])
		}
	}
	w.recountFindsNothing()
}

func lateAttemptCountsWhereItBelongs(w *world) {
	started := w.now
	tenant, ep, events := days(w, 4)
	w.compactAll()
	o := w.outcome(tenant, ep, events[0], 1, webhook.Succeeded)
	o.Attempt.StartedAt, o.Attempt.Duration = started, 0 // a clock that was wrong, or a node that hung
	w.record(o)
	check := func(when string) {
		for _, unit := range []store.Unit{store.Hour, store.Day} {
			q := store.SumQuery{Tenant: tenant, Endpoint: ep, Unit: unit, From: unit.Start(started), To: unit.Start(started).Add(unit.Length())}
			same(w, fmt.Sprintf("%s, unit %d", when, unit), w.sums(q)[0].Counts[store.AttemptsSucceeded], 1)
		}
		same(w, when+", in all", w.total(tenant, ep)[store.AttemptsSucceeded], 1)
	}
	check("at once")
	w.compactAll()
	check("after the upkeep")
	w.recountFindsNothing()
	check("after a recount")
}

func rollupsGoAfterTheirTime(w *world) {
	tenant := w.tenant()
	w.publish(1, tenant)
	q := store.SumQuery{Tenant: tenant, Unit: store.Day, From: store.Day.Start(w.now), To: store.Day.Start(w.now).Add(24 * time.Hour)}
	w.now = w.now.Add(store.Day.Kept() - 24*time.Hour)
	w.compactAll()
	same(w, "in their time", len(w.sums(q)), 1)
	w.now = w.now.Add(48 * time.Hour)
	w.compactAll()
	same(w, "after their time", w.sums(q), nil)
	w.recountFindsNothing()
}

// sumsSeeAllThatWasStored reads while others write: nothing is missed or seen twice while
// it is on its way from one place to another.
func sumsSeeAllThatWasStored(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	accept := w.accept(tenant, ep)
	var mu sync.Mutex
	now, stored := w.now, int64(0)
	var writing sync.WaitGroup
	writing.Go(func() {
		for range 120 {
			mu.Lock()
			now = now.Add(7 * time.Minute)
			batch := &store.Batch{Now: now, Accepts: []store.Accept{accept, accept}}
			_, err := w.Commit(w.ctx, batch)
			stored += 2
			if err == nil {
				_, err = w.CompactRollups(w.ctx, now)
			}
			mu.Unlock()
			if err != nil {
				w.Error(err)
				return
			}
		}
	})
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	q := w.always()
	q.Tenant = tenant
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		mu.Lock()
		least := stored
		mu.Unlock()
		var got int64
		if sums := w.sums(q); len(sums) > 0 {
			got = sums[0].Counts[store.EventsAccepted]
		}
		mu.Lock()
		most := stored
		mu.Unlock()
		if got < least || got > most {
			w.Fatalf("%d events are counted, %d to %d are stored", got, least, most)
		}
	}
	w.recountFindsNothing()
}

func recountCanBeCutShort(w *world) {
	tenant, ep, _ := days(w, 1)
	before := w.total(tenant, ep)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.Recount(ctx, w.now); err == nil {
		w.Error("a recount whose context has ended did not say so")
	}
	same(w, "sums", w.total(tenant, ep), before)
}

func sweptIsCountedStill(w *world) {
	tenant, ep, _ := days(w, 6)
	w.keepFor(tenant, webhook.Retention{Payloads: 48 * time.Hour, Attempts: 48 * time.Hour, Events: 72 * time.Hour})
	for event := range mustEvents(w, tenant) { // so that they have ended
		w.record(w.outcome(tenant, ep, event, 1, webhook.Succeeded))
	}
	before := w.total(tenant, 0)
	w.sweep(0, webhook.Retention{Payloads: 240 * time.Hour, Attempts: 240 * time.Hour, Events: 240 * time.Hour})
	left := int64(len(mustEvents(w, tenant)))
	if left == 0 || left == before[store.EventsAccepted] {
		w.Fatalf("%d events of %d are left, want some", left, before[store.EventsAccepted])
	}
	same(w, "after the sweep", w.total(tenant, 0), before)
	found := w.recountFindsNothing()
	same(w, "recounted", found.Events, left)
	same(w, "after a recount", w.total(tenant, 0), before)
	w.publish(1, tenant, ep)
	w.recountFindsNothing()
}

// mustEvents are a tenant's events.
func mustEvents(w *world, tenant store.TenantKey) map[store.EventKey]bool {
	w.Helper()
	events := make(map[store.EventKey]bool)
	for _, ev := range mustGet[store.Listed[store.Event]](w)(w.Events(w.ctx, tenant, store.EventFilter{}, store.Page{Limit: 500})).Items {
		events[ev.Key] = true
	}
	return events
}

func expungedIsNotCounted(w *world) {
	tenant, other := w.tenant(), w.tenant()
	ep := w.endpoint(tenant)
	events := w.publish(3, tenant, ep)
	w.publish(1, other)
	w.record(w.outcome(tenant, ep, events[0], 0, webhook.Waiting), w.outcome(tenant, ep, events[1], 0, webhook.Succeeded), w.outcome(tenant, ep, events[2], 0, webhook.Succeeded))
	w.now = w.now.Add(30 * time.Hour)
	w.compactAll()
	for _, event := range events[:2] { // one that is open, and one that has ended
		mustGet[[]store.Turn](w)(w.ExpungeEvent(w.ctx, w.now, tenant, event))
	}
	same(w, "what is left", w.total(tenant, 0), counts{
		store.EventsAccepted: 1, store.DeliveriesMade: 1, store.AttemptsSucceeded: 1, store.AttemptMicroseconds: 20_000,
		store.LatencyFirst + 8: 1, store.EndedSucceeded: 1,
	}.whole())
	w.recountFindsNothing()

	asked := mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant, Everything: true, AskedAt: w.now}))
	w.expunge(asked.Key)
	same(w, "of a tenant that is expunged", w.total(tenant, 0), store.Counts{})
	same(w, "of another", w.total(other, 0), counts{store.EventsAccepted: 1}.whole())
	w.recountFindsNothing()
}
