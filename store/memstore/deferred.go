package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// Due returns the deferred events that are due, and when the next one will be.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) (due []store.DeferredEvent, next time.Time, err error) {
	err = s.do(ctx, "Due", func(db *state) error {
		waiting := db.waiting()
		for i, ev := range waiting {
			if i == limit {
				return nil
			}
			if ev.DueAt.After(instant(now)) {
				next = ev.DueAt
				return nil
			}
			due = append(due, ev)
		}
		return nil
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return due, next, nil
}

// waiting lists the deferred events, soonest due first.
func (db *state) waiting() []store.DeferredEvent {
	waiting := make([]store.DeferredEvent, 0, len(db.deferred))
	for key := range db.deferred {
		ev := db.events[key]
		if ev == nil {
			continue
		}
		waiting = append(waiting, store.DeferredEvent{
			Event: key, Tenant: ev.Tenant, DueAt: ev.DeliverAt, Type: ev.Type, Channels: list(ev.Channels),
		})
	}
	slices.SortFunc(waiting, func(a, b store.DeferredEvent) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.Event, b.Event))
	})
	return waiting
}

// Promote opens the deliveries of deferred events.
func (s *Store) Promote(ctx context.Context, _ time.Time, promotions []store.Promotion) ([]store.Promoted, error) {
	return put(ctx, s, "Promote", func(db *state) ([]store.Promoted, error) {
		promoted := make([]store.Promoted, len(promotions))
		for i := range promotions {
			promoted[i] = db.promote(&promotions[i])
		}
		return promoted, nil
	})
}

func (db *state) promote(p *store.Promotion) store.Promoted {
	promoted := store.Promoted{Kind: store.Accepted}
	switch t, err := db.tenant(p.Tenant); {
	case err != nil:
		promoted.Kind = store.TenantGone
	case t.routes != p.RouteVersion:
		return store.Promoted{Kind: store.Rerouted}
	}
	if _, waits := db.deferred[p.Event]; !waits {
		return store.Promoted{Kind: store.Gone}
	}
	delete(db.deferred, p.Event)
	if promoted.Kind != store.Accepted {
		return promoted
	}
	for _, ep := range p.Endpoints {
		if db.openDelivery(&store.Opening{Tenant: p.Tenant, Endpoint: ep, Event: p.Event, DueAt: p.DueAt}) {
			promoted.Endpoints = append(promoted.Endpoints, ep)
		}
	}
	return promoted
}

// CancelEvent ends the deferral of an event for good.
func (s *Store) CancelEvent(ctx context.Context, tenant store.TenantKey, event store.EventKey, now time.Time, announce ...store.Announcement) error {
	return s.write(ctx, "CancelEvent", func(db *state) error {
		ev := db.events[event]
		if ev == nil || ev.Tenant != tenant {
			return store.ErrNotFound
		}
		if !ev.CancelledAt.IsZero() {
			return nil
		}
		if _, waits := db.deferred[event]; !waits {
			return store.ErrNotDeferred
		}
		delete(db.deferred, event)
		ev.CancelledAt = instant(now)
		db.announceAll(announce)
		return nil
	})
}
