package storetest

import (
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func everythingSurvivesReopen(w *world, reopen func() *world) {
	made := mustGet[store.Instance](w)(w.InitInstance(w.ctx, store.Instance{SealedIDSecret: []byte("sealed"), CreatedAt: w.now}))
	w.must(w.SetPaused(w.ctx, true))
	made.Paused = true
	token := w.newToken(0)
	mustGet[bool](w)(w.InitToken(w.ctx, token))
	w.must(w.RefuseToken(w.ctx, [32]byte{9}, w.now.Add(time.Hour), w.now))
	tenant := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, tenant, nil))
	portal := w.portalToken(tenant.Key, "a")
	w.insertTokens(portal)
	w.must(w.ExpireTokens(w.ctx, tenant.Key, store.Expiry{Now: w.now, At: portal.ExpiresAt}))
	ep := w.newEndpoint(tenant.Key, "primary")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	typed := w.types("invoice.paid")[0]
	events := w.publish(3, tenant.Key, ep.Key)
	w.record(w.outcome(tenant.Key, ep.Key, events[0], 0, webhook.Succeeded), w.outcome(tenant.Key, ep.Key, events[1], 0, webhook.Waiting))
	failing := w.outcome(tenant.Key, ep.Key, events[1], 1, webhook.Waiting)
	failing.Failing = &store.Failing{Since: w.now, Told: 50}
	w.record(failing)
	var deliveries []store.DeliveryRecord
	for _, event := range events {
		deliveries = append(deliveries, w.delivery(ep.Key, event))
	}
	listed := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep.Key, store.AttemptFilter{WithResponse: true}, store.Page{Limit: 9}))

	w = reopen()
	same(w, "instance", mustGet[store.Instance](w)(w.Instance(w.ctx)), made)
	same(w, "token", mustGet[store.Token](w)(w.Token(w.ctx, token.Hash, w.now)), token)
	same(w, "portal's token", mustGet[store.Token](w)(w.Token(w.ctx, portal.Hash, w.now)), portal)
	same(w, "refused", mustGet[bool](w)(w.Refused(w.ctx, store.SignedToken{Hash: [32]byte{9}}, w.now)), true)
	same(w, "expired", mustGet[bool](w)(w.Refused(w.ctx, store.SignedToken{Tenant: tenant.Key}, portal.ExpiresAt)), true)
	same(w, "tenant", mustGet[store.Tenant](w)(w.TenantByUID(w.ctx, organisation, "acme")), tenant)
	same(w, "endpoint", mustGet[store.Endpoint](w)(w.EndpointByUID(w.ctx, tenant.Key, "primary")), ep)
	same(w, "event type", w.eventType("invoice.paid"), typed)
	same(w, "failing", w.failing(), []store.FailingEndpoint{{Endpoint: ep.Key, Failing: store.Failing{Since: w.now, Told: 50}}})
	for i, event := range events {
		same(w, "delivery", w.delivery(ep.Key, event), deliveries[i])
		same(w, "payload", string(mustGet[store.Event](w)(w.Event(w.ctx, tenant.Key, event)).Payload), `{"n":1}`)
	}
	same(w, "attempts", mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep.Key, store.AttemptFilter{WithResponse: true}, store.Page{Limit: 9})), listed)
}

func replayedAcrossReopen(w *world, reopen func() *world) {
	tenant := w.tenant()
	accept := w.accept(tenant)
	accept.Once = w.once(1, time.Hour)
	first := w.verdict(accept)
	change := w.once(2, time.Hour)
	w.must(w.InsertTenant(w.ctx, w.newTenant(""), change))

	w = reopen()
	w.now = w.now.Add(59 * time.Minute)
	same(w, "ReplayEvent", w.repeat(accept.Once).Event, first.Event)
	same(w, "event", w.verdict(accept), store.Verdict{Kind: store.Replayed, Event: first.Event, AcceptedAt: first.AcceptedAt})
	w.replayed("change", w.InsertTenant(w.ctx, w.newTenant(""), change), store.ReplayError{Answer: []byte("answer")})
	w = reopen()
	w.now = w.now.Add(time.Hour)
	same(w, "expired", w.verdict(accept).Kind, store.Accepted)
}

func keysAscendAcrossReopen(w *world, reopen func() *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	var event store.EventKey
	var key int64
	for round := range 5 {
		drawn := w.key() // and not used
		if drawn <= key {
			w.Fatalf("round %d: key %d behind %d", round, drawn, key)
		}
		key = drawn
		published := w.publish(1, tenant, ep)[0]
		if published <= event {
			w.Fatalf("round %d: event %d behind %d", round, published, event)
		}
		event = published
		w.record(w.outcome(tenant, ep, event, 0, webhook.Succeeded))
		w = reopen()
	}
	listed := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep, store.AttemptFilter{}, store.Page{Limit: 9}))
	last := store.AttemptKey(0)
	var of []store.EventKey
	for _, attempt := range listed.Items {
		if attempt.Key <= last {
			w.Errorf("attempt %d behind %d", attempt.Key, last)
		}
		last = attempt.Key
		of = append(of, attempt.Event)
	}
	same(w, "attempts", len(of), 5)
}

func routesVersionCountsAcrossReopen(w *world, reopen func() *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	before := w.accept(tenant, ep)
	w = reopen()
	same(w, "still counts", w.verdict(before).Kind, store.Accepted)
	w.must(w.DeleteEndpoint(w.ctx, tenant, ep, w.now))
	w = reopen()
	same(w, "has changed", w.verdict(before).Kind, store.Rerouted)
}

func backlogSurvivesReopen(w *world, reopen func() *world) {
	tenant := w.tenant()
	var lanes []store.Lane
	want := make(map[store.EndpointKey][]store.EventKey)
	for range 3 {
		ep := w.endpoint(tenant)
		lanes = append(lanes, store.Lane{Endpoint: ep, Tenant: tenant})
		want[ep] = w.publish(40, tenant, ep)
		w.record(w.outcome(tenant, ep, want[ep][0], 0, webhook.Waiting))
	}
	w = reopen()
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), lanes)
	for _, lane := range lanes {
		found, _ := freshWalk(w, lane.Endpoint, 7)
		same(w, fmt.Sprint("fresh at ", lane.Endpoint), found, want[lane.Endpoint][1:])
		waiting := mustGet[[]store.Open](w)(w.Waiting(w.ctx, lane.Endpoint, store.Moment{}, 9))
		same(w, "waiting", waiting, []store.Open{{Event: want[lane.Endpoint][0], Tried: 1, RetryAt: w.now.Add(5 * time.Second)}})
	}
}

func sendsSurviveReopen(w *world, reopen func() *world) {
	tenant, ep, event := w.one()
	w.record(w.outcome(tenant, ep, event, 0, webhook.Exhausted))
	w.record(w.sent(w.send(tenant, ep, event, false), 0, webhook.Succeeded))
	recovered := w.delivery(ep, event)
	want := []store.Send{w.send(tenant, ep, event, true), w.send(tenant, ep, event, false)}
	w = reopen()
	same(w, "sends", w.sendsOf(ep), want)
	same(w, "lanes", mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9)), []store.Lane{{Endpoint: ep, Tenant: tenant}})
	same(w, "recovered", w.delivery(ep, event), recovered)
	if again := w.send(tenant, ep, event, false); again.Key <= want[1].Key {
		w.Errorf("send key %d behind %d", again.Key, want[1].Key)
	}
}

func deferredAndOutboxSurviveReopen(w *world, reopen func() *world) {
	tenant := w.tenant()
	event := w.deferred(tenant, time.Hour)
	due := w.now.Add(time.Hour)
	w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(tenant, ""), nil, store.Announcement{Type: "a", Payload: []byte("{}")}))
	rows := w.outbox()
	w = reopen()
	same(w, "outbox", w.outbox(), rows)
	_, next := w.due(9)
	same(w, "next", next, due)
	w.must(w.DeleteOutbox(w.ctx, []store.OutboxKey{rows[0].Key}))
	w = reopen()
	w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(tenant, ""), nil, store.Announcement{Type: "b"}))
	if key := w.outbox()[0].Key; key <= rows[0].Key {
		w.Errorf("key %d was in use", key)
	}
	w.now = due
	keys, _ := w.due(9)
	same(w, "due", keys, []store.EventKey{event})
}
