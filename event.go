package neohook

import (
	"context"
	"strings"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// EventFilter narrows a list of events. Zero fields do not narrow.
type EventFilter struct {
	Types   []string
	Channel string
	// Tag asks for events that have it.
	Tag string
	// From and To bound the time of acceptance, both inclusive.
	From, To time.Time
	// WithPayload asks for the payloads too.
	WithPayload bool
}

// event finds the event that ref names, and its tenant.
func (o *Organisation) event(ctx context.Context, tenant webhook.TenantID, ref webhook.EventID) (owner store.Tenant, found store.Event, err error) {
	if owner, err = o.tenant(ctx, tenant); err != nil {
		return owner, found, err
	}
	err = store.ErrNotFound
	if strings.HasPrefix(string(ref), webhook.EventPrefix) {
		if key, _, bad := o.engine.records.IDs.ParseEvent(ref); bad == nil {
			found, err = o.engine.store.Event(ctx, owner.Key, key)
		}
	} else if webhook.IsName(string(ref)) {
		found, err = o.engine.store.EventByUID(ctx, owner.Key, string(ref))
	}
	return owner, found, translate(err, "event", string(ref))
}

func (o *Organisation) showEvent(tenant webhook.TenantID) func(*store.Event) webhook.Event {
	return func(ev *store.Event) webhook.Event {
		return webhook.Event{
			ID: o.engine.records.IDs.Event(ev.AcceptedAt, ev.Key), Tenant: tenant,
			UID: ev.UID, Type: ev.Type, Channels: ev.Channels, Tags: ev.Tags,
			DeliverAt: ev.DeliverAt, CancelledAt: ev.CancelledAt, Payload: ev.Payload, AcceptedAt: ev.AcceptedAt,
			PayloadTTL: ev.PayloadTTL,
		}
	}
}

// Event returns an event with its Payload.
func (o *Organisation) Event(ctx context.Context, tenant webhook.TenantID, ref webhook.EventID) (webhook.Event, error) {
	owner, found, err := o.event(ctx, tenant, ref)
	if err != nil {
		return webhook.Event{}, err
	}
	return o.showEvent(o.engine.records.IDs.Tenant(owner.CreatedAt, owner.Key))(&found), nil
}

// Events lists a tenant's events in the order of their acceptance.
func (o *Organisation) Events(ctx context.Context, tenant webhook.TenantID, filter EventFilter, page Page) (List[webhook.Event], error) {
	owner, err := o.tenant(ctx, tenant)
	if err != nil {
		return List[webhook.Event]{}, err
	}
	part, err := storePage(page, o.engine.records.IDs.ParseEvent)
	if err != nil {
		return List[webhook.Event]{}, err
	}
	got, err := o.engine.store.Events(ctx, owner.Key, store.EventFilter(filter), part)
	if err != nil {
		return List[webhook.Event]{}, translate(err, "events of", string(tenant))
	}
	last := o.engine.records.IDs.Event(got.LastAt, store.EventKey(got.Last))
	return listed(got, o.showEvent(o.engine.records.IDs.Tenant(owner.CreatedAt, owner.Key)), string(last)), nil
}
