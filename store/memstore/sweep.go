package memstore

import (
	"cmp"
	"context"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Sweep lets go of all that has had its time, whatever the budget.
func (s *Store) Sweep(ctx context.Context, now time.Time, defaults webhook.Retention, _ time.Duration) (store.Swept, error) {
	return put(ctx, s, "Sweep", func(db *state) (swept store.Swept, _ error) {
		for key, attempt := range db.attempts {
			if past(attempt.StartedAt, db.kept(db.events[attempt.Event].Tenant, defaults).Attempts, now) {
				db.swept(db.events[attempt.Event].Tenant, attempt.StartedAt, time.Time{})
				delete(db.attempts, key)
				swept.Attempts++
			}
		}
		for _, key := range sorted(db.events) {
			db.sweepEvent(db.events[key], now, defaults, &swept)
		}
		for hash, made := range db.once {
			if past(made.at, made.ttl, now) {
				delete(db.once, hash)
			}
		}
		db.sweepDirectory()
		swept.Next = db.nextDue(defaults)
		return swept, nil
	})
}

// kept is how long what a tenant's events leave behind is kept.
func (db *state) kept(tenant store.TenantKey, defaults webhook.Retention) webhook.Retention {
	if t := db.tenants[tenant]; t != nil {
		defaults = t.Retention.WithDefaults(defaults)
	}
	return defaults
}

func past(since time.Time, kept time.Duration, now time.Time) bool {
	return !since.Add(kept).After(now)
}

func (db *state) sweepEvent(ev *store.Event, now time.Time, defaults webhook.Retention, swept *store.Swept) {
	kept := db.kept(ev.Tenant, defaults)
	if ev.PayloadTTL != 0 {
		kept.Payloads = ev.PayloadTTL
	}
	switch {
	case db.unfinished(ev.Key):
	case past(ev.AcceptedAt, kept.Events, now):
		db.sweptWhole(ev)
		db.forget(ev.Key)
		swept.Events++
	case past(ev.AcceptedAt, kept.Payloads, now) && ev.Payload != nil:
		ev.Payload = nil
		swept.Payloads++
	}
}

// sweptWhole tells the rollups of all that goes with an event.
func (db *state) sweptWhole(ev *store.Event) {
	db.swept(ev.Tenant, time.Time{}, ev.AcceptedAt)
	for _, deliveries := range db.deliveries {
		if d := deliveries[ev.Key]; d != nil {
			db.swept(ev.Tenant, time.Time{}, d.EndedAt)
			db.swept(ev.Tenant, time.Time{}, d.RecoveredAt)
		}
	}
	for _, attempt := range db.attempts {
		if attempt.Event == ev.Key {
			db.swept(ev.Tenant, attempt.StartedAt, time.Time{})
		}
	}
}

// nextDue is when the next payload, attempt or event has had its time.
func (db *state) nextDue(defaults webhook.Retention) (next time.Time) {
	soonest := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, attempt := range db.attempts {
		soonest(attempt.StartedAt.Add(db.kept(db.events[attempt.Event].Tenant, defaults).Attempts))
	}
	for _, ev := range db.events {
		if db.unfinished(ev.Key) {
			continue
		}
		kept := db.kept(ev.Tenant, defaults)
		if soonest(ev.AcceptedAt.Add(kept.Events)); ev.Payload != nil {
			soonest(ev.AcceptedAt.Add(cmp.Or(ev.PayloadTTL, kept.Payloads)))
		}
	}
	return next
}

// unfinished says that there is still something to do for an event.
func (db *state) unfinished(event store.EventKey) bool {
	for _, deliveries := range db.deliveries {
		if d := deliveries[event]; d != nil && !d.State.Ended() {
			return true
		}
	}
	for _, send := range db.sends {
		if send.Event == event {
			return true
		}
	}
	_, deferred := db.deferred[event]
	return deferred
}

// forget deletes an event and all that is kept of it.
func (db *state) forget(event store.EventKey) {
	for _, deliveries := range db.deliveries {
		delete(deliveries, event)
	}
	for key, attempt := range db.attempts {
		if attempt.Event == event {
			delete(db.attempts, key)
		}
	}
	for key, send := range db.sends {
		if send.Event == event {
			delete(db.sends, key)
		}
	}
	delete(db.deferred, event)
	delete(db.events, event)
}

// sweepDirectory forgets the deleted tenants and endpoints that nothing refers to.
func (db *state) sweepDirectory() {
	referred, peopled := make(map[store.EndpointKey]bool), make(map[store.TenantKey]bool)
	for endpoint, deliveries := range db.deliveries {
		referred[endpoint] = len(deliveries) > 0
	}
	for _, attempt := range db.attempts {
		referred[attempt.Endpoint] = true
	}
	for _, send := range db.sends {
		referred[send.Endpoint] = true
	}
	for _, event := range db.events {
		peopled[event.Tenant] = true
	}
	for key, ep := range db.endpoints {
		if ep.deleted && !referred[key] {
			delete(db.endpoints, key)
			delete(db.deliveries, key)
			continue
		}
		peopled[ep.Tenant] = true
	}
	for key, t := range db.tenants {
		if t.deleted && !peopled[key] && !db.expunging(key) {
			db.forgetCounts(key)
			delete(db.tenants, key)
		}
	}
}
