package neohook_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

// What no database keeps as text is refused at each door, by name, before the store is asked.
func TestWhatIsNoTextIsRefusedAtEachDoor(t *testing.T) {
	ctx := t.Context()
	eng := newEngine(t, openMemory(t), neohook.Options{})
	must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
	const url = "https://acme.example"
	ep := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{URL: url}))
	tenant := func(t webhook.Tenant) error { return second(eng.CreateTenant(ctx, t)) }
	endpoint := func(ep webhook.Endpoint) error { return second(eng.CreateEndpoint(ctx, "acme", ep)) }
	event := func(ev webhook.Event) error {
		ev.Tenant = "acme"
		return second(eng.Publish(ctx, ev))
	}
	eventType := func(t webhook.EventType) error { return second(eng.CreateEventType(ctx, t)) }
	token := func(t access.Token) error {
		_, _, err := eng.CreateToken(ctx, t)
		return err
	}
	metadata := func(key, value string) map[string]string { return map[string]string{key: value} }

	doors := map[string]struct {
		enter func(bad string) error
		field string
	}{
		"tenant's name":          {func(bad string) error { return tenant(webhook.Tenant{Name: bad}) }, "name: "},
		"tenant's uid":           {func(bad string) error { return tenant(webhook.Tenant{Name: "A", UID: bad}) }, "uid: "},
		"tenant's metadata":      {func(bad string) error { return tenant(webhook.Tenant{Name: "A", Metadata: metadata("plan", bad)}) }, "metadata.plan: "},
		"name in metadata":       {func(bad string) error { return tenant(webhook.Tenant{Name: "A", Metadata: metadata(bad, "")}) }, "metadata: "},
		"endpoint's uid":         {func(bad string) error { return endpoint(webhook.Endpoint{URL: url, UID: bad}) }, "uid: "},
		"endpoint's name":        {func(bad string) error { return endpoint(webhook.Endpoint{URL: url, Name: bad}) }, "name: "},
		"endpoint's description": {func(bad string) error { return endpoint(webhook.Endpoint{URL: url, Description: bad}) }, "description: "},
		"endpoint's url":         {func(bad string) error { return endpoint(webhook.Endpoint{URL: url + "/" + bad}) }, "url: "},
		"endpoint's method":      {func(bad string) error { return endpoint(webhook.Endpoint{URL: url, Method: bad}) }, "method: "},
		"endpoint's event types": {func(bad string) error { return endpoint(webhook.Endpoint{URL: url, EventTypes: []string{bad}}) }, "eventTypes[0]: "},
		"endpoint's channels":    {func(bad string) error { return endpoint(webhook.Endpoint{URL: url, Channels: []string{bad}}) }, "channels[0]: "},
		"endpoint's metadata":    {func(bad string) error { return endpoint(webhook.Endpoint{URL: url, Metadata: metadata("k", bad)}) }, "metadata.k: "},
		"who made an endpoint":   {func(bad string) error { return endpoint(webhook.Endpoint{URL: url, CreatedBy: webhook.UserID(bad)}) }, "createdBy: "},
		"header's name":          {func(bad string) error { return endpoint(webhook.Endpoint{URL: url, Headers: metadata("X"+bad, "")}) }, "headers.X"},
		"event's uid":            {func(bad string) error { return event(webhook.Event{Type: "a", UID: bad}) }, "uid: "},
		"event's type":           {func(bad string) error { return event(webhook.Event{Type: bad}) }, "type: "},
		"event's channels":       {func(bad string) error { return event(webhook.Event{Type: "a", Channels: []string{bad}}) }, "channels[0]: "},
		"event's tags":           {func(bad string) error { return event(webhook.Event{Type: "a", Tags: []string{bad}}) }, "tags[0]: "},
		"event type's name":      {func(bad string) error { return eventType(webhook.EventType{Name: bad}) }, "name: "},
		"its description":        {func(bad string) error { return eventType(webhook.EventType{Name: "a", Description: bad}) }, "description: "},
		"its group":              {func(bad string) error { return eventType(webhook.EventType{Name: "a", Group: bad}) }, "groupName: "},
		"its flags":              {func(bad string) error { return eventType(webhook.EventType{Name: "a", FeatureFlags: []string{bad}}) }, "featureFlags[0]: "},
		"version of a schema": {func(bad string) error {
			return eventType(webhook.EventType{Name: "a", Schemas: map[string]json.RawMessage{bad: json.RawMessage("{}")}})
		}, "schemas: "},
		"imported type": {func(bad string) error {
			return second(eng.ImportEventTypes(ctx, neohook.EventTypeImport{Types: []webhook.EventType{{Name: "a", Description: bad}}}))
		}, "eventTypes.a: "},
		"token's name":    {func(bad string) error { return token(access.Token{Name: bad, Scopes: []access.Scope{access.Admin}}) }, "name: "},
		"token's session": {func(bad string) error { return token(access.Token{Tenant: "acme", Portal: true, Session: bad}) }, "sessionId: "},
		"token's flags": {func(bad string) error {
			return token(access.Token{Tenant: "acme", Portal: true, FeatureFlags: []string{bad}})
		}, "featureFlags[0]: "},
		"sessions that expire": {func(bad string) error { return eng.ExpireTokens(ctx, "acme", time.Minute, "s", bad) }, "sessionIds[1]: "},
		"type that is counted": {func(bad string) error {
			return second(eng.Series(ctx, neohook.SeriesQuery{Tenant: "acme", Unit: neohook.PerDay, Type: bad}))
		}, "type: "},
		"update of the tenant": {func(bad string) error {
			return second(eng.UpdateTenant(ctx, "acme", func(t *webhook.Tenant) error { t.Metadata = metadata("k", bad); return nil }))
		}, "metadata.k: "},
		"update of the endpoint": {func(bad string) error {
			return second(eng.UpdateEndpoint(ctx, "acme", ep.ID, func(ep *webhook.Endpoint) error { ep.Name = bad; return nil }))
		}, "name: "},
		"organisation": {func(bad string) error {
			return second(eng.In("org_"+webhook.OrganisationID(bad)).Tenants(ctx, neohook.Page{}))
		}, "organisation's id"},
		"organisation's operator": {func(bad string) error {
			_, _, err := eng.In("org_" + webhook.OrganisationID(bad)).Operational(ctx)
			return err
		}, "organisation's id"},
	}
	for name, door := range doors {
		for _, bad := range []string{"a\x00", "\xff"} {
			err := door.enter(bad)
			var invalid *webhook.InvalidError
			if !errors.As(err, &invalid) && !errors.Is(err, webhook.ErrMalformedID) || !strings.Contains(err.Error(), door.field) {
				t.Errorf("%s %q: %v, want it to name %q", name, bad, err, door.field)
			}
			if err != nil && !webhook.IsText(err.Error()) && name != "header's name" {
				t.Errorf("%s %q: the error itself is no text: %q", name, bad, err)
			}
		}
	}
}

func TestWhatIsNoTextNamesNothing(t *testing.T) {
	ctx := t.Context()
	eng := newEngine(t, openMemory(t), neohook.Options{})
	must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
	for _, bad := range []string{"\x00", "\xff"} {
		for name, err := range map[string]error{
			"tenant":      second(eng.Tenant(ctx, webhook.TenantID(bad))),
			"endpoint":    second(eng.Endpoint(ctx, "acme", webhook.EndpointID(bad))),
			"event":       second(eng.Event(ctx, "acme", webhook.EventID(bad))),
			"event type":  second(eng.EventType(ctx, bad)),
			"job":         second(eng.Job(ctx, webhook.JobID(bad))),
			"publishing":  second(eng.Publish(ctx, webhook.Event{Tenant: webhook.TenantID(bad), Type: "a", Payload: []byte("1")})),
			"deleted one": eng.DeleteEventType(ctx, bad),
		} {
			if !errors.Is(err, neohook.ErrNotFound) {
				t.Errorf("%s %q: %v, want ErrNotFound", name, bad, err)
			}
		}
	}
}
