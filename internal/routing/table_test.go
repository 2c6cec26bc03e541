package routing_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/record/recordtest"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/internal/seal"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

const (
	org   = "org_one"
	other = "org_two"
)

var birth = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// world is a table over a store, and the means to change the store.
type world struct {
	testing.TB
	*memstore.Store
	records *record.Translator
	table   *routing.Table
	loads   atomic.Int64 // of Routes
}

func newWorld(tb testing.TB, limits routing.Limits) *world {
	tb.Helper()
	w := &world{TB: tb, Store: memstore.New(), records: recordtest.New(tb)}
	w.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
		if operation == "Routes" && moment == memstore.Before {
			w.loads.Add(1)
		}
		return nil
	}
	w.table = routing.New(w.Store, w.records, limits)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) key() int64 {
	w.Helper()
	key, err := w.NewKey(w.Context())
	w.must(err)
	return key
}

func (w *world) newTenant(organisation, uid string) store.Tenant {
	w.Helper()
	t := store.Tenant{Key: store.TenantKey(w.key()), Organisation: organisation, UID: uid, Name: "T", CreatedAt: birth, UpdatedAt: birth, Version: 1}
	w.must(w.InsertTenant(w.Context(), t, nil))
	return t
}

func (w *world) newEndpoint(tenant store.TenantKey, change func(*webhook.Endpoint)) store.Endpoint {
	w.Helper()
	given := webhook.Endpoint{URL: "https://acme.example/hook", Secret: "secret"}
	if change != nil {
		change(&given)
	}
	ep := store.Endpoint{Key: store.EndpointKey(w.key()), Tenant: tenant, CreatedAt: birth, UpdatedAt: birth, Version: 1}
	w.must(w.records.PutEndpoint(&ep, &given))
	w.must(w.InsertEndpoint(w.Context(), ep, nil))
	return ep
}

func (w *world) match(tenant store.TenantKey, eventType string, channels ...string) []store.EndpointKey {
	w.Helper()
	routes, err := w.table.Routes(w.Context(), tenant)
	w.must(err)
	return routes.Match(eventType, channels)
}

func TestMatch(t *testing.T) {
	w := newWorld(t, routing.Limits{})
	tenant := w.newTenant(org, "").Key
	all := w.newEndpoint(tenant, nil).Key
	paid := w.newEndpoint(tenant, func(ep *webhook.Endpoint) { ep.EventTypes = []string{"invoice.paid", "invoice.sent"} }).Key
	eu := w.newEndpoint(tenant, func(ep *webhook.Endpoint) { ep.Channels = []string{"eu", "us"} }).Key
	both := w.newEndpoint(tenant, func(ep *webhook.Endpoint) { ep.EventTypes, ep.Channels = []string{"invoice.paid"}, []string{"eu"} }).Key
	w.newEndpoint(tenant, func(ep *webhook.Endpoint) { ep.Disabled = true })

	tests := map[string]struct {
		eventType string
		channels  []string
		want      []store.EndpointKey
	}{
		"a listed type":              {"invoice.paid", nil, []store.EndpointKey{all, paid}},
		"an unlisted type":           {"user.created", nil, []store.EndpointKey{all}},
		"a type in another case":     {"Invoice.Paid", nil, []store.EndpointKey{all}},
		"a channel":                  {"user.created", []string{"eu"}, []store.EndpointKey{all, eu}},
		"a channel and a type":       {"invoice.paid", []string{"asia", "eu"}, []store.EndpointKey{all, paid, eu, both}},
		"a channel of none":          {"invoice.paid", []string{"asia"}, []store.EndpointKey{all, paid}},
		"a type that starts alike":   {"invoice", nil, []store.EndpointKey{all}},
		"a channel that starts like": {"x", []string{"e"}, []store.EndpointKey{all}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := w.match(tenant, test.eventType, test.channels...); !slices.Equal(got, test.want) {
				t.Errorf("Match = %v, want %v", got, test.want)
			}
		})
	}
	if got := w.match(w.newTenant(org, "").Key, "x"); got != nil {
		t.Errorf("a tenant without endpoints: Match = %v", got)
	}
	if got := w.loads.Load(); got != 2 {
		t.Errorf("%d readings of 2 tenants", got)
	}
}

func TestAChangeCountsFromRefreshOn(t *testing.T) {
	w := newWorld(t, routing.Limits{})
	tenant := w.newTenant(org, "").Key
	before, err := w.table.Routes(t.Context(), tenant)
	w.must(err)

	ep := w.newEndpoint(tenant, nil)
	w.table.Refresh(tenant)
	after, err := w.table.Routes(t.Context(), tenant)
	w.must(err)
	if got := after.Match("x", nil); !slices.Equal(got, []store.EndpointKey{ep.Key}) {
		t.Errorf("after the insert: %v", got)
	}
	if before.Match("x", nil) != nil {
		t.Error("a Routes has changed")
	}
	if after.Version <= before.Version {
		t.Errorf("version %d, then %d", before.Version, after.Version)
	}
	w.must(w.DeleteTenant(t.Context(), tenant, birth))
	w.table.Refresh(tenant)
	if _, err := w.table.Routes(t.Context(), tenant); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after the deletion: %v", err)
	}
	if _, err := w.table.Routes(t.Context(), 12345); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a tenant that never was: %v", err)
	}
}

// What was being read while the change was made must not stay in the table.
func TestAReadingThatAChangeHasOvertakenIsNotKept(t *testing.T) {
	w := newWorld(t, routing.Limits{})
	tenant := w.newTenant(org, "acme").Key
	reading, goOn := make(chan struct{}), make(chan struct{})
	var stalled atomic.Bool
	w.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
		if operation == "Routes" && moment == memstore.After && stalled.CompareAndSwap(false, true) {
			close(reading)
			<-goOn
		}
		return nil
	}
	slow := make(chan *routing.Routes)
	go func() {
		routes, err := w.table.Routes(t.Context(), tenant)
		if err != nil {
			t.Error(err)
		}
		slow <- routes
	}()
	<-reading
	ep := w.newEndpoint(tenant, nil)
	w.table.Refresh(tenant)
	see := func(when string) {
		t.Helper()
		if got := w.match(tenant, "x"); !slices.Equal(got, []store.EndpointKey{ep.Key}) {
			t.Errorf("%s: %v", when, got)
		}
		routes, err := w.table.Tenant(t.Context(), org, "acme")
		w.must(err)
		if got := routes.Match("x", nil); !slices.Equal(got, []store.EndpointKey{ep.Key}) {
			t.Errorf("%s, by uid: %v", when, got)
		}
	}

	// Begun after the change: sees it, though the slow reading is still under way.
	see("while the old reading is under way")
	close(goOn)
	if got := (<-slow).Match("x", nil); got != nil {
		t.Errorf("the old reading: %v", got)
	}
	see("after the old reading")
}

func TestManyWhoAskAtOnceReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routing.Limits{})
		tenant := w.newTenant(org, "").Key
		goOn := make(chan struct{})
		var loads atomic.Int64
		w.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
			if operation == "Routes" && moment == memstore.Before {
				loads.Add(1)
				<-goOn
			}
			return nil
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := w.table.Routes(t.Context(), tenant); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // all have asked
		close(goOn)
		wg.Wait()
		if got := loads.Load(); got != 1 {
			t.Errorf("%d readings", got)
		}
	})
}

func TestWhoeverGivesUpDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routing.Limits{})
		tenant := w.newTenant(org, "").Key
		var first atomic.Bool
		w.Faults = func(ctx context.Context, operation string, moment memstore.Moment) error {
			if operation == "Routes" && moment == memstore.Before && first.CompareAndSwap(false, true) {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		ask := func(ctx context.Context) <-chan error {
			answer := make(chan error, 1)
			go func() {
				_, err := w.table.Routes(ctx, tenant)
				answer <- err
			}()
			synctest.Wait() // it reads, or waits for whoever does
			return answer
		}
		impatient, giveUp := context.WithCancel(t.Context())
		gaveUp := ask(impatient)
		patient := ask(t.Context())
		leaving, leave := context.WithCancel(t.Context())
		left := ask(leaving)

		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("one who waited for another and left: %v", err)
		}
		giveUp()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("the one who gave up: %v", err)
		}
		if err := <-patient; err != nil {
			t.Errorf("the one who waited on: %v", err)
		}
	})
}

func TestAFailedReadingIsNotKept(t *testing.T) {
	w := newWorld(t, routing.Limits{})
	tenant := w.newTenant(org, "").Key
	broken := errors.New("disk on fire")
	w.Faults = func(_ context.Context, operation string, _ memstore.Moment) error {
		if operation == "Routes" {
			return broken
		}
		return nil
	}
	if _, err := w.table.Routes(t.Context(), tenant); !errors.Is(err, broken) {
		t.Errorf("err = %v", err)
	}
	if _, _, err := w.table.Endpoint(t.Context(), tenant, 1); !errors.Is(err, broken) {
		t.Errorf("Endpoint: err = %v", err)
	}
	w.Faults = nil
	if _, err := w.table.Routes(t.Context(), tenant); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTenantByIDAndUID(t *testing.T) {
	w := newWorld(t, routing.Limits{})
	acme := w.newTenant(org, "acme")
	foreign := w.newTenant(other, "acme")
	id := w.records.IDs.Tenant(acme.CreatedAt, acme.Key)

	for name, test := range map[string]struct {
		organisation webhook.OrganisationID
		ref          webhook.TenantID
		want         store.TenantKey // 0: not found
	}{
		"by id":                        {org, id, acme.Key},
		"by uid":                       {org, "acme", acme.Key},
		"by uid, again":                {org, "acme", acme.Key},
		"by uid, another's":            {other, "acme", foreign.Key},
		"by id, of another's":          {other, id, 0},
		"by uid in another case":       {org, "ACME", 0},
		"by an id that was never made": {org, webhook.NewTenantID(), 0},
		"by a malformed id":            {org, "app_1", 0},
		"by an endpoint's id":          {org, webhook.TenantID(w.records.IDs.Endpoint(birth, store.EndpointKey(acme.Key))), 0},
		"by nothing":                   {org, "", 0},
		"by what can't be a uid":       {org, "acme/../x", 0},
	} {
		t.Run(name, func(t *testing.T) {
			routes, err := w.table.Tenant(t.Context(), test.organisation, test.ref)
			switch {
			case test.want == 0 && !errors.Is(err, store.ErrNotFound):
				t.Errorf("err = %v, want ErrNotFound", err)
			case test.want != 0 && (err != nil || routes.Tenant.Key != test.want):
				t.Errorf("got %+v, %v, want %d", routes, err, test.want)
			}
		})
	}
}

func TestAUIDThatMovesOnIsFollowed(t *testing.T) {
	w := newWorld(t, routing.Limits{})
	first := w.newTenant(org, "acme")
	tenantOf := func() store.TenantKey {
		t.Helper()
		routes, err := w.table.Tenant(t.Context(), org, "acme")
		w.must(err)
		return routes.Tenant.Key
	}
	if got := tenantOf(); got != first.Key {
		t.Fatalf("got %d", got)
	}
	// Renamed through this node.
	first.UID, first.Version = "acme-old", 2
	w.must(w.UpdateTenant(t.Context(), first))
	w.table.Refresh(first.Key)
	second := w.newTenant(org, "acme")
	if got := tenantOf(); got != second.Key {
		t.Errorf("after the renaming: %d, want %d", got, second.Key)
	}
	// Deleted through this node.
	w.must(w.DeleteTenant(t.Context(), second.Key, birth))
	w.table.Refresh(second.Key)
	if _, err := w.table.Tenant(t.Context(), org, "acme"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after the deletion: %v", err)
	}
}

// Another node has changed the store and this one does not know. A commit finds out, and
// after Refresh all is as it should be.
func TestACommitFindsOutWhatAnotherNodeHasChanged(t *testing.T) {
	changes := map[string]func(w *world, acme store.Tenant) (want store.TenantKey){
		"an endpoint was added": func(w *world, acme store.Tenant) store.TenantKey {
			w.newEndpoint(acme.Key, nil)
			return acme.Key
		},
		"the uid went to another tenant": func(w *world, acme store.Tenant) store.TenantKey {
			acme.UID, acme.Version = "acme-old", 2
			w.must(w.UpdateTenant(w.Context(), acme))
			return w.newTenant(org, "acme").Key
		},
		"deleted and made anew": func(w *world, acme store.Tenant) store.TenantKey {
			w.must(w.DeleteTenant(w.Context(), acme.Key, birth))
			return w.newTenant(org, "acme").Key
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, routing.Limits{})
			acme := w.newTenant(org, "acme")
			w.newEndpoint(acme.Key, nil)
			_, err := w.table.Tenant(t.Context(), org, "acme")
			w.must(err)
			want := change(w, acme)

			stale := true
			for tries := 0; stale; tries++ {
				if tries > 3 {
					t.Fatal("never gets there")
				}
				routes, err := w.table.Tenant(t.Context(), org, "acme")
				w.must(err)
				verdicts, err := w.Commit(t.Context(), &store.Batch{Now: birth, Accepts: []store.Accept{{
					Tenant: routes.Tenant.Key, RouteVersion: routes.Version, Endpoints: routes.Match("x", nil), Type: "x", Payload: []byte("{}"),
				}}})
				w.must(err)
				stale = verdicts[0].Kind == store.Rerouted || verdicts[0].Kind == store.TenantGone
				if tries == 0 && !stale {
					t.Fatalf("the commit took what was matched against old routes: %v", verdicts[0])
				}
				if stale {
					w.table.Refresh(routes.Tenant.Key)
				} else if verdicts[0].Kind != store.Accepted || routes.Tenant.Key != want {
					t.Errorf("verdict %v for tenant %d, want %d", verdicts[0].Kind, routes.Tenant.Key, want)
				}
			}
		})
	}
}

// The UID passes on between the look-up of the UID and the reading of the routes.
func TestAUIDThatMovesInMidLookUp(t *testing.T) {
	w := newWorld(t, routing.Limits{})
	first := w.newTenant(org, "acme")
	var moved atomic.Bool
	var second store.Tenant
	w.Faults = func(ctx context.Context, operation string, moment memstore.Moment) error {
		if operation == "TenantByUID" && moment == memstore.After && moved.CompareAndSwap(false, true) {
			renamed := first
			renamed.UID, renamed.Version = "acme-old", 2
			w.must(w.UpdateTenant(ctx, renamed))
			second = w.newTenant(org, "acme")
		}
		return nil
	}
	routes, err := w.table.Tenant(t.Context(), org, "acme")
	if err != nil || routes.Tenant.Key != second.Key {
		t.Errorf("got %+v, %v, want %d", routes, err, second.Key)
	}
}

func TestEndpoint(t *testing.T) {
	w := newWorld(t, routing.Limits{})
	tenant := w.newTenant(org, "").Key
	good := w.newEndpoint(tenant, func(ep *webhook.Endpoint) {
		ep.Headers = map[string]string{"X-Key": "v"}
		ep.RetiringSecrets = []webhook.RetiringSecret{{Secret: "old", Expires: birth}}
	})
	disabled := w.newEndpoint(tenant, func(ep *webhook.Endpoint) { ep.Disabled = true })
	deleted := w.newEndpoint(tenant, nil)
	w.must(w.DeleteEndpoint(t.Context(), tenant, deleted.Key, birth))
	ofAnother := w.newEndpoint(w.newTenant(org, "").Key, nil)
	gone := w.newTenant(org, "")
	w.must(w.DeleteTenant(t.Context(), gone.Key, birth))

	ep, reason, err := w.table.Endpoint(t.Context(), tenant, good.Key)
	if err != nil || reason != "" {
		t.Fatalf("Endpoint = %v, %v", reason, err)
	}
	if ep.ID != w.records.IDs.Endpoint(birth, good.Key) || ep.Tenant != w.records.IDs.Tenant(birth, tenant) ||
		ep.Secret != "secret" || ep.Headers["X-Key"] != "v" || ep.RetiringSecrets[0].Secret != "old" || ep.Timeout != 30*time.Second {
		t.Errorf("Endpoint = %+v", ep)
	}
	for what, test := range map[string]struct {
		tenant store.TenantKey
		key    store.EndpointKey
		want   webhook.Reason
	}{
		"disabled":         {tenant, disabled.Key, webhook.EndpointDisabled},
		"deleted":          {tenant, deleted.Key, webhook.EndpointDeleted},
		"another tenant's": {tenant, ofAnother.Key, webhook.EndpointDeleted},
		"tenant deleted":   {gone.Key, 1, webhook.TenantDeleted},
	} {
		if ep, reason, err := w.table.Endpoint(t.Context(), test.tenant, test.key); ep != nil || reason != test.want || err != nil {
			t.Errorf("%s: %v, %q, %v; want %q", what, ep, reason, err, test.want)
		}
	}
}

func TestAnEndpointThatCannotBeOpenedHarmsNoOther(t *testing.T) {
	w := newWorld(t, routing.Limits{})
	tenant := w.newTenant(org, "").Key
	good := w.newEndpoint(tenant, nil)
	damaged := store.Endpoint{Key: store.EndpointKey(w.key()), Tenant: tenant, CreatedAt: birth, Version: 1, SealedSecrets: []byte("noise")}
	w.must(w.InsertEndpoint(t.Context(), damaged, nil))

	if got := w.match(tenant, "x"); !slices.Equal(got, []store.EndpointKey{good.Key, damaged.Key}) {
		t.Errorf("Match = %v", got)
	}
	if _, _, err := w.table.Endpoint(t.Context(), tenant, good.Key); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if ep, reason, err := w.table.Endpoint(t.Context(), tenant, damaged.Key); ep != nil || reason != "" || !errors.Is(err, seal.ErrWrongKeyset) {
		t.Errorf("the damaged one: %v, %q, %v", ep, reason, err)
	}
}

func TestTheTableStaysWithinItsBound(t *testing.T) {
	w := newWorld(t, routing.Limits{Bytes: 20_000}) // some ten tenants of one endpoint
	var tenants []store.Tenant
	for i := range 40 {
		tenants = append(tenants, w.newTenant(org, fmt.Sprint("t", i)))
		w.newEndpoint(tenants[i].Key, nil)
	}
	for range 3 { // the first one is used all the time and stays
		for _, tenant := range tenants {
			w.match(tenants[0].Key, "x")
			w.match(tenant.Key, "x")
		}
	}
	loads := w.loads.Load()
	if want := int64(1 + 3*39); loads != want {
		t.Errorf("%d readings, want %d: one of what is used all the time, and one for each use of what is not", loads, want)
	}
	w.match(tenants[len(tenants)-1].Key, "x")
	if got := w.loads.Load(); got != loads {
		t.Error("what was used last was dropped")
	}

	// One that is larger than the bound is held alone.
	large := w.newTenant(org, "")
	for range 40 {
		w.newEndpoint(large.Key, nil)
	}
	w.match(large.Key, "x")
	loads = w.loads.Load()
	w.match(large.Key, "x")
	if got := w.loads.Load(); got != loads {
		t.Error("the large one is read each time")
	}
	if len(w.match(tenants[0].Key, "x")) != 1 {
		t.Error("the others are lost")
	}
}

// Publishers and changers at once: an event that begins after a change has returned is
// never matched without it.
func TestNoPublisherMissesAChange(t *testing.T) {
	w := newWorld(t, routing.Limits{Bytes: 4_000}) // so small that tenants are dropped too
	const tenants, rounds = 4, 300
	var keys [tenants]store.TenantKey
	var versions [tenants]atomic.Int64 // of the last change that has returned
	for i := range keys {
		keys[i] = w.newTenant(org, fmt.Sprint("t", i)).Key
	}
	stop := make(chan struct{})
	var publishers, changers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := rand.IntN(tenants)
				least := versions[i].Load()
				routes, err := w.table.Tenant(t.Context(), org, webhook.TenantID(fmt.Sprint("t", i)))
				if err != nil || int64(len(routes.Match("x", nil))) < least {
					t.Errorf("%d endpoints where %d were there before (%v)", len(routes.Match("x", nil)), least, err)
					return
				}
			}
		})
	}
	for i := range keys {
		changers.Go(func() {
			for range rounds {
				w.newEndpoint(keys[i], nil)
				w.table.Refresh(keys[i])
				versions[i].Add(1)
			}
		})
	}
	changers.Wait()
	close(stop)
	publishers.Wait()
}

func BenchmarkTenantAndMatch(b *testing.B) {
	for _, endpoints := range []int{1, 3, 100} {
		w := newWorld(b, routing.Limits{})
		acme := w.newTenant(org, "acme")
		for range endpoints {
			w.newEndpoint(acme.Key, func(ep *webhook.Endpoint) { ep.EventTypes = []string{"user.created", "invoice.sent", "invoice.paid"} })
		}
		id := w.records.IDs.Tenant(birth, acme.Key)
		for name, ref := range map[string]webhook.TenantID{"uid": "acme", "id": id} {
			b.Run(fmt.Sprintf("%s/%d endpoints", name, endpoints), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					routes, err := w.table.Tenant(b.Context(), org, ref)
					if err != nil || len(routes.Match("invoice.paid", nil)) != endpoints {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
