package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Commit stores a batch.
func (s *Store) Commit(ctx context.Context, batch *store.Batch) (verdicts []store.Verdict, err error) {
	if s.isClosed() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.fault(ctx, "Commit", Before); err != nil {
		return nil, err
	}
	var keys *underWay
	var heard store.Heard
	if err := s.apply(func(db *state) error {
		keys = db.draw(len(batch.Accepts))
		return nil
	}); err != nil {
		return nil, err
	}
	err = s.fault(ctx, "Commit", Drawn)
	if failed := s.settle(keys, func(db *state) error {
		if err != nil {
			return err
		}
		for i := range batch.Accepts {
			verdicts = append(verdicts, db.accept(&batch.Accepts[i], keys, batch.Now))
		}
		for i := range batch.Outcomes {
			db.record(&batch.Outcomes[i], batch.Now)
		}
		db.endSignals(batch.Acted)
		heard = db.heard(s.as)
		return nil
	}); err == nil {
		err = failed
	}
	if err == nil {
		err = s.fault(ctx, "Commit", After)
	}
	if err != nil {
		return nil, err
	}
	batch.Heard = heard
	return append([]store.Verdict{}, verdicts...), nil
}

func (db *state) accept(a *store.Accept, keys *underWay, now time.Time) store.Verdict {
	if refused := db.refuse(a, now); refused.Kind != 0 {
		return refused
	}
	event := &store.Event{
		Key: keys.next(), Tenant: a.Tenant, UID: a.UID, Type: a.Type, Channels: list(a.Channels),
		Tags: list(a.Tags), DeliverAt: instantOrZero(a.DeliverAt), PayloadTTL: a.PayloadTTL.Truncate(time.Microsecond), Only: a.Only,
		Payload: append([]byte{}, a.Payload...), AcceptedAt: instant(now),
	}
	db.events[event.Key] = event
	db.counting.event(event)
	delete(db.outbox, a.From)
	if a.Once != nil {
		db.once[a.Once.Hash] = made{body: a.Once.Body, ttl: a.Once.TTL, at: event.AcceptedAt, event: event.Key}
	}
	if !a.DeliverAt.IsZero() {
		db.deferred[event.Key] = struct{}{}
		return store.Verdict{Kind: store.Accepted, Event: event.Key, AcceptedAt: event.AcceptedAt}
	}
	for _, ep := range a.Endpoints {
		db.putDelivery(&store.DeliveryRecord{Endpoint: ep, Event: event.Key, State: webhook.Pending})
		db.post(store.Signal{Kind: store.SignalFresh, Tenant: a.Tenant, Endpoint: ep, Event: event.Key})
	}
	return store.Verdict{Kind: store.Accepted, Event: event.Key, AcceptedAt: event.AcceptedAt}
}

func (db *state) refuse(a *store.Accept, now time.Time) store.Verdict {
	if a.Bytes() > store.MaxEventBytes {
		return store.Verdict{Kind: store.TooLarge}
	}
	if _, there := db.outbox[a.From]; a.From != 0 && !there {
		return store.Verdict{Kind: store.Gone}
	}
	if a.Once != nil {
		if v := db.repeat(a.Once, now); v.Kind != 0 {
			return v
		}
	}
	if a.RepeatOnly {
		return store.Verdict{Kind: store.NotRepeated}
	}
	if _, err := db.eventByUID(a.Tenant, a.UID); err == nil {
		return store.Verdict{Kind: store.UIDTaken}
	}
	t, err := db.tenant(a.Tenant)
	switch {
	case err != nil:
		return store.Verdict{Kind: store.TenantGone}
	case t.routes != a.RouteVersion:
		return store.Verdict{Kind: store.Rerouted}
	}
	return store.Verdict{}
}

// repeat is the verdict on an event under a Once that was seen before, or none.
func (db *state) repeat(once *store.Once, now time.Time) store.Verdict {
	switch earlier, found := db.seen(once, now); {
	case !found:
		return store.Verdict{}
	case earlier.body != once.Body:
		return store.Verdict{Kind: store.Mismatched}
	default:
		return store.Verdict{Kind: store.Replayed, Event: earlier.event, AcceptedAt: earlier.at}
	}
}

func (db *state) record(o *store.Outcome, now time.Time) {
	db.mark(o)
	if db.events[o.Event] == nil { // gone meanwhile
		return
	}
	about := store.About{Tenant: o.Tenant, Endpoint: o.Endpoint, Event: o.Event}
	if o.Attempt != nil {
		about.Attempt = db.log(o)
	}
	if db.carryOut(o, now) && o.Announce != nil {
		db.announce(*o.Announce, about)
	}
}

// carryOut takes the delivery of an outcome on, and says whether it did.
func (db *state) carryOut(o *store.Outcome, now time.Time) bool {
	if o.Send != 0 {
		return db.recordSend(o, now)
	}
	d := db.deliveries[o.Endpoint][o.Event]
	if d == nil || d.State.Ended() {
		return false
	}
	scheduled := o.Attempt == nil || o.Attempt.Trigger == webhook.Scheduled
	succeeded := o.Attempt != nil && o.Attempt.Succeeded
	state, reason := o.State, o.Reason
	if !scheduled || d.Tried != o.Tried {
		if !succeeded {
			return false
		}
		state = webhook.Succeeded
	}
	if scheduled && o.Attempt != nil {
		d.Tried++
	}
	if state != webhook.Cancelled {
		reason = ""
	}
	if state.Ended() {
		db.end(d, state, reason, now)
		db.post(store.Signal{Kind: store.SignalEnded, Tenant: o.Tenant, Endpoint: o.Endpoint, Event: o.Event})
		return true
	}
	d.State, d.RetryAt = webhook.Waiting, instant(o.RetryAt)
	db.post(store.Signal{Kind: store.SignalWaiting, Tenant: o.Tenant, Endpoint: o.Endpoint, Due: d.RetryAt})
	return true
}

// end ends a delivery, and counts it.
func (db *state) end(d *store.DeliveryRecord, state webhook.State, reason webhook.Reason, now time.Time) {
	d.State, d.Reason, d.RetryAt, d.EndedAt = state, reason, time.Time{}, instant(now)
	if ev := db.events[d.Event]; ev != nil {
		db.counting.ending(ev, d)
	}
	db.countOpening(store.DeliveryRef{Endpoint: d.Endpoint, Event: d.Event}, state)
}

func (db *state) log(o *store.Outcome) store.AttemptKey {
	db.lastAttempt++
	logged := &store.LoggedAttempt{Attempt: *o.Attempt, Event: o.Event, Endpoint: o.Endpoint}
	logged.Key = store.AttemptKey(db.lastAttempt)
	logged.Response, logged.Expunged = blob(o.Attempt.Response), false
	logged.StartedAt = instant(o.Attempt.StartedAt)
	logged.Duration = o.Attempt.Duration.Truncate(time.Microsecond)
	db.attempts[logged.Key] = logged
	if ev := db.events[logged.Event]; ev != nil {
		db.counting.attempt(ev, logged)
	}
	return logged.Key
}

// Lanes lists the endpoints that have open deliveries or sends.
func (s *Store) Lanes(ctx context.Context, after store.EndpointKey, limit int) ([]store.Lane, error) {
	return get(ctx, s, "Lanes", func(db *state) ([]store.Lane, error) { return db.lanes(after, limit, anywhere), nil })
}

func (db *state) lanes(after store.EndpointKey, limit int, of func(store.TenantKey) bool) (lanes []store.Lane) {
	for _, key := range sorted(db.endpoints) {
		tenant := db.endpoints[key].Tenant
		if key > after && len(lanes) < limit && of(tenant) && len(db.open(key))+len(db.sendsOf(key)) > 0 {
			lanes = append(lanes, store.Lane{Endpoint: key, Tenant: tenant})
		}
	}
	return lanes
}

// CountOpen counts a tenant's open deliveries and deferred events.
func (s *Store) CountOpen(ctx context.Context, tenant store.TenantKey, limit int) (int, error) {
	return get(ctx, s, "CountOpen", func(db *state) (count int, _ error) {
		for key, ep := range db.endpoints {
			if ep.Tenant == tenant && !ep.deleted {
				count += len(db.open(key))
			}
		}
		for event := range db.deferred {
			if ev := db.events[event]; ev != nil && ev.Tenant == tenant {
				count++
			}
		}
		return min(count, limit), nil
	})
}

// open returns an endpoint's open deliveries, ascending by event.
func (db *state) open(ep store.EndpointKey) []store.Open {
	var found []store.Open
	for _, d := range db.deliveries[ep] {
		if !d.State.Ended() {
			found = append(found, store.Open{Event: d.Event, Tried: d.Tried, RetryAt: d.RetryAt})
		}
	}
	slices.SortFunc(found, func(a, b store.Open) int { return int(a.Event - b.Event) })
	return found
}

// Fresh examines up to limit open deliveries of an endpoint, and returns the fresh ones.
func (s *Store) Fresh(ctx context.Context, ep store.EndpointKey, from store.EventKey, limit int) (store.FreshPage, error) {
	return get(ctx, s, "Fresh", func(db *state) (store.FreshPage, error) {
		return db.fresh(ep, from, limit), nil
	})
}

func (db *state) fresh(ep store.EndpointKey, from store.EventKey, limit int) (page store.FreshPage) {
	examined := 0
	for _, open := range db.open(ep) {
		if open.Event < from {
			continue
		}
		if examined == limit {
			page.Next, page.More = open.Event, true
			break
		}
		examined++
		if db.deliveries[ep][open.Event].State == webhook.Pending {
			page.Deliveries = append(page.Deliveries, open)
		}
	}
	return page
}

// Waiting returns an endpoint's waiting deliveries, soonest due first.
func (s *Store) Waiting(ctx context.Context, ep store.EndpointKey, from store.Moment, limit int) ([]store.Open, error) {
	return get(ctx, s, "Waiting", func(db *state) ([]store.Open, error) {
		var waiting []store.Open
		for _, open := range db.open(ep) {
			if db.deliveries[ep][open.Event].State == webhook.Waiting && reached(from, open.RetryAt, int64(open.Event)) {
				waiting = append(waiting, open)
			}
		}
		slices.SortStableFunc(waiting, func(a, b store.Open) int { return a.RetryAt.Compare(b.RetryAt) })
		return waiting[:min(limit, len(waiting))], nil
	})
}

// reached says that what waits is not before a place.
func reached(from store.Moment, due time.Time, key int64) bool {
	return cmp.Or(due.Compare(instant(from.At)), cmp.Compare(key, from.Key)) >= 0
}

// Payloads returns what is sent for each event, in the order of keys.
func (s *Store) Payloads(ctx context.Context, keys []store.EventKey) ([]store.Payload, error) {
	return get(ctx, s, "Payloads", func(db *state) ([]store.Payload, error) {
		found := make([]store.Payload, len(keys))
		for i, key := range keys {
			if ev := db.events[key]; ev != nil && ev.Payload != nil {
				found[i] = store.Payload{
					Event: key, Type: ev.Type, Channels: list(ev.Channels), Only: ev.Only, Body: slices.Clone(ev.Payload), AcceptedAt: ev.AcceptedAt,
				}
			}
		}
		return found, nil
	})
}
