package memstore

import (
	"context"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// near says that something was in a time, give or take store.ClockStep.
func near(at, from, to time.Time) bool {
	return (from.IsZero() || !at.Before(instant(from.Add(-store.ClockStep)))) &&
		(to.IsZero() || !at.After(instant(to.Add(store.ClockStep))))
}

// attemptsAt returns the attempts of each event at an endpoint, as they were recorded.
func (db *state) attemptsAt(ep store.EndpointKey) map[store.EventKey][]store.Attempt {
	made := make(map[store.EventKey][]store.Attempt)
	for _, key := range sorted(db.attempts) {
		if logged := db.attempts[key]; logged.Endpoint == ep {
			attempt := logged.Attempt
			attempt.Response = nil
			made[logged.Event] = append(made[logged.Event], attempt)
		}
	}
	return made
}

// DeliveriesAtEndpoint lists where events stand at an endpoint.
func (s *Store) DeliveriesAtEndpoint(ctx context.Context, ep store.EndpointKey, filter store.DeliveryFilter, page store.Page) (store.Listed[store.EndpointDelivery], error) {
	return get(ctx, s, "DeliveriesAtEndpoint", func(db *state) (store.Listed[store.EndpointDelivery], error) {
		var keys []int64
		for _, key := range sorted(db.deliveries[ep]) {
			ev := db.events[key]
			if ev != nil && filter.Examines(db.deliveries[ep][key].State) && near(ev.AcceptedAt, filter.From, filter.To) {
				keys = append(keys, int64(key))
			}
		}
		made := db.attemptsAt(ep)
		listed := examine(keys, page, func(key int64) (store.EndpointDelivery, time.Time, bool) {
			d := store.EndpointDelivery{
				DeliveryRecord: *db.deliveries[ep][store.EventKey(key)], Of: copyEvent(db.events[store.EventKey(key)]),
			}
			if !filter.WithPayload {
				d.Of.Payload = nil
			}
			attempts := made[d.Event]
			if len(attempts) > 0 {
				d.Last = &attempts[len(attempts)-1]
			}
			return d, d.Of.AcceptedAt, filter.Match(&d) && (!filter.ByFailure() || anyFailed(&filter, attempts))
		})
		boundPayloads(&listed, func(d *store.EndpointDelivery) *store.Event { return &d.Of })
		return listed, nil
	})
}

func anyFailed(filter *store.DeliveryFilter, attempts []store.Attempt) bool {
	for i := range attempts {
		if filter.MatchFailure(&attempts[i]) {
			return true
		}
	}
	return false
}

// UntriedAtEndpoint lists the events of a tenant that were never sent to an endpoint.
func (s *Store) UntriedAtEndpoint(ctx context.Context, tenant store.TenantKey, ep store.EndpointKey, filter store.EventFilter, page store.Page) (store.Listed[store.EndpointDelivery], error) {
	return get(ctx, s, "UntriedAtEndpoint", func(db *state) (store.Listed[store.EndpointDelivery], error) {
		made := db.attemptsAt(ep)
		return examine(db.eventsOf(tenant, &filter), page, func(key int64) (store.EndpointDelivery, time.Time, bool) {
			ev := db.events[store.EventKey(key)]
			found := store.EndpointDelivery{DeliveryRecord: store.DeliveryRecord{Event: ev.Key, Endpoint: ep}, Of: copyEvent(ev)}
			if d := db.deliveries[ep][ev.Key]; d != nil {
				found.DeliveryRecord = *d
			}
			untried := ev.Payload != nil && (ev.Only == 0 || ev.Only == ep) && len(made[ev.Key]) == 0 && (found.State == 0 || found.State == webhook.Cancelled)
			found.Of.Payload = nil
			return found, ev.AcceptedAt, untried && filter.Match(ev)
		}), nil
	})
}
