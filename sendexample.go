package neohook

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/neohook/neohook/internal/catalogue"
	"github.com/neohook/neohook/webhook"
)

// PingType is an event type that needs no description: its example is {"success":true}. So
// is SvixPingType, which clients made for Svix know.
const (
	PingType     = "neohook.ping"
	SvixPingType = "svix.ping"
)

const pingPayload = `{"success":true}`

// SendExample accepts an event of a type for one endpoint only, whatever that listens to,
// with the first of the examples in the type's schema: that of version "1", or of the newest
// one. Apart from that it is an event like any other.
//
// Errors: those of Publish; ErrNotFound for the endpoint and the event type too, and
// ErrNoExample. Where the endpoint is disabled the event is accepted, and sent to nobody.
func (o *Organisation) SendExample(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, eventType string) (webhook.Event, error) {
	owner, found, err := o.endpoint(ctx, tenant, endpoint)
	if err != nil {
		return webhook.Event{}, err
	}
	payload, err := o.example(ctx, eventType)
	if err != nil {
		return webhook.Event{}, err
	}
	event := webhook.Event{Tenant: o.engine.records.IDs.Tenant(owner.CreatedAt, owner.Key), Type: eventType, Payload: payload}
	accepted, err := o.publish(ctx, event, found.Key)
	if err != nil {
		o.engine.tally.refuse(err)
	}
	return accepted, err
}

// example returns the payload that stands for an event type.
func (o *Organisation) example(ctx context.Context, eventType string) ([]byte, error) {
	if eventType == PingType || eventType == SvixPingType {
		return []byte(pingPayload), nil
	}
	t, err := o.EventType(ctx, eventType)
	if err != nil {
		return nil, err
	}
	version := "1"
	if _, there := t.Schemas[version]; !there && len(t.Schemas) > 0 {
		version = slices.MinFunc(slices.Collect(maps.Keys(t.Schemas)), catalogue.Newer)
	}
	var schema struct {
		Examples []json.RawMessage `json:"examples"`
	}
	if json.Unmarshal(t.Schemas[version], &schema) != nil || len(schema.Examples) == 0 { // true and false are schemas
		return nil, fmt.Errorf("%w: %q", ErrNoExample, eventType)
	}
	return schema.Examples[0], nil
}

// WouldReach says whether an event of this type and these channels, published now, would be
// for any endpoint of a tenant.
func (o *Organisation) WouldReach(ctx context.Context, tenant webhook.TenantID, eventType string, channels []string) (bool, error) {
	if err := checkOrganisation(o.id); err != nil {
		return false, err
	}
	routes, err := o.engine.routes.Tenant(ctx, o.id, tenant)
	if err != nil {
		return false, translate(err, "tenant", string(tenant))
	}
	return len(routes.Match(eventType, channels)) > 0, nil
}
