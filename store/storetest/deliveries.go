package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func placeOfDelivery(d store.EndpointDelivery) (int64, time.Time) {
	return int64(d.Event), d.Of.AcceptedAt
}

// atEndpoint reads the deliveries at an endpoint that a filter lets through.
func (w *world) atEndpoint(ep store.EndpointKey, filter store.DeliveryFilter) func(store.Page) (store.Listed[store.EndpointDelivery], error) {
	return func(page store.Page) (store.Listed[store.EndpointDelivery], error) {
		return w.DeliveriesAtEndpoint(w.ctx, ep, filter, page)
	}
}

// everyEnding publishes events to an endpoint and lets each come to another state, with
// a neighbour at which all succeeds.
func everyEnding(w *world, tenant store.TenantKey, ep, neighbour store.EndpointKey) []store.EventKey {
	w.Helper()
	keys := w.publish(6, tenant, ep, neighbour)
	unsent := w.outcome(tenant, ep, keys[5], 0, webhook.Cancelled)
	unsent.Attempt, unsent.Reason = nil, webhook.EndpointDisabled
	gone := w.outcome(tenant, ep, keys[4], 0, webhook.Cancelled)
	gone.Reason = webhook.ReceiverGone
	w.record(
		w.outcome(tenant, ep, keys[1], 0, webhook.Waiting), w.outcome(tenant, ep, keys[2], 0, webhook.Succeeded),
		w.outcome(tenant, ep, keys[3], 0, webhook.Exhausted), gone, unsent,
	)
	for _, key := range keys {
		w.record(w.outcome(tenant, neighbour, key, 0, webhook.Succeeded))
	}
	return keys
}

func deliveriesAtAnEndpointPageBothWays(w *world) {
	tenant := w.tenant()
	ep, neighbour := w.endpoint(tenant), w.endpoint(tenant)
	var want []int64
	for range 5 {
		w.now = w.now.Add(time.Second)
		for _, key := range everyEnding(w, tenant, ep, neighbour) {
			want = append(want, int64(key))
		}
	}
	for _, limit := range []int{1, 2, 7, 30, 31} {
		same(w, fmt.Sprint("up by ", limit), walkList(w, limit, false, w.atEndpoint(ep, store.DeliveryFilter{}), placeOfDelivery), want)
		same(w, fmt.Sprint("down by ", limit), walkList(w, limit, true, w.atEndpoint(ep, store.DeliveryFilter{}), placeOfDelivery), reversed(want))
	}
	other := w.endpoint(tenant)
	same(w, "at another", mustGet[store.Listed[store.EndpointDelivery]](w)(w.atEndpoint(other, store.DeliveryFilter{})(store.Page{Limit: 9})),
		store.Listed[store.EndpointDelivery]{Done: true})
	w.must(w.DeleteEndpoint(w.ctx, tenant, ep, w.now))
	same(w, "at a deleted one", walkList(w, 7, false, w.atEndpoint(ep, store.DeliveryFilter{}), placeOfDelivery), want)
}

func deliveryAtAnEndpointComesWithItsEventAndLatestAttempt(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	accept := w.accept(tenant, ep)
	accept.UID, accept.Type, accept.Channels = "order-1", "order.made", []string{"eu"}
	key := w.verdict(accept).Event
	one := func(filter store.DeliveryFilter) store.EndpointDelivery {
		w.Helper()
		listed := mustGet[store.Listed[store.EndpointDelivery]](w)(w.DeliveriesAtEndpoint(w.ctx, ep, filter, store.Page{Limit: 9}))
		if len(listed.Items) != 1 {
			w.Fatalf("listed %+v", listed)
		}
		return listed.Items[0]
	}
	event := mustGet[store.Event](w)(w.Event(w.ctx, tenant, key))
	with := one(store.DeliveryFilter{WithPayload: true})
	same(w, "with payload", with, store.EndpointDelivery{DeliveryRecord: w.delivery(ep, key), Of: event})
	event.Payload = nil
	same(w, "fresh", one(store.DeliveryFilter{}), store.EndpointDelivery{DeliveryRecord: w.delivery(ep, key), Of: event})

	latest := func(what string, o store.Outcome) {
		w.Helper()
		w.now = w.now.Add(time.Minute)
		if o.Attempt != nil {
			o.Attempt.StartedAt = w.now
		}
		w.record(o)
		made := w.attemptsOf(key)
		last := made[len(made)-1].Attempt
		same(w, what, one(store.DeliveryFilter{}), store.EndpointDelivery{DeliveryRecord: w.delivery(ep, key), Of: event, Last: &last})
	}
	latest("tried", w.outcome(tenant, ep, key, 0, webhook.Waiting))
	manual := w.outcome(tenant, ep, key, 1, webhook.Waiting)
	manual.Attempt.Trigger, manual.Attempt.StatusCode = webhook.Manual, 404
	latest("tried by hand", manual)
	stale := w.outcome(tenant, ep, key, 0, webhook.Waiting)
	latest("another try", stale)
	unsent := w.outcome(tenant, ep, key, 1, webhook.Cancelled)
	unsent.Attempt, unsent.Reason = nil, webhook.EndpointDisabled
	latest("ended without an attempt", unsent)
	latest("tried by hand after its end", manual)
}

func (w *world) attemptsOf(event store.EventKey) []store.LoggedAttempt {
	w.Helper()
	return mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsOfEvent(w.ctx, event, store.AttemptFilter{}, store.Page{Limit: 99})).Items
}

func deliveryFiltersNarrow(w *world) {
	tenant := w.tenant()
	ep, neighbour := w.endpoint(tenant), w.endpoint(tenant)
	start := w.now
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	var keys []store.EventKey
	for i, ev := range []struct {
		typ      string
		channels []string
		tags     []string
		status   int
		state    webhook.State // 0: no outcome
	}{
		{"a", nil, nil, 0, 0}, {"b", []string{"eu"}, []string{"t", "u"}, 500, webhook.Waiting},
		{"a", []string{"eu", "us"}, nil, 200, webhook.Succeeded}, {"c", []string{"us"}, []string{"u"}, 404, webhook.Exhausted},
		{"b", nil, nil, 0, webhook.Exhausted}, {"a", nil, []string{"us"}, 410, webhook.Cancelled},
	} {
		w.now = minute(i)
		accept := w.accept(tenant, ep, neighbour)
		accept.Type, accept.Channels, accept.Tags = ev.typ, ev.channels, ev.tags
		key := w.verdict(accept).Event
		keys = append(keys, key)
		if ev.state == 0 {
			continue
		}
		o := w.outcome(tenant, ep, key, 0, ev.state)
		o.Attempt.StatusCode = ev.status
		w.record(o)
	}
	w.now = minute(10) // the neighbour fails later, and one is tried again
	w.record(w.outcome(tenant, neighbour, keys[3], 0, webhook.Exhausted))
	again := w.outcome(tenant, ep, keys[1], 1, webhook.Waiting)
	again.Attempt.StatusCode = 404
	w.record(again)
	unsent := w.outcome(tenant, ep, w.publish(1, tenant, ep)[0], 0, webhook.Cancelled)
	unsent.Attempt = nil
	w.record(unsent)
	keys = append(keys, unsent.Event)

	const pending, waiting, succeeded, exhausted, cancelled = webhook.Pending, webhook.Waiting, webhook.Succeeded, webhook.Exhausted, webhook.Cancelled
	for what, c := range map[string]struct {
		filter store.DeliveryFilter
		want   []int
	}{
		"nothing":         {store.DeliveryFilter{}, []int{0, 1, 2, 3, 4, 5, 6}},
		"types":           {store.DeliveryFilter{Types: []string{"a", "c"}}, []int{0, 2, 3, 5}},
		"channel":         {store.DeliveryFilter{Channel: "us"}, []int{2, 3}},
		"tag":             {store.DeliveryFilter{Tag: "u"}, []int{1, 3}},
		"pending":         {store.DeliveryFilter{States: []webhook.State{pending}}, []int{0}},
		"waiting":         {store.DeliveryFilter{States: []webhook.State{waiting}}, []int{1}},
		"succeeded":       {store.DeliveryFilter{States: []webhook.State{succeeded}}, []int{2}},
		"exhausted":       {store.DeliveryFilter{States: []webhook.State{exhausted}}, []int{3, 4}},
		"cancelled":       {store.DeliveryFilter{States: []webhook.State{cancelled}}, []int{5, 6}},
		"not succeeded":   {store.DeliveryFilter{States: []webhook.State{cancelled, pending, exhausted, waiting}}, []int{0, 1, 3, 4, 5, 6}},
		"open or well":    {store.DeliveryFilter{States: []webhook.State{waiting, succeeded}}, []int{1, 2}},
		"attempted":       {store.DeliveryFilter{Attempted: true}, []int{1, 2, 3, 4, 5}},
		"200":             {store.DeliveryFilter{StatusClass: 200}, []int{2}},
		"400, the latest": {store.DeliveryFilter{StatusClass: 400}, []int{1, 3, 5}},
		"500":             {store.DeliveryFilter{StatusClass: 500}, nil},
		"no status":       {store.DeliveryFilter{NoStatus: true}, []int{4}},
		"from, inclusive": {store.DeliveryFilter{From: minute(4)}, []int{4, 5, 6}},
		"to, inclusive":   {store.DeliveryFilter{To: minute(2)}, []int{0, 1, 2}},
		"failed from":     {store.DeliveryFilter{FailedFrom: minute(3)}, []int{1, 3, 4, 5}},
		"failed to":       {store.DeliveryFilter{FailedTo: minute(4)}, []int{1, 3}},
		"failed early":    {store.DeliveryFilter{FailedFrom: minute(1), FailedTo: minute(2)}, []int{1}},
		"failed late":     {store.DeliveryFilter{FailedFrom: minute(9)}, []int{1}},
		"failed since, not succeeded": {
			store.DeliveryFilter{States: []webhook.State{pending, waiting, exhausted, cancelled}, FailedFrom: minute(2)}, []int{1, 3, 4, 5},
		},
		"all of it": {
			store.DeliveryFilter{States: []webhook.State{exhausted}, Types: []string{"c"}, Channel: "us", Attempted: true, StatusClass: 400, From: minute(3), To: minute(3)}, []int{3},
		},
	} {
		var want []int64
		for _, i := range c.want {
			want = append(want, int64(keys[i]))
		}
		for _, limit := range []int{1, 2, 9} {
			same(w, what, walkList(w, limit, false, w.atEndpoint(ep, c.filter), placeOfDelivery), want)
			same(w, what+", down", walkList(w, limit, true, w.atEndpoint(ep, c.filter), placeOfDelivery), reversed(want))
		}
	}
}

// recoveredDeliveryIsListedAsSucceeded has deliveries that ended otherwise, of which sends
// have succeeded since.
func recoveredDeliveryIsListedAsSucceeded(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	keys := everyEnding(w, tenant, ep, w.endpoint(tenant))
	w.now = w.now.Add(time.Minute)
	for _, key := range []store.EventKey{keys[3], keys[5]} { // exhausted, and cancelled untried
		w.record(w.sent(w.send(tenant, ep, key, false), 0, webhook.Succeeded))
	}
	for state, want := range map[webhook.State][]int64{
		webhook.Succeeded: {int64(keys[2]), int64(keys[3]), int64(keys[5])}, webhook.Exhausted: nil, webhook.Cancelled: {int64(keys[4])},
	} {
		read := w.atEndpoint(ep, store.DeliveryFilter{States: []webhook.State{state}})
		same(w, state.String(), walkList(w, 2, false, read, placeOfDelivery), want)
		same(w, state.String()+", down", walkList(w, 2, true, read, placeOfDelivery), reversed(want))
	}
	listed := mustGet[store.Listed[store.EndpointDelivery]](w)(w.atEndpoint(ep, store.DeliveryFilter{States: []webhook.State{webhook.Succeeded}})(store.Page{After: int64(keys[4]), Limit: 9}))
	same(w, "as it is stored", listed.Items[0].DeliveryRecord, w.delivery(ep, keys[5]))
	same(w, "recovered at", listed.Items[0].RecoveredAt, w.now)
	untried := mustGet[store.Listed[store.EndpointDelivery]](w)(w.UntriedAtEndpoint(w.ctx, tenant, ep, store.EventFilter{}, store.Page{Limit: 9}))
	same(w, "and not untried any more", len(untried.Items), 0)
}

// filteredDeliveriesAreExaminedByStateAndTime has more deliveries than a page may examine.
func filteredDeliveriesAreExaminedByStateAndTime(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	for range 3 {
		w.now = w.now.Add(24 * time.Hour)
		batch := w.publish(700, tenant, ep)
		outcomes := make([]store.Outcome, len(batch))
		for i, key := range batch {
			outcomes[i] = w.outcome(tenant, ep, key, 0, webhook.Succeeded)
		}
		outcomes[650] = w.outcome(tenant, ep, batch[650], 0, webhook.Exhausted)
		w.record(outcomes...)
	}
	w.publish(2, tenant, ep) // which stay open
	read := func(filter store.DeliveryFilter, down bool) store.Listed[store.EndpointDelivery] {
		w.Helper()
		return mustGet[store.Listed[store.EndpointDelivery]](w)(w.DeliveriesAtEndpoint(w.ctx, ep, filter, store.Page{Limit: 5, Descending: down}))
	}
	none := store.DeliveryFilter{Types: []string{"none"}}
	same(w, "a filter that lets none through", read(none, false).Done, false)
	same(w, "and the whole walk", len(walkList(w, 5, true, w.atEndpoint(ep, none), placeOfDelivery)), 0)
	for _, down := range []bool{false, true} {
		failed := read(store.DeliveryFilter{States: []webhook.State{webhook.Exhausted}}, down)
		same(w, "those that failed", []any{len(failed.Items), failed.Examined, failed.Done}, []any{3, 3, true})
		pending := read(store.DeliveryFilter{States: []webhook.State{webhook.Pending}}, down)
		same(w, "open ones", []any{len(pending.Items), pending.Examined, pending.Done}, []any{2, 2, true})
		aDay := store.DeliveryFilter{Types: []string{"none"}, From: w.now.Add(-24 * time.Hour), To: w.now.Add(-23 * time.Hour)}
		second := read(aDay, down)
		same(w, "of a day", []any{len(second.Items), second.Examined, second.Done}, []any{0, 700, true})
		empty := read(store.DeliveryFilter{To: w.now.Add(-100 * 24 * time.Hour)}, down)
		same(w, "of a day before all", []any{len(empty.Items), empty.Examined, empty.Done}, []any{0, 0, true})
	}
	same(w, "events of a day", mustGet[store.Listed[store.Event]](w)(w.Events(w.ctx, tenant,
		store.EventFilter{Types: []string{"none"}, From: w.now.Add(-24 * time.Hour), To: w.now.Add(-24 * time.Hour)}, store.Page{Limit: 5})).Examined, 700)
}

// deliveryIsOnOnePageThoughItEnds walks while what is before and behind the walk ends.
func deliveryIsOnOnePageThoughItEnds(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	events := w.publish(120, tenant, ep)
	for _, descending := range []bool{false, true} {
		done := make(chan struct{})
		var ending sync.WaitGroup
		ending.Go(func() {
			defer close(done)
			for i := range events { // from both ends
				at := i / 2
				if i%2 == 1 {
					at = len(events) - 1 - i/2
				}
				record := mustGet[store.DeliveryRecord](w)(w.Delivery(w.ctx, ep, events[at]))
				if record.State.Ended() {
					continue
				}
				state := []webhook.State{webhook.Waiting, webhook.Succeeded, webhook.Exhausted}[i%3]
				w.record(w.outcome(tenant, ep, events[at], record.Tried, state))
			}
		})
		for walking := true; walking; {
			select {
			case <-done:
				walking = false
			default:
			}
			got := walkList(w, 7, descending, w.atEndpoint(ep, store.DeliveryFilter{}), placeOfDelivery)
			slices.Sort(got)
			if len(got) != len(events) || len(slices.Compact(got)) != len(events) {
				w.Fatalf("a walk found %d deliveries of %d", len(got), len(events))
			}
		}
		ending.Wait()
	}
}

func untriedEventsAreThoseThatCouldBeSent(w *world) {
	tenant, other := w.tenant(), w.tenant()
	ep, neighbour := w.endpoint(tenant), w.endpoint(tenant)
	w.publish(1, other)
	before := w.publish(2, tenant, neighbour)
	keys := everyEnding(w, tenant, ep, neighbour) // the last was cancelled and never tried
	asked := w.publish(1, tenant, ep)[0]
	unsent := w.outcome(tenant, ep, asked, 0, webhook.Cancelled)
	unsent.Attempt, unsent.Reason = nil, webhook.CancelAsked
	w.record(unsent)
	byHand := w.publish(1, tenant)[0] // never for it, and sent to it all the same
	manual := w.outcome(tenant, ep, byHand, 0, webhook.Waiting)
	manual.Attempt.Trigger = webhook.Manual
	w.record(manual)
	odd := w.accept(tenant)
	odd.Type = "odd"
	behind := w.verdict(odd).Event
	theirs, mine := w.accept(tenant), w.accept(tenant)
	theirs.Only, mine.Only = neighbour, ep
	w.verdict(theirs)
	last := w.verdict(mine).Event

	want := []int64{int64(before[0]), int64(before[1]), int64(keys[5]), int64(asked), int64(behind), int64(last)}
	read := func(filter store.EventFilter) func(store.Page) (store.Listed[store.EndpointDelivery], error) {
		return func(page store.Page) (store.Listed[store.EndpointDelivery], error) {
			return w.UntriedAtEndpoint(w.ctx, tenant, ep, filter, page)
		}
	}
	for _, limit := range []int{1, 3, 5, 9} {
		same(w, fmt.Sprint("up by ", limit), walkList(w, limit, false, read(store.EventFilter{}), placeOfDelivery), want)
		same(w, fmt.Sprint("down by ", limit), walkList(w, limit, true, read(store.EventFilter{}), placeOfDelivery), reversed(want))
	}
	same(w, "of a type", walkList(w, 9, false, read(store.EventFilter{Types: []string{"odd"}}), placeOfDelivery), want[4:5])
	listed := mustGet[store.Listed[store.EndpointDelivery]](w)(read(store.EventFilter{})(store.Page{Limit: 9}))
	same(w, "examined", listed.Examined, 2+6+3+2)
	event := mustGet[store.Event](w)(w.Event(w.ctx, tenant, before[0]))
	event.Payload = nil
	same(w, "never for it", listed.Items[0], store.EndpointDelivery{DeliveryRecord: store.DeliveryRecord{Event: before[0], Endpoint: ep}, Of: event})
	same(w, "cancelled", listed.Items[2].DeliveryRecord, w.delivery(ep, keys[5]))
}

// readDeliveries compares what stands at an endpoint.
func (p *pair) readDeliveries(rt *rapid.T) {
	p.T = rt
	ep, tenant, event := p.endpoint(), p.tenant(), p.event()
	filter := store.DeliveryFilter{Attempted: p.chance(20), NoStatus: p.chance(10), WithPayload: p.chance(20)}
	if p.chance(50) {
		for state := webhook.Pending; state <= webhook.Cancelled; state++ {
			if state != webhook.Sending && state != webhook.Parked && p.chance(40) {
				filter.States = append(filter.States, state)
			}
		}
	}
	if p.chance(30) {
		filter.Types = []string{p.pick("a", "b")}
	}
	if p.chance(20) {
		filter.Channel = p.pick("eu", "us")
	}
	if p.chance(10) {
		filter.Tag = p.pick("x", "z")
	}
	if p.chance(20) {
		filter.StatusClass = rapid.SampledFrom([]int{200, 300, 400, 500}).Draw(rt, "class")
	}
	ago := func(percent int) (at time.Time) {
		if p.chance(percent) {
			at = p.now.Add(-time.Duration(rapid.IntRange(0, 200).Draw(rt, "minutes")) * time.Minute)
		}
		return at
	}
	filter.From, filter.To, filter.FailedFrom, filter.FailedTo = ago(20), ago(20), ago(20), ago(20)
	page := store.Page{Limit: rapid.IntRange(1, 5).Draw(rt, "limit"), Descending: p.chance(50)}
	if p.chance(50) {
		event = 0
	}
	own := func(st store.Store, listed store.Listed[store.EndpointDelivery], err error) (store.Listed[store.EndpointDelivery], error) {
		if st == p.tested {
			listed.Last = int64(lookUp(p.events, store.EventKey(listed.Last)))
		}
		return listed, err
	}
	read(p, "DeliveriesAtEndpoint", func(st store.Store) (store.Listed[store.EndpointDelivery], error) {
		page.After = int64(p.own(st, event))
		listed, err := st.DeliveriesAtEndpoint(p.Context(), ep.Key, filter, page)
		return own(st, listed, err)
	})
	read(p, "UntriedAtEndpoint", func(st store.Store) (store.Listed[store.EndpointDelivery], error) {
		page.After = int64(p.own(st, event))
		listed, err := st.UntriedAtEndpoint(p.Context(), tenant.Key, ep.Key, store.EventFilter{Types: filter.Types, From: filter.From, To: filter.To}, page)
		return own(st, listed, err)
	})
}
