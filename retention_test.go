package neohook_test

import (
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/webhook"
)

const day = 24 * time.Hour

func TestRetentionIsKeptWithTenantsAndEvents(t *testing.T) {
	eng, stop := start(t, openStore(t, t.TempDir()), neohook.Options{Adapter: memadapter.New()})
	defer stop()
	want := webhook.Retention{Payloads: 5 * day, Attempts: 6 * day, Events: 7 * day}
	acme := must[webhook.Tenant](t)(eng.CreateTenant(t.Context(), webhook.Tenant{Name: "Acme", Retention: want}))
	if acme.Retention != want {
		t.Errorf("created with %+v, want %+v", acme.Retention, want)
	}
	changed := must[webhook.Tenant](t)(eng.UpdateTenant(t.Context(), acme.ID, func(t *webhook.Tenant) error {
		t.Retention.Attempts = 0
		return nil
	}))
	if want.Attempts = 0; changed.Retention != want {
		t.Errorf("changed to %+v, want %+v", changed.Retention, want)
	}
	sent := must[webhook.Event](t)(eng.Publish(t.Context(), webhook.Event{Tenant: acme.ID, Type: "a", PayloadTTL: 5 * day}))
	if found := must[webhook.Event](t)(eng.Event(t.Context(), acme.ID, sent.ID)); sent.PayloadTTL != 5*day || found.PayloadTTL != 5*day {
		t.Errorf("published with %v, found with %v, want 5 days", sent.PayloadTTL, found.PayloadTTL)
	}
}
