package neohook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// onEachStore runs a test over every store there is.
func onEachStore(t *testing.T, test func(t *testing.T, eng *neohook.Engine, st store.Store)) {
	t.Helper()
	for name, open := range map[string]func(*testing.T) store.Store{"memstore": openMemory, "sqlite": openSQLite} {
		t.Run(name, func(t *testing.T) {
			st := open(t)
			test(t, newEngine(t, st, neohook.Options{}), st)
		})
	}
}

func openMemory(t *testing.T) store.Store {
	st := memstore.New()
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func openSQLite(t *testing.T) store.Store {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "neohook.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func newEngine(t *testing.T, st store.Store, opts neohook.Options) *neohook.Engine {
	t.Helper()
	if _, beside := st.(interface{ KeysetFile() string }); !beside && opts.Keyset == nil {
		keyset, err := neohook.NewKeyset()
		if err != nil {
			t.Fatal(err)
		}
		opts.Keyset = keyset
	}
	eng, err := neohook.New(t.Context(), st, opts)
	if err != nil {
		t.Fatal(err)
	}
	return eng
}

// must returns the value of a call that has to succeed.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// wantErr checks an error, and that it shows nothing it should not.
func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: err = %v, want %v", what, err, want)
	}
	if err != nil && strings.Contains(err.Error(), "sesame") {
		t.Errorf("%s: the error shows a secret: %v", what, err)
	}
}

func wantFields(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	var invalid *webhook.InvalidError
	if !errors.As(err, &invalid) {
		t.Errorf("%s: err = %v, want *InvalidError of %q", what, err, want)
		return
	}
	var got []string
	for _, field := range invalid.Fields {
		got = append(got, field.Field)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: faults in %q, want %q", what, got, want)
	}
	if strings.Contains(err.Error(), "sesame") {
		t.Errorf("%s: the error shows a secret: %v", what, err)
	}
}

func TestTenantFromBirthToEnd(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		before := time.Now().Truncate(time.Microsecond)
		given := webhook.Tenant{UID: "acme", Name: "Acme", RateLimit: 5, Metadata: map[string]string{"plan": "gold"}, ID: "ignored", Organisation: "ignored"}
		made := must[webhook.Tenant](t)(eng.CreateTenant(ctx, given))
		if _, err := webhook.ParseTenantID(string(made.ID)); err != nil {
			t.Error(err)
		}
		want := given
		want.ID, want.Organisation, want.CreatedAt, want.UpdatedAt = made.ID, neohook.DefaultOrganisation, made.CreatedAt, made.CreatedAt
		if !reflect.DeepEqual(made, want) || made.CreatedAt.Before(before) || made.CreatedAt.After(time.Now()) {
			t.Errorf("made %+v\nwant %+v", made, want)
		}
		for _, ref := range []webhook.TenantID{made.ID, "acme"} {
			if got := must[webhook.Tenant](t)(eng.Tenant(ctx, ref)); !reflect.DeepEqual(got, made) {
				t.Errorf("by %s: %+v\nwant %+v", ref, got, made)
			}
		}
		_, err := eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Another"})
		wantErr(t, "the UID again", err, neohook.ErrConflict)

		made.Metadata["plan"] = "changed by the caller"
		renamed := must[webhook.Tenant](t)(eng.UpdateTenant(ctx, "acme", func(tenant *webhook.Tenant) error {
			tenant.UID, tenant.Name, tenant.RateLimit = "acme-2", "Acme Ltd", 0
			tenant.ID, tenant.Organisation, tenant.CreatedAt = "x", "y", time.Time{}
			tenant.Metadata["since"] = "2026"
			return nil
		}))
		want.UID, want.Name, want.RateLimit, want.UpdatedAt = "acme-2", "Acme Ltd", 0, renamed.UpdatedAt
		want.Metadata = map[string]string{"plan": "gold", "since": "2026"}
		if !reflect.DeepEqual(renamed, want) || renamed.UpdatedAt.Before(renamed.CreatedAt) {
			t.Errorf("renamed %+v\nwant    %+v", renamed, want)
		}
		if got := must[webhook.Tenant](t)(eng.Tenant(ctx, made.ID)); !reflect.DeepEqual(got, renamed) {
			t.Errorf("read %+v\nwant %+v", got, renamed)
		}
		_, err = eng.Tenant(ctx, "acme")
		wantErr(t, "the old UID", err, neohook.ErrNotFound)
		must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Another"}))
		_, err = eng.UpdateTenant(ctx, made.ID, func(tenant *webhook.Tenant) error { tenant.UID = "acme"; return nil })
		wantErr(t, "a UID that is taken", err, neohook.ErrConflict)

		if err := eng.DeleteTenant(ctx, "acme-2"); err != nil {
			t.Fatal(err)
		}
		_, err = eng.Tenant(ctx, made.ID)
		wantErr(t, "after the deletion", err, neohook.ErrNotFound)
		wantErr(t, "deleted again", eng.DeleteTenant(ctx, made.ID), neohook.ErrNotFound)
		_, err = eng.UpdateTenant(ctx, made.ID, func(*webhook.Tenant) error { return nil })
		wantErr(t, "changed after", err, neohook.ErrNotFound)
	})
}

func TestEndpointFromBirthToEnd(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		given := webhook.Endpoint{
			UID: "hook", Name: "Hook", Description: "d", URL: "https://Acme.example", Method: "PUT", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
			Headers: map[string]string{"X-Key": "k", "authorization": "Bearer t"}, Protocol: webhook.HTTP1, Timeout: 7 * time.Second, Disabled: true,
			EventTypes: []string{"b", "a"}, Channels: []string{"eu"}, RateLimit: 9, Version: 4,
			Concurrency: 3, Ordered: true, Schedule: webhook.Schedule{time.Second, time.Hour}, FinalStatuses: []int{400}, Metadata: map[string]string{"m": "v"}, CreatedBy: "usr_1",
			ID: "ignored", Tenant: "ignored",
		}
		made := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, "acme", given))
		want := given
		want.ID, want.Tenant, want.CreatedAt, want.UpdatedAt = made.ID, acme.ID, made.CreatedAt, made.CreatedAt
		if !reflect.DeepEqual(made, want) || made.CreatedAt.IsZero() {
			t.Errorf("made %+v\nwant %+v", made, want)
		}
		for _, tenant := range []webhook.TenantID{acme.ID, "acme"} {
			for _, ref := range []webhook.EndpointID{made.ID, "hook"} {
				if got := must[webhook.Endpoint](t)(eng.Endpoint(ctx, tenant, ref)); !reflect.DeepEqual(got, made) {
					t.Errorf("by %s, %s: %+v\nwant %+v", tenant, ref, got, made)
				}
			}
		}
		_, err := eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: "hook", URL: "https://acme.example"})
		wantErr(t, "the UID again", err, neohook.ErrConflict)
		_, err = eng.CreateEndpoint(ctx, "nobody", webhook.Endpoint{URL: "https://acme.example"})
		wantErr(t, "of nobody", err, neohook.ErrNotFound)

		plain := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, acme.ID, webhook.Endpoint{URL: "http://acme.example/"}))
		if kind, key, err := plain.Secret.Decode(); kind != webhook.HMACSecret || len(key) != 24 || err != nil {
			t.Errorf("generated secret: %d, %d bytes, %v", kind, len(key), err)
		}
		if plain.Method != "POST" || plain.Timeout != 30*time.Second || plain.Version != 1 || plain.Disabled {
			t.Errorf("defaults: %+v", plain)
		}
		if got := must[webhook.Endpoint](t)(eng.Endpoint(ctx, acme.ID, plain.ID)); !reflect.DeepEqual(got, plain) {
			t.Errorf("read %+v\nwant %+v", got, plain)
		}

		changed := must[webhook.Endpoint](t)(eng.UpdateEndpoint(ctx, "acme", "hook", func(ep *webhook.Endpoint) error {
			ep.URL, ep.Disabled, ep.EventTypes, ep.UID = "https://new.example/", false, nil, ""
			delete(ep.Headers, "authorization")
			ep.Headers["X-Key"] = "k2"
			ep.Concurrency, ep.Ordered, ep.Schedule, ep.FinalStatuses = 0, false, webhook.Schedule{}, nil
			ep.ID, ep.Tenant, ep.CreatedBy, ep.CreatedAt = "x", "y", "z", time.Time{}
			return nil
		}))
		want.URL, want.Disabled, want.EventTypes, want.UID, want.UpdatedAt = "https://new.example/", false, nil, "", changed.UpdatedAt
		want.Headers = map[string]string{"X-Key": "k2"}
		want.Concurrency, want.Ordered, want.Schedule, want.FinalStatuses = 0, false, webhook.Schedule{}, nil
		if !reflect.DeepEqual(changed, want) || changed.UpdatedAt.Before(changed.CreatedAt) {
			t.Errorf("changed %+v\nwant    %+v", changed, want)
		}
		if got := must[webhook.Endpoint](t)(eng.Endpoint(ctx, "acme", made.ID)); !reflect.DeepEqual(got, changed) {
			t.Errorf("read %+v\nwant %+v", got, changed)
		}

		if err := eng.DeleteEndpoint(ctx, "acme", made.ID); err != nil {
			t.Fatal(err)
		}
		_, err = eng.Endpoint(ctx, "acme", made.ID)
		wantErr(t, "after the deletion", err, neohook.ErrNotFound)
		wantErr(t, "deleted again", eng.DeleteEndpoint(ctx, "acme", made.ID), neohook.ErrNotFound)
		if err := eng.DeleteTenant(ctx, "acme"); err != nil {
			t.Fatal(err)
		}
		_, err = eng.Endpoint(ctx, acme.ID, plain.ID)
		wantErr(t, "after the tenant's deletion", err, neohook.ErrNotFound)
	})
}

func TestWhatIsWrongIsToldAllAtOnceAndNothingIsStored(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		_, err := eng.CreateTenant(ctx, webhook.Tenant{UID: "a b", RateLimit: -1})
		wantFields(t, "tenant", err, "name", "uid", "throttleRate")
		must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		_, err = eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{Secret: "whsec_sesame", Headers: map[string]string{"X-A": "sesame\n"}})
		wantFields(t, "endpoint", err, "url", "secret", "headers.X-A")
		list := must[neohook.List[webhook.Endpoint]](t)(eng.Endpoints(ctx, "acme", neohook.Page{}))
		if len(list.Items) != 0 || !list.Done || list.Last != "" {
			t.Errorf("endpoints: %+v", list)
		}

		ep := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{URL: "https://acme.example"}))
		_, err = eng.UpdateEndpoint(ctx, "acme", ep.ID, func(ep *webhook.Endpoint) error {
			ep.URL, ep.Timeout, ep.Secret = "ftp://sesame", time.Millisecond, ""
			return nil
		})
		wantFields(t, "update", err, "url", "timeout", "secret")
		_, err = eng.UpdateEndpoint(ctx, "acme", ep.ID, func(ep *webhook.Endpoint) error { ep.Secret = ""; return nil })
		wantFields(t, "no secret", err, "secret")
		_, err = eng.UpdateTenant(ctx, "acme", func(tenant *webhook.Tenant) error { tenant.Name = "\x00"; return nil })
		wantFields(t, "update of the tenant", err, "name")
		if got := must[webhook.Endpoint](t)(eng.Endpoint(ctx, "acme", ep.ID)); !reflect.DeepEqual(got, ep) {
			t.Errorf("the endpoint has changed: %+v\nwas %+v", got, ep)
		}
	})
}

func TestAnUpdateThatChangesNothingWritesNothing(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme", Metadata: map[string]string{"a": "b"}}))
		ep := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, acme.ID, webhook.Endpoint{URL: "https://acme.example", Headers: map[string]string{"X": "y"}}))
		sameTenant := must[webhook.Tenant](t)(eng.UpdateTenant(ctx, acme.ID, func(tenant *webhook.Tenant) error {
			tenant.Metadata = map[string]string{"a": "b"}
			return nil
		}))
		sameEndpoint := must[webhook.Endpoint](t)(eng.UpdateEndpoint(ctx, acme.ID, ep.ID, func(ep *webhook.Endpoint) error {
			ep.Method, ep.Timeout, ep.Version, ep.EventTypes, ep.Metadata = "", 0, 0, []string{}, map[string]string{}
			return nil
		}))
		if !reflect.DeepEqual(sameTenant, acme) || !reflect.DeepEqual(sameEndpoint, ep) {
			t.Errorf("%+v\nwas %+v\n%+v\nwas %+v", sameTenant, acme, sameEndpoint, ep)
		}
	})
}

func TestAnErrorOfChangeComesBackAsItIs(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme"}))
		ep := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, acme.ID, webhook.Endpoint{URL: "https://acme.example"}))
		mine := errors.New("mine")
		if _, err := eng.UpdateTenant(ctx, acme.ID, func(*webhook.Tenant) error { return mine }); err != mine { //nolint:errorlint // as it is
			t.Errorf("tenant: %v", err)
		}
		if _, err := eng.UpdateEndpoint(ctx, acme.ID, ep.ID, func(*webhook.Endpoint) error { return mine }); err != mine { //nolint:errorlint // as it is
			t.Errorf("endpoint: %v", err)
		}
	})
}

func TestNobodysChangeIsLost(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		ep := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, acme.ID, webhook.Endpoint{URL: "https://acme.example"}))
		add := func(m *map[string]string, key string) {
			if *m == nil {
				*m = make(map[string]string)
			}
			(*m)[key] = "x"
		}
		const writers = 16
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				key := fmt.Sprint("k", i)
				if _, err := eng.UpdateTenant(ctx, "acme", func(t *webhook.Tenant) error { add(&t.Metadata, key); return nil }); err != nil {
					t.Error(err)
				}
				if _, err := eng.UpdateEndpoint(ctx, "acme", ep.ID, func(ep *webhook.Endpoint) error { add(&ep.Metadata, key); return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		tenant := must[webhook.Tenant](t)(eng.Tenant(ctx, acme.ID))
		endpoint := must[webhook.Endpoint](t)(eng.Endpoint(ctx, acme.ID, ep.ID))
		if len(tenant.Metadata) != writers || len(endpoint.Metadata) != writers {
			t.Errorf("%d and %d of %d changes are there", len(tenant.Metadata), len(endpoint.Metadata), writers)
		}
	})
}

func TestOrganisationsAndTenantsDoNotSeeEachOther(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		mine, theirs := eng.In("org_mine"), eng.In("org_theirs")
		a := must[webhook.Tenant](t)(mine.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Mine"}))
		b := must[webhook.Tenant](t)(theirs.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Theirs"}))
		c := must[webhook.Tenant](t)(mine.CreateTenant(ctx, webhook.Tenant{Name: "Mine too"}))
		ep := must[webhook.Endpoint](t)(theirs.CreateEndpoint(ctx, b.ID, webhook.Endpoint{UID: "hook", URL: "https://theirs.example"}))

		if got := must[webhook.Tenant](t)(theirs.Tenant(ctx, "acme")); got.ID != b.ID || got.Organisation != "org_theirs" {
			t.Errorf("theirs: %+v", got)
		}
		none := func(what string, err error) { t.Helper(); wantErr(t, what, err, neohook.ErrNotFound) }
		_, err := mine.Tenant(ctx, b.ID)
		none("tenant", err)
		_, err = mine.UpdateTenant(ctx, b.ID, func(*webhook.Tenant) error { t.Error("change was called"); return nil })
		none("update of the tenant", err)
		none("deletion of the tenant", mine.DeleteTenant(ctx, b.ID))
		_, err = mine.Endpoints(ctx, b.ID, neohook.Page{})
		none("endpoints", err)
		_, err = mine.CreateEndpoint(ctx, b.ID, webhook.Endpoint{URL: "https://mine.example"})
		none("new endpoint", err)
		for _, tenant := range []webhook.TenantID{a.ID, b.ID, c.ID} {
			for _, ref := range []webhook.EndpointID{ep.ID, "hook"} {
				_, err = mine.Endpoint(ctx, tenant, ref)
				none("endpoint", err)
				_, err = mine.UpdateEndpoint(ctx, tenant, ref, func(*webhook.Endpoint) error { t.Error("change was called"); return nil })
				none("update of the endpoint", err)
				none("rotation", mine.RotateSecret(ctx, tenant, ref, "", 0))
				none("deletion of the endpoint", mine.DeleteEndpoint(ctx, tenant, ref))
				_, err = mine.AttemptsAtEndpoint(ctx, tenant, ref, neohook.AttemptFilter{}, neohook.Page{})
				none("attempts", err)
			}
		}
		if list := must[neohook.List[webhook.Tenant]](t)(theirs.Tenants(ctx, neohook.Page{})); len(list.Items) != 1 || list.Items[0].ID != b.ID {
			t.Errorf("tenants of theirs: %+v", list)
		}
		_, err = eng.In("acme").Tenant(ctx, "acme")
		wantErr(t, "an organisation without its prefix", err, webhook.ErrMalformedID)
		_, err = eng.In("acme").Tenants(ctx, neohook.Page{})
		wantErr(t, "an organisation without its prefix", err, webhook.ErrMalformedID)
		_, err = eng.In("").CreateTenant(ctx, webhook.Tenant{Name: "x"})
		wantErr(t, "no organisation", err, webhook.ErrMalformedID)
	})
}

func TestReferencesThatNameNothing(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme"}))
		long := strings.Repeat("x", 1<<16)
		for _, ref := range []webhook.TenantID{"", "nobody", "app_", "app_1", webhook.NewTenantID(), "a/b", "\x00", webhook.TenantID(long), "ep_" + acme.ID[4:]} {
			_, err := eng.Tenant(ctx, ref)
			wantErr(t, "a tenant", err, neohook.ErrNotFound)
			if len(err.Error()) > 300 {
				t.Errorf("the error repeats %d bytes of a stranger's text", len(err.Error()))
			}
		}
		for _, ref := range []webhook.EndpointID{"", "nothing", "ep_1", webhook.NewEndpointID(), webhook.EndpointID("ep_" + acme.ID[4:]), webhook.EndpointID(long)} {
			_, err := eng.Endpoint(ctx, acme.ID, ref)
			wantErr(t, "an endpoint", err, neohook.ErrNotFound)
		}
		for _, ref := range []webhook.EventID{"", "nothing", "msg_1", webhook.NewEventID(), webhook.EventID("msg_" + acme.ID[4:])} {
			_, err := eng.Event(ctx, acme.ID, ref)
			wantErr(t, "an event", err, neohook.ErrNotFound)
			_, err = eng.Attempt(ctx, acme.ID, ref, webhook.NewAttemptID())
			wantErr(t, "an attempt", err, neohook.ErrNotFound)
		}
	})
}

func TestPages(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme"}))
		const n = 7
		var made []webhook.EndpointID
		for range n {
			made = append(made, must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, acme.ID, webhook.Endpoint{URL: "https://acme.example"})).ID)
		}
		for _, descending := range []bool{false, true} {
			for limit := 1; limit <= n+1; limit++ {
				var got []webhook.EndpointID
				page := neohook.Page{Limit: limit, Descending: descending}
				for pages := 1; ; pages++ {
					list := must[neohook.List[webhook.Endpoint]](t)(eng.Endpoints(ctx, acme.ID, page))
					for _, ep := range list.Items {
						got = append(got, ep.ID)
					}
					if page.After = list.Last; list.Done {
						if want := (n + limit - 1) / limit; pages != want {
							t.Errorf("limit %d: %d pages, want %d", limit, pages, want)
						}
						break
					}
				}
				for i := range made {
					want := made[i]
					if descending {
						want = made[n-1-i]
					}
					if len(got) != n || got[i] != want {
						t.Fatalf("limit %d, descending %v: %v\nof %v", limit, descending, got, made)
					}
				}
			}
		}
		// A cursor may be of something that is gone.
		if err := eng.DeleteEndpoint(ctx, acme.ID, made[2]); err != nil {
			t.Fatal(err)
		}
		list := must[neohook.List[webhook.Endpoint]](t)(eng.Endpoints(ctx, acme.ID, neohook.Page{After: string(made[2]), Limit: 1}))
		if len(list.Items) != 1 || list.Items[0].ID != made[3] {
			t.Errorf("behind a deleted one: %+v", list)
		}
		for _, after := range []string{"x", string(acme.ID), "ep_1", string(webhook.NewEndpointID())} {
			_, err := eng.Endpoints(ctx, acme.ID, neohook.Page{After: after})
			wantErr(t, "after "+after, err, webhook.ErrMalformedID)
		}
		for _, limit := range []int{-1, 251} {
			_, err := eng.Endpoints(ctx, acme.ID, neohook.Page{Limit: limit})
			wantFields(t, fmt.Sprint("limit ", limit), err, "limit")
		}
		if list := must[neohook.List[webhook.Endpoint]](t)(eng.Endpoints(ctx, acme.ID, neohook.Page{Limit: 250})); len(list.Items) != n-1 {
			t.Errorf("%d items", len(list.Items))
		}
	})
}

func TestTenantsPage(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		var made []webhook.TenantID
		for range 3 {
			made = append(made, must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme"})).ID)
		}
		first := must[neohook.List[webhook.Tenant]](t)(eng.Tenants(ctx, neohook.Page{Limit: 2}))
		if len(first.Items) != 2 || first.Done || first.Last != string(made[1]) {
			t.Errorf("first page: %+v", first)
		}
		second := must[neohook.List[webhook.Tenant]](t)(eng.Tenants(ctx, neohook.Page{Limit: 2, After: first.Last}))
		if len(second.Items) != 1 || !second.Done || second.Items[0].ID != made[2] {
			t.Errorf("second page: %+v", second)
		}
		beyond := must[neohook.List[webhook.Tenant]](t)(eng.Tenants(ctx, neohook.Page{After: second.Last}))
		if len(beyond.Items) != 0 || beyond.Items == nil || !beyond.Done {
			t.Errorf("beyond the end: %+v", beyond)
		}
		_, err := eng.Tenants(ctx, neohook.Page{After: "x"})
		wantErr(t, "a bad cursor", err, webhook.ErrMalformedID)
	})
}

func TestRotateSecret(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		first := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, acme.ID, webhook.Endpoint{UID: "hook", URL: "https://acme.example"}))
		rotate := func(secret webhook.Secret, grace time.Duration) webhook.Endpoint {
			t.Helper()
			if err := eng.RotateSecret(ctx, "acme", "hook", secret, grace); err != nil {
				t.Fatal(err)
			}
			return must[webhook.Endpoint](t)(eng.Endpoint(ctx, "acme", "hook"))
		}

		second := rotate("", time.Hour)
		if second.Secret == first.Secret || len(second.RetiringSecrets) != 1 || second.RetiringSecrets[0].Secret != first.Secret {
			t.Fatalf("after the first rotation: %+v", second)
		}
		if left := time.Until(second.RetiringSecrets[0].Expires); left > time.Hour || left < 59*time.Minute {
			t.Errorf("the old key expires in %v", left)
		}
		third := rotate("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0)
		if third.Secret != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" || len(third.RetiringSecrets) != 1 || third.RetiringSecrets[0].Secret != first.Secret {
			t.Errorf("after one without grace: %+v", third)
		}
		// Back to a key that still signs: it is there once.
		fourth := rotate(first.Secret, time.Hour)
		if fourth.Secret != first.Secret || len(fourth.RetiringSecrets) != 1 || fourth.RetiringSecrets[0].Secret != third.Secret {
			t.Errorf("after going back: %+v", fourth)
		}
		// To the same key: nothing happens.
		if fifth := rotate(first.Secret, time.Hour); !reflect.DeepEqual(fifth, fourth) {
			t.Errorf("to the same key: %+v\nwas %+v", fifth, fourth)
		}

		for range 9 {
			rotate("", neohook.MaxGrace)
		}
		before := must[webhook.Endpoint](t)(eng.Endpoint(ctx, "acme", "hook"))
		if len(before.RetiringSecrets) != 10 {
			t.Fatalf("%d old keys", len(before.RetiringSecrets))
		}
		wantErr(t, "one too many", eng.RotateSecret(ctx, "acme", "hook", "", time.Hour), neohook.ErrTooManySecrets)
		if after := must[webhook.Endpoint](t)(eng.Endpoint(ctx, "acme", "hook")); !reflect.DeepEqual(after, before) {
			t.Errorf("a refused rotation has changed something")
		}
		rotate("", 0) // without grace there is room

		for _, grace := range []time.Duration{-1, neohook.MaxGrace + 1} {
			wantFields(t, "grace", eng.RotateSecret(ctx, "acme", "hook", "", grace), "grace")
		}
		wantFields(t, "a bad key", eng.RotateSecret(ctx, "acme", "hook", "whsec_sesame", 0), "secret")
		wantErr(t, "no endpoint", eng.RotateSecret(ctx, "acme", "none", "", 0), neohook.ErrNotFound)
	})
}

func TestRotationKeepsTheKindOfKeyAndDropsWhatExpired(t *testing.T) {
	eng := newEngine(t, openMemory(t), neohook.Options{})
	ctx := t.Context()
	acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme"}))
	const ed25519 = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	ep := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, acme.ID, webhook.Endpoint{
		URL: "https://acme.example", Secret: ed25519,
		RetiringSecrets: []webhook.RetiringSecret{{Secret: "long gone", Expires: time.Now().Add(-time.Second)}},
	}))
	if err := eng.RotateSecret(ctx, acme.ID, ep.ID, "", time.Hour); err != nil {
		t.Fatal(err)
	}
	got := must[webhook.Endpoint](t)(eng.Endpoint(ctx, acme.ID, ep.ID))
	if kind, _, err := got.Secret.Decode(); kind != webhook.Ed25519Secret || err != nil {
		t.Errorf("generated kind %d, %v", kind, err)
	}
	if len(got.RetiringSecrets) != 1 || got.RetiringSecrets[0].Secret != ed25519 {
		t.Errorf("%d old keys", len(got.RetiringSecrets))
	}
}

// A store that fails after it has applied a change: the caller is told, and nobody goes
// on with what was before.
func TestAStoreThatFailsIsTold(t *testing.T) {
	st := memstore.New()
	eng := newEngine(t, st, neohook.Options{})
	ctx := t.Context()
	acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{Name: "Acme"}))
	ep := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, acme.ID, webhook.Endpoint{URL: "https://acme.example", Secret: "sesame open"}))
	broken := errors.New("disk on fire")
	st.Faults = func(_ context.Context, _ string, moment memstore.Moment) error {
		if moment == memstore.Before {
			return broken
		}
		return nil
	}
	page := neohook.Page{}
	for what, call := range map[string]func() error{
		"CreateTenant":   func() error { _, err := eng.CreateTenant(ctx, webhook.Tenant{Name: "x"}); return err },
		"Tenant":         func() error { _, err := eng.Tenant(ctx, acme.ID); return err },
		"Tenants":        func() error { _, err := eng.Tenants(ctx, page); return err },
		"DeleteTenant":   func() error { return eng.DeleteTenant(ctx, acme.ID) },
		"CreateEndpoint": func() error { _, err := eng.CreateEndpoint(ctx, acme.ID, ep); return err },
		"Endpoint":       func() error { _, err := eng.Endpoint(ctx, acme.ID, ep.ID); return err },
		"Events":         func() error { _, err := eng.Events(ctx, acme.ID, neohook.EventFilter{}, page); return err },
		"RotateSecret":   func() error { return eng.RotateSecret(ctx, acme.ID, ep.ID, "sesame close", 0) },
	} {
		wantErr(t, what, call(), broken)
	}
}

func TestATenantThatIsDeletedWhileItsEndpointIsMade(t *testing.T) {
	st := memstore.New()
	eng := newEngine(t, st, neohook.Options{})
	must[webhook.Tenant](t)(eng.CreateTenant(t.Context(), webhook.Tenant{UID: "acme", Name: "Acme"}))
	st.Faults = func(ctx context.Context, operation string, moment memstore.Moment) error {
		if operation == "NewKey" && moment == memstore.After {
			return eng.DeleteTenant(ctx, "acme")
		}
		return nil
	}
	_, err := eng.CreateEndpoint(t.Context(), "acme", webhook.Endpoint{URL: "https://acme.example"})
	wantErr(t, "endpoint of a deleted tenant", err, neohook.ErrNotFound)
	if !strings.Contains(err.Error(), `tenant "acme"`) {
		t.Errorf("err = %v, want it to name the tenant", err)
	}
}

func TestSecretsCannotBeReadInTheStore(t *testing.T) {
	dir := t.TempDir()
	st, err := sqlite.Open(t.Context(), filepath.Join(dir, "neohook.db"))
	if err != nil {
		t.Fatal(err)
	}
	eng := newEngine(t, st, neohook.Options{})
	once := eng.Once(neohook.Once{Key: "k"})
	acme := must[webhook.Tenant](t)(eng.CreateTenant(t.Context(), webhook.Tenant{Name: "Acme-in-clear"}))
	ep := must[webhook.Endpoint](t)(once.CreateEndpoint(t.Context(), acme.ID, webhook.Endpoint{
		URL: "https://acme.example", Secret: "sesame-secret", Headers: map[string]string{"X-Sesame": "sesame-header"},
	}))
	if err := eng.RotateSecret(t.Context(), acme.ID, ep.ID, "sesame-next", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, file := range must[[]string](t)(filepath.Glob(filepath.Join(dir, "*"))) {
		all.Write(must[[]byte](t)(os.ReadFile(file)))
	}
	if !bytes.Contains(all.Bytes(), []byte("Acme-in-clear")) {
		t.Error("the test does not see what is stored")
	}
	for _, secret := range []string{"sesame-secret", "sesame-next", "sesame-header", "X-Sesame"} {
		if bytes.Contains(all.Bytes(), []byte(secret)) {
			t.Errorf("%q can be read in the files of the store", secret)
		}
	}
}
