package storetest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func acceptedEventIsStoredWhole(w *world) {
	tenant := w.tenant()
	a, b := w.endpoint(tenant), w.endpoint(tenant)
	w.endpoint(tenant) // not for it
	accept := w.accept(tenant, a, b)
	accept.UID, accept.Type, accept.Channels = "order-1", "order.made", []string{"eu", "\"q\""}
	accept.Tags = []string{"order-1", "\"t\""}
	accept.PayloadTTL = 5*24*time.Hour + 999
	accept.Only = b // which decides nothing here
	accept.Payload = []byte("{\n \"a\": 1.0 }")
	w.now = w.now.Add(999) // cut to the microsecond
	verdict := w.verdict(accept)
	accepted := w.now.Truncate(time.Microsecond)
	same(w, "verdict", verdict, store.Verdict{Kind: store.Accepted, Event: verdict.Event, AcceptedAt: accepted})
	if verdict.Event <= 0 {
		w.Errorf("event key %d", verdict.Event)
	}
	want := store.Event{
		Key: verdict.Event, Tenant: tenant, UID: "order-1", Type: "order.made", Channels: accept.Channels, Tags: accept.Tags,
		PayloadTTL: 5 * 24 * time.Hour, Only: b, Payload: accept.Payload, AcceptedAt: accepted,
	}
	same(w, "Event", mustGet[store.Event](w)(w.Event(w.ctx, tenant, verdict.Event)), want)
	same(w, "EventByUID", mustGet[store.Event](w)(w.EventByUID(w.ctx, tenant, "order-1")), want)
	same(w, "Payloads", mustGet[[]store.Payload](w)(w.Payloads(w.ctx, []store.EventKey{verdict.Event})), []store.Payload{{
		Event: verdict.Event, Type: "order.made", Channels: accept.Channels, Only: b, Body: accept.Payload, AcceptedAt: accepted,
	}})
	for _, ep := range []store.EndpointKey{a, b} {
		same(w, "delivery", w.delivery(ep, verdict.Event),
			store.DeliveryRecord{Endpoint: ep, Event: verdict.Event, State: webhook.Pending})
	}
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), []store.Lane{{Endpoint: a, Tenant: tenant}, {Endpoint: b, Tenant: tenant}})
}

func keysAscendInBatchOrder(w *world) {
	tenants := []store.TenantKey{w.tenant(), w.tenant(), w.tenant()}
	last := store.EventKey(0)
	for batch := range 3 {
		accepts := make([]store.Accept, 100)
		for i := range accepts {
			accepts[i] = w.accept(tenants[i%3])
			accepts[i].UID = fmt.Sprintf("%d-%d", batch, i)
		}
		for i, verdict := range w.commit(accepts...) {
			if verdict.Event <= last {
				w.Fatalf("batch %d, event %d: key %d behind %d", batch, i, verdict.Event, last)
			}
			last = verdict.Event
			same(w, "event", mustGet[store.Event](w)(w.Event(w.ctx, tenants[i%3], verdict.Event)).UID, accepts[i].UID)
		}
	}
}

func oneBadEventSparesItsBatch(w *world) {
	tenant, gone := w.tenant(), w.tenant()
	ep := w.endpoint(tenant)
	known, taken := w.accept(tenant, ep), w.accept(tenant, ep)
	known.Once, taken.UID = w.once(1, time.Hour), "taken"
	first := w.commit(known, taken)[0]

	good := func() store.Accept { return w.accept(tenant, ep) }
	batch := []store.Accept{good(), known, good(), known, good(), taken, good(), good(), good(), w.accept(gone), good(), good()}
	mismatched := *known.Once
	mismatched.Body[0]++
	batch[3].Once = &mismatched
	batch[7].RouteVersion++
	w.must(w.DeleteTenant(w.ctx, gone, w.now))
	batch[10].Payload = make([]byte, store.MaxEventBytes)

	verdicts := w.commit(batch...)
	same(w, "kinds", w.kinds(verdicts), []store.VerdictKind{
		store.Accepted, store.Replayed, store.Accepted, store.Mismatched, store.Accepted, store.UIDTaken,
		store.Accepted, store.Rerouted, store.Accepted, store.TenantGone, store.TooLarge, store.Accepted,
	})
	same(w, "replayed", verdicts[1].Event, first.Event)
	open := mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 99))
	same(w, "deliveries", len(open.Deliveries), 2+6)
	same(w, "events", len(mustGet[store.Listed[store.Event]](w)(w.Events(w.ctx, tenant, store.EventFilter{}, store.Page{Limit: 99})).Items), 2+6)
}

func staleRouteIsRerouted(w *world) {
	tenant := w.tenant()
	before := w.accept(tenant)
	ep := w.endpoint(tenant)
	same(w, "old routes", w.verdict(before), store.Verdict{Kind: store.Rerouted})
	ahead := w.accept(tenant, ep)
	ahead.RouteVersion++
	same(w, "routes of the future", w.verdict(ahead), store.Verdict{Kind: store.Rerouted})
	same(w, "events", len(mustGet[store.Listed[store.Event]](w)(w.Events(w.ctx, tenant, store.EventFilter{}, store.Page{Limit: 9})).Items), 0)
	same(w, "matched anew", w.verdict(w.accept(tenant, ep)).Kind, store.Accepted)
}

func goneTenantIsTold(w *world) {
	tenant := w.tenant()
	w.publish(1, tenant) // so that whatever a store remembers of it, it does
	accept := w.accept(tenant)
	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	same(w, "deleted", w.verdict(accept), store.Verdict{Kind: store.TenantGone})
	accept.Tenant = 999_999
	same(w, "never there", w.verdict(accept), store.Verdict{Kind: store.TenantGone})
}

func repeatIsReplayed(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	accept := w.accept(tenant, ep)
	accept.Once = w.once(1, time.Hour)
	first := w.verdict(accept)
	same(w, "first", first.Kind, store.Accepted)

	w.now = w.now.Add(time.Minute)
	accept.Payload = []byte("what counts is the Body")
	replayed := store.Verdict{Kind: store.Replayed, Event: first.Event, AcceptedAt: first.AcceptedAt}
	same(w, "again", w.verdict(accept), replayed)
	same(w, "ReplayEvent", w.repeat(accept.Once), replayed)
	w.record(w.outcome(tenant, ep, first.Event, 0, webhook.Succeeded))
	same(w, "when delivered", w.verdict(accept), replayed)
	accept.RouteVersion = 0
	same(w, "by old routes", w.verdict(accept), replayed)
	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	same(w, "when the tenant is gone", w.verdict(accept), replayed)
	same(w, "open", mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 9)), store.FreshPage{})
}

func repeatInOneBatchIsReplayed(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	a, b := w.accept(tenant, ep), w.accept(tenant, ep)
	a.Once, b.Once = w.once(1, time.Hour), w.once(2, time.Hour)
	verdicts := w.commit(a, b, a, b, a)
	same(w, "kinds", w.kinds(verdicts), []store.VerdictKind{
		store.Accepted, store.Accepted, store.Replayed, store.Replayed, store.Replayed,
	})
	for i, of := range []int{0, 1, 0, 1, 0} {
		same(w, "event", verdicts[i].Event, verdicts[of].Event)
		same(w, "accepted at", verdicts[i].AcceptedAt, w.now)
	}
	same(w, "open", len(mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 9)).Deliveries), 2)
}

func otherBodyIsMismatched(w *world) {
	tenant := w.tenant()
	accept, other := w.accept(tenant), w.accept(tenant)
	accept.Once, other.Once = w.once(1, time.Hour), w.once(1, time.Hour)
	other.Once.Body[15]++
	same(w, "in one batch", w.kinds(w.commit(accept, other)), []store.VerdictKind{store.Accepted, store.Mismatched})
	same(w, "later", w.verdict(other), store.Verdict{Kind: store.Mismatched})
	same(w, "the first still", w.verdict(accept).Kind, store.Replayed)
}

func refusedEventLeavesNoOnce(w *world) {
	tenant := w.tenant()
	holder := w.accept(tenant)
	holder.UID = "taken"
	w.commit(holder)

	taken, stale, large := w.accept(tenant), w.accept(tenant), w.accept(tenant)
	taken.UID, taken.Once = "taken", w.once(1, time.Hour)
	stale.RouteVersion, stale.Once = 0, w.once(2, time.Hour)
	large.Payload, large.Once = make([]byte, store.MaxEventBytes), w.once(3, time.Hour)
	free, routed, small := taken, stale, large
	free.UID, routed.RouteVersion, small.Payload = "free", w.version(tenant), nil
	same(w, "kinds", w.kinds(w.commit(taken, stale, large, free, routed, small)), []store.VerdictKind{
		store.UIDTaken, store.Rerouted, store.TooLarge, store.Accepted, store.Accepted, store.Accepted,
	})
	same(w, "later", w.kinds(w.commit(taken, stale, small)), []store.VerdictKind{
		store.Replayed, store.Replayed, store.Replayed,
	})
}

func onceOfEventsHoldsByTheBatchsClock(w *world) {
	tenant := w.tenant()
	const ttl = 10 * time.Minute
	accept := w.accept(tenant)
	accept.Once = w.once(1, ttl)
	accept.Once.Now = w.now.Add(-time.Hour) // not looked at
	first := w.verdict(accept)
	start := w.now
	for _, at := range []time.Duration{time.Microsecond, ttl / 2, ttl - time.Microsecond} {
		w.now = start.Add(at)
		same(w, at.String(), w.verdict(accept),
			store.Verdict{Kind: store.Replayed, Event: first.Event, AcceptedAt: first.AcceptedAt})
	}
	same(w, "ReplayEvent", w.repeat(accept.Once).Kind, store.Replayed)
	w.now = start.Add(ttl)
	same(w, "ReplayEvent when it has passed", w.repeat(accept.Once), store.Verdict{Kind: store.NotRepeated})
	second := w.verdict(accept)
	same(w, "when it has passed", second.Kind, store.Accepted)
	same(w, "and again", w.verdict(accept),
		store.Verdict{Kind: store.Replayed, Event: second.Event, AcceptedAt: second.AcceptedAt})
}

func eventUIDIsUniqueInItsTenant(w *world) {
	tenant, other := w.tenant(), w.tenant()
	accept, foreign := w.accept(tenant), w.accept(other)
	accept.UID, foreign.UID = "order-1", "order-1"
	verdicts := w.commit(accept, accept, foreign)
	same(w, "kinds", w.kinds(verdicts), []store.VerdictKind{store.Accepted, store.UIDTaken, store.Accepted})
	w.now = w.now.Add(365 * 24 * time.Hour)
	same(w, "later", w.verdict(accept), store.Verdict{Kind: store.UIDTaken})
	same(w, "EventByUID", mustGet[store.Event](w)(w.EventByUID(w.ctx, other, "order-1")).Key, verdicts[2].Event)
	accept.UID = "Order-1"
	same(w, "another", w.verdict(accept).Kind, store.Accepted)
}

func firstRefusalOfAnEventCounts(w *world) {
	tenant := w.tenant()
	known := w.accept(tenant)
	known.UID, known.Once = "taken", w.once(1, time.Hour)
	w.commit(known)

	everything := known // wrong with it: seen, taken, stale
	everything.RouteVersion = 0
	unseen := everything
	unseen.Once = w.once(2, time.Hour)
	large := everything
	large.Payload = make([]byte, store.MaxEventBytes)
	mismatched := everything
	mismatched.Once = w.once(1, time.Hour)
	mismatched.Once.Body[0]++
	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	gone := everything
	gone.UID, gone.Once = "", nil
	same(w, "kinds", w.kinds(w.commit(large, everything, mismatched, unseen, gone)), []store.VerdictKind{
		store.TooLarge, store.Replayed, store.Mismatched, store.UIDTaken, store.TenantGone,
	})
}

func tooLargeEventSparesItsBatch(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	large := w.accept(tenant, ep)
	large.Payload = make([]byte, store.MaxEventBytes+1-len(large.Type))
	verdicts := w.commit(w.accept(tenant, ep), large, w.accept(tenant, ep))
	same(w, "kinds", w.kinds(verdicts), []store.VerdictKind{store.Accepted, store.TooLarge, store.Accepted})
	same(w, "open", len(mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 9)).Deliveries), 2)
}

func largePayloadIsKept(w *world) {
	tenant := w.tenant()
	accept := w.accept(tenant)
	accept.Payload = bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	event := mustGet[store.Event](w)(w.Event(w.ctx, tenant, w.verdict(accept).Event))
	if !bytes.Equal(event.Payload, accept.Payload) {
		w.Errorf("%d bytes came back, want the %d stored", len(event.Payload), len(accept.Payload))
	}
}

func payloadComesBackByteForByte(w *world) {
	tenant := w.tenant()
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for what, payload := range map[string][]byte{
		"every byte": every, "not UTF-8": {0xff, 0xfe, 0x80}, "NUL": {0}, "empty": {},
	} {
		accept := w.accept(tenant)
		accept.Payload = payload
		key := w.verdict(accept).Event
		same(w, what, mustGet[store.Event](w)(w.Event(w.ctx, tenant, key)).Payload, payload)
		same(w, what, mustGet[[]store.Payload](w)(w.Payloads(w.ctx, []store.EventKey{key}))[0].Body, payload)
	}
	accept := w.accept(tenant)
	accept.Payload = nil
	same(w, "nil", mustGet[store.Event](w)(w.Event(w.ctx, tenant, w.verdict(accept).Event)).Payload, []byte{})
}

func eventForNobodyIsKept(w *world) {
	tenant := w.tenant()
	verdict := w.verdict(w.accept(tenant))
	same(w, "verdict", verdict.Kind, store.Accepted)
	same(w, "payload", mustGet[store.Event](w)(w.Event(w.ctx, tenant, verdict.Event)).Payload, []byte(`{"n":1}`))
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), nil)
}

func endpointNamedTwiceIsOneDelivery(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	w.publish(1, tenant, ep, ep)
	same(w, "open", len(mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 9)).Deliveries), 1)
}

func emptyBatchIsFine(w *world) {
	verdicts, err := w.Commit(w.ctx, &store.Batch{Now: w.now})
	w.must(err)
	same(w, "verdicts", len(verdicts), 0)
}
