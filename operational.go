package neohook

import (
	"context"
	"errors"

	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// OperationalOrganisation owns the tenants by which operators are told of what happens to
// endpoints and messages. A tenant's UID there is the organisation that it is told of.
// Nothing that happens in this organisation is told.
const OperationalOrganisation webhook.OrganisationID = operational.Organisation

// OperationalEventTypes describes the events that endpoints of an operational tenant may
// hear of. They are among the event types of OperationalOrganisation.
func OperationalEventTypes() []webhook.EventType { return operational.EventTypes() }

// Operational returns what acts for OperationalOrganisation, and its tenant for this
// organisation, which is made if there is none. An endpoint of that tenant is sent an event
// for each thing of its EventTypes that happens in this organisation from then on: a
// webhook like any other, signed and retried. What no endpoint hears of is not kept.
//
// ErrNotFound: this is OperationalOrganisation itself.
func (o *Organisation) Operational(ctx context.Context) (*Organisation, webhook.TenantID, error) {
	if err := checkOrganisation(o.id); err != nil {
		return nil, "", err
	}
	if o.id == OperationalOrganisation {
		return nil, "", translate(store.ErrNotFound, "operational tenant of", string(o.id))
	}
	acting := o.engine.In(OperationalOrganisation)
	// Whoever makes it at the same time makes it for us too.
	const tries = 2
	for range tries {
		found, err := acting.Tenant(ctx, webhook.TenantID(o.id))
		if !errors.Is(err, ErrNotFound) {
			return acting, found.ID, err
		}
		made, err := acting.CreateTenant(ctx, webhook.Tenant{UID: string(o.id), Name: "Operational events of " + string(o.id)})
		if !errors.Is(err, ErrConflict) {
			return acting, made.ID, err
		}
	}
	return nil, "", translate(store.ErrConflict, "tenant", string(o.id))
}

// announce returns what is to be put into the outbox with a change.
func (o *Organisation) announce(about store.About, types ...string) []store.Announcement {
	return o.engine.herald.Announce(string(o.id), about, operational.Details{}, types...)
}

// prepareOperational finds out who is told, and sees to it that there is something to
// subscribe to.
func (e *Engine) prepareOperational(ctx context.Context) error {
	if err := e.putOperationalTypes(ctx); err != nil {
		return err
	}
	if err := e.herald.Load(ctx, e.store); err != nil {
		return err
	}
	return e.outbox.Load(ctx)
}

func (e *Engine) putOperationalTypes(ctx context.Context) error {
	types := operational.EventTypes()
	names := make([]string, len(types))
	for i := range types {
		names[i] = types[i].Name
	}
	stored, err := e.store.EventTypesNamed(ctx, operational.Organisation, names)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(stored))
	for i := range stored {
		known[stored[i].Name] = true
	}
	var missing []store.EventType
	for i := range types {
		if known[types[i].Name] {
			continue
		}
		key, err := e.store.NewKey(ctx)
		if err != nil {
			return err
		}
		at := now()
		missing = append(missing, store.EventType{
			Key: store.EventTypeKey(key), Organisation: operational.Organisation,
			Name: types[i].Name, Description: types[i].Description, Group: types[i].Group,
			CreatedAt: at, UpdatedAt: at, Version: 1,
		})
	}
	if len(missing) == 0 {
		return nil
	}
	if err := e.store.PutEventTypes(ctx, missing, nil); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return nil // another node was faster
}
