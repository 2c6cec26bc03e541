package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// InsertSends stores sends under keys that it gives, and opens deliveries.
func (s *Store) InsertSends(ctx context.Context, _ time.Time, sends []store.Send, openings []store.Opening, once *store.Once) (keys []store.SendKey, opened []bool, err error) {
	err = s.write(ctx, "InsertSends", func(db *state) error {
		if err := db.replayed(once, onceNow(once)); err != nil {
			return err
		}
		for i := range sends {
			if !db.sendable(sends[i].Endpoint, sends[i].Event) {
				return store.ErrNotFound
			}
		}
		for i := range sends {
			keys = append(keys, db.insertSend(&sends[i]))
		}
		for i := range openings {
			opened = append(opened, db.openDelivery(&openings[i]))
		}
		db.claimChange(once, whose(sends, openings))
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return keys, opened, nil
}

// sendable says that there is something to send, and somebody to send it to.
func (db *state) sendable(endpoint store.EndpointKey, event store.EventKey) bool {
	ev, ep := db.events[event], db.endpoints[endpoint]
	return ev != nil && ev.Payload != nil && ep != nil && !ep.deleted && ep.Tenant == ev.Tenant
}

func (db *state) insertSend(send *store.Send) store.SendKey {
	db.lastSend++
	stored := *send
	stored.Key, stored.Tenant, stored.Tried = store.SendKey(db.lastSend), db.endpoints[send.Endpoint].Tenant, 0
	stored.DueAt = instant(send.DueAt)
	db.sends[stored.Key] = &stored
	db.post(store.Signal{Kind: store.SignalWaiting, Tenant: stored.Tenant, Endpoint: stored.Endpoint, Due: stored.DueAt})
	return stored.Key
}

// openDelivery opens a delivery after its event was accepted, and says whether it did.
func (db *state) openDelivery(o *store.Opening) bool {
	if !db.sendable(o.Endpoint, o.Event) || db.deliveries[o.Endpoint][o.Event] != nil {
		return false
	}
	db.putDelivery(&store.DeliveryRecord{Endpoint: o.Endpoint, Event: o.Event, State: webhook.Waiting, RetryAt: instant(o.DueAt)})
	db.post(store.Signal{Kind: store.SignalWaiting, Tenant: db.endpoints[o.Endpoint].Tenant, Endpoint: o.Endpoint, Due: instant(o.DueAt)})
	return true
}

// putDelivery stores a delivery, and counts it, if there is none of its event and endpoint.
func (db *state) putDelivery(d *store.DeliveryRecord) {
	if db.deliveries[d.Endpoint] == nil {
		db.deliveries[d.Endpoint] = make(map[store.EventKey]*store.DeliveryRecord)
	}
	if db.deliveries[d.Endpoint][d.Event] != nil {
		return
	}
	db.deliveries[d.Endpoint][d.Event] = d
	if ev := db.events[d.Event]; ev != nil {
		db.counting.delivery(ev, d)
	}
}

// Send returns an open send, or ErrNotFound.
func (s *Store) Send(ctx context.Context, key store.SendKey) (store.Send, error) {
	return get(ctx, s, "Send", func(db *state) (store.Send, error) {
		if send := db.sends[key]; send != nil {
			return *send, nil
		}
		return store.Send{}, store.ErrNotFound
	})
}

// SendsOf returns an endpoint's open sends, soonest due first.
func (s *Store) SendsOf(ctx context.Context, endpoint store.EndpointKey, from store.Moment, limit int) ([]store.Send, error) {
	return get(ctx, s, "SendsOf", func(db *state) ([]store.Send, error) {
		found := slices.DeleteFunc(db.sendsOf(endpoint), func(send store.Send) bool { return !reached(from, send.DueAt, int64(send.Key)) })
		return found[:min(limit, len(found))], nil
	})
}

// CountSends counts an endpoint's open sends that are of no job.
func (s *Store) CountSends(ctx context.Context, endpoint store.EndpointKey, limit int) (int, error) {
	return get(ctx, s, "CountSends", func(db *state) (int, error) {
		alone := slices.DeleteFunc(db.sendsOf(endpoint), func(send store.Send) bool { return send.Job != 0 })
		return min(limit, len(alone)), nil
	})
}

func (db *state) sendsOf(endpoint store.EndpointKey) (found []store.Send) {
	for _, send := range db.sends {
		if send.Endpoint == endpoint {
			found = append(found, *send)
		}
	}
	slices.SortFunc(found, func(a, b store.Send) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.Key, b.Key))
	})
	return found
}

// recordSend takes a send on, and by its success the delivery of its event: it says
// whether that changed.
func (db *state) recordSend(o *store.Outcome, now time.Time) bool {
	succeeded := o.Attempt != nil && o.Attempt.Succeeded
	if send := db.sends[o.Send]; send != nil && (send.Tried == o.Tried || succeeded) {
		if o.State.Ended() {
			delete(db.sends, o.Send)
			db.countJob(send.Job, succeeded)
			db.post(store.Signal{Kind: store.SignalEnded, Tenant: o.Tenant, Endpoint: o.Endpoint, Event: o.Event, Send: o.Send})
		} else {
			send.Tried, send.DueAt = o.Tried+1, instant(o.RetryAt)
			db.post(store.Signal{Kind: store.SignalWaiting, Tenant: o.Tenant, Endpoint: o.Endpoint, Due: send.DueAt})
		}
	}
	d := db.deliveries[o.Endpoint][o.Event]
	switch {
	case !succeeded || d == nil:
		return false
	case !d.State.Ended():
		db.end(d, webhook.Succeeded, "", now)
		db.post(store.Signal{Kind: store.SignalEnded, Tenant: o.Tenant, Endpoint: o.Endpoint, Event: o.Event})
	case d.State != webhook.Succeeded && d.RecoveredAt.IsZero():
		d.RecoveredAt = instant(now)
		if ev := db.events[d.Event]; ev != nil {
			db.counting.recovery(ev, d)
		}
	default:
		return false
	}
	return true
}

// Cancel ends the open deliveries among these, and says which those were.
func (s *Store) Cancel(ctx context.Context, now time.Time, deliveries []store.DeliveryRef, announce ...store.Announcement) ([]bool, error) {
	return put(ctx, s, "Cancel", func(db *state) (cancelled []bool, _ error) {
		for _, ref := range deliveries {
			cancelled = append(cancelled, db.cancel(ref, now, announce))
		}
		return cancelled, nil
	})
}

// cancel ends a delivery, and says whether it was open.
func (db *state) cancel(ref store.DeliveryRef, now time.Time, announce []store.Announcement) bool {
	d := db.deliveries[ref.Endpoint][ref.Event]
	if d == nil || d.State.Ended() {
		return false
	}
	db.end(d, webhook.Cancelled, webhook.CancelAsked, now)
	db.post(store.Signal{Kind: store.SignalEnded, Tenant: db.endpoints[ref.Endpoint].Tenant, Endpoint: ref.Endpoint, Event: ref.Event})
	for _, a := range announce {
		db.announce(a, store.About{Tenant: a.About.Tenant, Endpoint: ref.Endpoint, Event: ref.Event})
	}
	return true
}

// whose says of which tenant sends and openings are.
func whose(sends []store.Send, openings []store.Opening) store.TenantKey {
	switch {
	case len(sends) > 0:
		return sends[0].Tenant
	case len(openings) > 0:
		return openings[0].Tenant
	}
	return 0
}
