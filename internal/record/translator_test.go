package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/record/recordtest"
	"github.com/neohook/neohook/internal/seal"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

var birth = time.Date(2026, 5, 4, 3, 2, 1, 123_456_000, time.UTC)

// fullEndpoint has a value other than the default in every field that callers rule over.
func fullEndpoint() webhook.Endpoint {
	return webhook.Endpoint{
		UID: "hook", Name: "Hook", Description: "of Acme", URL: "https://acme.example/hook", Method: "PUT",
		Secret: "raw \xff secret", RetiringSecrets: []webhook.RetiringSecret{{Secret: "old secret", Expires: birth.Add(time.Hour)}},
		Headers: map[string]string{"X-Key": "header value \xe4"}, Protocol: webhook.HTTP2, Timeout: 5 * time.Second, Disabled: true, Paused: true,
		EventTypes: []string{"a.b", "c"}, Channels: []string{"eu"}, RateLimit: 7, Version: 3,
		Concurrency: 4, Ordered: true, Schedule: webhook.Schedule{time.Minute, time.Hour}, FinalStatuses: []int{400},
		Metadata: map[string]string{"k": "v"},
	}
}

func TestAnEndpointComesBackAsItWent(t *testing.T) {
	tr := recordtest.New(t)
	tenant := store.Tenant{Key: 1, CreatedAt: birth}
	stored := store.Endpoint{Key: 2, Tenant: 1, CreatedBy: "usr_1", CreatedAt: birth, UpdatedAt: birth.Add(time.Minute), Version: 1}
	want := fullEndpoint()
	if err := tr.PutEndpoint(&stored, &want); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Endpoint(&tenant, &stored)
	if err != nil {
		t.Fatal(err)
	}
	want.ID, want.Tenant = tr.IDs.Endpoint(birth, 2), tr.IDs.Tenant(birth, 1)
	want.CreatedBy, want.CreatedAt, want.UpdatedAt = "usr_1", birth, birth.Add(time.Minute)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for at := range reflect.TypeFor[webhook.Endpoint]().NumField() {
		if reflect.ValueOf(want).Field(at).IsZero() {
			t.Errorf("the test leaves %s at its zero value", reflect.TypeFor[webhook.Endpoint]().Field(at).Name)
		}
	}

	inJSON, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"raw", "old secret", "header value", "X-Key"} {
		if bytes.Contains(inJSON, []byte(secret)) || bytes.Contains(stored.SealedSecrets, []byte(secret)) {
			t.Errorf("%q can be read in what is stored: %s", secret, inJSON)
		}
	}
	// The record is the answer that repeats are given.
	var again store.Endpoint
	if err := json.Unmarshal(inJSON, &again); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, stored) {
		t.Errorf("through JSON: %+v\nwant %+v", again, stored)
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	tr := recordtest.New(t)
	stored := store.Endpoint{Key: 2, Tenant: 1}
	err := tr.PutEndpoint(&stored, &webhook.Endpoint{
		Headers: map[string]string{}, Metadata: map[string]string{}, EventTypes: []string{}, Channels: []string{}, FinalStatuses: []int{},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tr.Endpoint(&store.Tenant{Key: 1}, &stored)
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != "POST" || got.Timeout != 30*time.Second || got.Version != 1 {
		t.Errorf("method %q, timeout %v, version %d", got.Method, got.Timeout, got.Version)
	}
	if got.Headers != nil || got.Metadata != nil || got.EventTypes != nil || got.Channels != nil ||
		got.Schedule != nil || got.FinalStatuses != nil {
		t.Errorf("something empty came back not nil: %+v", got)
	}
}

func TestNothingIsShared(t *testing.T) {
	tr := recordtest.New(t)
	tenant := store.Tenant{Key: 1}
	record.PutTenant(&tenant, &webhook.Tenant{Name: "Acme", Metadata: map[string]string{"k": "v"}})
	shown := tr.Tenant(&tenant)
	shown.Metadata["k"] = "changed"

	given := fullEndpoint()
	stored := store.Endpoint{Key: 2, Tenant: 1}
	if err := tr.PutEndpoint(&stored, &given); err != nil {
		t.Fatal(err)
	}
	given.EventTypes[0], given.Channels[0], given.Metadata["k"] = "changed", "changed", "changed"
	given.Schedule[0], given.FinalStatuses[0] = 0, 0
	ep, err := tr.Endpoint(&tenant, &stored)
	if err != nil {
		t.Fatal(err)
	}
	ep.EventTypes[0], ep.Channels[0], ep.Metadata["k"] = "changed", "changed", "changed"
	ep.Schedule[0], ep.FinalStatuses[0] = 0, 0
	if stored.Schedule[0] != time.Minute || stored.FinalStatuses[0] != 400 {
		t.Errorf("a change went through: %v %v", stored.Schedule, stored.FinalStatuses)
	}
	if tenant.Metadata["k"] != "v" || stored.EventTypes[0] != "a.b" || stored.Channels[0] != "eu" || stored.Metadata["k"] != "v" {
		t.Errorf("a change went through: %+v %+v", tenant, stored)
	}
}

// Somebody who can write to the store must not be able to move one tenant's secret to
// another's endpoint, or a header to where secrets are.
func TestSealedValuesStayInTheirPlace(t *testing.T) {
	tr := recordtest.New(t)
	given := fullEndpoint()
	stored := store.Endpoint{Key: 2, Tenant: 1}
	if err := tr.PutEndpoint(&stored, &given); err != nil {
		t.Fatal(err)
	}
	for what, moved := range map[string]func(*store.Endpoint){
		"to another endpoint":    func(ep *store.Endpoint) { ep.Key = 3 },
		"to another tenant":      func(ep *store.Endpoint) { ep.Tenant = 2 },
		"keys swapped":           func(ep *store.Endpoint) { ep.Key, ep.Tenant = 1, 2 },
		"digits moved":           func(ep *store.Endpoint) { ep.Key, ep.Tenant = 12, 0 },
		"headers for secrets":    func(ep *store.Endpoint) { ep.SealedSecrets = ep.SealedHeaders },
		"secrets for headers":    func(ep *store.Endpoint) { ep.SealedHeaders = ep.SealedSecrets },
		"secrets taken away":     func(ep *store.Endpoint) { ep.SealedSecrets = nil },
		"secrets that are noise": func(ep *store.Endpoint) { ep.SealedSecrets = []byte("noise") },
	} {
		ep := stored
		moved(&ep)
		_, err := tr.Endpoint(&store.Tenant{Key: ep.Tenant}, &ep)
		if !errors.Is(err, seal.ErrWrongKeyset) {
			t.Errorf("%s: err = %v", what, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret \xff") {
			t.Errorf("%s: the error shows the secret: %v", what, err)
		}
	}
}

func BenchmarkEndpoint(b *testing.B) {
	tr := recordtest.New(b)
	given := webhook.Endpoint{URL: "https://acme.example/hook", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	stored := store.Endpoint{Key: 2, Tenant: 1}
	if err := tr.PutEndpoint(&stored, &given); err != nil {
		b.Fatal(err)
	}
	tenant := store.Tenant{Key: 1}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Endpoint(&tenant, &stored); err != nil {
			b.Fatal(err)
		}
	}
}
