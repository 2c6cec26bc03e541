package storetest

import (
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func (w *world) outbox() []store.Announced {
	w.Helper()
	rows, err := w.Outbox(w.ctx, 0, 99)
	w.must(err)
	return rows
}

// announced are the types in the outbox.
func (w *world) announced() (types []string) {
	w.Helper()
	for _, row := range w.outbox() {
		types = append(types, row.Type)
	}
	return types
}

func announcementComesBackAsStored(w *world) {
	tenant := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, tenant, nil))
	ep := w.newEndpoint(tenant.Key, "hook")
	whole := store.Announcement{
		Tenant: 5, Organisation: "org_b", TenantUID: "t", UID: "u", Type: "a.b", Channels: []string{"eu"}, Tags: []string{"x"},
		DeliverAt: w.now.Add(time.Hour), PayloadTTL: 5 * 24 * time.Hour, Payload: []byte(`{"n":1}`), Details: []byte("{}"),
		Once:  w.announcedOnce(1),
		About: store.About{Tenant: tenant.Key, Endpoint: ep.Key, Event: 7, Attempt: 8},
	}
	empty := store.Announcement{Type: "c", Payload: []byte{}, Channels: []string{}, Tags: []string{}}
	least := store.Announcement{Type: "d"}
	w.must(w.InsertEndpoint(w.ctx, ep, nil, whole, empty, least))
	got := w.outbox()
	same(w, "rows", len(got), 3)
	subject := store.Subject{
		Organisation: organisation, TenantUID: "acme", TenantCreatedAt: w.now, EndpointUID: "hook", EndpointCreatedAt: w.now,
	}
	empty.Channels, empty.Tags = nil, nil
	for i, want := range []store.Announced{{Announcement: whole, Subject: subject}, {Announcement: empty}, {Announcement: least}} {
		want.Key = got[i].Key
		same(w, "row", got[i], want)
	}
	same(w, "count", mustGet[int](w)(w.CountOutbox(w.ctx, 9)), 3)
	same(w, "count up to", mustGet[int](w)(w.CountOutbox(w.ctx, 2)), 2)
}

func outboxPages(w *world) {
	tenant := w.tenant()
	var want []store.Announced
	for range 5 {
		w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(tenant, ""), nil, store.Announcement{Type: "a"}, store.Announcement{Type: "b"}))
	}
	want = w.outbox()
	same(w, "rows", len(want), 10)
	var got []store.Announced
	for after := store.OutboxKey(0); ; after = got[len(got)-1].Key {
		page := mustGet[[]store.Announced](w)(w.Outbox(w.ctx, after, 3))
		got = append(got, page...)
		if len(page) < 3 {
			break
		}
	}
	same(w, "pages", got, want)
}

func announcementIsStoredWithItsChange(w *world) {
	tenant := w.tenant()
	ep := w.newEndpoint(tenant, "hook")
	once := w.once(1, time.Hour)
	w.must(w.InsertEndpoint(w.ctx, ep, once, store.Announcement{Type: "made"}))
	w.replayed("repeat", w.InsertEndpoint(w.ctx, ep, once, store.Announcement{Type: "no"}), store.ReplayError{Answer: []byte("answer")})
	w.is("taken", w.InsertEndpoint(w.ctx, w.newEndpoint(tenant, "hook"), nil, store.Announcement{Type: "no"}), store.ErrConflict)
	w.is("no tenant", w.InsertEndpoint(w.ctx, w.newEndpoint(999_999, ""), nil, store.Announcement{Type: "no"}), store.ErrNotFound)
	w.is("stale", w.UpdateEndpoint(w.ctx, ep, nil, store.Announcement{Type: "no"}), store.ErrStale)
	ep.Version++
	w.must(w.UpdateEndpoint(w.ctx, ep, nil, store.Announcement{Type: "changed"}, store.Announcement{Type: "and more"}))
	w.is("no endpoint", w.DeleteEndpoint(w.ctx, tenant, 999_999, w.now, store.Announcement{Type: "no"}), store.ErrNotFound)
	w.must(w.DeleteEndpoint(w.ctx, tenant, ep.Key, w.now, store.Announcement{Type: "deleted"}))
	w.is("again", w.DeleteEndpoint(w.ctx, tenant, ep.Key, w.now, store.Announcement{Type: "no"}), store.ErrNotFound)
	same(w, "announced", w.announced(), []string{"made", "changed", "and more", "deleted"})
}

func announcementIsAboutItsOutcome(w *world) {
	tenant := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, tenant, nil))
	ep := w.newEndpoint(tenant.Key, "hook")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	accept := w.accept(tenant.Key, ep.Key)
	accept.UID = "order-1"
	event := w.verdict(accept).Event
	accepted := w.now
	w.now = w.now.Add(time.Minute)
	o := w.outcome(tenant.Key, ep.Key, event, 0, webhook.Exhausted)
	o.Announce = &store.Announcement{Type: "exhausted"}
	w.record(w.outcome(tenant.Key, ep.Key, event+1000, 0, webhook.Waiting), o)
	attempts := mustGet[store.Listed[store.LoggedAttempt]](w)(w.AttemptsOfEvent(w.ctx, event, store.AttemptFilter{}, store.Page{Limit: 9}))
	same(w, "attempts", len(attempts.Items), 1)
	rows := w.outbox()
	same(w, "rows", rows, []store.Announced{{
		Key: rows[0].Key, Announcement: store.Announcement{
			Type: "exhausted", About: store.About{Tenant: tenant.Key, Endpoint: ep.Key, Event: event, Attempt: attempts.Items[0].Key},
		},
		Subject: store.Subject{
			Organisation: organisation, TenantUID: "acme", TenantCreatedAt: accepted, EndpointUID: "hook", EndpointCreatedAt: accepted,
			EventUID: "order-1", EventAcceptedAt: accepted, StatusCode: 503, StartedAt: w.now,
		},
	}})
	w.must(w.DeleteTenant(w.ctx, tenant.Key, w.now))
	same(w, "of what is deleted", w.outbox(), rows)
}

func outcomeThatChangesNothingAnnouncesNothing(w *world) {
	tenant, ep, event := w.one()
	announce := func(name string, o store.Outcome) store.Outcome {
		o.Announce = &store.Announcement{Type: name}
		return o
	}
	w.record(announce("moved", w.outcome(tenant, ep, event, 0, webhook.Waiting)))
	w.record(announce("moved before", w.outcome(tenant, ep, event, 0, webhook.Waiting)))
	manual := announce("manual", w.outcome(tenant, ep, event, 1, webhook.Exhausted))
	manual.Attempt.Trigger = webhook.Manual
	w.record(manual)
	w.record(announce("closed late", w.outcome(tenant, ep, event, 7, webhook.Succeeded)))
	w.record(announce("ended before", w.outcome(tenant, ep, event, 2, webhook.Succeeded)))
	same(w, "announced", w.announced(), []string{"moved", "closed late"})
}

func failingIsAnnouncedWhereItIsKept(w *world) {
	tenant, ep, event := w.one()
	about := store.About{Tenant: tenant, Endpoint: ep}
	mark := func(failing store.Failing) {
		o := w.outcome(tenant, ep, event, 9, webhook.Waiting) // of another try: its word counts
		o.Failing, o.AnnounceFailing = &failing, &store.Announcement{Type: "failing", Details: []byte("50")}
		w.record(o)
	}
	mark(store.Failing{Since: w.now, Told: 50})
	rows := w.outbox()
	same(w, "rows", len(rows), 1)
	same(w, "about", rows[0].About, about)
	same(w, "details", string(rows[0].Details), "50")
	mark(store.Failing{})
	same(w, "one that works", len(w.outbox()), 1)
	found := mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, tenant, ep))
	found.Disabled, found.Version = true, found.Version+1
	w.must(w.UpdateEndpoint(w.ctx, found, nil))
	mark(store.Failing{Since: w.now, Told: 90})
	same(w, "disabled meanwhile", len(w.outbox()), 1)
}

func announcedEventIsAcceptedOnce(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	for range 3 {
		w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(tenant, ""), nil, store.Announcement{Type: "a"}))
	}
	rows := w.outbox()
	stale := w.accept(tenant, ep)
	stale.From, stale.RouteVersion = rows[0].Key, 99
	same(w, "not accepted", w.verdict(stale).Kind, store.Rerouted)
	same(w, "so it stays", len(w.outbox()), 3)

	accept := w.accept(tenant, ep)
	accept.From = rows[0].Key
	verdicts := w.commit(accept, accept)
	same(w, "one of two", w.kinds(verdicts), []store.VerdictKind{store.Accepted, store.Gone})
	same(w, "delivery", w.delivery(ep, verdicts[0].Event).State, webhook.Pending)
	same(w, "again", w.verdict(accept), store.Verdict{Kind: store.Gone})
	later := w.accept(tenant)
	later.From, later.DeliverAt = rows[1].Key, w.now.Add(time.Hour)
	same(w, "deferred", w.verdict(later).Kind, store.Accepted)
	same(w, "left", len(w.outbox()), 1)

	w.must(w.DeleteOutbox(w.ctx, []store.OutboxKey{rows[0].Key, rows[2].Key, rows[2].Key + 1000}))
	same(w, "deleted", len(w.outbox()), 0)
	same(w, "last key", mustGet[store.OutboxKey](w)(w.LastOutbox(w.ctx)), rows[2].Key)
	accept.From = rows[2].Key
	same(w, "and not accepted", w.verdict(accept), store.Verdict{Kind: store.Gone})
	w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(tenant, ""), nil, store.Announcement{Type: "a"}))
	if next := w.outbox()[0].Key; next <= rows[2].Key {
		w.Errorf("key %d is not above %d, which was in use", next, rows[2].Key)
	}
}

func deletingFromTheOutboxIsAnnounced(w *world) {
	tenant := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, tenant, nil))
	same(w, "last key before any", mustGet[store.OutboxKey](w)(w.LastOutbox(w.ctx)), 0)
	w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(tenant.Key, ""), nil, store.Announcement{Type: "a"}, store.Announcement{Type: "b"}))
	refused := store.Announcement{Type: "refused", Details: []byte("why"), About: store.About{Tenant: tenant.Key}}
	w.must(w.DeleteOutbox(w.ctx, []store.OutboxKey{w.outbox()[0].Key}, refused))
	rows := w.outbox()
	same(w, "rows", len(rows), 2)
	same(w, "left", rows[0].Type, "b")
	same(w, "announced", rows[1].Announcement, refused)
}

// announcedOnce is a Once as the outbox keeps it.
func (w *world) announcedOnce(number uint64) *store.Once {
	once := w.once(number, 90*time.Minute)
	once.Now, once.Answer = time.Time{}, nil
	return once
}

func announcedUnderAOnceIsAcceptedOnce(w *world) {
	tenant := w.tenant()
	other := w.announcedOnce(1)
	other.Body[0]++
	for _, once := range []*store.Once{w.announcedOnce(1), w.announcedOnce(1), other} {
		w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(tenant, ""), nil, store.Announcement{Type: "a", Once: once}))
	}
	rows := w.outbox()
	same(w, "rows", len(rows), 3)
	accepts := make([]store.Accept, len(rows))
	for i, row := range rows {
		accepts[i] = w.accept(tenant)
		accepts[i].From, accepts[i].Once = row.Key, row.Once
	}
	verdicts := w.commit(accepts...)
	same(w, "verdicts", w.kinds(verdicts), []store.VerdictKind{store.Accepted, store.Replayed, store.Mismatched})
	same(w, "repeat", verdicts[1].Event, verdicts[0].Event)
	same(w, "left", len(w.outbox()), 2)
	live := w.accept(tenant)
	live.Once = w.once(1, 90*time.Minute)
	same(w, "published without the outbox", w.verdict(live), store.Verdict{Kind: store.Replayed, Event: verdicts[0].Event, AcceptedAt: w.now})
}
