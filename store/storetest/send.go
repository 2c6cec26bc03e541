package storetest

import (
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// send stores a Send that is due now and returns it as it is kept.
func (w *world) send(tenant store.TenantKey, ep store.EndpointKey, event store.EventKey, retried bool) store.Send {
	w.Helper()
	send := store.Send{Tenant: tenant, Endpoint: ep, Event: event, Retried: retried, DueAt: w.now}
	keys, _, err := w.InsertSends(w.ctx, w.now, []store.Send{send}, nil, nil)
	w.must(err)
	send.Key = keys[0]
	return send
}

func (w *world) sendsOf(ep store.EndpointKey) []store.Send {
	w.Helper()
	return mustGet[[]store.Send](w)(w.SendsOf(w.ctx, ep, store.Moment{}, 99))
}

// sent is the outcome of a Send's attempt.
func (w *world) sent(send store.Send, tried int, state webhook.State) store.Outcome {
	o := w.outcome(send.Tenant, send.Endpoint, send.Event, tried, state)
	o.Send, o.Attempt.Trigger = send.Key, webhook.Manual
	return o
}

func sendComesBackAsStored(w *world) {
	tenant := w.tenant()
	ep, other := w.endpoint(tenant), w.endpoint(tenant)
	event := w.publish(1, tenant)[0] // for neither of them
	sends := []store.Send{
		{Tenant: tenant, Endpoint: ep, Event: event, Job: 7, Retried: true, DueAt: w.now.Add(time.Minute + 999)},
		{Tenant: tenant, Endpoint: other, Event: event, DueAt: w.now},
		{Tenant: tenant, Endpoint: ep, Event: event, Tried: 5, DueAt: w.now},
	}
	keys, opened, err := w.InsertSends(w.ctx, w.now, sends, nil, nil)
	w.must(err)
	same(w, "opened", len(opened), 0)
	last := store.SendKey(0)
	for i, key := range keys {
		if key <= last {
			w.Errorf("send key %d behind %d", key, last)
		}
		last, sends[i].Key = key, key
	}
	sends[0].DueAt = w.now.Add(time.Minute) // cut to the microsecond
	sends[2].Tried = 0
	same(w, "one endpoint's", w.sendsOf(ep), []store.Send{sends[2], sends[0]})
	same(w, "the other's", w.sendsOf(other), []store.Send{sends[1]})
	for _, send := range sends {
		same(w, "by its key", mustGet[store.Send](w)(w.Send(w.ctx, send.Key)), send)
	}
	_, err = w.Send(w.ctx, last+1000)
	w.is("one that is none", err, store.ErrNotFound)
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), []store.Lane{{Endpoint: ep, Tenant: tenant}, {Endpoint: other, Tenant: tenant}})
	same(w, "behind the first", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, ep, 9)), []store.Lane{{Endpoint: other, Tenant: tenant}})
	same(w, "no delivery", mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 9)), store.FreshPage{})
	_, err = w.Delivery(w.ctx, ep, event)
	w.is("no delivery", err, store.ErrNotFound)
}

func sendsAreSoonestDueFirst(w *world) {
	tenant, ep, event := w.one()
	var sends []store.Send
	for i, place := range []int{3, 0, 4, 1, 2, 1} {
		send := w.send(tenant, ep, event, false)
		if i%2 == 0 { // those that were tried and wait stand among the others
			o := w.sent(send, 0, webhook.Waiting)
			o.RetryAt = w.now.Add(time.Duration(place) * time.Second)
			w.record(o)
		}
		sends = append(sends, send)
	}
	due := func(seconds, tried int, send store.Send) store.Send {
		send.Tried, send.DueAt = tried, w.now.Add(time.Duration(seconds)*time.Second)
		return send
	}
	want := []store.Send{due(0, 0, sends[1]), due(0, 0, sends[3]), due(0, 0, sends[5]), due(2, 1, sends[4]), due(3, 1, sends[0]), due(4, 1, sends[2])}
	same(w, "all", w.sendsOf(ep), want)
	from := func(place int, key store.SendKey, limit int) []store.Send {
		return mustGet[[]store.Send](w)(w.SendsOf(w.ctx, ep, store.Moment{At: want[place].DueAt, Key: int64(key)}, limit))
	}
	same(w, "from one of those due at once on", from(1, want[1].Key, 99), want[1:])
	same(w, "from an instant on", from(1, 0, 2), want[:2])
	same(w, "from behind one on", from(3, want[3].Key+1, 9), want[4:])
	same(w, "four", mustGet[[]store.Send](w)(w.SendsOf(w.ctx, ep, store.Moment{}, 4)), want[:4])
	count := func(of store.EndpointKey, limit int) int { return mustGet[int](w)(w.CountSends(w.ctx, of, limit)) }
	same(w, "counted", count(ep, 99), 6)
	_, _, err := w.InsertSends(w.ctx, w.now, []store.Send{{Tenant: tenant, Endpoint: ep, Event: event, Job: 7, DueAt: w.now}}, nil, nil)
	w.must(err)
	same(w, "counted without a job's", count(ep, 99), 6)
	same(w, "counted up to a limit", count(ep, 4), 4)
	same(w, "counted elsewhere", count(ep+1000, 4), 0)
}

func sendNeedsAPayloadAndAnEndpoint(w *world) {
	tenant, other := w.tenant(), w.tenant()
	ep, deleted, foreign := w.endpoint(tenant), w.endpoint(tenant), w.endpoint(other)
	event := w.publish(1, tenant)[0]
	w.must(w.DeleteEndpoint(w.ctx, tenant, deleted, w.now))
	good := store.Send{Tenant: tenant, Endpoint: ep, Event: event, DueAt: w.now}
	for what, bad := range map[string]store.Send{
		"no such event":             {Tenant: tenant, Endpoint: ep, Event: 999_999},
		"no such endpoint":          {Tenant: tenant, Endpoint: 999_999, Event: event},
		"deleted endpoint":          {Tenant: tenant, Endpoint: deleted, Event: event},
		"another tenant's endpoint": {Tenant: tenant, Endpoint: foreign, Event: event},
	} {
		once := w.once(1, time.Hour)
		opening := store.Opening{Tenant: tenant, Endpoint: ep, Event: event, DueAt: w.now}
		_, _, err := w.InsertSends(w.ctx, w.now, []store.Send{good, bad}, []store.Opening{opening}, once)
		w.is(what, err, store.ErrNotFound)
		same(w, what+": sends", w.sendsOf(ep), nil)
		same(w, what+": lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), nil)
		w.must(w.Replay(w.ctx, once, w.now))
	}
	w.must(w.DeleteEndpoint(w.ctx, tenant, ep, w.now))
	_, opened, err := w.InsertSends(w.ctx, w.now, nil, []store.Opening{
		{Tenant: tenant, Endpoint: ep, Event: event, DueAt: w.now},
		{Tenant: other, Endpoint: foreign, Event: event, DueAt: w.now},
		{Tenant: other, Endpoint: foreign, Event: 999_999, DueAt: w.now},
	}, nil)
	w.must(err)
	same(w, "opened", opened, []bool{false, false, false})
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), nil)
}

func repeatedSendIsMadeOnce(w *world) {
	tenant, ep, event := w.one()
	sends := []store.Send{{Tenant: tenant, Endpoint: ep, Event: event, DueAt: w.now}}
	once := w.once(1, time.Hour)
	_, _, err := w.InsertSends(w.ctx, w.now, sends, nil, once)
	w.must(err)
	_, _, err = w.InsertSends(w.ctx, w.now, sends, nil, once)
	w.replayed("again", err, store.ReplayError{Answer: once.Answer})
	same(w, "sends", len(w.sendsOf(ep)), 1)
	other := *once
	other.Body[0]++
	_, _, err = w.InsertSends(w.ctx, w.now, sends, nil, &other)
	w.replayed("for something else", err, store.ReplayError{Mismatch: true})
}

func openingIsWaitingAndNotTried(w *world) {
	tenant, ep, event := w.one()
	other := w.endpoint(tenant)
	ended := w.publish(1, tenant, ep)[0]
	w.record(w.outcome(tenant, ep, ended, 0, webhook.Exhausted))
	due := w.now.Add(time.Minute)
	opening := store.Opening{Tenant: tenant, Endpoint: other, Event: event, DueAt: due}
	openings := []store.Opening{
		{Tenant: tenant, Endpoint: ep, Event: event, DueAt: due}, opening,
		{Tenant: tenant, Endpoint: ep, Event: ended, DueAt: due}, opening,
	}
	keys, opened, err := w.InsertSends(w.ctx, w.now, nil, openings, nil)
	w.must(err)
	same(w, "keys", len(keys), 0)
	same(w, "opened", opened, []bool{false, true, false, false})
	same(w, "delivery", w.delivery(other, event),
		store.DeliveryRecord{Endpoint: other, Event: event, State: webhook.Waiting, RetryAt: due})
	same(w, "Waiting", mustGet[[]store.Open](w)(w.Waiting(w.ctx, other, store.Moment{}, 9)), []store.Open{{Event: event, RetryAt: due}})
	same(w, "Fresh", mustGet[store.FreshPage](w)(w.Fresh(w.ctx, other, 0, 9)), store.FreshPage{})
	same(w, "the open one", w.delivery(ep, event).State, webhook.Pending)
	same(w, "the ended one", w.delivery(ep, ended).State, webhook.Exhausted)

	w.record(w.outcome(tenant, other, event, 0, webhook.Waiting), w.outcome(tenant, other, event, 1, webhook.Succeeded))
	same(w, "delivered", w.delivery(other, event),
		store.DeliveryRecord{Endpoint: other, Event: event, State: webhook.Succeeded, Tried: 2, EndedAt: w.now})
}

func sendFollowsItsOwnTries(w *world) {
	tenant, ep, event := w.one()
	send := w.send(tenant, ep, event, true)
	w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting)) // the delivery's own
	delivery := w.delivery(ep, event)
	for tried := range 3 {
		o := w.sent(send, tried, webhook.Waiting)
		o.RetryAt = w.now.Add(time.Duration(tried+1) * time.Minute)
		w.record(o)
		send.Tried, send.DueAt = tried+1, o.RetryAt
		same(w, fmt.Sprint("tried ", tried+1), w.sendsOf(ep), []store.Send{send})
	}
	for _, state := range []webhook.State{webhook.Waiting, webhook.Exhausted} { // of another try
		w.record(w.sent(send, 1, state))
		same(w, "outcome of another try", w.sendsOf(ep), []store.Send{send})
	}
	w.record(w.sent(send, 3, webhook.Exhausted))
	same(w, "ended", w.sendsOf(ep), nil)
	w.record(w.sent(send, 3, webhook.Exhausted))
	same(w, "ended again", w.sendsOf(ep), nil)
	_, err := w.Send(w.ctx, send.Key)
	w.is("ended, by its key", err, store.ErrNotFound)
	same(w, "the delivery", w.delivery(ep, event), delivery)
	same(w, "attempts", w.attempts(event), 1+3+2+2)

	unsent := w.send(tenant, ep, event, false)
	w.record(store.Outcome{Tenant: tenant, Endpoint: ep, Event: event, Send: unsent.Key, State: webhook.Cancelled, Reason: webhook.EndpointDisabled})
	same(w, "ended without an attempt", w.sendsOf(ep), nil)
	same(w, "the delivery", w.delivery(ep, event), delivery)
	same(w, "attempts", w.attempts(event), 1+3+2+2)
}

func sendThatSucceedsClosesAnOpenDelivery(w *world) {
	tenant, ep, event := w.one()
	w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting))
	send := w.send(tenant, ep, event, true)
	w.now = w.now.Add(time.Minute)
	w.record(w.sent(send, 7, webhook.Succeeded)) // whatever the store has counted
	same(w, "sends", w.sendsOf(ep), nil)
	same(w, "delivery", w.delivery(ep, event),
		store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Succeeded, Tried: 1, EndedAt: w.now})
	same(w, "Waiting", mustGet[[]store.Open](w)(w.Waiting(w.ctx, ep, store.Moment{}, 9)), nil)
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), nil)
}

func sendThatSucceedsRecoversWhatHadEnded(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	for _, end := range []webhook.State{webhook.Succeeded, webhook.Exhausted, webhook.Cancelled} {
		event := w.publish(1, tenant, ep)[0]
		o := w.outcome(tenant, ep, event, 0, end)
		o.Reason = webhook.ReceiverGone
		w.record(o)
		want := w.delivery(ep, event)
		w.now = w.now.Add(time.Minute)
		w.record(w.sent(w.send(tenant, ep, event, false), 0, webhook.Exhausted))
		same(w, end.String()+", sent in vain", w.delivery(ep, event), want)
		if end != webhook.Succeeded {
			want.RecoveredAt = w.now
		}
		for range 2 { // the first time counts
			w.record(w.sent(w.send(tenant, ep, event, false), 0, webhook.Succeeded))
			same(w, end.String()+", sent", w.delivery(ep, event), want)
			same(w, end.String()+", listed", mustGet[[]store.DatedDelivery](w)(w.DeliveriesOfEvent(w.ctx, tenant, event, store.Page{Limit: 9})),
				[]store.DatedDelivery{{DeliveryRecord: want, EndpointCreatedAt: mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, tenant, ep)).CreatedAt}})
			w.now = w.now.Add(time.Minute)
		}
	}
}

func sendWithoutADeliveryLeavesNone(w *world) {
	tenant, _, event := w.one()
	ep := w.endpoint(tenant) // not for it
	w.record(w.sent(w.send(tenant, ep, event, false), 0, webhook.Succeeded))
	_, err := w.Delivery(w.ctx, ep, event)
	w.is("delivery", err, store.ErrNotFound)
	same(w, "attempts", w.attempts(event), 1)
}

func cancelEndsWhatIsOpen(w *world) {
	tenant := w.tenant()
	ep, other := w.endpoint(tenant), w.endpoint(tenant)
	events := w.publish(4, tenant, ep, other)
	w.record(w.outcome(tenant, ep, events[1], 0, webhook.Waiting), w.outcome(tenant, ep, events[2], 0, webhook.Succeeded))
	send := w.send(tenant, ep, events[0], true)
	w.now = w.now.Add(time.Minute)
	cancelled := mustGet[[]bool](w)(w.Cancel(w.ctx, w.now, []store.DeliveryRef{
		{Endpoint: ep, Event: events[0]}, {Endpoint: ep, Event: events[1]}, {Endpoint: ep, Event: events[2]},
		{Endpoint: ep, Event: events[0]}, {Endpoint: ep, Event: 999_999}, {Endpoint: 999_999, Event: events[3]},
	}, store.Announcement{Type: "cancelled", About: store.About{Tenant: tenant}}))
	for i, row := range w.outbox() {
		same(w, "announced", row.About, store.About{Tenant: tenant, Endpoint: ep, Event: events[i]})
	}
	same(w, "announced in all", len(w.outbox()), 2)
	same(w, "cancelled", cancelled, []bool{true, true, false, false, false, false})
	for tried, event := range events[:2] {
		same(w, "delivery", w.delivery(ep, event), store.DeliveryRecord{
			Endpoint: ep, Event: event, State: webhook.Cancelled, Reason: webhook.CancelAsked, Tried: tried, EndedAt: w.now,
		})
	}
	same(w, "the one that succeeded", w.delivery(ep, events[2]).State, webhook.Succeeded)
	open, _ := freshWalk(w, ep, 9)
	same(w, "open", open, events[3:])
	open, _ = freshWalk(w, other, 9)
	same(w, "open elsewhere", open, events)
	same(w, "the send goes on", w.sendsOf(ep), []store.Send{send})

	w.record(w.outcome(tenant, ep, events[0], 0, webhook.Succeeded)) // it was in flight
	same(w, "a success afterwards", w.delivery(ep, events[0]).State, webhook.Cancelled)
	same(w, "of none", len(mustGet[[]bool](w)(w.Cancel(w.ctx, w.now, nil))), 0)
}
