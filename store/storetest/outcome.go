package storetest

import (
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// attempts returns how many attempts of an event are logged.
func (w *world) attempts(event store.EventKey) int {
	w.Helper()
	listed, err := w.AttemptsOfEvent(w.ctx, event, store.AttemptFilter{}, store.Page{Limit: 99})
	w.must(err)
	return len(listed.Items)
}

// one stores an event for one new endpoint of a new tenant.
func (w *world) one() (tenant store.TenantKey, ep store.EndpointKey, event store.EventKey) {
	w.Helper()
	tenant = w.tenant()
	ep = w.endpoint(tenant)
	return tenant, ep, w.publish(1, tenant, ep)[0]
}

func successEndsADelivery(w *world) {
	tenant, ep, event := w.one()
	w.now = w.now.Add(time.Second)
	w.record(w.outcome(tenant, ep, event, 0, webhook.Succeeded))
	same(w, "delivery", w.delivery(ep, event),
		store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Succeeded, Tried: 1, EndedAt: w.now})
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), nil)
	same(w, "attempts", w.attempts(event), 1)
	same(w, "payload is kept", len(mustGet[store.Event](w)(w.Event(w.ctx, tenant, event)).Payload), 7)
}

func failureMakesItWait(w *world) {
	tenant, ep, event := w.one()
	for tried := range 3 {
		o := w.outcome(tenant, ep, event, tried, webhook.Waiting)
		o.RetryAt = w.now.Add(time.Duration(tried+1) * time.Minute)
		o.Reason = webhook.EndpointDisabled // for Cancelled only
		w.record(o)
		same(w, "delivery", w.delivery(ep, event),
			store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Waiting, Tried: tried + 1, RetryAt: o.RetryAt})
		same(w, "Waiting", mustGet[[]store.Open](w)(w.Waiting(w.ctx, ep, store.Moment{}, 9)),
			[]store.Open{{Event: event, Tried: tried + 1, RetryAt: o.RetryAt}})
		same(w, "Fresh", mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 9)), store.FreshPage{})
		same(w, "attempts", w.attempts(event), tried+1)
	}
	w.record(w.outcome(tenant, ep, event, 3, webhook.Succeeded))
	same(w, "Waiting", mustGet[[]store.Open](w)(w.Waiting(w.ctx, ep, store.Moment{}, 9)), nil)
	same(w, "tried", w.delivery(ep, event).Tried, 4)
}

func lastFailureExhausts(w *world) {
	tenant, ep, event := w.one()
	w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting), w.outcome(tenant, ep, event, 1, webhook.Exhausted))
	same(w, "delivery", w.delivery(ep, event),
		store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Exhausted, Tried: 2, EndedAt: w.now})
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), nil)
}

func cancelledKeepsItsReason(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	events := w.publish(2, tenant, ep)
	unsent := store.Outcome{
		Tenant: tenant, Endpoint: ep, Event: events[0], State: webhook.Cancelled, Reason: webhook.EndpointDeleted,
	}
	sent := w.outcome(tenant, ep, events[1], 0, webhook.Cancelled)
	sent.Reason = webhook.ReceiverGone
	w.record(unsent, sent)
	same(w, "without an attempt", w.delivery(ep, events[0]), store.DeliveryRecord{
		Endpoint: ep, Event: events[0], State: webhook.Cancelled, Reason: webhook.EndpointDeleted, EndedAt: w.now,
	})
	same(w, "attempts", w.attempts(events[0]), 0)
	same(w, "with one", w.delivery(ep, events[1]), store.DeliveryRecord{
		Endpoint: ep, Event: events[1], State: webhook.Cancelled, Reason: webhook.ReceiverGone, Tried: 1, EndedAt: w.now,
	})
	same(w, "attempts", w.attempts(events[1]), 1)
}

func outcomesOfOneBatchFollowEachOther(w *world) {
	tenant, ep, event := w.one()
	w.record(
		w.outcome(tenant, ep, event, 0, webhook.Waiting),
		w.outcome(tenant, ep, event, 1, webhook.Waiting),
		w.outcome(tenant, ep, event, 2, webhook.Succeeded),
		w.outcome(tenant, ep, event, 3, webhook.Exhausted),
	)
	same(w, "delivery", w.delivery(ep, event),
		store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Succeeded, Tried: 3, EndedAt: w.now})
	same(w, "attempts", w.attempts(event), 4)
}

func outcomeOfAnotherTryIsOnlyLogged(w *world) {
	tenant, ep, event := w.one()
	w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting))
	before := w.delivery(ep, event)
	w.now = w.now.Add(time.Minute)
	for _, tried := range []int{0, 2} {
		for _, state := range []webhook.State{webhook.Waiting, webhook.Exhausted, webhook.Cancelled} {
			w.record(w.outcome(tenant, ep, event, tried, state))
		}
		w.record(store.Outcome{Tenant: tenant, Endpoint: ep, Event: event, Tried: tried, State: webhook.Cancelled})
	}
	same(w, "delivery", w.delivery(ep, event), before)
	same(w, "attempts", w.attempts(event), 1+6)
}

func lateSuccessClosesAnOpenDelivery(w *world) {
	tenant, ep, event := w.one()
	w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting), w.outcome(tenant, ep, event, 1, webhook.Waiting))
	w.now = w.now.Add(time.Minute)
	w.record(w.outcome(tenant, ep, event, 0, webhook.Succeeded))
	same(w, "delivery", w.delivery(ep, event),
		store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Succeeded, Tried: 3, EndedAt: w.now})
	same(w, "Waiting", mustGet[[]store.Open](w)(w.Waiting(w.ctx, ep, store.Moment{}, 9)), nil)
	same(w, "attempts", w.attempts(event), 3)
}

func endedDeliveryStaysAsItEnded(w *world) {
	for _, end := range []webhook.State{webhook.Succeeded, webhook.Exhausted, webhook.Cancelled} {
		tenant, ep, event := w.one()
		o := w.outcome(tenant, ep, event, 0, end)
		o.Reason = webhook.ReceiverGone
		w.record(o)
		ended := w.delivery(ep, event)
		same(w, "state", ended.State, end)
		w.now = w.now.Add(time.Minute)
		for _, tried := range []int{0, 1} {
			for _, state := range []webhook.State{webhook.Succeeded, webhook.Waiting, webhook.Cancelled} {
				w.record(w.outcome(tenant, ep, event, tried, state))
			}
		}
		same(w, end.String(), w.delivery(ep, event), ended)
		same(w, "attempts", w.attempts(event), 7)
		same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), nil)
	}
}

func manualAttemptDoesNotCount(w *world) {
	tenant, ep, event := w.one()
	for _, state := range []webhook.State{webhook.Waiting, webhook.Exhausted} {
		manual := w.outcome(tenant, ep, event, 0, state)
		manual.Attempt.Trigger = webhook.Manual
		w.record(manual)
		same(w, "delivery", w.delivery(ep, event), store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Pending})
	}
	same(w, "Fresh", mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 9)),
		store.FreshPage{Deliveries: []store.Open{{Event: event}}})
	same(w, "attempts", w.attempts(event), 2)
}

func manualSuccessClosesAnOpenDelivery(w *world) {
	tenant, ep, event := w.one()
	w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting))
	manual := w.outcome(tenant, ep, event, 7, webhook.Succeeded)
	manual.Attempt.Trigger = webhook.Manual
	w.record(manual)
	same(w, "delivery", w.delivery(ep, event),
		store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Succeeded, Tried: 1, EndedAt: w.now})
}

func outcomesAndAcceptsShareABatch(w *world) {
	tenant, ep, event := w.one()
	verdicts, err := w.Commit(w.ctx, &store.Batch{
		Now:      w.now,
		Accepts:  []store.Accept{w.accept(tenant, ep)},
		Outcomes: []store.Outcome{w.outcome(tenant, ep, event, 0, webhook.Succeeded)},
	})
	w.must(err)
	same(w, "first", w.delivery(ep, event).State, webhook.Succeeded)
	same(w, "second", w.delivery(ep, verdicts[0].Event).State, webhook.Pending)
}
