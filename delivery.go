package neohook

import (
	"context"
	"strings"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Delivery returns where an event stands at an endpoint, with its attempts; the endpoint
// may be deleted by now if its id is given. ErrNotFound: the event was never for that
// endpoint.
//
// It is what is stored, joined with what the Engine is about to do. An attempt that has
// ended shows as soon as it is recorded, which takes some milliseconds.
func (o *Organisation) Delivery(ctx context.Context, tenant webhook.TenantID, event webhook.EventID, endpoint webhook.EndpointID) (webhook.Standing, error) {
	owner, of, err := o.event(ctx, tenant, event)
	if err != nil {
		return webhook.Standing{}, err
	}
	key, id, err := o.endpointKey(ctx, owner.Key, endpoint)
	if err != nil {
		return webhook.Standing{}, err
	}
	// What is read one after the other may not belong together.
	const tries = 5
	for try := 1; ; try++ {
		record, err := o.engine.store.Delivery(ctx, key, of.Key)
		if err != nil {
			return webhook.Standing{}, translate(err, "delivery to endpoint", string(endpoint))
		}
		standing := o.showStanding(&of, &record, id)
		if standing.Attempts, err = o.timeline(ctx, of.Key, key); err != nil {
			return webhook.Standing{}, translate(err, "delivery to endpoint", string(endpoint))
		}
		if try == tries || record.State.Ended() {
			return standing, nil
		}
		again, err := o.engine.store.Delivery(ctx, key, of.Key)
		if err == nil && again == record {
			return standing, nil
		}
	}
}

// endpointKey returns an endpoint's key and id. That an id is of this tenant, or of any
// endpoint, is not checked: whoever asks looks for what belongs to the tenant otherwise.
func (o *Organisation) endpointKey(ctx context.Context, tenant store.TenantKey, ref webhook.EndpointID) (store.EndpointKey, webhook.EndpointID, error) {
	if strings.HasPrefix(string(ref), webhook.EndpointPrefix) {
		key, _, err := o.engine.records.IDs.ParseEndpoint(ref)
		if err != nil {
			err = store.ErrNotFound
		}
		return key, ref, translate(err, "endpoint", string(ref))
	}
	err := store.ErrNotFound
	var found store.Endpoint
	if webhook.IsName(string(ref)) {
		found, err = o.engine.store.EndpointByUID(ctx, tenant, string(ref))
	}
	return found.Key, o.engine.records.IDs.Endpoint(found.CreatedAt, found.Key), translate(err, "endpoint", string(ref))
}

// DeliveriesOfEvent lists where an event stands at its endpoints, in the order of their
// creation and without the attempts. A Page's After is an endpoint's id. One that is open
// at a deleted endpoint is left out until it is cancelled, which takes some milliseconds.
func (o *Organisation) DeliveriesOfEvent(ctx context.Context, tenant webhook.TenantID, event webhook.EventID, page Page) (List[webhook.Standing], error) {
	owner, of, err := o.event(ctx, tenant, event)
	if err != nil {
		return List[webhook.Standing]{}, err
	}
	part, err := storePage(page, o.engine.records.IDs.ParseEndpoint)
	if err != nil {
		return List[webhook.Standing]{}, err
	}
	got, err := o.engine.store.DeliveriesOfEvent(ctx, owner.Key, of.Key, whole(part))
	if err != nil {
		return List[webhook.Standing]{}, translate(err, "deliveries of event", string(event))
	}
	return cut(got, part.Limit, func(d *store.DatedDelivery) (webhook.Standing, error) {
		return o.showStanding(&of, &d.DeliveryRecord, o.engine.records.IDs.Endpoint(d.EndpointCreatedAt, d.Endpoint)), nil
	}, func(s *webhook.Standing) string { return string(s.Endpoint) })
}

// showStanding joins what is stored of a delivery with what is in memory.
func (o *Organisation) showStanding(of *store.Event, record *store.DeliveryRecord, endpoint webhook.EndpointID) webhook.Standing {
	ids := o.engine.records.IDs
	standing := webhook.Standing{
		ID: ids.Delivery(of.AcceptedAt, of.Key, record.Endpoint), Event: ids.Event(of.AcceptedAt, of.Key), Endpoint: endpoint,
		State: record.State, Reason: record.Reason, Tried: record.Tried,
		AcceptedAt: of.AcceptedAt, DueAt: record.RetryAt, EndedAt: record.EndedAt, RecoveredAt: record.RecoveredAt,
	}
	if record.State.Ended() {
		return standing
	}
	now := time.Now()
	sight := o.engine.lanes.Look(now, record.Endpoint, record.Event)
	switch {
	case !sight.SendingSince.IsZero():
		standing.State, standing.SendingSince, standing.DueAt = webhook.Sending, sight.SendingSince.UTC().Truncate(time.Microsecond), time.Time{}
	case sight.Wait == lane.ForNothing || record.RetryAt.After(now):
	default:
		standing.State, standing.Reason, standing.DueAt = webhook.Parked, parkedFor[sight.Wait], time.Time{}
		if !sight.Until.IsZero() {
			standing.DueAt = sight.Until.UTC().Truncate(time.Microsecond)
		}
	}
	return standing
}

var parkedFor = map[lane.Wait]webhook.Reason{
	lane.ForResume:   webhook.Paused,
	lane.ForBreaker:  webhook.BreakerOpen,
	lane.ForReceiver: webhook.QuietAsked,
}

// timeline returns the attempts of an event at an endpoint, oldest first.
func (o *Organisation) timeline(ctx context.Context, event store.EventKey, endpoint store.EndpointKey) ([]webhook.Attempt, error) {
	var found []webhook.Attempt
	page := store.Page{Limit: MaxPageLimit}
	for len(found) < MaxPageLimit {
		got, err := o.engine.store.AttemptsOfEvent(ctx, event, store.AttemptFilter{Endpoint: endpoint}, page)
		if err != nil {
			return nil, err
		}
		for i := range got.Items {
			found = append(found, o.showAttempt(&got.Items[i]))
		}
		if got.Done || got.Last == 0 {
			break
		}
		page.After = got.Last
	}
	return found[:min(len(found), MaxPageLimit)], nil
}
