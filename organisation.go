package neohook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Organisation acts for one owner of tenants. All its methods are safe for concurrent
// use. Where a tenant, an endpoint or an event is an argument, its id or the caller's
// own UID serves.
//
// What a method returns is the caller's own, to be changed at will. Errors are those
// listed under ErrNotFound, *webhook.InvalidError, or the store's; none of them shows a
// secret, a header's value or a payload.
type Organisation struct {
	engine *Engine
	id     webhook.OrganisationID
	once   *Once
	// knownTypes: endpoints subscribe to event types that there are.
	knownTypes bool
}

// KnownTypes returns a view whose CreateEndpoint and UpdateEndpoint refuse an event type
// that there is not, or that is archived, as *webhook.InvalidError, unless the endpoint
// has heard of it before. Without it a type need not be described to be subscribed to.
func (o *Organisation) KnownTypes() *Organisation {
	view := *o
	view.knownTypes = true
	return &view
}

// OrganisationID returns the organisation's id.
func (o *Organisation) OrganisationID() webhook.OrganisationID { return o.id }

func checkOrganisation(id webhook.OrganisationID) error { return id.Check() }

// tenant finds the tenant that ref names. It asks the store: what is deleted through
// another node is gone here too.
func (o *Organisation) tenant(ctx context.Context, ref webhook.TenantID) (store.Tenant, error) {
	if err := checkOrganisation(o.id); err != nil {
		return store.Tenant{}, err
	}
	var found store.Tenant
	err := store.ErrNotFound
	if strings.HasPrefix(string(ref), webhook.TenantPrefix) {
		if key, _, bad := o.engine.records.IDs.ParseTenant(ref); bad == nil {
			found, err = o.engine.store.Tenant(ctx, string(o.id), key)
		}
	} else if webhook.IsName(string(ref)) {
		found, err = o.engine.store.TenantByUID(ctx, string(o.id), string(ref))
	}
	return found, translate(err, "tenant", string(ref))
}

// translate turns a store's error about something into the one that callers compare
// with. The name is repeated only as far as it can be one.
func translate(err error, kind, name string) error {
	const most = 64
	if len(name) > most {
		name = name[:most] + "…"
	}
	switch {
	case errors.Is(err, store.ErrBuried):
		return errJoining
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: %s %q", ErrNotFound, kind, name)
	case errors.Is(err, store.ErrConflict):
		return fmt.Errorf("%w: %s %q", ErrConflict, kind, name)
	case err != nil:
		return fmt.Errorf("neohook: %s %q: %w", kind, name, err)
	}
	return nil
}

// now is the present as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// maxTries is how often an update is begun again because somebody else was faster. One
// of those who change a thing at once always succeeds.
const maxTries = 100
