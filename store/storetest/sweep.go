package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const day = 24 * time.Hour

// keep is what the engine keeps in these cases, unless one says otherwise.
var keep = webhook.Retention{Payloads: 10 * day, Attempts: 20 * day, Events: 30 * day}

// sweep lets go of all that is due so long after now, and moves now there.
func (w *world) sweep(in time.Duration, defaults webhook.Retention) {
	w.Helper()
	w.now = w.now.Add(in)
	for range 10_000 {
		swept, err := w.Sweep(w.ctx, w.now, defaults, time.Second)
		w.must(err)
		if !swept.More {
			return
		}
	}
	w.Fatal("there is always more to sweep")
}

// left says what is there of events that were delivered to an endpoint: "p" for a payload,
// "a" for each attempt, "e" for the event, and "-" for nothing.
func (w *world) left(tenant store.TenantKey, events ...store.EventKey) (left []string) {
	w.Helper()
	for _, key := range events {
		text := ""
		payload := mustGet[[]store.Payload](w)(w.Payloads(w.ctx, []store.EventKey{key}))[0].Event != 0
		if payload {
			text += "p"
		}
		attempts := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsOfEvent(w.ctx, key, store.AttemptFilter{}, store.Page{Limit: 99}))
		for range attempts.Items {
			text += "a"
		}
		ev, err := w.Event(w.ctx, tenant, key)
		if err == nil {
			text += "e"
			same(w, "payload of the event", ev.Payload != nil, payload)
		} else {
			w.is("Event", err, store.ErrNotFound)
		}
		if text == "" {
			text = "-"
		}
		left = append(left, text)
	}
	return left
}

// delivered stores events that were delivered at the first attempt.
func (w *world) delivered(count int, tenant store.TenantKey, ep store.EndpointKey) []store.EventKey {
	w.Helper()
	keys := w.publish(count, tenant, ep)
	for _, key := range keys {
		w.record(w.outcome(tenant, ep, key, 0, webhook.Succeeded))
	}
	return keys
}

func (w *world) keepFor(tenant store.TenantKey, kept webhook.Retention) {
	w.Helper()
	t := mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, tenant))
	t.Retention, t.Version = kept, t.Version+1
	w.must(w.UpdateTenant(w.ctx, t))
}

func everythingGoesInItsTime(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	first := w.delivered(1, tenant, ep)[0]
	begun := w.now
	w.now = begun.Add(5 * day)
	second := w.delivered(1, tenant, ep)[0]
	for _, check := range []struct {
		at   time.Duration
		want []string
	}{
		{10*day - time.Second, []string{"pae", "pae"}},
		{10*day + store.MostLate, []string{"ae", "pae"}},
		{15*day - time.Second, []string{"ae", "pae"}},
		{15*day + store.MostLate, []string{"ae", "ae"}},
		{20*day - time.Second, []string{"ae", "ae"}},
		{20*day + store.MostLate, []string{"e", "ae"}},
		{25*day + store.MostLate, []string{"e", "e"}},
		{30*day - time.Second, []string{"e", "e"}},
		{30*day + store.MostLate, []string{"-", "e"}},
		{35*day - time.Second, []string{"-", "e"}},
		{35*day + store.MostLate, []string{"-", "-"}},
	} {
		w.now = begun.Add(check.at)
		w.sweep(0, keep)
		same(w, fmt.Sprint("after ", check.at), w.left(tenant, first, second), check.want)
	}
}

// sweepTellsWhenToComeAgain goes by what it is told, and never finds something that has
// been due for too long.
func sweepTellsWhenToComeAgain(w *world) {
	tenant, own := w.tenant(), w.tenant()
	w.keepFor(own, webhook.Retention{Attempts: 3 * day, Events: 5 * day})
	begun := w.now
	events := []store.EventKey{w.delivered(1, tenant, w.endpoint(tenant))[0], w.delivered(1, own, w.endpoint(own))[0]}
	accept := w.accept(tenant)
	accept.PayloadTTL = 7 * day
	ttl := w.verdict(accept).Event
	for steps := 0; w.now.Before(begun.Add(40 * day)); steps++ {
		swept, err := w.Sweep(w.ctx, w.now, keep, time.Minute)
		w.must(err)
		at, late := w.now.Sub(begun), store.MostLate
		for _, check := range []struct {
			due   time.Duration
			owner store.TenantKey
			event store.EventKey
			gone  string
		}{{3 * day, own, events[1], "a"}, {5 * day, own, events[1], "e"}, {7 * day, tenant, ttl, "p"}, {10 * day, tenant, events[0], "p"}, {20 * day, tenant, events[0], "a"}, {30 * day, tenant, events[0], "e"}} {
			if left := w.left(check.owner, check.event)[0]; at >= check.due+late && strings.Contains(left, check.gone) {
				w.Fatalf("after %v there is %s, and %s was due after %v", at, left, check.gone, check.due)
			}
		}
		switch {
		case swept.More:
		case swept.Next.IsZero():
			same(w, "left at the end", w.left(tenant, events[0], ttl), []string{"-", "-"})
			return
		case !swept.Next.After(w.now):
			w.Fatalf("it is to be looked again at %v, which has passed", swept.Next)
		default:
			w.now = swept.Next
		}
		if steps > 1000 {
			w.Fatal("it is to be looked too often")
		}
	}
}

func tenantsOwnTimesCount(w *world) {
	const late = store.MostLate
	short, long, part := w.newTenant(""), w.newTenant(""), w.newTenant("")
	short.Retention = webhook.Retention{Payloads: 2 * day, Attempts: 4 * day, Events: 6 * day}
	long.Retention = webhook.Retention{Payloads: 40 * day, Attempts: 50 * day, Events: 60 * day}
	part.Retention = webhook.Retention{Events: 15 * day} // and so the attempts, too
	plain := w.newTenant("")
	var tenants []store.TenantKey
	var events []store.EventKey
	for _, t := range []store.Tenant{short, long, part, plain} {
		w.must(w.InsertTenant(w.ctx, t, nil))
		tenants = append(tenants, t.Key)
	}
	endpoints := make([]store.EndpointKey, len(tenants))
	for i := range tenants {
		endpoints[i] = w.endpoint(tenants[i])
	}
	for range 3 { // side by side
		for i := range tenants {
			events = append(events, w.delivered(1, tenants[i], endpoints[i])...)
		}
	}
	begun := w.now
	for _, check := range []struct {
		at   time.Duration
		want [4]string
	}{
		{2*day - time.Second, [4]string{"pae", "pae", "pae", "pae"}},
		{2*day + late, [4]string{"ae", "pae", "pae", "pae"}},
		{4*day + late, [4]string{"e", "pae", "pae", "pae"}},
		{6*day + late, [4]string{"-", "pae", "pae", "pae"}},
		{10*day + late, [4]string{"-", "pae", "ae", "ae"}},
		{15*day - time.Second, [4]string{"-", "pae", "ae", "ae"}},
		{15*day + late, [4]string{"-", "pae", "-", "ae"}},
		{20*day + late, [4]string{"-", "pae", "-", "e"}},
		{30*day + late, [4]string{"-", "pae", "-", "-"}},
		{40*day - time.Second, [4]string{"-", "pae", "-", "-"}},
		{40*day + late, [4]string{"-", "ae", "-", "-"}},
		{50*day + late, [4]string{"-", "e", "-", "-"}},
		{60*day + late, [4]string{"-", "-", "-", "-"}},
	} {
		w.now = begun.Add(check.at)
		w.sweep(0, keep)
		for i, key := range events {
			same(w, fmt.Sprint("after ", check.at, " tenant ", i%4), w.left(tenants[i%4], key)[0], check.want[i%4])
		}
	}
}

func payloadsOwnTimeCounts(w *world) {
	const late = store.MostLate
	tenant, other := w.tenant(), w.newTenant("")
	other.Retention = webhook.Retention{Payloads: 40 * day, Events: 60 * day}
	w.must(w.InsertTenant(w.ctx, other, nil))
	publish := func(tenant store.TenantKey, ttl time.Duration) store.EventKey {
		accept := w.accept(tenant)
		accept.PayloadTTL = ttl
		return w.verdict(accept).Event
	}
	short, plain, long, longest := publish(tenant, 5*day), publish(tenant, 0), publish(tenant, 25*day), publish(tenant, 90*day)
	shortOther, longOther := publish(other.Key, 5*day), publish(other.Key, 50*day)
	begun := w.now
	for _, check := range []struct {
		at    time.Duration
		want  []string
		other []string
	}{
		{5*day - time.Second, []string{"pe", "pe", "pe", "pe"}, []string{"pe", "pe"}},
		{5*day + late, []string{"e", "pe", "pe", "pe"}, []string{"e", "pe"}},
		{10*day + late, []string{"e", "e", "pe", "pe"}, []string{"e", "pe"}},
		{25*day - time.Second, []string{"e", "e", "pe", "pe"}, []string{"e", "pe"}},
		{25*day + late, []string{"e", "e", "e", "pe"}, []string{"e", "pe"}},
		{30*day + late, []string{"-", "-", "-", "-"}, []string{"e", "pe"}},
		{50*day - time.Second, []string{"-", "-", "-", "-"}, []string{"e", "pe"}},
		{50*day + late, []string{"-", "-", "-", "-"}, []string{"e", "e"}},
		{60*day + late, []string{"-", "-", "-", "-"}, []string{"-", "-"}},
	} {
		w.now = begun.Add(check.at)
		w.sweep(0, keep)
		same(w, fmt.Sprint("after ", check.at), w.left(tenant, short, plain, long, longest), check.want)
		same(w, fmt.Sprint("after ", check.at, ", the other's"), w.left(other.Key, shortOther, longOther), check.other)
	}
}

func changedTimesCountForWhatIsStored(w *world) {
	const late = store.MostLate
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	begun := w.now
	old := w.delivered(2, tenant, ep)
	at := func(after time.Duration, kept webhook.Retention, what string, want ...string) {
		w.Helper()
		w.now = begun.Add(after)
		w.sweep(0, kept)
		same(w, what, w.left(tenant, old...), want)
	}
	w.keepFor(tenant, webhook.Retention{Payloads: 50 * day, Attempts: 50 * day, Events: 50 * day})
	at(31*day+late, keep, "made longer, before its time", "pae", "pae")
	w.keepFor(tenant, webhook.Retention{Payloads: 50 * day, Attempts: 32 * day, Events: 50 * day})
	at(33*day+late, keep, "attempts made shorter", "pe", "pe")
	w.keepFor(tenant, webhook.Retention{})
	at(33*day+2*late, keep, "as all others again", "-", "-")

	begun = w.now
	old = w.delivered(1, tenant, ep)
	w.keepFor(w.tenant(), webhook.Retention{Events: 2 * day}) // a stranger
	long := webhook.Retention{Payloads: 70 * day, Attempts: 80 * day, Events: 90 * day}
	at(31*day+late, long, "the engine's made longer", "pae")
	at(60*day, webhook.Retention{Payloads: 40 * day, Attempts: 80 * day, Events: 90 * day}, "payloads made shorter", "ae")
	at(62*day, keep, "all made shorter", "-")
}

func unfinishedIsKeptAndComesAgain(w *world) {
	const late = store.MostLate
	own := w.newTenant("")
	own.Retention = keep // of its own, and the same
	w.must(w.InsertTenant(w.ctx, own, nil))
	for what, tenant := range map[string]store.TenantKey{"the engine's times": w.tenant(), "its own times": own.Key} {
		ep, other := w.endpoint(tenant), w.endpoint(tenant)
		publish := func(endpoints ...store.EndpointKey) store.EventKey {
			return w.publish(1, tenant, endpoints...)[0]
		}
		fresh, waiting, cancelled, sent := publish(ep), publish(ep), publish(ep), publish()
		both, finished := publish(ep, other), w.delivered(1, tenant, ep)[0]
		w.record(w.outcome(tenant, ep, waiting, 0, webhook.Waiting), w.outcome(tenant, other, both, 0, webhook.Succeeded))
		send := w.send(tenant, ep, sent, true)
		deferred, called := w.deferred(tenant, 365*day), w.deferred(tenant, 365*day)
		all := []store.EventKey{fresh, waiting, cancelled, sent, both, deferred, called, finished}

		w.sweep(10*day+late, keep)
		same(w, what+": payloads", w.left(tenant, all...), []string{"pe", "pae", "pe", "pe", "pae", "pe", "pe", "ae"})
		w.sweep(10*day, keep)
		same(w, what+": attempts", w.left(tenant, all...), []string{"pe", "pe", "pe", "pe", "pe", "pe", "pe", "e"})
		w.sweep(10*day, keep)
		same(w, what+": events", w.left(tenant, all...), []string{"pe", "pe", "pe", "pe", "pe", "pe", "pe", "-"})
		same(w, what+": where one stands", w.delivery(ep, waiting).State, webhook.Waiting)

		// The ends come one by one, and in several batches.
		w.record(w.outcome(tenant, ep, fresh, 0, webhook.Succeeded))
		w.sweep(0, keep)
		w.sweep(late, keep)
		same(w, what+": one has ended", w.left(tenant, all...), []string{"-", "pe", "pe", "pe", "pe", "pe", "pe", "-"})
		w.record(w.outcome(tenant, ep, waiting, 1, webhook.Waiting), w.sent(send, 0, webhook.Waiting))
		w.sweep(late, keep)
		same(w, what+": tried again", w.left(tenant, all...), []string{"-", "pae", "pe", "pae", "pe", "pe", "pe", "-"})
		w.record(w.outcome(tenant, ep, waiting, 2, webhook.Exhausted), w.sent(send, 1, webhook.Exhausted),
			w.outcome(tenant, ep, both, 0, webhook.Succeeded))
		_, err := w.Cancel(w.ctx, w.now, []store.DeliveryRef{{Endpoint: ep, Event: cancelled}})
		w.must(err)
		w.must(w.CancelEvent(w.ctx, tenant, called, w.now))
		w.sweep(late, keep)
		same(w, what+": all but the deferred", w.left(tenant, all...), []string{"-", "-", "-", "-", "-", "pe", "-", "-"})
		w.sweep(365*day, keep)
		same(w, what+": due and not promoted", w.left(tenant, deferred), []string{"pe"})
		same(w, what+": for nobody", w.promote(w.promotion()), []store.VerdictKind{store.Accepted})
		w.sweep(late, keep)
		same(w, what+": promoted", w.left(tenant, deferred), []string{"-"})
	}
}

// promotedIsKeptUntilItIsDelivered has an event that is opened after the sweep has passed.
func promotedIsKeptUntilItIsDelivered(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	event := w.deferred(tenant, 100*day)
	w.sweep(100*day, keep)
	same(w, "promoted", w.promote(w.promotion(ep)), []store.VerdictKind{store.Accepted})
	w.sweep(store.MostLate, keep)
	same(w, "open", w.left(tenant, event), []string{"pe"})
	w.record(w.outcome(tenant, ep, event, 0, webhook.Succeeded))
	w.sweep(store.MostLate, keep)
	same(w, "delivered", w.left(tenant, event), []string{"-"})
}

func lateAttemptHasItsOwnTime(w *world) {
	const late = store.MostLate
	kept := webhook.Retention{Payloads: 30 * day, Attempts: 5 * day, Events: 30 * day}
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	event := w.delivered(1, tenant, ep)[0]
	w.sweep(5*day+late, kept)
	same(w, "the first", w.left(tenant, event), []string{"pe"})
	send := w.send(tenant, ep, event, false)
	w.record(w.sent(send, 0, webhook.Exhausted))
	w.sweep(5*day-time.Second, kept)
	same(w, "a later one", w.left(tenant, event), []string{"pae"})
	w.sweep(time.Second+late, kept)
	same(w, "in its time", w.left(tenant, event), []string{"pe"})
}

func sweptEventIsNowhere(w *world) {
	tenant := w.tenant()
	ep, other := w.endpoint(tenant), w.endpoint(tenant)
	accept := w.accept(tenant, ep, other)
	accept.UID, accept.Once = "order-1", w.once(1, 90*day)
	gone := w.verdict(accept).Event
	w.record(w.outcome(tenant, ep, gone, 0, webhook.Exhausted), w.outcome(tenant, other, gone, 0, webhook.Succeeded))
	w.now = w.now.Add(25 * day)
	stays := w.delivered(1, tenant, ep)[0]
	w.sweep(5*day+store.MostLate, keep)

	w.isNowhere(tenant, gone, "order-1", ep, other)
	same(w, "events", mustGet[store.Listed[store.Event]](w)(w.Events(w.ctx, tenant, store.EventFilter{}, store.Page{Limit: 9})).Items[0].Key, stays)
	atEndpoint := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep, store.AttemptFilter{}, store.Page{Limit: 9})).Items
	same(w, "attempts at the endpoint", len(atEndpoint), 1)
	same(w, "of the one that stays", atEndpoint[0].Event, stays)
	atOther := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, other, store.AttemptFilter{}, store.Page{Limit: 9}))
	same(w, "attempts at the other", atOther, store.Listed[store.LoggedAttempt]{Done: true})

	repeat := accept
	repeat.RouteVersion = w.version(tenant)
	same(w, "repeat", w.verdict(repeat).Kind, store.Replayed)
	repeat.Once = nil
	same(w, "its UID is free", w.verdict(repeat).Kind, store.Accepted)
}

// isNowhere checks that an event is gone.
func (w *world) isNowhere(tenant store.TenantKey, event store.EventKey, uid string, endpoints ...store.EndpointKey) {
	w.Helper()
	same(w, "left", w.left(tenant, event), []string{"-"})
	_, err := w.EventByUID(w.ctx, tenant, uid)
	w.is("EventByUID", err, store.ErrNotFound)
	for _, ep := range endpoints {
		_, err = w.Delivery(w.ctx, ep, event)
		w.is("Delivery", err, store.ErrNotFound)
		for _, send := range w.sendsOf(ep) {
			if send.Event == event {
				w.Errorf("send %d is still there", send.Key)
			}
		}
	}
	same(w, "DeliveriesOfEvent", len(mustGet[[]store.DatedDelivery](w)(w.DeliveriesOfEvent(w.ctx, tenant, event, store.Page{Limit: 9}))), 0)
}

// outcomeOfAGoneEventStoresNothing ends a delivery whose attempt is still in flight, has the
// event swept, and then brings what came of the attempt.
func outcomeOfAGoneEventStoresNothing(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	event := w.publish(1, tenant, ep)[0]
	w.sweep(31*day, keep)
	_, err := w.Cancel(w.ctx, w.now, []store.DeliveryRef{{Endpoint: ep, Event: event}})
	w.must(err)
	w.sweep(store.MostLate, keep)
	same(w, "gone", w.left(tenant, event), []string{"-"})
	for _, late := range []store.Outcome{
		w.outcome(tenant, ep, event, 0, webhook.Succeeded),
		w.outcome(tenant, ep, event, 0, webhook.Waiting),
		w.sent(store.Send{Key: 77, Tenant: tenant, Endpoint: ep, Event: event}, 0, webhook.Exhausted),
	} {
		late.Announce = &store.Announcement{Tenant: tenant, Type: "a"}
		w.record(late)
	}
	w.isNowhere(tenant, event, "none", ep)
	same(w, "attempts at the endpoint", mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep, store.AttemptFilter{}, store.Page{Limit: 9})),
		store.Listed[store.LoggedAttempt]{Done: true})
	same(w, "announced", len(mustGet[[]store.Announced](w)(w.Outbox(w.ctx, 0, 9))), 0)
}

// sweepWorksInParts has it stop as soon as it can.
func sweepWorksInParts(w *world) {
	tenants := []store.TenantKey{w.tenant(), w.tenant(), w.tenant()}
	w.keepFor(tenants[1], webhook.Retention{Payloads: 20 * day})
	events := make(map[store.TenantKey][]store.EventKey)
	for range 4 {
		for _, tenant := range tenants {
			ep := w.endpoint(tenant)
			batch := make([]store.Accept, 50)
			for i := range batch {
				batch[i] = w.accept(tenant, ep)
			}
			var done []store.Outcome
			for _, verdict := range w.commit(batch...) {
				events[tenant] = append(events[tenant], verdict.Event)
				done = append(done, w.outcome(tenant, ep, verdict.Event, 0, webhook.Succeeded))
			}
			w.record(done...)
		}
	}
	begun := w.now
	for _, check := range []struct {
		at   time.Duration
		want [3]string
	}{
		{10*day + store.MostLate, [3]string{"ae", "pae", "ae"}},
		{20*day + store.MostLate, [3]string{"e", "e", "e"}},
		{30*day + store.MostLate, [3]string{"-", "-", "-"}},
	} {
		w.now = begun.Add(check.at)
		for more := true; more; {
			swept, err := w.Sweep(w.ctx, w.now, keep, 0)
			w.must(err)
			more = swept.More
			w.publish(1, tenants[0]) // others have their turn
		}
		for i, tenant := range tenants {
			for _, left := range w.left(tenant, events[tenant]...) {
				same(w, fmt.Sprint("after ", check.at), left, check.want[i])
			}
		}
	}
}

// wrongClockDelaysNoOther has events accepted while the clock is years ahead.
func wrongClockDelaysNoOther(w *world) {
	tenant := w.tenant()
	w.keepFor(tenant, webhook.Retention{Payloads: 3 * day, Events: 5 * day})
	other := w.tenant()
	right := w.now
	before := []store.EventKey{w.publish(1, tenant)[0], w.publish(1, other)[0]}
	w.now = right.Add(1000 * day)
	wrong := []store.EventKey{w.publish(9, tenant)[8], w.publish(9, other)[8]}
	w.now = right.Add(time.Hour)
	after := []store.EventKey{w.publish(40, tenant)[39], w.publish(40, other)[39]}
	check := func(at time.Duration, which string, events []store.EventKey, want, wantOther string) {
		w.Helper()
		w.now = right.Add(at)
		w.sweep(0, keep)
		same(w, fmt.Sprintf("%s, after %v", which, at), []string{w.left(tenant, events[0])[0], w.left(other, events[1])[0]}, []string{want, wantOther})
	}
	check(2*day, "before", before, "pe", "pe")
	check(4*day+time.Hour, "before", before, "e", "pe")
	check(4*day+time.Hour, "after", after, "e", "pe")
	check(6*day+time.Hour, "after", after, "-", "pe")
	check(31*day+time.Hour, "after", after, "-", "-")
	check(31*day+time.Hour, "wrong", wrong, "pe", "pe")
	check(1002*day, "wrong", wrong, "pe", "pe")
	check(1006*day, "wrong", wrong, "-", "pe")
	check(1031*day, "wrong", wrong, "-", "-")
}

// deletedTenantGoesWhenNothingRefersToIt asks for it by what finds deleted ones.
func deletedTenantGoesWhenNothingRefersToIt(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	event := w.delivered(1, tenant, ep)[0]
	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	w.sweep(29*day, keep)
	_, err := w.InsertExpunge(w.ctx, "org_other", store.Expunge{Tenant: tenant, AskedAt: w.now})
	w.is("of another organisation", err, store.ErrNotFound)
	same(w, "its history", w.left(tenant, event), []string{"e"})
	same(w, "of the endpoint too", w.delivery(ep, event).State, webhook.Succeeded)
	w.sweep(day+store.MostLate, keep)
	w.sweep(store.MostLate, keep)
	same(w, "its history", w.left(tenant, event), []string{"-"})
	_, err = w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant, AskedAt: w.now})
	w.is("the tenant", err, store.ErrNotFound)
}
