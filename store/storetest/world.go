package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// world is a store under test, with short ways to put something into it. Whatever is not
// what a case is about must succeed, or the case ends.
type world struct {
	*testing.T
	store.Store
	ctx context.Context //nolint:containedctx // of the one test it belongs to

	now time.Time
}

// organisation is whose everything is, unless a case says otherwise.
const organisation = "org_test"

func newWorld(t *testing.T, st store.Store) *world {
	return &world{
		T: t, Store: st, ctx: t.Context(),
		now: time.Date(2026, 3, 29, 1, 30, 0, 123456000, time.UTC),
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func mustGet[T any](w *world) func(T, error) T {
	return func(got T, err error) T {
		w.Helper()
		w.must(err)
		return got
	}
}

// is checks an error.
func (w *world) is(what string, err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("%s: %v, want %v", what, err, want)
	}
}

// same checks a value.
func same[T any](w *world, what string, got, want T) {
	w.Helper()
	if !reflect.DeepEqual(got, want) {
		w.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func (w *world) key() int64 {
	w.Helper()
	key, err := w.NewKey(w.ctx)
	w.must(err)
	return key
}

func (w *world) newTenant(uid string) store.Tenant {
	w.Helper()
	return store.Tenant{
		Key: store.TenantKey(w.key()), Organisation: organisation, UID: uid, Name: "Acme",
		CreatedAt: w.now, UpdatedAt: w.now, Version: 1,
	}
}

// tenant stores a tenant without a UID.
func (w *world) tenant() store.TenantKey {
	w.Helper()
	t := w.newTenant("")
	w.must(w.InsertTenant(w.ctx, t, nil))
	return t.Key
}

func (w *world) newEndpoint(tenant store.TenantKey, uid string) store.Endpoint {
	w.Helper()
	return store.Endpoint{
		Key: store.EndpointKey(w.key()), Tenant: tenant, UID: uid, URL: "https://example.com/hook", Method: "POST",
		CreatedAt: w.now, UpdatedAt: w.now, Version: 1,
	}
}

// endpoint stores an endpoint without a UID.
func (w *world) endpoint(tenant store.TenantKey) store.EndpointKey {
	w.Helper()
	ep := w.newEndpoint(tenant, "")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	return ep.Key
}

func (w *world) version(tenant store.TenantKey) int64 {
	w.Helper()
	routes, err := w.Routes(w.ctx, tenant)
	w.must(err)
	return routes.Version
}

// accept is an event of a tenant as it would be published now.
func (w *world) accept(tenant store.TenantKey, endpoints ...store.EndpointKey) store.Accept {
	w.Helper()
	return store.Accept{
		Tenant: tenant, RouteVersion: w.version(tenant), Endpoints: endpoints,
		Type: "invoice.paid", Payload: []byte(`{"n":1}`),
	}
}

func (w *world) commit(accepts ...store.Accept) []store.Verdict {
	w.Helper()
	verdicts, err := w.Commit(w.ctx, &store.Batch{Now: w.now, Accepts: accepts})
	w.must(err)
	if len(verdicts) != len(accepts) {
		w.Fatalf("%d verdicts for %d events", len(verdicts), len(accepts))
	}
	return verdicts
}

// publish stores events of a tenant and returns their keys.
func (w *world) publish(count int, tenant store.TenantKey, endpoints ...store.EndpointKey) []store.EventKey {
	w.Helper()
	batch := make([]store.Accept, count)
	for i := range batch {
		batch[i] = w.accept(tenant, endpoints...)
	}
	keys := make([]store.EventKey, 0, count)
	for _, verdict := range w.commit(batch...) {
		if verdict.Kind != store.Accepted {
			w.Fatalf("verdict %v, want Accepted", verdict.Kind)
		}
		keys = append(keys, verdict.Event)
	}
	return keys
}

// verdict commits one event and returns what became of it.
func (w *world) verdict(a store.Accept) store.Verdict {
	w.Helper()
	return w.commit(a)[0]
}

func (w *world) kinds(verdicts []store.Verdict) (kinds []store.VerdictKind) {
	for _, verdict := range verdicts {
		kinds = append(kinds, verdict.Kind)
	}
	return kinds
}

// outcome is of one delivery, with an attempt that succeeded if state says so.
func (w *world) outcome(tenant store.TenantKey, ep store.EndpointKey, event store.EventKey, tried int, state webhook.State) store.Outcome {
	o := store.Outcome{
		Tenant: tenant, Endpoint: ep, Event: event, Tried: tried, State: state,
		Attempt: &store.Attempt{
			Number: tried + 1, URL: "https://example.com/hook", StatusCode: 503,
			Response: []byte("busy"), StartedAt: w.now, Duration: 20 * time.Millisecond,
		},
	}
	switch state {
	case webhook.Succeeded:
		o.Attempt.Succeeded, o.Attempt.StatusCode, o.Attempt.Response = true, 204, nil
	case webhook.Waiting:
		o.RetryAt = w.now.Add(5 * time.Second)
	}
	return o
}

func (w *world) record(outcomes ...store.Outcome) {
	w.Helper()
	_, err := w.Commit(w.ctx, &store.Batch{Now: w.now, Outcomes: outcomes})
	w.must(err)
}

func (w *world) delivery(ep store.EndpointKey, event store.EventKey) store.DeliveryRecord {
	w.Helper()
	found, err := w.Delivery(w.ctx, ep, event)
	w.must(err)
	return found
}

// once makes a Once of a number; equal numbers are the same request.
func (w *world) once(number uint64, ttl time.Duration) *store.Once {
	once := &store.Once{Now: w.now, TTL: ttl, Answer: []byte("answer")}
	binary.BigEndian.PutUint64(once.Hash[:], number*0x9e3779b97f4a7c15) // spread, as hashes are
	binary.BigEndian.PutUint64(once.Body[8:], number)
	return once
}

// replayed checks that an error is a repeat.
func (w *world) replayed(what string, err error, want store.ReplayError) {
	w.Helper()
	var got *store.ReplayError
	if !errors.As(err, &got) {
		w.Errorf("%s: %v, want a *ReplayError", what, err)
		return
	}
	same(w, what, *got, want)
}
