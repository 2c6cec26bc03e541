package webhook_test

import (
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

const day = 24 * time.Hour

func TestRetentionValidate(t *testing.T) {
	for name, test := range map[string]struct {
		retention webhook.Retention
		want      []string
	}{
		"none of its own":           {webhook.Retention{}, nil},
		"the shortest":              {webhook.Retention{Payloads: day, Attempts: day, Events: day}, nil},
		"the longest":               {webhook.Retention{Events: webhook.MaxRetention}, nil},
		"too short":                 {webhook.Retention{Payloads: day - 1}, []string{"retention.payloads"}},
		"too long":                  {webhook.Retention{Events: webhook.MaxRetention + 1}, []string{"retention.events"}},
		"negative":                  {webhook.Retention{Attempts: -day}, []string{"retention.attempts"}},
		"payloads beyond events":    {webhook.Retention{Payloads: 3 * day, Events: 2 * day}, []string{"retention.payloads"}},
		"attempts beyond events":    {webhook.Retention{Attempts: 3 * day, Events: 2 * day}, []string{"retention.attempts"}},
		"events that do not say it": {webhook.Retention{Payloads: 300 * day}, nil},
	} {
		if got := faults(t, test.retention.Validate()); !slices.Equal(got, test.want) {
			t.Errorf("%s: faults %q, want %q", name, got, test.want)
		}
		tenant := webhook.Tenant{Name: "Acme", Retention: test.retention}
		if got := faults(t, tenant.Validate()); !slices.Equal(got, test.want) {
			t.Errorf("%s, of a tenant: faults %q, want %q", name, got, test.want)
		}
	}
}

func TestRetentionWithDefaults(t *testing.T) {
	defaults := webhook.Retention{Payloads: 5 * day, Attempts: 10 * day, Events: 90 * day}
	for name, test := range map[string]struct{ own, want webhook.Retention }{
		"nothing of its own":    {webhook.Retention{}, defaults},
		"all of its own":        {webhook.Retention{Payloads: 1 * day, Attempts: 2 * day, Events: 3 * day}, webhook.Retention{Payloads: 1 * day, Attempts: 2 * day, Events: 3 * day}},
		"one longer":            {webhook.Retention{Payloads: 20 * day}, webhook.Retention{Payloads: 20 * day, Attempts: 10 * day, Events: 90 * day}},
		"nothing beyond events": {webhook.Retention{Events: 7 * day}, webhook.Retention{Payloads: 5 * day, Attempts: 7 * day, Events: 7 * day}},
		"payloads for ever":     {webhook.Retention{Payloads: webhook.MaxRetention}, webhook.Retention{Payloads: 90 * day, Attempts: 10 * day, Events: 90 * day}},
	} {
		if got := test.own.WithDefaults(defaults); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestPayloadTTLOfAnEvent(t *testing.T) {
	for ttl, want := range map[time.Duration][]string{
		0: nil, 5 * day: nil, 90 * day: nil,
		5*day - 1: {"payloadTTL"}, 90*day + 1: {"payloadTTL"}, -day: {"payloadTTL"},
	} {
		event := webhook.Event{Tenant: "acme", Type: "a.b", PayloadTTL: ttl}
		if got := faults(t, event.Validate()); !slices.Equal(got, want) {
			t.Errorf("%v: faults %q, want %q", ttl, got, want)
		}
	}
}
