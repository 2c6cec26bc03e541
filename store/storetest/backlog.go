package storetest

import (
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func lanesListWhoHasOpenDeliveries(w *world) {
	tenant, other := w.tenant(), w.tenant()
	fresh, waiting, ended, unused, deleted := w.endpoint(tenant), w.endpoint(other), w.endpoint(tenant), w.endpoint(other), w.endpoint(tenant)
	w.publish(50, tenant, fresh)
	retried := w.publish(1, other, waiting)[0]
	w.record(w.outcome(other, waiting, retried, 0, webhook.Waiting))
	done := w.publish(1, tenant, ended)[0]
	w.record(w.outcome(tenant, ended, done, 0, webhook.Succeeded))
	w.publish(1, tenant, deleted)
	w.must(w.DeleteEndpoint(w.ctx, tenant, deleted, w.now))
	_ = unused
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 99)),
		[]store.Lane{{Endpoint: fresh, Tenant: tenant}, {Endpoint: waiting, Tenant: other}, {Endpoint: deleted, Tenant: tenant}})

	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	same(w, "lanes of a deleted tenant stay", len(mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 99))), 3)
}

func lanesPage(w *world) {
	tenant := w.tenant()
	var want []int64
	for range 7 {
		ep := w.endpoint(tenant)
		want = append(want, int64(ep))
		w.publish(3, tenant, ep)
	}
	for _, limit := range []int{1, 2, 3, 7, 8} {
		got := pages(w, limit, false, func(page store.Page) ([]store.Lane, error) {
			return w.Lanes(w.ctx, store.EndpointKey(page.After), page.Limit)
		}, func(lane store.Lane) int64 { return int64(lane.Endpoint) })
		same(w, fmt.Sprint("by ", limit), got, want)
	}
}

func openDeliveriesAreCountedByTenant(w *world) {
	tenant, other := w.tenant(), w.tenant()
	first, second, deleted := w.endpoint(tenant), w.endpoint(tenant), w.endpoint(tenant)
	count := func(of store.TenantKey, limit int) int { return mustGet[int](w)(w.CountOpen(w.ctx, of, limit)) }
	same(w, "of none", count(tenant, 10), 0)
	events := w.publish(3, tenant, first, second)
	w.publish(2, tenant, deleted)
	w.publish(5, other, w.endpoint(other))
	same(w, "of three events for two and two for one", count(tenant, 10), 8)
	w.record(w.outcome(tenant, first, events[0], 0, webhook.Waiting))
	w.record(w.outcome(tenant, first, events[1], 0, webhook.Succeeded))
	same(w, "one waits and one has ended", count(tenant, 10), 7)
	w.must(w.DeleteEndpoint(w.ctx, tenant, deleted, w.now))
	same(w, "of endpoints that are there", count(tenant, 10), 5)
	same(w, "up to the limit", count(tenant, 4), 4)
	same(w, "of nobody", count(tenant+1000, 4), 0)
}

// freshWalk reads an endpoint's fresh deliveries in pages.
func freshWalk(w *world, ep store.EndpointKey, limit int) (found []store.EventKey, pages int) {
	w.Helper()
	from := store.EventKey(0)
	for {
		page, err := w.Fresh(w.ctx, ep, from, limit)
		w.must(err)
		pages++
		if len(page.Deliveries) > limit {
			w.Fatalf("%d deliveries on a page of %d", len(page.Deliveries), limit)
		}
		for _, open := range page.Deliveries {
			if open.Tried != 0 || !open.RetryAt.IsZero() {
				w.Fatalf("not fresh: %+v", open)
			}
			found = append(found, open.Event)
		}
		if !page.More {
			return found, pages
		}
		if page.Next <= from {
			w.Fatalf("the walk stands at %d", from)
		}
		from = page.Next
	}
}

func freshPagesSeeEveryOpenDelivery(w *world) {
	tenant := w.tenant()
	ep, neighbour := w.endpoint(tenant), w.endpoint(tenant)
	var want []store.EventKey
	for i := range 30 {
		key := w.publish(1, tenant, ep, neighbour)[0]
		switch i % 5 {
		case 1:
			w.record(w.outcome(tenant, ep, key, 0, webhook.Succeeded))
		case 2, 3:
			w.record(w.outcome(tenant, ep, key, 0, webhook.Waiting))
		default:
			want = append(want, key)
		}
	}
	for _, limit := range []int{1, 2, 3, 7, 100} {
		found, _ := freshWalk(w, ep, limit)
		same(w, fmt.Sprint("by ", limit), found, want)
	}
	page := mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, want[3], 100))
	same(w, "from is inclusive", page.Deliveries[0].Event, want[3])
	page = mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, want[3]+1, 100))
	same(w, "from is a bound", page.Deliveries[0].Event, want[4])
}

func freshExaminesNoMoreThanAsked(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	keys := w.publish(30, tenant, ep)
	for _, key := range keys[:29] {
		w.record(w.outcome(tenant, ep, key, 0, webhook.Waiting))
	}
	page := mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 10))
	if len(page.Deliveries) == 0 { // a store that keeps apart those that wait examines none of them
		same(w, "more", page.More, true)
	}
	found, pages := freshWalk(w, ep, 10)
	same(w, "found", found, keys[29:])
	if pages > 3 {
		w.Errorf("%d pages of 10 for 30 deliveries", pages)
	}
}

func waitingIsSoonestDueFirst(w *world) {
	tenant := w.tenant()
	ep, neighbour := w.endpoint(tenant), w.endpoint(tenant)
	keys := w.publish(6, tenant, ep, neighbour)
	var want [5]store.Open
	for place, i := range []int{3, 0, 4, 1, 2} {
		o := w.outcome(tenant, ep, keys[i], 0, webhook.Waiting)
		o.RetryAt = w.now.Add(time.Duration(place-2) * time.Minute)
		want[place] = store.Open{Event: keys[i], Tried: 1, RetryAt: o.RetryAt}
		w.record(o)
	}
	w.record(w.outcome(tenant, neighbour, keys[5], 0, webhook.Waiting))
	same(w, "all", mustGet[[]store.Open](w)(w.Waiting(w.ctx, ep, store.Moment{}, 99)), want[:])
	same(w, "two", mustGet[[]store.Open](w)(w.Waiting(w.ctx, ep, store.Moment{}, 2)), want[:2])
	from := func(place int, key store.EventKey, limit int) []store.Open {
		return mustGet[[]store.Open](w)(w.Waiting(w.ctx, ep, store.Moment{At: want[place].RetryAt, Key: int64(key)}, limit))
	}
	same(w, "from one on", from(1, want[1].Event, 99), want[1:])
	same(w, "from behind one on", from(1, want[1].Event+1, 2), want[2:4])
	same(w, "from an instant on", from(1, 0, 2), want[1:3])
	same(w, "from behind all on", from(4, want[4].Event+1, 9), nil)

	again := w.outcome(tenant, ep, want[0].Event, 1, webhook.Waiting)
	again.RetryAt = w.now.Add(time.Hour)
	w.record(again)
	last := store.Open{Event: want[0].Event, Tried: 2, RetryAt: again.RetryAt}
	same(w, "moved back", mustGet[[]store.Open](w)(w.Waiting(w.ctx, ep, store.Moment{}, 99)), append(want[1:5:5], last))
}

func payloadsComeInTheOrderOfKeys(w *world) {
	tenant := w.tenant()
	keys := make([]store.EventKey, 4)
	for i := range keys {
		accept := w.accept(tenant)
		accept.Payload = fmt.Appendf(nil, "payload %d", i)
		keys[i] = w.verdict(accept).Event
	}
	asked := []store.EventKey{keys[3], 999_999, keys[0], keys[3], 0, -1, keys[1]}
	found := mustGet[[]store.Payload](w)(w.Payloads(w.ctx, asked))
	payload := func(i int) store.Payload {
		return store.Payload{Event: keys[i], Type: "invoice.paid", Body: fmt.Appendf(nil, "payload %d", i), AcceptedAt: w.now}
	}
	same(w, "Payloads", found, []store.Payload{payload(3), {}, payload(0), payload(3), {}, {}, payload(1)})
	same(w, "of none", len(mustGet[[]store.Payload](w)(w.Payloads(w.ctx, nil))), 0)
}
