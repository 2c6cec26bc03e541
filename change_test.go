package neohook_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// probe is an adapter that shows each attempt and waits to be told what comes of it.
type probe struct {
	attempts chan webhook.Endpoint
	answers  chan webhook.Result
}

func newProbe() *probe {
	return &probe{attempts: make(chan webhook.Endpoint, 100), answers: make(chan webhook.Result)}
}

func (p *probe) Deliver(ctx context.Context, _ *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
	started := time.Now()
	p.attempts <- *ep
	select {
	case result := <-p.answers:
		result.StartedAt, result.CompletedAt = started, time.Now()
		return result
	case <-ctx.Done():
		return webhook.Result{}
	}
}

func (p *probe) Verify(context.Context, *webhook.Endpoint, []byte) webhook.Result {
	return webhook.Result{Success: true}
}

func (p *probe) Health(context.Context) webhook.Health {
	return webhook.Health{Status: webhook.Healthy}
}

// After a change has returned, a publish is matched by it and takes one commit: nothing
// old is held that the commit would have to find out.
func TestAPublishThatBeginsAfterAChangeIsRoutedByIt(t *testing.T) {
	st := memstore.New()
	var commits atomic.Int64
	st.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
		if operation == "Commit" && moment == memstore.Before {
			commits.Add(1)
		}
		return nil
	}
	adapter := newProbe()
	eng, _ := start(t, st, neohook.Options{
		Keyset: must[[]byte](t)(neohook.NewKeyset()), Adapter: adapter, EndpointConcurrency: 100, Grace: time.Nanosecond,
	})
	ctx := t.Context()
	acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
	a := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{URL: "https://a.example/"}))
	var b webhook.Endpoint
	tenant := webhook.TenantID("acme")

	update := func(change func(*webhook.Endpoint)) func() error {
		return func() error {
			_, err := eng.UpdateEndpoint(ctx, tenant, b.ID, func(ep *webhook.Endpoint) error { change(ep); return nil })
			return err
		}
	}
	for _, step := range []struct {
		what   string
		change func() error
		want   []string // URLs
	}{
		{"as it is", func() error { return nil }, []string{a.URL}},
		{"an endpoint more", func() (err error) {
			b, err = eng.CreateEndpoint(ctx, tenant, webhook.Endpoint{URL: "https://b.example/"})
			return err
		}, []string{a.URL, "https://b.example/"}},
		{"another URL", update(func(ep *webhook.Endpoint) { ep.URL = "https://c.example/" }), []string{a.URL, "https://c.example/"}},
		{"another type", update(func(ep *webhook.Endpoint) { ep.EventTypes = []string{"other"} }), []string{a.URL}},
		{"the type back", update(func(ep *webhook.Endpoint) { ep.EventTypes = nil }), []string{a.URL, "https://c.example/"}},
		{"disabled", update(func(ep *webhook.Endpoint) { ep.Disabled = true }), []string{a.URL}},
		{"enabled", update(func(ep *webhook.Endpoint) { ep.Disabled = false }), []string{a.URL, "https://c.example/"}},
		{"another secret", func() error { return eng.RotateSecret(ctx, tenant, b.ID, "", 0) }, []string{a.URL, "https://c.example/"}},
		{"deleted", func() error { return eng.DeleteEndpoint(ctx, tenant, a.ID) }, []string{"https://c.example/"}},
		{"the tenant renamed", func() error {
			_, err := eng.UpdateTenant(ctx, tenant, func(t *webhook.Tenant) error { t.UID = "acme-2"; return nil })
			tenant = "acme-2"
			return err
		}, []string{"https://c.example/"}},
	} {
		if err := step.change(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		commits.Store(0)
		must[webhook.Event](t)(eng.Publish(ctx, webhook.Event{Tenant: tenant, Type: "x", Payload: []byte("{}")}))
		if got := commits.Load(); got != 1 {
			t.Errorf("%s: %d commits", step.what, got)
		}
		var got []string
		for range step.want {
			got = append(got, (<-adapter.attempts).URL)
		}
		if slices.Sort(got); !slices.Equal(got, step.want) {
			t.Errorf("%s: sent to %v, want %v", step.what, got, step.want)
		}
	}

	commits.Store(0)
	_, err := eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "x"})
	wantErr(t, "to the UID that was given up", err, neohook.ErrNotFound)
	if err := eng.DeleteTenant(ctx, acme.ID); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []webhook.TenantID{acme.ID, "acme-2"} {
		_, err := eng.Publish(ctx, webhook.Event{Tenant: ref, Type: "x"})
		wantErr(t, "to a tenant that is gone", err, neohook.ErrNotFound)
	}
	if got := commits.Load(); got != 0 {
		t.Errorf("%d commits for tenants that are not there", got)
	}
	if len(adapter.attempts) != 0 {
		t.Errorf("sent more: %v", (<-adapter.attempts).URL)
	}
}

// A retry goes to where the endpoint is by then, signed with the key it has by then.
func TestAnAttemptThatBeginsAfterAChangeGoesByIt(t *testing.T) {
	adapter := newProbe()
	eng, _ := start(t, memstore.New(), neohook.Options{
		Keyset: must[[]byte](t)(neohook.NewKeyset()), Adapter: adapter, Schedule: webhook.Schedule{0, 0, 0}, Grace: time.Nanosecond,
	})
	ctx := t.Context()
	must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
	first := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "hook", URL: "https://a.example/"}))
	must[webhook.Event](t)(eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "x", Payload: []byte("{}")}))
	if got := <-adapter.attempts; got.URL != first.URL || got.Secret != first.Secret {
		t.Errorf("first attempt: %+v", got)
	}
	second := must[webhook.Endpoint](t)(eng.UpdateEndpoint(ctx, "acme", "hook", func(ep *webhook.Endpoint) error {
		ep.URL, ep.Headers = "https://b.example/", map[string]string{"X-Key": "v"}
		return nil
	}))
	if err := eng.RotateSecret(ctx, "acme", "hook", "", time.Hour); err != nil {
		t.Fatal(err)
	}
	adapter.answers <- webhook.Result{StatusCode: 500}
	got := <-adapter.attempts
	if got.URL != second.URL || got.Headers["X-Key"] != "v" || got.Secret == first.Secret || len(got.RetiringSecrets) != 1 || got.RetiringSecrets[0].Secret != first.Secret {
		t.Errorf("second attempt: %+v", got)
	}
	if err := eng.DeleteEndpoint(ctx, "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	next := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "hook", URL: "https://c.example/"}))
	adapter.answers <- webhook.Result{StatusCode: 500}
	must[webhook.Event](t)(eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "x", Payload: []byte("{}")}))
	if got := <-adapter.attempts; got.ID != next.ID {
		t.Errorf("sent to %+v, which is deleted", got)
	}
}

// A change whose fate the store does not tell counts as made.
func TestAChangeOfUnknownFateIsNotForgotten(t *testing.T) {
	st := memstore.New()
	var lost atomic.Bool
	cut := errors.New("connection cut")
	st.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
		if operation == "UpdateEndpoint" && moment == memstore.After && lost.CompareAndSwap(false, true) {
			return cut
		}
		return nil
	}
	adapter := newProbe()
	eng, _ := start(t, st, neohook.Options{
		Keyset: must[[]byte](t)(neohook.NewKeyset()), Adapter: adapter, Schedule: webhook.Schedule{0}, Grace: time.Nanosecond,
	})
	ctx := t.Context()
	must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
	must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "hook", URL: "https://a.example/"}))
	must[webhook.Event](t)(eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "x", Payload: []byte("{}")}))
	<-adapter.attempts

	_, err := eng.UpdateEndpoint(ctx, "acme", "hook", func(ep *webhook.Endpoint) error { ep.URL = "https://b.example/"; return nil })
	wantErr(t, "the change", err, cut)
	adapter.answers <- webhook.Result{StatusCode: 500}
	if got := <-adapter.attempts; got.URL != "https://b.example/" {
		t.Errorf("sent to %s", got.URL)
	}
}
