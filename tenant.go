package neohook

import (
	"context"
	"errors"
	"reflect"

	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// CreateTenant stores a tenant under a fresh ID and returns it. UID, Name, RateLimit and
// Metadata are the caller's to set; the rest is not looked at. ErrConflict: the UID is
// taken in the organisation.
func (o *Organisation) CreateTenant(ctx context.Context, t webhook.Tenant) (webhook.Tenant, error) {
	if err := checkOrganisation(o.id); err != nil {
		return webhook.Tenant{}, err
	}
	at := now()
	once, err := o.storeOnce(at, createTenantOp)
	if err != nil {
		return webhook.Tenant{}, err
	}
	return create(ctx, o, once, at, creation[store.Tenant, webhook.Tenant]{
		validate: t.Validate,
		record: func(key int64) (store.Tenant, error) {
			made := store.Tenant{
				Key: store.TenantKey(key), Organisation: string(o.id), CreatedAt: at, UpdatedAt: at, Version: 1,
			}
			record.PutTenant(&made, &t)
			return made, nil
		},
		insert: func(made store.Tenant, once *store.Once) error {
			return translate(o.engine.store.InsertTenant(ctx, made, once), "tenant", t.UID)
		},
		show: o.showTenant,
	})
}

func (o *Organisation) showTenant(t *store.Tenant) (webhook.Tenant, error) {
	return o.engine.records.Tenant(t), nil
}

// Tenant returns a tenant.
func (o *Organisation) Tenant(ctx context.Context, ref webhook.TenantID) (webhook.Tenant, error) {
	found, err := o.tenant(ctx, ref)
	if err != nil {
		return webhook.Tenant{}, err
	}
	return o.showTenant(&found)
}

// Tenants lists the organisation's tenants in the order of their creation.
func (o *Organisation) Tenants(ctx context.Context, page Page) (List[webhook.Tenant], error) {
	if err := checkOrganisation(o.id); err != nil {
		return List[webhook.Tenant]{}, err
	}
	part, err := storePage(page, o.engine.records.IDs.ParseTenant)
	if err != nil {
		return List[webhook.Tenant]{}, err
	}
	got, err := o.engine.store.Tenants(ctx, string(o.id), whole(part))
	if err != nil {
		return List[webhook.Tenant]{}, translate(err, "tenants of", string(o.id))
	}
	return cut(got, part.Limit, o.showTenant, func(t *webhook.Tenant) string { return string(t.ID) })
}

// UpdateTenant reads a tenant, lets change alter it, stores what came of it and returns
// that. It begins again where somebody else has changed the tenant in between, so change
// may be called several times; an error of change ends it and is returned as it is. What
// change does to ID, Organisation and times is not looked at. An update that changes
// nothing leaves UpdatedAt.
func (o *Organisation) UpdateTenant(ctx context.Context, ref webhook.TenantID, change func(*webhook.Tenant) error) (webhook.Tenant, error) {
	stored, err := o.tenant(ctx, ref)
	if err != nil {
		return webhook.Tenant{}, err
	}
	for range maxTries {
		changed := o.engine.records.Tenant(&stored)
		if err := change(&changed); err != nil {
			return webhook.Tenant{}, err
		}
		if err := changed.Validate(); err != nil {
			return webhook.Tenant{}, err
		}
		next := stored
		record.PutTenant(&next, &changed)
		if reflect.DeepEqual(next, stored) {
			return o.showTenant(&stored)
		}
		again, err := o.writeTenant(ctx, &next)
		if err == nil {
			if next.Paused != stored.Paused {
				o.engine.startAfresh(ctx, next.Key)
			}
			if next.Retention != stored.Retention {
				o.engine.keeper.Look()
			}
			return o.showTenant(&next)
		}
		if !again {
			return webhook.Tenant{}, translate(err, "tenant", string(ref))
		}
		// By its key: a change of the UID must not lead to another tenant.
		if stored, err = o.engine.store.Tenant(ctx, string(o.id), stored.Key); err != nil {
			return webhook.Tenant{}, translate(err, "tenant", string(ref))
		}
	}
	return webhook.Tenant{}, translate(store.ErrStale, "tenant", string(ref))
}

// writeTenant stores the next version of a tenant. It returns true where somebody else
// was faster.
func (o *Organisation) writeTenant(ctx context.Context, next *store.Tenant) (bool, error) {
	next.UpdatedAt = now()
	next.Version++
	err := o.engine.store.UpdateTenant(ctx, *next)
	o.engine.changed(ctx, next.Key)
	return errors.Is(err, store.ErrStale), err
}

// DeleteTenant ends a tenant and all its endpoints. Their UIDs are free again; what is
// still to be sent to them is cancelled. What is kept of it goes in its time: see
// ExpungeTenant for at once.
func (o *Organisation) DeleteTenant(ctx context.Context, ref webhook.TenantID) error {
	stored, err := o.tenant(ctx, ref)
	if err != nil {
		return err
	}
	err = o.engine.store.DeleteTenant(ctx, stored.Key, now())
	o.engine.forgetTenant(ctx, stored.Key)
	return translate(err, "tenant", string(ref))
}
