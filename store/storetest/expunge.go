package storetest

import (
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func turn(tenant store.TenantKey, ep store.EndpointKey, event store.EventKey) store.Turn {
	return store.Turn{Tenant: tenant, DeliveryRef: store.DeliveryRef{Endpoint: ep, Event: event}}
}

func expungedPayloadIsGone(w *world) {
	tenant, stranger := w.tenant(), w.tenant()
	a, b, c := w.endpoint(tenant), w.endpoint(tenant), w.endpoint(tenant)
	events := w.publish(2, tenant, a, b, c)
	event, neighbour := events[0], events[1]
	w.record(w.outcome(tenant, a, event, 0, webhook.Exhausted), w.outcome(tenant, c, event, 0, webhook.Waiting))
	send := w.send(tenant, a, event, true)
	_, err := w.ExpungePayload(w.ctx, w.now, stranger, event)
	w.is("of another tenant", err, store.ErrNotFound)
	same(w, "nothing has happened", w.left(tenant, event), []string{"paae"})

	w.now = w.now.Add(time.Minute)
	open := mustGet[[]store.Turn](w)(w.ExpungePayload(w.ctx, w.now, tenant, event))
	sent := turn(tenant, a, event)
	sent.Send = send.Key
	same(w, "what was open", open, []store.Turn{turn(tenant, b, event), turn(tenant, c, event), sent})
	same(w, "left", w.left(tenant, event, neighbour), []string{"aae", "pe"})
	same(w, "one that had ended", w.delivery(a, event).State, webhook.Exhausted)
	same(w, "one that was fresh", w.delivery(b, event), store.DeliveryRecord{
		Endpoint: b, Event: event, State: webhook.Cancelled, Reason: webhook.PayloadExpunged, EndedAt: w.now,
	})
	same(w, "one that waited", w.delivery(c, event).Reason, webhook.PayloadExpunged)
	same(w, "sends", len(w.sendsOf(a)), 0)
	same(w, "its neighbour", w.delivery(b, neighbour).State, webhook.Pending)
	same(w, "once more", len(mustGet[[]store.Turn](w)(w.ExpungePayload(w.ctx, w.now, tenant, event))), 0)
	_, _, err = w.InsertSends(w.ctx, w.now, []store.Send{{Tenant: tenant, Endpoint: a, Event: event, DueAt: w.now}}, nil, nil)
	w.is("sent again", err, store.ErrNotFound)
	w.must(w.Scrub(w.ctx))
}

func expungedDeferredEventIsCancelled(w *world) {
	tenant := w.tenant()
	event := w.deferred(tenant, time.Hour)
	same(w, "open", len(mustGet[[]store.Turn](w)(w.ExpungePayload(w.ctx, w.now, tenant, event))), 0)
	same(w, "cancelled", mustGet[store.Event](w)(w.Event(w.ctx, tenant, event)).CancelledAt, w.now)
	w.now = w.now.Add(2 * time.Hour)
	keys, _ := w.due(9)
	same(w, "due", len(keys), 0)
}

func expungedResponseIsGone(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	event := w.publish(1, tenant, ep)[0]
	other := w.publish(1, tenant, ep)[0]
	w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting), w.outcome(tenant, ep, event, 1, webhook.Waiting))
	attempts := func() []store.LoggedAttempt {
		w.Helper()
		return mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsOfEvent(w.ctx, event, store.AttemptFilter{WithResponse: true}, store.Page{Limit: 9})).Items
	}
	before := attempts()
	w.is("of another event", w.ExpungeResponse(w.ctx, other, before[0].Key), store.ErrNotFound)
	w.is("no such attempt", w.ExpungeResponse(w.ctx, event, before[1].Key+1), store.ErrNotFound)
	same(w, "nothing has happened", attempts(), before)
	w.must(w.ExpungeResponse(w.ctx, event, before[0].Key))
	want := before
	want[0].Response, want[0].Expunged = nil, true
	same(w, "attempts", attempts(), want)
	one := mustGet[store.LoggedAttempt](w)(w.Attempt(w.ctx, event, want[0].Key))
	same(w, "the attempt", one, want[0])
	withoutResponse := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsAtEndpoint(w.ctx, ep, store.AttemptFilter{}, store.Page{Limit: 9})).Items
	same(w, "without responses", []bool{withoutResponse[0].Expunged, withoutResponse[1].Expunged}, []bool{true, false})
	w.must(w.ExpungeResponse(w.ctx, event, before[0].Key))
}

func expungedEventIsNowhere(w *world) {
	tenant, stranger := w.tenant(), w.tenant()
	a, b := w.endpoint(tenant), w.endpoint(tenant)
	accept := w.accept(tenant, a, b)
	accept.UID, accept.PayloadTTL = "order-1", 5*day
	event := w.verdict(accept).Event
	neighbour := w.publish(1, tenant, a, b)[0]
	w.record(w.outcome(tenant, a, event, 0, webhook.Exhausted))
	send := w.send(tenant, a, event, true)
	_, err := w.ExpungeEvent(w.ctx, w.now, stranger, event)
	w.is("of another tenant", err, store.ErrNotFound)
	same(w, "nothing has happened", w.left(tenant, event), []string{"pae"})
	sent := turn(tenant, a, event)
	sent.Send = send.Key
	same(w, "what was open", mustGet[[]store.Turn](w)(w.ExpungeEvent(w.ctx, w.now, tenant, event)), []store.Turn{turn(tenant, b, event), sent})
	w.isNowhere(tenant, event, "order-1", a, b)
	same(w, "its neighbour", w.left(tenant, neighbour), []string{"pe"})
	_, err = w.ExpungeEvent(w.ctx, w.now, tenant, event)
	w.is("once more", err, store.ErrNotFound)
	w.record(w.outcome(tenant, b, event, 0, webhook.Succeeded), w.sent(send, 0, webhook.Exhausted)) // they were in flight
	w.isNowhere(tenant, event, "order-1", a, b)
	deferred := w.deferred(tenant, time.Hour)
	mustGet[[]store.Turn](w)(w.ExpungeEvent(w.ctx, w.now, tenant, deferred))
	w.now = w.now.Add(2 * time.Hour)
	keys, _ := w.due(9)
	same(w, "due", len(keys), 0)
	w.sweep(40*day, keep)
	same(w, "swept", w.left(tenant, event, deferred), []string{"-", "-"})
}

// expunge does all of one, a step at a time, and returns what was open.
func (w *world) expunge(key store.ExpungeKey) (open []store.Turn) {
	w.Helper()
	for range 10_000 {
		some, done, err := w.ExpungeStep(w.ctx, w.now, key, 0)
		w.must(err)
		open = append(open, some...)
		if done {
			return open
		}
	}
	w.Fatal("the expunge has no end")
	return nil
}

func expungedPayloadsAreGone(w *world) {
	tenant, other := w.tenant(), w.tenant()
	ep, elsewhere := w.endpoint(tenant), w.endpoint(other)
	var mine, theirs []store.EventKey
	for range 50 {
		mine = append(mine, w.publish(2, tenant, ep)...)
		theirs = append(theirs, w.publish(1, other, elsewhere)...)
	}
	w.record(w.outcome(tenant, ep, mine[0], 0, webhook.Succeeded), w.outcome(tenant, ep, mine[1], 0, webhook.Waiting))
	_, err := w.InsertExpunge(w.ctx, "org_other", store.Expunge{Tenant: tenant, AskedAt: w.now})
	w.is("of another organisation", err, store.ErrNotFound)
	asked := mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant, AskedAt: w.now}))
	same(w, "listed", mustGet[[]store.Expunge](w)(w.Expunges(w.ctx, 0, 9)), []store.Expunge{asked})
	same(w, "behind it", len(mustGet[[]store.Expunge](w)(w.Expunges(w.ctx, asked.Key, 9))), 0)
	later := w.publish(1, tenant, ep)[0]
	open := w.expunge(asked.Key)
	same(w, "open", len(open), 99)
	same(w, "the first of them", open[0], turn(tenant, ep, mine[1]))
	same(w, "mine", w.left(tenant, mine[:3]...), []string{"ae", "ae", "e"})
	for _, left := range w.left(tenant, mine[3:]...) {
		same(w, "mine", left, "e")
	}
	for _, left := range w.left(other, theirs...) {
		same(w, "theirs", left, "pe")
	}
	same(w, "published later", w.left(tenant, later), []string{"pe"})
	same(w, "listed", len(mustGet[[]store.Expunge](w)(w.Expunges(w.ctx, 0, 9))), 0)
	_, done, err := w.ExpungeStep(w.ctx, w.now, asked.Key, 0)
	w.must(err)
	same(w, "one that is done", done, true)
}

func sameExpungeIsOne(w *world) {
	tenant, other := w.tenant(), w.tenant()
	first := mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant, AskedAt: w.now}))
	event := w.publish(1, tenant)[0]
	again := mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant, AskedAt: w.now.Add(time.Minute)}))
	same(w, "key", again.Key, first.Key)
	if again.Through < event {
		w.Errorf("through %d, and event %d was there", again.Through, event)
	}
	theirs := mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: other, AskedAt: w.now}))
	all := mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant, Everything: true, AskedAt: w.now}))
	same(w, "listed", len(mustGet[[]store.Expunge](w)(w.Expunges(w.ctx, 0, 9))), 3)
	w.expunge(all.Key)
	same(w, "with the tenant", mustGet[[]store.Expunge](w)(w.Expunges(w.ctx, 0, 9)), []store.Expunge{theirs})
}

func jobCountsWhatItsExpungeDeletes(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	var mine []store.EventKey
	for range 20 {
		mine = append(mine, w.publish(2, tenant, ep)...)
	}
	mustGet[[]store.Turn](w)(w.ExpungePayload(w.ctx, w.now, tenant, mine[7]))
	job := w.job(tenant, 0)
	later := w.publish(1, tenant, ep)[0]
	insert := func(job store.JobKey) (store.Expunge, error) {
		return w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant, Job: job, AskedAt: w.now})
	}
	_, err := insert(999_999)
	w.is("of no job", err, store.ErrNotFound)
	asked := mustGet[store.Expunge](w)(insert(job.Key))
	same(w, "through", asked.Through, job.Through)
	same(w, "again", mustGet[store.Expunge](w)(insert(job.Key)), asked)
	other := mustGet[store.Expunge](w)(insert(0))
	same(w, "listed", mustGet[[]store.Expunge](w)(w.Expunges(w.ctx, 0, 9)), []store.Expunge{asked, other})
	same(w, "open", len(w.expunge(asked.Key)), 39)
	same(w, "published later", w.left(tenant, later), []string{"pe"})
	same(w, "counted", w.jobNow(job.Key).Made, 39)
	same(w, "it runs, as it was", w.jobNow(job.Key).Version, job.Version)
	w.expunge(other.Key)
	same(w, "published later", w.left(tenant, later), []string{"e"})
	same(w, "counted", w.jobNow(job.Key).Made, 39)
	again := mustGet[store.Expunge](w)(insert(job.Key))
	w.expunge(again.Key)
	same(w, "counted once", w.jobNow(job.Key).Made, 39)

	spared := w.publish(1, tenant, ep)[0]
	cancelled := w.job(tenant, 0)
	late := mustGet[store.Expunge](w)(insert(cancelled.Key))
	mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, cancelled.Key, "", w.now))
	same(w, "of one that has ended", len(w.expunge(late.Key)), 0)
	same(w, "it deletes nothing", w.left(tenant, spared), []string{"pe"})
	same(w, "and is done", len(mustGet[[]store.Expunge](w)(w.Expunges(w.ctx, 0, 9))), 0)
}

func expungedTenantIsNowhere(w *world) {
	stays := w.tenant()
	elsewhere := w.endpoint(stays)
	tenant := w.newTenant("acme")
	once := w.once(1, time.Hour)
	w.must(w.InsertTenant(w.ctx, tenant, once))
	ep := w.newEndpoint(tenant.Key, "primary")
	w.must(w.InsertEndpoint(w.ctx, ep, w.once(2, time.Hour)))
	deleted := w.endpoint(tenant.Key)
	var mine, theirs []store.EventKey
	for range 40 {
		mine = append(mine, w.publish(2, tenant.Key, ep.Key, deleted)...)
		theirs = append(theirs, w.publish(1, stays, elsewhere)...)
	}
	w.record(w.outcome(tenant.Key, ep.Key, mine[0], 0, webhook.Exhausted), w.outcome(tenant.Key, ep.Key, mine[1], 0, webhook.Waiting))
	w.must(w.DeleteEndpoint(w.ctx, tenant.Key, deleted, w.now))
	w.send(tenant.Key, ep.Key, mine[0], true)
	w.deferred(tenant.Key, time.Hour)

	asked := mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant.Key, Everything: true, AskedAt: w.now}))
	_, err := w.Tenant(w.ctx, organisation, tenant.Key)
	w.is("Tenant, at once", err, store.ErrNotFound)
	accept := w.accept(stays)
	accept.Tenant = tenant.Key
	same(w, "nothing new", w.verdict(accept).Kind, store.TenantGone)
	same(w, "open", len(w.expunge(asked.Key)), 2*len(mine)-1+1)
	for _, left := range w.left(tenant.Key, mine...) {
		same(w, "mine", left, "-")
	}
	for _, left := range w.left(stays, theirs...) {
		same(w, "theirs", left, "pe")
	}
	lanes := mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9))
	same(w, "lanes", lanes, []store.Lane{{Endpoint: elsewhere, Tenant: stays}})
	w.now = w.now.Add(30 * time.Minute)
	keys, _ := w.due(9)
	same(w, "due", len(keys), 0)
	_, err = w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant.Key, Everything: true, AskedAt: w.now})
	w.is("the tenant", err, store.ErrNotFound)
	w.must(w.InsertTenant(w.ctx, w.newTenant("acme"), once)) // even the answer under the key
	w.must(w.Scrub(w.ctx))
}

func deletedTenantIsExpunged(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	event := w.publish(1, tenant, ep)[0]
	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	asked := mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant, Everything: true, AskedAt: w.now}))
	same(w, "open", w.expunge(asked.Key), []store.Turn{turn(tenant, ep, event)})
	same(w, "left", w.left(tenant, event), []string{"-"})
	same(w, "lanes", len(mustGet[[]store.Lane](w)(w.Lanes(w.ctx, 0, 9))), 0)
}

// expungeGoesOnAcrossReopen opens the store anew between all steps.
func expungeGoesOnAcrossReopen(w *world, reopen func() *world) {
	tenant, stays := w.tenant(), w.tenant()
	ep, elsewhere := w.endpoint(tenant), w.endpoint(stays)
	var mine, theirs []store.EventKey
	for range 100 {
		mine = append(mine, w.publish(2, tenant, ep)...)
		theirs = append(theirs, w.publish(1, stays, elsewhere)...)
	}
	for _, everything := range []bool{false, true} {
		asked := mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: tenant, Everything: everything, AskedAt: w.now}))
		open, steps := 0, 0
		for done := false; !done; steps++ {
			now := w.now
			w = reopen()
			w.now = now.Add(time.Minute)
			same(w, "listed", mustGet[[]store.Expunge](w)(w.Expunges(w.ctx, 0, 9)), []store.Expunge{asked})
			var some []store.Turn
			var err error
			some, done, err = w.ExpungeStep(w.ctx, w.now, asked.Key, 0)
			w.must(err)
			open += len(some)
		}
		if steps < 2 {
			w.Fatalf("done in %d steps", steps)
		}
		want, wantOpen := "e", len(mine)
		if everything {
			want, wantOpen = "-", 0
		}
		same(w, "open", open, wantOpen)
		for _, left := range w.left(tenant, mine...) {
			same(w, "mine", left, want)
		}
	}
	w = reopen()
	same(w, "listed", len(mustGet[[]store.Expunge](w)(w.Expunges(w.ctx, 0, 9))), 0)
	for _, left := range w.left(stays, theirs...) {
		same(w, "theirs", left, "pe")
	}
}

// sweepGoesOnAcrossReopen opens the store anew between all parts of it.
func sweepGoesOnAcrossReopen(w *world, reopen func() *world) {
	tenant, own := w.tenant(), w.tenant()
	w.keepFor(own, webhook.Retention{Payloads: 10 * day, Attempts: 20 * day, Events: 30 * day})
	ep, ownEp := w.endpoint(tenant), w.endpoint(own)
	open := w.publish(1, tenant, ep)[0]
	events, owns := w.publish(200, tenant, ep)[100:], w.publish(200, own, ownEp)[100:]
	for _, batch := range []struct {
		tenant store.TenantKey
		ep     store.EndpointKey
		events []store.EventKey
	}{{tenant, ep, events}, {own, ownEp, owns}} {
		for _, event := range batch.events {
			w.record(w.outcome(batch.tenant, batch.ep, event, 0, webhook.Exhausted))
		}
	}
	begun := w.now
	for _, check := range []struct {
		at   time.Duration
		want string
	}{{10 * day, "ae"}, {20 * day, "e"}, {30 * day, "-"}} {
		now := begun.Add(check.at + store.MostLate)
		for more := true; more; {
			w = reopen()
			w.now = now
			swept, err := w.Sweep(w.ctx, w.now, keep, 0)
			w.must(err)
			more = swept.More
		}
		for _, left := range append(w.left(tenant, events...), w.left(own, owns...)...) {
			same(w, check.at.String(), left, check.want)
		}
	}
	same(w, "open", w.left(tenant, open), []string{"pe"})
	w = reopen()
	w.now = begun.Add(35 * day)
	w.record(w.outcome(tenant, ep, open, 0, webhook.Succeeded))
	w = reopen()
	w.now = begun.Add(36 * day)
	w.sweep(0, keep)
	same(w, "ended", w.left(tenant, open), []string{"-"})
}
