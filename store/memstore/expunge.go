package memstore

import (
	"context"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// endOpen ends what is open of an event, and returns it.
func (db *state) endOpen(ev *store.Event, now time.Time) (open []store.Turn) {
	for _, endpoint := range sorted(db.deliveries) {
		if d := db.deliveries[endpoint][ev.Key]; d != nil && !d.State.Ended() {
			db.end(d, webhook.Cancelled, webhook.PayloadExpunged, now)
			open = append(open, store.Turn{Tenant: ev.Tenant, DeliveryRef: store.DeliveryRef{Endpoint: endpoint, Event: ev.Key}})
		}
	}
	for _, key := range sorted(db.sends) {
		if send := db.sends[key]; send.Event == ev.Key {
			delete(db.sends, key)
			db.countJob(send.Job, false)
			open = append(open, store.Turn{Tenant: ev.Tenant, DeliveryRef: store.DeliveryRef{Endpoint: send.Endpoint, Event: ev.Key}, Send: key})
		}
	}
	if _, deferred := db.deferred[ev.Key]; deferred {
		delete(db.deferred, ev.Key)
		ev.CancelledAt = instant(now)
	}
	return open
}

func (db *state) expungePayload(ev *store.Event, now time.Time) []store.Turn {
	if ev.Payload == nil {
		return nil
	}
	ev.Payload = nil
	return db.endOpen(ev, now)
}

// eventOf returns an event of a tenant, or ErrNotFound.
func (db *state) eventOf(tenant store.TenantKey, key store.EventKey) (*store.Event, error) {
	if ev := db.events[key]; ev != nil && ev.Tenant == tenant {
		return ev, nil
	}
	return nil, store.ErrNotFound
}

// ExpungePayload deletes the payload of an event, and ends what is open of it.
func (s *Store) ExpungePayload(ctx context.Context, now time.Time, tenant store.TenantKey, event store.EventKey) ([]store.Turn, error) {
	return put(ctx, s, "ExpungePayload", func(db *state) ([]store.Turn, error) {
		ev, err := db.eventOf(tenant, event)
		if err != nil {
			return nil, err
		}
		if ev.Payload != nil {
			db.post(store.Signal{Kind: store.SignalForget, Tenant: tenant, Event: event})
		}
		return db.expungePayload(ev, now), nil
	})
}

// ExpungeResponse deletes what an attempt was answered.
func (s *Store) ExpungeResponse(ctx context.Context, event store.EventKey, attempt store.AttemptKey) error {
	return s.write(ctx, "ExpungeResponse", func(db *state) error {
		logged := db.attempts[attempt]
		if logged == nil || logged.Event != event || db.events[event] == nil {
			return store.ErrNotFound
		}
		logged.Response, logged.Expunged = nil, true
		return nil
	})
}

// ExpungeEvent deletes an event and all that is kept of it.
func (s *Store) ExpungeEvent(ctx context.Context, now time.Time, tenant store.TenantKey, event store.EventKey) ([]store.Turn, error) {
	return put(ctx, s, "ExpungeEvent", func(db *state) ([]store.Turn, error) {
		ev, err := db.eventOf(tenant, event)
		if err != nil {
			return nil, err
		}
		open := db.endOpen(ev, now)
		db.expunged(ev)
		db.forget(event)
		db.post(store.Signal{Kind: store.SignalForget, Tenant: tenant, Event: event})
		return open, nil
	})
}

// expunging says that something large of a tenant is to be deleted.
func (db *state) expunging(tenant store.TenantKey) bool {
	for _, expunge := range db.expunges {
		if expunge.Tenant == tenant {
			return true
		}
	}
	return false
}

// InsertExpunge stores that something large is to be deleted.
func (s *Store) InsertExpunge(ctx context.Context, organisation string, expunge store.Expunge) (store.Expunge, error) {
	return put(ctx, s, "InsertExpunge", func(db *state) (store.Expunge, error) {
		t := db.tenants[expunge.Tenant]
		if t == nil || t.Organisation != organisation {
			return store.Expunge{}, store.ErrNotFound
		}
		if expunge.Everything && !t.deleted {
			if err := db.deleteTenant(t.Key); err != nil {
				return store.Expunge{}, err
			}
		}
		expunge.Through, expunge.AskedAt = store.EventKey(db.lastEvent), instant(expunge.AskedAt)
		if expunge.Job != 0 {
			job := db.jobs[expunge.Job]
			if job == nil {
				return store.Expunge{}, store.ErrNotFound
			}
			expunge.Through = job.Through
		}
		for key, earlier := range db.expunges {
			if earlier.Tenant == expunge.Tenant && earlier.Everything == expunge.Everything && earlier.Job == expunge.Job {
				earlier.Through = expunge.Through
				db.expunges[key] = earlier
				return earlier, nil
			}
		}
		db.lastExpunge++
		expunge.Key = store.ExpungeKey(db.lastExpunge)
		db.expunges[expunge.Key] = expunge
		return expunge, nil
	})
}

// Expunges lists those that are not done.
func (s *Store) Expunges(ctx context.Context, after store.ExpungeKey, limit int) ([]store.Expunge, error) {
	return get(ctx, s, "Expunges", func(db *state) (found []store.Expunge, _ error) {
		for _, key := range sorted(db.expunges) {
			if key > after && len(found) < limit {
				found = append(found, db.expunges[key])
			}
		}
		return found, nil
	})
}

// ExpungeStep does a part of an Expunge: one event, or the last of it.
func (s *Store) ExpungeStep(ctx context.Context, now time.Time, key store.ExpungeKey, _ time.Duration) (open []store.Turn, done bool, err error) {
	err = s.write(ctx, "ExpungeStep", func(db *state) error {
		expunge, there := db.expunges[key]
		if !there {
			done = true
			return nil
		}
		job := db.jobs[expunge.Job]
		if expunge.Job != 0 && (job == nil || job.State != webhook.JobRunning) {
			delete(db.expunges, key)
			done = true
			return nil
		}
		for _, event := range sorted(db.events) {
			ev := db.events[event]
			switch {
			case ev.Tenant != expunge.Tenant:
				continue
			case expunge.Everything:
				open = db.endOpen(ev, now)
				db.forget(event)
				db.postReview(expunge.Tenant, open)
				return nil
			case event <= expunge.Through && ev.Payload != nil:
				open = db.expungePayload(ev, now)
				if job != nil {
					job.Made++
				}
				db.postReview(expunge.Tenant, open)
				return nil
			}
		}
		if expunge.Everything {
			db.forgetTenant(expunge.Tenant)
		}
		delete(db.expunges, key)
		done = true
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return open, done, nil
}

// forgetTenant deletes what is left of a tenant that has no events.
func (db *state) forgetTenant(tenant store.TenantKey) {
	for key, ep := range db.endpoints {
		if ep.Tenant == tenant {
			delete(db.endpoints, key)
			delete(db.deliveries, key)
		}
	}
	for hash, made := range db.once {
		if made.tenant == tenant {
			delete(db.once, hash)
		}
	}
	for key, announced := range db.outbox {
		if announced.Tenant == tenant {
			delete(db.outbox, key)
		}
	}
	for key, expunge := range db.expunges {
		if expunge.Tenant == tenant {
			delete(db.expunges, key)
		}
	}
	for key, job := range db.jobs {
		if job.Tenant == tenant {
			delete(db.jobs, key)
		}
	}
	db.forgetCounts(tenant)
	delete(db.expiredTokens, tenant)
	delete(db.tenants, tenant)
}

// Scrub does nothing: what was deleted is nowhere.
func (s *Store) Scrub(ctx context.Context) error {
	return s.do(ctx, "Scrub", func(*state) error { return nil })
}
