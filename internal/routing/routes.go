package routing

import (
	"cmp"
	"slices"

	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Routes is a tenant and its endpoints at one instant. It never changes.
type Routes struct {
	// Version is what a commit checks.
	Version int64
	// Tenant is the tenant as stored.
	Tenant store.Tenant

	endpoints []endpoint // ascending by key
	size      int64
}

type endpoint struct {
	key     store.EndpointKey
	webhook webhook.Endpoint
	err     error // why secrets or headers could not be opened
}

// Match returns the endpoints that an event of this type and these channels is for,
// ascending.
func (r *Routes) Match(eventType string, channels []string) []store.EndpointKey {
	var keys []store.EndpointKey
	for i := range r.endpoints {
		if !r.endpoints[i].webhook.Hears(eventType, channels) {
			continue
		}
		if keys == nil {
			keys = make([]store.EndpointKey, 0, len(r.endpoints)-i)
		}
		keys = append(keys, r.endpoints[i].key)
	}
	return keys
}

// Keys returns all endpoints, ascending.
func (r *Routes) Keys() []store.EndpointKey {
	keys := make([]store.EndpointKey, len(r.endpoints))
	for i := range r.endpoints {
		keys[i] = r.endpoints[i].key
	}
	return keys
}

// Endpoint returns an endpoint with its secrets opened, or the reason why nothing is
// sent to it. It is shared: nobody may change it. An error says that its secrets can't
// be opened.
func (r *Routes) Endpoint(key store.EndpointKey) (*webhook.Endpoint, webhook.Reason, error) {
	at, found := slices.BinarySearchFunc(r.endpoints, key, func(ep endpoint, key store.EndpointKey) int {
		return cmp.Compare(ep.key, key)
	})
	switch {
	case !found:
		return nil, webhook.EndpointDeleted, nil
	case r.endpoints[at].webhook.Disabled:
		return nil, webhook.EndpointDisabled, nil
	case r.endpoints[at].err != nil:
		return nil, "", r.endpoints[at].err
	}
	return &r.endpoints[at].webhook, "", nil
}

// open makes Routes of stored ones. An endpoint whose secrets can't be opened is routed
// to all the same, and harms no other.
func open(records *record.Translator, stored *store.Routes) *Routes {
	routes := &Routes{
		Version: stored.Version, Tenant: stored.Tenant,
		endpoints: make([]endpoint, len(stored.Endpoints)),
		size:      routesBytes + int64(len(stored.Tenant.UID)+len(stored.Tenant.Name)),
	}
	for i := range stored.Endpoints {
		opened, err := records.Endpoint(&stored.Tenant, &stored.Endpoints[i])
		routes.endpoints[i] = endpoint{key: stored.Endpoints[i].Key, webhook: opened, err: err}
		routes.size += sizeOf(&opened)
	}
	return routes
}

// What a Routes and an endpoint in it take beside their texts, and a text beside its
// bytes. It need not be exact.
const (
	routesBytes   = 512
	endpointBytes = 640
	textBytes     = 32
)

func sizeOf(ep *webhook.Endpoint) int64 {
	size := endpointBytes + len(ep.UID) + len(ep.Name) + len(ep.Description) + len(ep.URL) + len(ep.Secret)
	size += 8 * (len(ep.Schedule) + len(ep.FinalStatuses))
	for _, list := range [][]string{ep.EventTypes, ep.Channels} {
		for _, text := range list {
			size += textBytes + len(text)
		}
	}
	for _, pairs := range []map[string]string{ep.Headers, ep.Metadata} {
		for name, value := range pairs {
			size += 2*textBytes + len(name) + len(value)
		}
	}
	for _, old := range ep.RetiringSecrets {
		size += 2*textBytes + len(old.Secret)
	}
	return int64(size)
}
