package neohook_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func TestARepeatIsGivenTheFirstAnswer(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		once := eng.Once(neohook.Once{Key: "k", Request: []byte("body")})
		acme := must[webhook.Tenant](t)(once.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		ep := must[webhook.Endpoint](t)(once.CreateEndpoint(ctx, "acme", webhook.Endpoint{URL: "https://acme.example"}))
		// What became of them does not change what a repeat is told.
		must[webhook.Tenant](t)(eng.UpdateTenant(ctx, "acme", func(t *webhook.Tenant) error { t.Name = "Changed"; return nil }))
		must[webhook.Endpoint](t)(eng.UpdateEndpoint(ctx, "acme", ep.ID, func(ep *webhook.Endpoint) error { ep.URL = "https://changed.example"; return nil }))

		again := must[webhook.Tenant](t)(once.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		if !reflect.DeepEqual(again, acme) {
			t.Errorf("tenant again %+v\nfirst        %+v", again, acme)
		}
		epAgain := must[webhook.Endpoint](t)(once.CreateEndpoint(ctx, acme.ID, webhook.Endpoint{URL: "https://acme.example"}))
		if !reflect.DeepEqual(epAgain, ep) {
			t.Errorf("endpoint again %+v\nfirst          %+v", epAgain, ep)
		}
		if list := must[neohook.List[webhook.Endpoint]](t)(eng.Endpoints(ctx, "acme", neohook.Page{})); len(list.Items) != 1 {
			t.Errorf("%d endpoints", len(list.Items))
		}

		for i := range 3 {
			if err := once.RotateSecret(ctx, "acme", ep.ID, "", time.Hour); err != nil {
				t.Fatal(err)
			}
			if got := must[webhook.Endpoint](t)(eng.Endpoint(ctx, "acme", ep.ID)); len(got.RetiringSecrets) != 1 {
				t.Errorf("after rotation %d: %d old keys", i+1, len(got.RetiringSecrets))
			}
		}
	})
}

func TestWhatTellsRequestsApart(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		key := func(o *neohook.Organisation, once neohook.Once) webhook.TenantID {
			t.Helper()
			return must[webhook.Tenant](t)(o.Once(once).CreateTenant(ctx, webhook.Tenant{Name: "Acme"})).ID
		}
		first := key(eng.Organisation, neohook.Once{Key: "k", Request: []byte("body")})
		if again := key(eng.Organisation, neohook.Once{Key: "k", Request: []byte("body"), KeepFor: 12 * time.Hour}); again != first {
			t.Error("the default spelled out is another request")
		}
		for what, other := range map[string]webhook.TenantID{
			"another key":          key(eng.Organisation, neohook.Once{Key: "K", Request: []byte("body")}),
			"another organisation": key(eng.In("org_other"), neohook.Once{Key: "k", Request: []byte("body")}),
			"kept for longer":      key(eng.Organisation, neohook.Once{Key: "k", Request: []byte("body"), KeepFor: 24 * time.Hour}),
		} {
			if other == first {
				t.Errorf("%s is taken for a repeat", what)
			}
		}
		_, err := eng.Once(neohook.Once{Key: "k", Request: []byte("another body")}).CreateTenant(ctx, webhook.Tenant{Name: "Acme"})
		wantErr(t, "another body", err, neohook.ErrKeyReused)

		// Another operation, tenant or endpoint under the same key is another request.
		a, b := first, key(eng.Organisation, neohook.Once{Key: "b"})
		once := eng.Once(neohook.Once{Key: "k", Request: []byte("body")})
		atA := must[webhook.Endpoint](t)(once.CreateEndpoint(ctx, a, webhook.Endpoint{URL: "https://acme.example"}))
		atB := must[webhook.Endpoint](t)(once.CreateEndpoint(ctx, b, webhook.Endpoint{URL: "https://acme.example"}))
		if atA.ID == atB.ID {
			t.Error("another tenant is taken for a repeat")
		}
		atAToo := must[webhook.Endpoint](t)(eng.CreateEndpoint(ctx, a, webhook.Endpoint{URL: "https://acme.example"}))
		for _, ep := range []webhook.Endpoint{atA, atAToo} {
			if err := once.RotateSecret(ctx, a, ep.ID, "", 0); err != nil {
				t.Fatal(err)
			}
			if got := must[webhook.Endpoint](t)(eng.Endpoint(ctx, a, ep.ID)); got.Secret == ep.Secret {
				t.Errorf("the secret of %s was not rotated", ep.ID)
			}
		}
	})
}

func TestKeysThatCannotServe(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		for what, test := range map[string]struct {
			once neohook.Once
			want []string
		}{
			"no key":        {neohook.Once{}, []string{"idempotencyKey"}},
			"too long":      {neohook.Once{Key: strings.Repeat("k", 513)}, []string{"idempotencyKey"}},
			"kept too long": {neohook.Once{Key: "k", KeepFor: 10_000 * time.Hour}, []string{"keepFor"}},
			"negative":      {neohook.Once{KeepFor: -1}, []string{"idempotencyKey", "keepFor"}},
		} {
			_, err := eng.Once(test.once).CreateTenant(t.Context(), webhook.Tenant{Name: "Acme"})
			wantFields(t, what, err, test.want...)
		}
		must[webhook.Tenant](t)(eng.Once(neohook.Once{Key: strings.Repeat("\xff", 512)}).CreateTenant(t.Context(), webhook.Tenant{Name: "Acme"}))
	})
}

func TestAFailureLeavesTheKeyFree(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "taken", Name: "Acme"}))
		once := eng.Once(neohook.Once{Key: "k", Request: []byte("body")})
		_, err := once.CreateTenant(ctx, webhook.Tenant{})
		wantFields(t, "invalid", err, "name")
		_, err = once.CreateTenant(ctx, webhook.Tenant{Name: "Acme", UID: "taken"})
		wantErr(t, "taken", err, neohook.ErrConflict)
		must[webhook.Tenant](t)(once.CreateTenant(ctx, webhook.Tenant{Name: "Acme", UID: "free"}))
	})
}

func TestRepeatsAtOnceMakeOne(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		const callers = 16
		var wg sync.WaitGroup
		got := make([]webhook.Tenant, callers)
		for i := range got {
			wg.Go(func() {
				var err error
				got[i], err = eng.Once(neohook.Once{Key: "k"}).CreateTenant(t.Context(), webhook.Tenant{UID: "acme", Name: "Acme"})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, one := range got {
			if !reflect.DeepEqual(one, got[0]) {
				t.Fatalf("%+v\nand %+v", one, got[0])
			}
		}
		if list := must[neohook.List[webhook.Tenant]](t)(eng.Tenants(t.Context(), neohook.Page{})); len(list.Items) != 1 {
			t.Errorf("%d tenants", len(list.Items))
		}
	})
}

// The store says that it failed, but has stored what was asked: the caller asks again
// and gets what was made.
func TestARepeatAfterAnAnswerThatWasLost(t *testing.T) {
	st := memstore.New()
	eng := newEngine(t, st, neohook.Options{})
	acme := must[webhook.Tenant](t)(eng.CreateTenant(t.Context(), webhook.Tenant{Name: "Acme"}))
	lost := errors.New("connection cut")
	once := eng.Once(neohook.Once{Key: "k"})
	for operation, call := range map[string]func() error{
		"InsertTenant": func() error { _, err := once.CreateTenant(t.Context(), webhook.Tenant{Name: "Acme"}); return err },
		"InsertEndpoint": func() error {
			_, err := once.CreateEndpoint(t.Context(), acme.ID, webhook.Endpoint{URL: "https://acme.example"})
			return err
		},
	} {
		st.Faults = func(_ context.Context, name string, moment memstore.Moment) error {
			if name == operation && moment == memstore.After {
				return lost
			}
			return nil
		}
		wantErr(t, operation, call(), lost)
		st.Faults = nil
		if err := call(); err != nil {
			t.Errorf("%s again: %v", operation, err)
		}
	}
	tenants := must[neohook.List[webhook.Tenant]](t)(eng.Tenants(t.Context(), neohook.Page{}))
	endpoints := must[neohook.List[webhook.Endpoint]](t)(eng.Endpoints(t.Context(), acme.ID, neohook.Page{}))
	if len(tenants.Items) != 2 || len(endpoints.Items) != 1 {
		t.Errorf("%d tenants, %d endpoints", len(tenants.Items), len(endpoints.Items))
	}
}

func ExampleOrganisation_Once() {
	ctx := context.Background()
	keyset, err := neohook.NewKeyset()
	if err != nil {
		fmt.Println(err)
		return
	}
	eng, err := neohook.New(ctx, memstore.New(), neohook.Options{Keyset: keyset})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := neohook.Once{Key: "signup-4711", Request: []byte("Acme")}
	first, err := eng.Once(request).CreateTenant(ctx, webhook.Tenant{Name: "Acme"})
	if err != nil {
		fmt.Println(err)
		return
	}
	second, err := eng.Once(request).CreateTenant(ctx, webhook.Tenant{Name: "Acme"})
	fmt.Println(first.ID == second.ID, err)

	request.Request = []byte("Umbrella")
	_, err = eng.Once(request).CreateTenant(ctx, webhook.Tenant{Name: "Umbrella"})
	fmt.Println(errors.Is(err, neohook.ErrKeyReused))
	// Output:
	// true <nil>
	// true
}
