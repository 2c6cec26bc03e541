package neohook

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// endpoint finds the endpoint that ref names, and its tenant.
func (o *Organisation) endpoint(ctx context.Context, tenant webhook.TenantID, ref webhook.EndpointID) (owner store.Tenant, found store.Endpoint, err error) {
	if owner, err = o.tenant(ctx, tenant); err != nil {
		return owner, found, err
	}
	err = store.ErrNotFound
	if strings.HasPrefix(string(ref), webhook.EndpointPrefix) {
		if key, _, bad := o.engine.records.IDs.ParseEndpoint(ref); bad == nil {
			found, err = o.engine.store.Endpoint(ctx, owner.Key, key)
		}
	} else if webhook.IsName(string(ref)) {
		found, err = o.engine.store.EndpointByUID(ctx, owner.Key, string(ref))
	}
	return owner, found, translate(err, "endpoint", string(ref))
}

// showEndpoint returns what makes of a tenant's stored endpoints what callers see.
func (o *Organisation) showEndpoint(tenant *store.Tenant) func(*store.Endpoint) (webhook.Endpoint, error) {
	return func(ep *store.Endpoint) (webhook.Endpoint, error) {
		shown, err := o.engine.records.Endpoint(tenant, ep)
		if err != nil {
			return webhook.Endpoint{}, translate(err, "endpoint", string(shown.ID))
		}
		return shown, nil
	}
}

// CreateEndpoint stores an endpoint of a tenant under a fresh ID and returns it, with
// defaults in place of zero values. An empty Secret is generated. ID, Tenant and times
// are not looked at. ErrConflict: the UID is taken among the tenant's endpoints;
// ErrTooManyEndpoints: it has as many as Options.MaxEndpointsPerTenant lets it have. It
// counts for every event whose Publish begins after this has returned.
func (o *Organisation) CreateEndpoint(ctx context.Context, tenant webhook.TenantID, ep webhook.Endpoint) (webhook.Endpoint, error) {
	owner, err := o.tenant(ctx, tenant)
	if err != nil {
		return webhook.Endpoint{}, err
	}
	at := now()
	once, err := o.storeOnce(at, createEndpointOp, int64(owner.Key))
	if err != nil {
		return webhook.Endpoint{}, err
	}
	return create(ctx, o, once, at, creation[store.Endpoint, webhook.Endpoint]{
		validate: func() error {
			if err := ep.Validate(); err != nil {
				return err
			}
			return o.checkTypes(ctx, nil, ep.EventTypes)
		},
		record: func(key int64) (store.Endpoint, error) {
			made := store.Endpoint{
				Key: store.EndpointKey(key), Tenant: owner.Key, CreatedBy: string(ep.CreatedBy),
				CreatedAt: at, UpdatedAt: at, Version: 1,
			}
			if ep.Secret == "" {
				ep.Secret = signature.Generate()
			}
			return made, o.engine.records.PutEndpoint(&made, &ep)
		},
		insert: func(made store.Endpoint, once *store.Once) error {
			// One after another, so that together they do not pass the limit.
			select {
			case o.engine.creating <- struct{}{}:
				defer func() { <-o.engine.creating }()
			case <-ctx.Done():
				return fmt.Errorf("neohook: create an endpoint: %w", ctx.Err())
			}
			if err := o.mayHaveMore(ctx, owner.Key); err != nil {
				return err
			}
			if o.id == OperationalOrganisation {
				o.engine.herald.Meet(owner.Key, owner.UID)
			}
			announce := o.announce(store.About{Tenant: owner.Key, Endpoint: made.Key}, operational.EndpointCreated)
			err := o.engine.store.InsertEndpoint(ctx, made, once, announce...)
			o.engine.outbox.Added(len(announce))
			o.engine.changed(ctx, owner.Key)
			if errors.Is(err, store.ErrNotFound) {
				return translate(err, "tenant", string(tenant))
			}
			return translate(err, "endpoint", ep.UID)
		},
		show: o.showEndpoint(&owner),
	})
}

// mayHaveMore says no where a tenant has as many endpoints as it may.
func (o *Organisation) mayHaveMore(ctx context.Context, tenant store.TenantKey) error {
	limit := o.engine.opts.MaxEndpointsPerTenant
	if limit == 0 {
		return nil
	}
	has, err := o.engine.store.Endpoints(ctx, tenant, store.Page{Limit: limit})
	if err != nil {
		return translate(err, "endpoints of", "the tenant")
	}
	if len(has) >= limit {
		return &LimitError{ErrTooManyEndpoints, limit}
	}
	return nil
}

// Endpoint returns an endpoint, with its Secret and Headers.
func (o *Organisation) Endpoint(ctx context.Context, tenant webhook.TenantID, ref webhook.EndpointID) (webhook.Endpoint, error) {
	owner, found, err := o.endpoint(ctx, tenant, ref)
	if err != nil {
		return webhook.Endpoint{}, err
	}
	return o.showEndpoint(&owner)(&found)
}

// Endpoints lists a tenant's endpoints in the order of their creation.
func (o *Organisation) Endpoints(ctx context.Context, tenant webhook.TenantID, page Page) (List[webhook.Endpoint], error) {
	owner, err := o.tenant(ctx, tenant)
	if err != nil {
		return List[webhook.Endpoint]{}, err
	}
	part, err := storePage(page, o.engine.records.IDs.ParseEndpoint)
	if err != nil {
		return List[webhook.Endpoint]{}, err
	}
	got, err := o.engine.store.Endpoints(ctx, owner.Key, whole(part))
	if err != nil {
		return List[webhook.Endpoint]{}, translate(err, "endpoints of", string(tenant))
	}
	return cut(got, part.Limit, o.showEndpoint(&owner), func(ep *webhook.Endpoint) string { return string(ep.ID) })
}

// UpdateEndpoint reads an endpoint, lets change alter it, stores what came of it and
// returns that. It begins again where somebody else has changed the endpoint in between,
// so change may be called several times; an error of change ends it and is returned as
// it is. What change does to ID, Tenant, CreatedBy and times is not looked at. A Secret
// that it replaces stops signing at once; RotateSecret gives receivers time. An update
// that changes nothing leaves UpdatedAt. To pause or resume costs the same whatever waits,
// and lets a failing endpoint fail anew: the time counts no more towards disabling it.
//
// It counts for every event whose Publish begins, and every attempt that begins, after
// this has returned.
func (o *Organisation) UpdateEndpoint(ctx context.Context, tenant webhook.TenantID, ref webhook.EndpointID, change func(*webhook.Endpoint) error) (webhook.Endpoint, error) {
	return o.updateEndpoint(ctx, tenant, ref, nil, change)
}

// updateEndpoint is UpdateEndpoint; with once, it writes even where nothing changes, as
// the once must be stored.
func (o *Organisation) updateEndpoint(ctx context.Context, tenant webhook.TenantID, ref webhook.EndpointID, once *store.Once, change func(*webhook.Endpoint) error) (webhook.Endpoint, error) {
	owner, stored, err := o.endpoint(ctx, tenant, ref)
	if err != nil {
		return webhook.Endpoint{}, err
	}
	for range maxTries {
		next, told, changes, err := o.changeEndpoint(ctx, &owner, &stored, change)
		if err != nil {
			return webhook.Endpoint{}, err
		}
		if !changes && once == nil {
			return o.showEndpoint(&owner)(&stored)
		}
		announce := o.announce(store.About{Tenant: owner.Key, Endpoint: next.Key}, told...)
		again, err := o.engine.writeEndpoint(ctx, &next, once, announce...)
		if err == nil {
			if next.Disabled != stored.Disabled || next.Paused != stored.Paused {
				o.engine.failing.Forget(next.Key)
			}
			return o.showEndpoint(&owner)(&next)
		}
		if !again {
			return webhook.Endpoint{}, translate(err, "endpoint", string(ref))
		}
		if stored, err = o.engine.store.Endpoint(ctx, owner.Key, stored.Key); err != nil {
			return webhook.Endpoint{}, translate(err, "endpoint", string(ref))
		}
	}
	return webhook.Endpoint{}, translate(store.ErrStale, "endpoint", string(ref))
}

// writeEndpoint stores the next version of an endpoint. It returns true where somebody
// else was faster.
func (e *Engine) writeEndpoint(ctx context.Context, next *store.Endpoint, once *store.Once, announce ...store.Announcement) (bool, error) {
	next.UpdatedAt = now()
	next.Version++
	err := e.store.UpdateEndpoint(ctx, *next, once, announce...)
	e.outbox.Added(len(announce))
	e.changed(ctx, next.Tenant)
	return errors.Is(err, store.ErrStale), err
}

// changeEndpoint returns what change makes of a stored endpoint, the operational events
// that tell of it, and whether that is anything else.
func (o *Organisation) changeEndpoint(ctx context.Context, owner *store.Tenant, stored *store.Endpoint, change func(*webhook.Endpoint) error) (next store.Endpoint, told []string, changes bool, _ error) {
	show := o.showEndpoint(owner)
	before, err := show(stored)
	if err != nil {
		return next, nil, false, err
	}
	after, err := show(stored) // again, as the two must not share maps
	if err != nil {
		return next, nil, false, err
	}
	if err := change(&after); err != nil {
		return next, nil, false, err
	}
	if err := checkEndpoint(&after); err != nil {
		return next, nil, false, err
	}
	if err := o.checkTypes(ctx, before.EventTypes, after.EventTypes); err != nil {
		return next, nil, false, err
	}
	next = *stored
	if err := o.engine.records.PutEndpoint(&next, &after); err != nil {
		return next, nil, false, err
	}
	settled, err := show(&next) // what is sealed is never twice the same
	return next, toldOf(before, settled), !reflect.DeepEqual(before, settled), err
}

// toldOf lists the operational events that tell of a change of an endpoint. Headers are
// nobody's business but the receiver's.
func toldOf(before, after webhook.Endpoint) (types []string) {
	switch {
	case after.Paused && !before.Paused:
		types = append(types, operational.EndpointPaused)
	case before.Paused && !after.Paused:
		types = append(types, operational.EndpointResumed)
	}
	before.Paused, before.Headers = after.Paused, after.Headers
	if !reflect.DeepEqual(before, after) {
		types = append(types, operational.EndpointUpdated)
	}
	return types
}

// checkEndpoint is Validate, and that there is a Secret.
func checkEndpoint(ep *webhook.Endpoint) error {
	err := ep.Validate()
	if ep.Secret != "" {
		return err
	}
	var bad *webhook.InvalidError
	if !errors.As(err, &bad) {
		bad = new(webhook.InvalidError)
	}
	bad.Add("secret", "must not be empty: every endpoint of an engine signs")
	return bad
}

// DeleteEndpoint ends an endpoint. Its UID is free again; what is still to be sent to it
// is cancelled.
func (o *Organisation) DeleteEndpoint(ctx context.Context, tenant webhook.TenantID, ref webhook.EndpointID) error {
	owner, stored, err := o.endpoint(ctx, tenant, ref)
	if err != nil {
		return err
	}
	announce := o.announce(store.About{Tenant: owner.Key, Endpoint: stored.Key}, operational.EndpointDeleted)
	if err = o.engine.store.DeleteEndpoint(ctx, owner.Key, stored.Key, now(), announce...); err == nil {
		o.engine.failing.Forget(stored.Key)
	}
	o.engine.outbox.Added(len(announce))
	o.engine.changed(ctx, owner.Key)
	return translate(err, "endpoint", string(ref))
}
