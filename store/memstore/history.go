package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

func copyEvent(ev *store.Event) store.Event {
	copied := *ev
	copied.Channels, copied.Tags, copied.Payload = list(ev.Channels), list(ev.Tags), slices.Clone(ev.Payload)
	return copied
}

// Event returns an event of a tenant, or ErrNotFound.
func (s *Store) Event(ctx context.Context, tenant store.TenantKey, key store.EventKey) (store.Event, error) {
	return get(ctx, s, "Event", func(db *state) (store.Event, error) {
		if ev := db.events[key]; ev != nil && ev.Tenant == tenant {
			return copyEvent(ev), nil
		}
		return store.Event{}, store.ErrNotFound
	})
}

func (db *state) eventByUID(tenant store.TenantKey, uid string) (*store.Event, error) {
	for _, ev := range db.events {
		if uid != "" && ev.Tenant == tenant && ev.UID == uid {
			return ev, nil
		}
	}
	return nil, store.ErrNotFound
}

// EventByUID returns an event of a tenant, or ErrNotFound.
func (s *Store) EventByUID(ctx context.Context, tenant store.TenantKey, uid string) (store.Event, error) {
	return get(ctx, s, "EventByUID", func(db *state) (store.Event, error) {
		ev, err := db.eventByUID(tenant, uid)
		if err != nil {
			return store.Event{}, err
		}
		return copyEvent(ev), nil
	})
}

// ReplayEvent returns the verdict on a repeat under once.
func (s *Store) ReplayEvent(ctx context.Context, once *store.Once, now time.Time) (store.Verdict, error) {
	return get(ctx, s, "ReplayEvent", func(db *state) (store.Verdict, error) {
		if v := db.repeat(once, now); v.Kind != 0 {
			return v, nil
		}
		return store.Verdict{Kind: store.NotRepeated}, nil
	})
}

// mostExamined bounds what one page of a filtered list reads.
const mostExamined = 1000

// examine walks keys in the order of a page; it returns what look finds.
func examine[T any](keys []int64, page store.Page, look func(key int64) (item T, at time.Time, match bool)) store.Listed[T] {
	var listed store.Listed[T]
	for i, key := range within(keys, page) {
		if i == mostExamined || len(listed.Items) >= page.Limit {
			return listed
		}
		item, at, match := look(key)
		listed.Last, listed.LastAt = key, at
		listed.Examined++
		if match {
			listed.Items = append(listed.Items, item)
		}
	}
	listed.Done = true
	return listed
}

// Events lists a tenant's events.
func (s *Store) Events(ctx context.Context, tenant store.TenantKey, filter store.EventFilter, page store.Page) (store.Listed[store.Event], error) {
	return get(ctx, s, "Events", func(db *state) (store.Listed[store.Event], error) {
		listed := examine(db.eventsOf(tenant, &filter), page, func(key int64) (store.Event, time.Time, bool) {
			ev := copyEvent(db.events[store.EventKey(key)])
			if !filter.WithPayload {
				ev.Payload = nil
			}
			return ev, ev.AcceptedAt, filter.Match(&ev)
		})
		boundPayloads(&listed, func(ev *store.Event) *store.Event { return ev })
		return listed, nil
	})
}

// eventsOf returns the events of a tenant that a list looks at, ascending.
func (db *state) eventsOf(tenant store.TenantKey, filter *store.EventFilter) (keys []int64) {
	for _, key := range sorted(db.events) {
		if ev := db.events[key]; ev.Tenant == tenant && near(ev.AcceptedAt, filter.From, filter.To) {
			keys = append(keys, int64(key))
		}
	}
	return keys
}

// boundPayloads cuts a list short where its payloads become too much for one page.
func boundPayloads[T any](listed *store.Listed[T], event func(*T) *store.Event) {
	size := 0
	for i := range listed.Items {
		size += len(event(&listed.Items[i]).Payload)
		if i > 0 && size > store.MostPagePayload {
			last := event(&listed.Items[i-1])
			listed.Items, listed.Done = listed.Items[:i], false
			listed.Last, listed.LastAt = int64(last.Key), last.AcceptedAt
			return
		}
	}
}

// attempt returns an attempt with what it was made for; it is gone with its event.
func (db *state) attempt(key store.AttemptKey) (store.LoggedAttempt, bool) {
	logged := db.attempts[key]
	if logged == nil {
		return store.LoggedAttempt{}, false
	}
	ev, ep := db.events[logged.Event], db.endpoints[logged.Endpoint]
	if ev == nil || ep == nil {
		return store.LoggedAttempt{}, false
	}
	found := *logged
	found.Response = slices.Clone(logged.Response)
	found.EventType, found.Channels, found.Tags, found.EventAcceptedAt = ev.Type, list(ev.Channels), list(ev.Tags), ev.AcceptedAt
	found.EndpointCreatedAt = ep.CreatedAt
	return found, true
}

// Attempt returns an attempt of an event, or ErrNotFound.
func (s *Store) Attempt(ctx context.Context, event store.EventKey, key store.AttemptKey) (store.LoggedAttempt, error) {
	return get(ctx, s, "Attempt", func(db *state) (store.LoggedAttempt, error) {
		if found, is := db.attempt(key); is && found.Event == event {
			return found, nil
		}
		return store.LoggedAttempt{}, store.ErrNotFound
	})
}

// AttemptsOfEvent lists the attempts of an event.
func (s *Store) AttemptsOfEvent(ctx context.Context, event store.EventKey, filter store.AttemptFilter, page store.Page) (store.Listed[store.LoggedAttempt], error) {
	return s.attempts(ctx, "AttemptsOfEvent", filter, page, func(a *store.LoggedAttempt) bool {
		return a.Event == event && (filter.Endpoint == 0 || a.Endpoint == filter.Endpoint)
	})
}

// AttemptsAtEndpoint lists the attempts made at an endpoint.
func (s *Store) AttemptsAtEndpoint(ctx context.Context, ep store.EndpointKey, filter store.AttemptFilter, page store.Page) (store.Listed[store.LoggedAttempt], error) {
	filter.Endpoint = 0
	return s.attempts(ctx, "AttemptsAtEndpoint", filter, page, func(a *store.LoggedAttempt) bool {
		return a.Endpoint == ep && near(a.StartedAt, filter.From, filter.To)
	})
}

func (s *Store) attempts(ctx context.Context, operation string, filter store.AttemptFilter, page store.Page, of func(*store.LoggedAttempt) bool) (store.Listed[store.LoggedAttempt], error) {
	return get(ctx, s, operation, func(db *state) (store.Listed[store.LoggedAttempt], error) {
		var keys []int64
		for _, key := range sorted(db.attempts) {
			if found, is := db.attempt(key); is && of(&found) {
				keys = append(keys, int64(key))
			}
		}
		return examine(keys, page, func(key int64) (store.LoggedAttempt, time.Time, bool) {
			found, _ := db.attempt(store.AttemptKey(key))
			if !filter.WithResponse {
				found.Response = nil
			}
			return found, found.StartedAt, filter.Match(&found)
		}), nil
	})
}

// DeliveriesOfEvent lists where an event of a tenant stands at its endpoints.
func (s *Store) DeliveriesOfEvent(ctx context.Context, tenant store.TenantKey, event store.EventKey, page store.Page) ([]store.DatedDelivery, error) {
	return get(ctx, s, "DeliveriesOfEvent", func(db *state) (found []store.DatedDelivery, _ error) {
		if ev := db.events[event]; ev == nil || ev.Tenant != tenant {
			return nil, nil
		}
		var keys []int64
		for _, key := range sorted(db.deliveries) {
			if d := db.deliveries[key][event]; d != nil && (d.State.Ended() || !db.endpoints[key].deleted) {
				keys = append(keys, int64(key))
			}
		}
		for _, key := range within(keys, page) {
			if len(found) < page.Limit {
				ep := store.EndpointKey(key)
				found = append(found, store.DatedDelivery{DeliveryRecord: *db.deliveries[ep][event], EndpointCreatedAt: db.endpoints[ep].CreatedAt})
			}
		}
		return found, nil
	})
}

// Delivery returns where an event stands at an endpoint, or ErrNotFound.
func (s *Store) Delivery(ctx context.Context, ep store.EndpointKey, event store.EventKey) (store.DeliveryRecord, error) {
	return get(ctx, s, "Delivery", func(db *state) (store.DeliveryRecord, error) {
		d := db.deliveries[ep][event]
		if d == nil {
			return store.DeliveryRecord{}, store.ErrNotFound
		}
		return *d, nil
	})
}
