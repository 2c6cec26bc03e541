package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func drawnKeysAscend(w *world) {
	last := int64(0)
	for range 10_000 { // more than any block that a store may draw at a time
		key := w.key()
		if key <= last {
			w.Fatalf("key %d behind %d", key, last)
		}
		last = key
	}
}

func tenantComesBackAsStored(w *world) {
	east := time.FixedZone("east", 2*3600)
	stored := store.Tenant{
		Key: store.TenantKey(w.key()), Organisation: organisation, UID: "acme", Name: "Acme “Ünïcode”\x01\U0001f980, 'quoted'",
		RateLimit: 65_535, Paused: true, Retention: webhook.Retention{Payloads: 24*time.Hour + 999, Attempts: 25 * time.Hour, Events: 26 * time.Hour},
		Metadata:  map[string]string{"plan": "gold", "": "\n\"<&>"},
		CreatedAt: w.now.Add(999).In(east), UpdatedAt: w.now.Add(time.Hour).In(east), Version: 17,
	}
	w.must(w.InsertTenant(w.ctx, stored, nil))
	want := stored
	want.CreatedAt, want.UpdatedAt, want.Version = w.now, w.now.Add(time.Hour), 1
	want.Retention.Payloads = 24 * time.Hour
	same(w, "Tenant", mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, want.Key)), want)
	same(w, "TenantByUID", mustGet[store.Tenant](w)(w.TenantByUID(w.ctx, organisation, "acme")), want)
	same(w, "Routes", mustGet[store.Routes](w)(w.Routes(w.ctx, want.Key)).Tenant, want)

	bare := store.Tenant{Key: store.TenantKey(w.key()), Organisation: organisation, Metadata: map[string]string{}}
	w.must(w.InsertTenant(w.ctx, bare, nil))
	bare.Metadata, bare.Version = nil, 1
	same(w, "with nothing in it", mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, bare.Key)), bare)

	bare.Retention, bare.Version = webhook.Retention{Attempts: 48 * time.Hour}, 2
	w.must(w.UpdateTenant(w.ctx, bare))
	same(w, "updated", mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, bare.Key)), bare)
}

func endpointComesBackAsStored(w *world) {
	tenant := w.tenant()
	stored := store.Endpoint{
		Key: store.EndpointKey(w.key()), Tenant: tenant, UID: "primary", Name: "Primary", Description: "of two",
		URL: "https://example.com/hook?a=%20", Method: "PUT", Protocol: "http/1.1", Timeout: 17*time.Second + 1500, Disabled: true, Paused: true,
		EventTypes: []string{"invoice.paid", "b"}, Channels: []string{"eu", "\"quoted\""}, RateLimit: 9, UserVersion: 3,
		Concurrency: 1000, Ordered: true, Schedule: webhook.Schedule{0, 1500 * time.Nanosecond, 7 * 24 * time.Hour}, FinalStatuses: []int{400, 599},
		Metadata: map[string]string{"a": "b"}, CreatedBy: "usr_1",
		CreatedAt: w.now, UpdatedAt: w.now.Add(time.Minute),
		SealedSecrets: []byte{0, 255, 1}, SealedHeaders: []byte{7}, Version: 12,
	}
	w.must(w.InsertEndpoint(w.ctx, stored, nil))
	want := stored
	want.Timeout, want.Version = 17*time.Second+1000, 1
	want.Schedule = webhook.Schedule{0, time.Microsecond, 7 * 24 * time.Hour}
	same(w, "Endpoint", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, tenant, want.Key)), want)
	same(w, "EndpointByUID", mustGet[store.Endpoint](w)(w.EndpointByUID(w.ctx, tenant, "primary")), want)
	same(w, "Routes", mustGet[store.Routes](w)(w.Routes(w.ctx, tenant)).Endpoints, []store.Endpoint{want})

	bare := store.Endpoint{
		Key: store.EndpointKey(w.key()), Tenant: tenant, EventTypes: []string{}, Channels: []string{},
		Metadata: map[string]string{}, SealedSecrets: []byte{}, SealedHeaders: []byte{}, FinalStatuses: []int{},
	}
	w.must(w.InsertEndpoint(w.ctx, bare, nil))
	bare = store.Endpoint{Key: bare.Key, Tenant: tenant, Version: 1}
	same(w, "with nothing in it", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, tenant, bare.Key)), bare)

	want.Disabled, want.EventTypes, want.URL, want.Version = false, nil, "https://example.com/other", 2
	want.SealedSecrets, want.Protocol, want.UID = []byte("new"), "", ""
	want.Concurrency, want.Ordered, want.Schedule, want.FinalStatuses = 2, false, webhook.Schedule{}, []int{404}
	w.must(w.UpdateEndpoint(w.ctx, want, nil))
	same(w, "updated", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, tenant, want.Key)), want)
	want.Schedule, want.FinalStatuses, want.Version = nil, nil, 3
	w.must(w.UpdateEndpoint(w.ctx, want, nil))
	same(w, "updated again", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, tenant, want.Key)), want)
}

func tenantIsItsOrganisationsOnly(w *world) {
	t := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, t, nil))
	_, err := w.Tenant(w.ctx, "org_other", t.Key)
	w.is("Tenant", err, store.ErrNotFound)
	_, err = w.TenantByUID(w.ctx, "org_other", "acme")
	w.is("TenantByUID", err, store.ErrNotFound)
	same(w, "Tenants", mustGet[[]store.Tenant](w)(w.Tenants(w.ctx, "org_other", store.Page{Limit: 9})), nil)
	stolen := t
	stolen.Organisation, stolen.Version = "org_other", 2
	w.is("UpdateTenant", w.UpdateTenant(w.ctx, stolen), store.ErrNotFound)
	same(w, "after", mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, t.Key)), t)
}

func endpointIsItsTenantsOnly(w *world) {
	mine, other := w.tenant(), w.tenant()
	ep := w.newEndpoint(mine, "primary")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	_, err := w.Endpoint(w.ctx, other, ep.Key)
	w.is("Endpoint", err, store.ErrNotFound)
	_, err = w.EndpointByUID(w.ctx, other, "primary")
	w.is("EndpointByUID", err, store.ErrNotFound)
	same(w, "Endpoints", mustGet[[]store.Endpoint](w)(w.Endpoints(w.ctx, other, store.Page{Limit: 9})), nil)
	same(w, "Routes", mustGet[store.Routes](w)(w.Routes(w.ctx, other)).Endpoints, nil)
	stolen := ep
	stolen.Tenant, stolen.Version = other, 2
	w.is("UpdateEndpoint", w.UpdateEndpoint(w.ctx, stolen, nil), store.ErrNotFound)
	w.is("DeleteEndpoint", w.DeleteEndpoint(w.ctx, other, ep.Key, w.now), store.ErrNotFound)
	same(w, "after", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, mine, ep.Key)), ep)
}

func tenantUIDIsUniqueInItsOrganisation(w *world) {
	w.must(w.InsertTenant(w.ctx, w.newTenant("acme"), nil))
	second := w.newTenant("acme")
	w.is("the same again", w.InsertTenant(w.ctx, second, nil), store.ErrConflict)
	_, err := w.Tenant(w.ctx, organisation, second.Key)
	w.is("what was refused", err, store.ErrNotFound)
	second.Organisation = "org_other"
	w.must(w.InsertTenant(w.ctx, second, nil))
	w.must(w.InsertTenant(w.ctx, w.newTenant("ACME"), nil))
}

func endpointUIDIsUniqueInItsTenant(w *world) {
	mine, other := w.tenant(), w.tenant()
	w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(mine, "primary"), nil))
	second := w.newEndpoint(mine, "primary")
	w.is("the same again", w.InsertEndpoint(w.ctx, second, nil), store.ErrConflict)
	_, err := w.Endpoint(w.ctx, mine, second.Key)
	w.is("what was refused", err, store.ErrNotFound)
	second.Tenant = other
	w.must(w.InsertEndpoint(w.ctx, second, nil))
	w.must(w.InsertEndpoint(w.ctx, w.newEndpoint(mine, "Primary"), nil))
}

func noUIDIsNobodys(w *world) {
	tenant := w.tenant()
	w.tenant()
	w.endpoint(tenant)
	w.endpoint(tenant)
	w.publish(2, tenant)
	_, err := w.TenantByUID(w.ctx, organisation, "")
	w.is("TenantByUID", err, store.ErrNotFound)
	_, err = w.EndpointByUID(w.ctx, tenant, "")
	w.is("EndpointByUID", err, store.ErrNotFound)
	_, err = w.EventByUID(w.ctx, tenant, "")
	w.is("EventByUID", err, store.ErrNotFound)
}

func deletedUIDIsFree(w *world) {
	t := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, t, nil))
	ep := w.newEndpoint(t.Key, "primary")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))

	w.must(w.DeleteEndpoint(w.ctx, t.Key, ep.Key, w.now))
	again := w.newEndpoint(t.Key, "primary")
	w.must(w.InsertEndpoint(w.ctx, again, nil))
	same(w, "EndpointByUID", mustGet[store.Endpoint](w)(w.EndpointByUID(w.ctx, t.Key, "primary")), again)

	w.must(w.DeleteTenant(w.ctx, t.Key, w.now))
	renewed := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, renewed, nil))
	same(w, "TenantByUID", mustGet[store.Tenant](w)(w.TenantByUID(w.ctx, organisation, "acme")), renewed)
}

func updateNeedsTheVersionBefore(w *world) {
	t := w.newTenant("")
	w.must(w.InsertTenant(w.ctx, t, nil))
	ep := w.newEndpoint(t.Key, "")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	for _, version := range []int64{0, 1, 3} {
		t.Version, ep.Version = version, version
		w.is(fmt.Sprint("tenant 1 to ", version), w.UpdateTenant(w.ctx, t), store.ErrStale)
		w.is(fmt.Sprint("endpoint 1 to ", version), w.UpdateEndpoint(w.ctx, ep, nil), store.ErrStale)
	}
	for version := int64(2); version < 5; version++ {
		t.Version, t.Name, t.UpdatedAt = version, fmt.Sprint(version), w.now.Add(time.Duration(version)*time.Second)
		w.must(w.UpdateTenant(w.ctx, t))
		same(w, "tenant", mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, t.Key)), t)
		ep.Version, ep.Name, ep.UpdatedAt = t.Version, t.Name, t.UpdatedAt
		w.must(w.UpdateEndpoint(w.ctx, ep, nil))
		same(w, "endpoint", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, t.Key, ep.Key)), ep)
	}
}

func updateLeavesOwnerAndCreation(w *world) {
	t := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, t, nil))
	changed := t
	changed.Version, changed.CreatedAt, changed.RateLimit, changed.UID = 2, w.now.Add(time.Hour), 5, ""
	changed.Metadata = map[string]string{"a": "b"}
	w.must(w.UpdateTenant(w.ctx, changed))
	changed.CreatedAt = t.CreatedAt
	same(w, "Tenant", mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, t.Key)), changed)

	ep := w.newEndpoint(t.Key, "")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	moved := ep
	moved.Version, moved.CreatedAt, moved.UID = 2, w.now.Add(time.Hour), "named"
	w.must(w.UpdateEndpoint(w.ctx, moved, nil))
	moved.CreatedAt = ep.CreatedAt
	same(w, "Endpoint", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, t.Key, ep.Key)), moved)
}

func updateToATakenUIDIsAConflict(w *world) {
	taken, mine := w.newTenant("taken"), w.newTenant("mine")
	w.must(w.InsertTenant(w.ctx, taken, nil))
	w.must(w.InsertTenant(w.ctx, mine, nil))
	mine.Version = 2
	w.must(w.UpdateTenant(w.ctx, mine)) // its own
	mine.Version, mine.UID = 3, "taken"
	w.is("UpdateTenant", w.UpdateTenant(w.ctx, mine), store.ErrConflict)

	other, ep := w.newEndpoint(taken.Key, "taken"), w.newEndpoint(taken.Key, "mine")
	w.must(w.InsertEndpoint(w.ctx, other, nil))
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	ep.Version = 2
	w.must(w.UpdateEndpoint(w.ctx, ep, nil))
	ep.Version, ep.UID = 3, "taken"
	w.is("UpdateEndpoint", w.UpdateEndpoint(w.ctx, ep, nil), store.ErrConflict)
	same(w, "version", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, taken.Key, ep.Key)).Version, 2)
}

func firstRefusalOfAnUpdateCounts(w *world) {
	taken, mine := w.newTenant("taken"), w.newTenant("mine")
	w.must(w.InsertTenant(w.ctx, taken, nil))
	w.must(w.InsertTenant(w.ctx, mine, nil))
	mine.UID, mine.Version = "taken", 9
	w.is("stale and taken", w.UpdateTenant(w.ctx, mine), store.ErrStale)
	w.must(w.DeleteTenant(w.ctx, mine.Key, w.now))
	w.is("gone, stale and taken", w.UpdateTenant(w.ctx, mine), store.ErrNotFound)

	held, ep := w.newEndpoint(taken.Key, "taken"), w.newEndpoint(taken.Key, "mine")
	w.must(w.InsertEndpoint(w.ctx, held, nil))
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	ep.UID, ep.Version = "taken", 9
	w.is("stale and taken", w.UpdateEndpoint(w.ctx, ep, nil), store.ErrStale)
	w.must(w.DeleteEndpoint(w.ctx, taken.Key, ep.Key, w.now))
	w.is("gone, stale and taken", w.UpdateEndpoint(w.ctx, ep, nil), store.ErrNotFound)
}

func deletedTenantTakesItsEndpointsAlong(w *world) {
	gone, stays := w.tenant(), w.tenant()
	ep, neighbour := w.newEndpoint(gone, "primary"), w.newEndpoint(stays, "primary")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	w.must(w.InsertEndpoint(w.ctx, neighbour, nil))
	w.must(w.DeleteTenant(w.ctx, gone, w.now))
	_, err := w.Endpoint(w.ctx, gone, ep.Key)
	w.is("Endpoint", err, store.ErrNotFound)
	_, err = w.EndpointByUID(w.ctx, gone, "primary")
	w.is("EndpointByUID", err, store.ErrNotFound)
	same(w, "Endpoints", mustGet[[]store.Endpoint](w)(w.Endpoints(w.ctx, gone, store.Page{Limit: 9})), nil)
	same(w, "neighbour", mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, stays, neighbour.Key)), neighbour)
}

func deletedIsNotFound(w *world) {
	t := w.newTenant("acme")
	w.must(w.InsertTenant(w.ctx, t, nil))
	ep := w.newEndpoint(t.Key, "primary")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))

	w.must(w.DeleteEndpoint(w.ctx, t.Key, ep.Key, w.now))
	w.is("DeleteEndpoint again", w.DeleteEndpoint(w.ctx, t.Key, ep.Key, w.now), store.ErrNotFound)
	_, err := w.Endpoint(w.ctx, t.Key, ep.Key)
	w.is("Endpoint", err, store.ErrNotFound)
	_, err = w.EndpointByUID(w.ctx, t.Key, "primary")
	w.is("EndpointByUID", err, store.ErrNotFound)
	ep.Version = 2
	w.is("UpdateEndpoint", w.UpdateEndpoint(w.ctx, ep, nil), store.ErrNotFound)
	same(w, "Endpoints", mustGet[[]store.Endpoint](w)(w.Endpoints(w.ctx, t.Key, store.Page{Limit: 9})), nil)

	w.must(w.DeleteTenant(w.ctx, t.Key, w.now))
	w.is("DeleteTenant again", w.DeleteTenant(w.ctx, t.Key, w.now), store.ErrNotFound)
	_, err = w.Tenant(w.ctx, organisation, t.Key)
	w.is("Tenant", err, store.ErrNotFound)
	_, err = w.TenantByUID(w.ctx, organisation, "acme")
	w.is("TenantByUID", err, store.ErrNotFound)
	_, err = w.Routes(w.ctx, t.Key)
	w.is("Routes", err, store.ErrNotFound)
	same(w, "Tenants", mustGet[[]store.Tenant](w)(w.Tenants(w.ctx, organisation, store.Page{Limit: 9})), nil)

	const never = 999_999
	w.is("never there: DeleteTenant", w.DeleteTenant(w.ctx, never, w.now), store.ErrNotFound)
	_, err = w.Routes(w.ctx, never)
	w.is("never there: Routes", err, store.ErrNotFound)
}

func endpointNeedsItsTenant(w *world) {
	gone := w.tenant()
	w.must(w.DeleteTenant(w.ctx, gone, w.now))
	for what, tenant := range map[string]store.TenantKey{"deleted": gone, "never there": 999_999} {
		w.is(what, w.InsertEndpoint(w.ctx, w.newEndpoint(tenant, ""), nil), store.ErrNotFound)
	}
}

// pages walks a list to its end in pages of limit and returns the keys.
func pages[T any](w *world, limit int, descending bool, list func(store.Page) ([]T, error), key func(T) int64) []int64 {
	w.Helper()
	var keys []int64
	page := store.Page{Limit: limit, Descending: descending}
	for {
		items, err := list(page)
		w.must(err)
		if len(items) > limit {
			w.Fatalf("%d items on a page of %d", len(items), limit)
		}
		for _, item := range items {
			keys = append(keys, key(item))
		}
		if len(items) < limit {
			return keys
		}
		page.After = keys[len(keys)-1]
	}
}

func reversed(keys []int64) []int64 {
	turned := slices.Clone(keys)
	slices.Reverse(turned)
	return turned
}

func tenantsPageBothWays(w *world) {
	var want []int64
	for range 7 {
		want = append(want, int64(w.tenant()))
	}
	w.must(w.DeleteTenant(w.ctx, store.TenantKey(want[3]), w.now))
	want = slices.Delete(want, 3, 4)
	foreign := w.newTenant("")
	foreign.Organisation = "org_other"
	w.must(w.InsertTenant(w.ctx, foreign, nil))

	list := func(page store.Page) ([]store.Tenant, error) { return w.Tenants(w.ctx, organisation, page) }
	key := func(t store.Tenant) int64 { return int64(t.Key) }
	for _, limit := range []int{1, 2, 3, 100} {
		same(w, fmt.Sprint("up by ", limit), pages(w, limit, false, list, key), want)
		same(w, fmt.Sprint("down by ", limit), pages(w, limit, true, list, key), reversed(want))
	}
}

func endpointsPageBothWays(w *world) {
	tenant, other := w.tenant(), w.tenant()
	var want []int64
	for range 7 {
		want = append(want, int64(w.endpoint(tenant)))
		w.endpoint(other)
	}
	w.must(w.DeleteEndpoint(w.ctx, tenant, store.EndpointKey(want[6]), w.now))
	want = want[:6]

	list := func(page store.Page) ([]store.Endpoint, error) { return w.Endpoints(w.ctx, tenant, page) }
	key := func(ep store.Endpoint) int64 { return int64(ep.Key) }
	for _, limit := range []int{1, 2, 3, 100} {
		same(w, fmt.Sprint("up by ", limit), pages(w, limit, false, list, key), want)
		same(w, fmt.Sprint("down by ", limit), pages(w, limit, true, list, key), reversed(want))
	}
}

func routesHoldAllEndpointsAscending(w *world) {
	tenant := w.tenant()
	var want []store.Endpoint
	for i := range 5 {
		ep := w.newEndpoint(tenant, fmt.Sprint(i))
		ep.Disabled = i%2 == 0
		want = append(want, ep)
	}
	for _, i := range []int{3, 0, 4, 1, 2} { // drawn early, stored late
		w.must(w.InsertEndpoint(w.ctx, want[i], nil))
	}
	same(w, "Endpoints", mustGet[store.Routes](w)(w.Routes(w.ctx, tenant)).Endpoints, want)
}

func routesVersionRisesWithEveryChange(w *world) {
	t := w.newTenant("")
	w.must(w.InsertTenant(w.ctx, t, nil))
	ep := w.newEndpoint(t.Key, "")
	neighbour := w.tenant()
	aside := w.version(neighbour)
	last := w.version(t.Key)
	for _, step := range []struct {
		what   string
		change func() error
	}{
		{"InsertEndpoint", func() error { return w.InsertEndpoint(w.ctx, ep, nil) }},
		{"UpdateEndpoint", func() error { ep.Version = 2; return w.UpdateEndpoint(w.ctx, ep, nil) }},
		{"UpdateTenant", func() error { t.Version = 2; return w.UpdateTenant(w.ctx, t) }},
		{"DeleteEndpoint", func() error { return w.DeleteEndpoint(w.ctx, t.Key, ep.Key, w.now) }},
	} {
		w.must(step.change())
		version := w.version(t.Key)
		if version <= last {
			w.Errorf("%s: version %d behind %d", step.what, version, last)
		}
		last = version
	}
	same(w, "the neighbour's", w.version(neighbour), aside)
}

func refusedChangeLeavesRoutes(w *world) {
	tenant := w.tenant()
	ep := w.newEndpoint(tenant, "taken")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	before := w.version(tenant)
	w.is("InsertEndpoint", w.InsertEndpoint(w.ctx, w.newEndpoint(tenant, "taken"), nil), store.ErrConflict)
	ep.Version = 7
	w.is("UpdateEndpoint", w.UpdateEndpoint(w.ctx, ep, nil), store.ErrStale)
	w.is("DeleteEndpoint", w.DeleteEndpoint(w.ctx, tenant, 999_999, w.now), store.ErrNotFound)
	same(w, "version", w.version(tenant), before)
	same(w, "a publish by it", w.verdict(w.accept(tenant, ep.Key)).Kind, store.Accepted)
}
