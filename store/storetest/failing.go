package storetest

import (
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func (w *world) failing() []store.FailingEndpoint {
	w.Helper()
	found, err := w.FailingEndpoints(w.ctx, 0, 99)
	w.must(err)
	return found
}

// mark records an outcome that says how an endpoint fails; the delivery need not be there.
func (w *world) mark(tenant store.TenantKey, ep store.EndpointKey, failing store.Failing) {
	w.Helper()
	o := w.outcome(tenant, ep, w.publish(1, tenant, ep)[0], 0, webhook.Waiting)
	o.Failing = &failing
	w.record(o)
}

func failingIsKeptWithTheOutcome(w *world) {
	tenant, ep, event := w.one()
	w.record(w.outcome(tenant, ep, event, 0, webhook.Waiting))
	same(w, "an outcome that says nothing", w.failing(), nil)

	east := time.FixedZone("east", 2*3600)
	first := w.outcome(tenant, ep, event, 1, webhook.Waiting)
	first.Failing = &store.Failing{Since: w.now.Add(999).In(east)}
	w.record(first)
	want := store.FailingEndpoint{Endpoint: ep, Failing: store.Failing{Since: w.now}}
	same(w, "first failure", w.failing(), []store.FailingEndpoint{want})
	w.record(w.outcome(tenant, ep, event, 2, webhook.Waiting))
	same(w, "another one", w.failing(), []store.FailingEndpoint{want})

	late := w.outcome(tenant, ep, event, 7, webhook.Waiting) // of another try: logged, and its word counts
	late.Failing = &store.Failing{Since: w.now, Told: 50}
	w.record(late)
	want.Told = 50
	same(w, "told", w.failing(), []store.FailingEndpoint{want})

	good := w.outcome(tenant, ep, event, 3, webhook.Succeeded)
	good.Failing = new(store.Failing)
	w.record(good)
	same(w, "recovered", w.failing(), nil)

	tenant, ep, event = w.one()
	refused := w.outcome(tenant, ep, event, 0, webhook.Waiting)
	refused.Failing = &store.Failing{Since: w.now}
	again := w.outcome(tenant, ep, event, 1, webhook.Waiting)
	again.Failing = new(store.Failing)
	w.record(refused, again)
	same(w, "the last of a batch counts", w.failing(), nil)
}

func changedEndpointFailsNoMore(w *world) {
	tenant := w.tenant()
	ep := w.newEndpoint(tenant, "")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	failing := store.Failing{Since: w.now, Told: 90}
	want := []store.FailingEndpoint{{Endpoint: ep.Key, Failing: failing}}
	update := func(what string, disabled bool, want []store.FailingEndpoint) {
		w.Helper()
		ep.Disabled, ep.Version = disabled, ep.Version+1
		w.must(w.UpdateEndpoint(w.ctx, ep, nil))
		same(w, what, w.failing(), want)
	}
	w.mark(tenant, ep.Key, failing)
	update("another change", false, want)
	update("disabled", true, nil)
	w.mark(tenant, ep.Key, failing) // an attempt that was in flight
	same(w, "marked while disabled", w.failing(), nil)
	update("enabled", false, nil)
	w.mark(tenant, ep.Key, failing)
	same(w, "fails again", w.failing(), want)
	for _, paused := range []bool{true, false} {
		ep.Paused = paused
		update(fmt.Sprint("paused ", paused), false, nil)
		w.mark(tenant, ep.Key, failing)
		same(w, "fails again", w.failing(), want)
	}
	w.must(w.DeleteEndpoint(w.ctx, tenant, ep.Key, w.now))
	same(w, "deleted", w.failing(), nil)
	w.mark(tenant, ep.Key, failing)
	same(w, "marked while deleted", w.failing(), nil)

	other := w.endpoint(tenant)
	stays := w.tenant()
	third := w.endpoint(stays)
	w.mark(tenant, other, failing)
	w.mark(stays, third, failing)
	paused := mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, tenant))
	paused.Paused, paused.Version = true, paused.Version+1
	w.must(w.UpdateTenant(w.ctx, paused))
	same(w, "tenant paused", w.failing(), []store.FailingEndpoint{{Endpoint: third, Failing: failing}})
	w.mark(tenant, other, failing)
	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	same(w, "tenant deleted", w.failing(), []store.FailingEndpoint{{Endpoint: third, Failing: failing}})

	mustGet[store.Instance](w)(w.InitInstance(w.ctx, store.Instance{SealedIDSecret: []byte{1}, CreatedAt: w.now}))
	w.must(w.SetPaused(w.ctx, false))
	same(w, "nothing was paused", len(w.failing()), 1)
	w.must(w.SetPaused(w.ctx, true))
	same(w, "everything is paused", w.failing(), nil)
}

func failingEndpointsPage(w *world) {
	tenant := w.tenant()
	var want []store.FailingEndpoint
	for i := range 5 {
		ep := w.endpoint(tenant)
		failing := store.Failing{Since: w.now.Add(-time.Duration(i) * time.Minute)}
		w.mark(tenant, ep, failing)
		want = append(want, store.FailingEndpoint{Endpoint: ep, Failing: failing})
	}
	var got []store.FailingEndpoint
	for after := store.EndpointKey(0); ; after = got[len(got)-1].Endpoint {
		page := mustGet[[]store.FailingEndpoint](w)(w.FailingEndpoints(w.ctx, after, 2))
		got = append(got, page...)
		if len(page) < 2 {
			break
		}
	}
	same(w, "pages", got, want)
}
