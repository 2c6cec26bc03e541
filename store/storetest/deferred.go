package storetest

import (
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// deferred is an event of a tenant that is due some time from now.
func (w *world) deferred(tenant store.TenantKey, in time.Duration) store.EventKey {
	w.Helper()
	accept := w.accept(tenant)
	accept.DeliverAt = w.now.Add(in)
	verdict := w.verdict(accept)
	if verdict.Kind != store.Accepted {
		w.Fatalf("verdict %v, want Accepted", verdict.Kind)
	}
	return verdict.Event
}

func (w *world) due(limit int) (keys []store.EventKey, next time.Time) {
	w.Helper()
	due, next, err := w.Due(w.ctx, w.now, limit)
	w.must(err)
	for _, ev := range due {
		keys = append(keys, ev.Event)
	}
	return keys, next
}

// promotion is of the deferred event that is due next.
func (w *world) promotion(endpoints ...store.EndpointKey) store.Promotion {
	w.Helper()
	due, _, err := w.Due(w.ctx, w.now, 1)
	w.must(err)
	if len(due) != 1 {
		w.Fatal("nothing is due")
	}
	p := store.Promotion{Event: due[0].Event, Tenant: due[0].Tenant, DueAt: due[0].DueAt, Endpoints: endpoints}
	if routes, err := w.Routes(w.ctx, p.Tenant); err == nil {
		p.RouteVersion = routes.Version
	}
	return p
}

func (w *world) promote(promotions ...store.Promotion) (kinds []store.VerdictKind) {
	w.Helper()
	promoted, err := w.Promote(w.ctx, w.now, promotions)
	w.must(err)
	for _, p := range promoted {
		kinds = append(kinds, p.Kind)
	}
	return kinds
}

func deferredEventIsStoredWholeAndWaits(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	accept := w.accept(tenant, ep) // which it has no delivery for
	accept.UID, accept.Channels, accept.Once = "order-1", []string{"eu"}, w.once(1, time.Hour)
	east := time.FixedZone("east", 2*3600)
	accept.DeliverAt = w.now.Add(time.Hour + 999).In(east)
	verdict := w.verdict(accept)
	due := w.now.Add(time.Hour)
	want := store.Event{
		Key: verdict.Event, Tenant: tenant, UID: "order-1", Type: "invoice.paid", Channels: []string{"eu"},
		DeliverAt: due, Payload: []byte(`{"n":1}`), AcceptedAt: w.now,
	}
	same(w, "event", mustGet[store.Event](w)(w.Event(w.ctx, tenant, verdict.Event)), want)
	_, err := w.Delivery(w.ctx, ep, verdict.Event)
	w.is("delivery", err, store.ErrNotFound)
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), nil)
	same(w, "a repeat", w.verdict(accept), store.Verdict{Kind: store.Replayed, Event: verdict.Event, AcceptedAt: w.now})
	accept.Once = nil
	same(w, "its UID", w.verdict(accept).Kind, store.UIDTaken)

	keys, next := w.due(9)
	same(w, "due by now", keys, nil)
	same(w, "due next", next, due)
	w.now = due
	found, next, err := w.Due(w.ctx, w.now, 9)
	w.must(err)
	same(w, "due", found, []store.DeferredEvent{{Event: verdict.Event, Tenant: tenant, DueAt: due, Type: "invoice.paid", Channels: []string{"eu"}}})
	same(w, "nothing next", next, time.Time{})
}

func dueIsSoonestFirst(w *world) {
	tenant := w.tenant()
	same(w, "nothing next", func() time.Time { _, next := w.due(9); return next }(), time.Time{})
	var events []store.EventKey
	for _, minutes := range []int{5, 1, 3, 1, 7} {
		events = append(events, w.deferred(tenant, time.Duration(minutes)*time.Minute))
	}
	w.publish(1, tenant)
	start := w.now
	w.now = start.Add(5 * time.Minute)
	keys, next := w.due(9)
	same(w, "due", keys, []store.EventKey{events[1], events[3], events[2], events[0]})
	same(w, "next", next, start.Add(7*time.Minute))
	keys, _ = w.due(2)
	same(w, "the first two", keys, []store.EventKey{events[1], events[3]})
	w.now = start.Add(time.Minute - time.Microsecond)
	keys, next = w.due(9)
	same(w, "just before", keys, nil)
	same(w, "then next", next, start.Add(time.Minute))
}

func promotedEventWaitsAtItsEndpoints(w *world) {
	tenant := w.tenant()
	a, b := w.endpoint(tenant), w.endpoint(tenant)
	event := w.deferred(tenant, time.Minute)
	due := w.now.Add(time.Minute)
	w.now = w.now.Add(time.Hour)
	p := w.promotion(a, b, a)
	promoted, err := w.Promote(w.ctx, w.now, []store.Promotion{p})
	w.must(err)
	same(w, "promoted", promoted, []store.Promoted{{Kind: store.Accepted, Endpoints: []store.EndpointKey{a, b}}})
	for _, ep := range []store.EndpointKey{a, b} {
		same(w, "delivery", w.delivery(ep, event), store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Waiting, RetryAt: due})
		same(w, "waiting", mustGet[[]store.Open](w)(w.Waiting(w.ctx, ep, store.Moment{}, 9)), []store.Open{{Event: event, RetryAt: due}})
		same(w, "fresh", mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 9)).Deliveries, nil)
	}
	same(w, "lanes", len(mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9))), 2)
	keys, _ := w.due(9)
	same(w, "due", keys, nil)
	same(w, "shown", mustGet[store.Event](w)(w.Event(w.ctx, tenant, event)).DeliverAt, due)

	same(w, "again", w.promote(p), []store.VerdictKind{store.Gone})
	w.record(w.outcome(tenant, a, event, 0, webhook.Succeeded))
	same(w, "sent", w.delivery(a, event).State, webhook.Succeeded)
	same(w, "and once more", w.promote(p), []store.VerdictKind{store.Gone})
	same(w, "which opens nothing", w.delivery(a, event).State, webhook.Succeeded)
}

func promotionLeavesADeliveryThatIsThere(w *world) {
	tenant := w.tenant()
	open, ended, fresh := w.endpoint(tenant), w.endpoint(tenant), w.endpoint(tenant)
	event := w.deferred(tenant, time.Minute)
	due := w.now.Add(time.Second)
	_, _, err := w.InsertSends(w.ctx, w.now, nil, []store.Opening{
		{Tenant: tenant, Endpoint: open, Event: event, DueAt: due}, {Tenant: tenant, Endpoint: ended, Event: event, DueAt: due},
	}, nil)
	w.must(err)
	w.record(w.outcome(tenant, ended, event, 0, webhook.Succeeded))
	w.now = w.now.Add(time.Hour)
	promoted, err := w.Promote(w.ctx, w.now, []store.Promotion{w.promotion(open, ended, fresh)})
	w.must(err)
	same(w, "promoted", promoted, []store.Promoted{{Kind: store.Accepted, Endpoints: []store.EndpointKey{fresh}}})
	same(w, "open", w.delivery(open, event).RetryAt, due)
	same(w, "ended", w.delivery(ended, event).State, webhook.Succeeded)
}

func eachPromotionHasItsVerdict(w *world) {
	stays, gone, changes := w.tenant(), w.tenant(), w.tenant()
	ep := w.endpoint(stays)
	var events []store.EventKey
	var promotions []store.Promotion
	for i, tenant := range []store.TenantKey{gone, changes, stays, stays} {
		events = append(events, w.deferred(tenant, time.Duration(i+1)*time.Minute))
		promotions = append(promotions, store.Promotion{
			Event: events[i], Tenant: tenant, DueAt: w.now.Add(time.Duration(i+1) * time.Minute), RouteVersion: w.version(tenant),
		})
	}
	promotions[3].Endpoints = []store.EndpointKey{ep}
	w.must(w.DeleteTenant(w.ctx, gone, w.now))
	w.endpoint(changes)
	w.must(w.CancelEvent(w.ctx, stays, events[2], w.now))
	never := promotions[3]
	never.Event += 1000
	w.now = w.now.Add(time.Hour)
	same(w, "verdicts", w.promote(append(promotions, never)...),
		[]store.VerdictKind{store.TenantGone, store.Rerouted, store.Gone, store.Accepted, store.Gone})
	same(w, "delivery", w.delivery(ep, events[3]).State, webhook.Waiting)
	keys, _ := w.due(9)
	same(w, "left", keys, []store.EventKey{events[1]})
	promotions[1].RouteVersion = w.version(changes)
	same(w, "matched anew", w.promote(promotions[0], promotions[1]), []store.VerdictKind{store.Gone, store.Accepted})
}

func cancelledEventNeverComesDue(w *world) {
	tenant, other := w.tenant(), w.tenant()
	event, stays, plain := w.deferred(tenant, time.Minute), w.deferred(tenant, time.Minute), w.publish(1, tenant)[0]
	w.is("another tenant's", w.CancelEvent(w.ctx, other, event, w.now), store.ErrNotFound)
	w.is("none", w.CancelEvent(w.ctx, tenant, event+1000, w.now), store.ErrNotFound)
	w.is("not deferred", w.CancelEvent(w.ctx, tenant, plain, w.now), store.ErrNotDeferred)

	announcement := store.Announcement{Type: "message.cancelled", About: store.About{Tenant: tenant, Event: event}}
	cancelled := w.now.Add(2 * time.Second)
	w.must(w.CancelEvent(w.ctx, tenant, event, cancelled.Add(999), announcement))
	w.must(w.CancelEvent(w.ctx, tenant, event, cancelled.Add(time.Minute), announcement))
	same(w, "cancelled at", mustGet[store.Event](w)(w.Event(w.ctx, tenant, event)).CancelledAt, cancelled)
	same(w, "announced once", len(w.outbox()), 1)
	w.now = w.now.Add(time.Hour)
	keys, _ := w.due(9)
	same(w, "due", keys, []store.EventKey{stays})

	same(w, "promoted", w.promote(w.promotion()), []store.VerdictKind{store.Accepted})
	w.is("promoted", w.CancelEvent(w.ctx, tenant, stays, w.now, announcement), store.ErrNotDeferred)
	same(w, "which announces nothing", len(w.outbox()), 1)
}

func deferredEventsCountAsOpen(w *world) {
	tenant, other := w.tenant(), w.tenant()
	ep := w.endpoint(tenant)
	w.publish(2, tenant, ep)
	w.deferred(other, time.Minute)
	event := w.deferred(tenant, time.Minute)
	w.deferred(tenant, time.Hour)
	count := func(limit int) int { return mustGet[int](w)(w.CountOpen(w.ctx, tenant, limit)) }
	same(w, "with deferred ones", count(99), 4)
	same(w, "up to the limit", count(3), 3)
	w.must(w.CancelEvent(w.ctx, tenant, event, w.now))
	same(w, "one cancelled", count(99), 3)
	w.now = w.now.Add(2 * time.Hour)
	for range 2 { // the other tenant's too
		w.promote(w.promotion())
	}
	same(w, "one promoted, for nobody", count(99), 2)
}

func onlyARepeatMayComeLate(w *world) {
	tenant := w.tenant()
	accept := w.accept(tenant)
	accept.DeliverAt, accept.Once = w.now.Add(time.Minute), w.once(1, time.Hour)
	first := w.verdict(accept)
	late := accept
	late.RepeatOnly, late.RouteVersion = true, 99
	w.now = w.now.Add(10 * time.Minute)
	same(w, "a repeat", w.verdict(late), store.Verdict{Kind: store.Replayed, Event: first.Event, AcceptedAt: first.AcceptedAt})
	other := *late.Once
	other.Body[0]++
	late.Once = &other
	same(w, "another body", w.verdict(late), store.Verdict{Kind: store.Mismatched})
	late.Once = w.once(2, time.Hour)
	same(w, "no repeat", w.verdict(late), store.Verdict{Kind: store.NotRepeated})
	same(w, "which leaves no Once", w.verdict(late), store.Verdict{Kind: store.NotRepeated})
	late.Once = nil
	same(w, "without a Once", w.verdict(late), store.Verdict{Kind: store.NotRepeated})
}

// eventIsPromotedOrCancelled lets many do both at once.
func eventIsPromotedOrCancelled(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	for round := range 5 {
		event := w.deferred(tenant, time.Minute)
		w.now = w.now.Add(time.Minute)
		p := w.promotion(ep)
		promoted := make(chan bool, 8)
		cancelled := make(chan bool, 8)
		for i := range 8 {
			go func() {
				if i%2 == 0 {
					verdicts, err := w.Promote(w.ctx, w.now, []store.Promotion{p})
					if err != nil {
						w.Error(err)
					}
					promoted <- len(verdicts) == 1 && verdicts[0].Kind == store.Accepted
					return
				}
				cancelled <- w.CancelEvent(w.ctx, tenant, event, w.now, store.Announcement{Type: "a"}) == nil
			}()
		}
		wins, cancels := 0, 0
		for range 4 {
			if <-promoted {
				wins++
			}
			if <-cancelled {
				cancels++
			}
		}
		_, err := w.Delivery(w.ctx, ep, event)
		ev := mustGet[store.Event](w)(w.Event(w.ctx, tenant, event))
		switch {
		case wins == 1 && cancels == 0 && err == nil && ev.CancelledAt.IsZero():
		case wins == 0 && cancels == 4 && err != nil && !ev.CancelledAt.IsZero():
		default:
			w.Errorf("round %d: promoted %d times, cancelled %d times, delivery: %v, event: %+v", round, wins, cancels, err, ev)
		}
	}
}
