package neohook_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// settle is longer than nodes take to divide the work.
const settle = 20 * time.Second

func TestNodesSendWhatAnyOfThemHasAccepted(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		disk := memstore.New()
		first, second := memadapter.New(), memadapter.New()
		a, stopA := startFake(t, disk.Node(), first, neohook.Options{})
		b, stopB := startFake(t, disk.Node(), second, neohook.Options{})
		api, stopAPI := startFake(t, disk.Node(), memadapter.New(), neohook.Options{Role: neohook.RoleAPI})
		time.Sleep(settle)
		const tenants = 40
		sent := 0
		for i := range tenants {
			uid := fmt.Sprint("tenant-", i)
			createTenant(t, a, uid)
			createEndpoint(t, b, webhook.TenantID(uid), webhook.Endpoint{URL: "https://one.example"})
			for _, eng := range []*neohook.Engine{a, b, api} {
				publish(t, eng, webhook.TenantID(uid), `{}`)
				sent++
			}
		}
		time.Sleep(settle)
		if got := len(first.Requests()) + len(second.Requests()); got != sent || len(first.Requests()) == 0 || len(second.Requests()) == 0 {
			t.Errorf("%d and %d of %d events were sent", len(first.Requests()), len(second.Requests()), sent)
		}
		for _, eng := range []*neohook.Engine{a, b} {
			if n := eng.Stats(t.Context()).Node; n.Buckets != 512 || n.Members != 3 || n.Unheard != 0 {
				t.Errorf("a node is at %+v", n)
			}
		}
		stopA()
		time.Sleep(settle)
		publish(t, api, "tenant-0", `{}`)
		publish(t, api, "tenant-1", `{}`)
		time.Sleep(settle)
		if got := len(first.Requests()) + len(second.Requests()); got != sent+2 {
			t.Errorf("after one has left %d events were sent of %d", got, sent+2)
		}
		stopB()
		stopAPI()
	})
}

// TestEventsAreTakenFromTheStartOn has a node that needs several tries to join.
func TestEventsAreTakenFromTheStartOn(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		handle, adapter := memstore.New().Node(), memadapter.New()
		tries := 0
		handle.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
			if operation == "Join" && moment == memstore.After && tries < 3 {
				tries++
				return store.ErrUnavailable
			}
			return nil
		}
		eng, stop := startFake(t, handle, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://one.example"})
		const events = 20
		for range events {
			publish(t, eng, "acme", `{}`)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(settle)
		if got := len(adapter.Requests()); got != events || tries != 3 {
			t.Errorf("%d requests, want %d; it has tried to join %d times in vain", got, events, tries)
		}
		stop()
	})
}

func TestNodesKeepTheOrderOfWhatIsPublishedOneAfterAnother(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		disk := memstore.New()
		adapter := memadapter.New()
		a, stopA := startFake(t, disk.Node(), adapter, neohook.Options{})
		b, stopB := startFake(t, disk.Node(), adapter, neohook.Options{})
		time.Sleep(settle)
		createTenant(t, a, "acme")
		createEndpoint(t, a, "acme", webhook.Endpoint{URL: "https://one.example", Ordered: true})
		var want, got []string
		for i := range 200 {
			payload := fmt.Sprintf(`{"n":%d}`, i)
			publish(t, []*neohook.Engine{a, b}[i%2], "acme", payload)
			want = append(want, payload)
		}
		time.Sleep(time.Minute)
		for _, request := range adapter.Requests() {
			got = append(got, string(request.Delivery.Payload))
		}
		if !slices.Equal(got, want) {
			t.Errorf("arrived as %s", strings.Join(got, " "))
		}
		stopA()
		stopB()
	})
}

func TestChangeThroughAnotherNodeCountsBeforeItsCallerIsTold(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		disk := memstore.New()
		adapter := memadapter.New()
		a, stopA := startFake(t, disk.Node(), adapter, neohook.Options{})
		api, stopAPI := startFake(t, disk.Node(), adapter, neohook.Options{Role: neohook.RoleAPI})
		time.Sleep(settle)
		createTenant(t, a, "acme")
		endpoint := createEndpoint(t, a, "acme", webhook.Endpoint{URL: "https://one.example"})
		pause := func(paused bool) {
			if _, err := api.UpdateEndpoint(t.Context(), "acme", endpoint.ID, func(ep *webhook.Endpoint) error {
				ep.Paused = paused
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		sent := func(want int, when string) {
			t.Helper()
			time.Sleep(time.Minute)
			if got := len(adapter.Requests()); got != want {
				t.Errorf("%s: %d requests, want %d", when, got, want)
			}
		}
		publish(t, a, "acme", `{}`)
		sent(1, "at first")
		pause(true)
		event := publish(t, a, "acme", `{}`)
		sent(1, "paused")
		if err := api.CancelDelivery(t.Context(), "acme", event.ID, endpoint.ID); err != nil {
			t.Fatal(err)
		}
		pause(false)
		sent(1, "cancelled and resumed")
		if err := api.Pause(t.Context()); err != nil || !a.Paused() {
			t.Errorf("paused: %v, %v", a.Paused(), err)
		}
		publish(t, api, "acme", `{}`)
		sent(1, "everything paused")
		if err := api.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent(2, "everything resumed")
		stopA()
		stopAPI()
	})
}

// TestEndpointMadeThroughAnotherNodeIsNotTakenForDeleted has an owner that is told of the
// endpoint, and does not come to act on that, when it is told of an event for it.
func TestEndpointMadeThroughAnotherNodeIsNotTakenForDeleted(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		disk := memstore.New()
		handle, adapter := disk.Node(), memadapter.New()
		var slow atomic.Bool
		handle.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
			if operation == "EndSignals" && moment == memstore.Before && slow.Load() {
				time.Sleep(time.Minute)
			}
			return nil
		}
		owner, stopOwner := startFake(t, handle, adapter, neohook.Options{})
		api, stopAPI := startFake(t, disk.Node(), adapter, neohook.Options{Role: neohook.RoleAPI})
		time.Sleep(settle)
		createTenant(t, owner, "acme")
		createTenant(t, owner, "other")
		createEndpoint(t, owner, "acme", webhook.Endpoint{URL: "https://one.example"})
		publish(t, owner, "acme", `{}`)
		slow.Store(true)
		createEndpoint(t, api, "other", webhook.Endpoint{URL: "https://other.example"})
		made := createEndpoint(t, api, "acme", webhook.Endpoint{URL: "https://two.example"})
		event := publish(t, api, "acme", `{}`)
		time.Sleep(settle)
		if got := begun(adapter, event.ID, made.ID); len(got) != 1 {
			standing := must[webhook.Standing](t)(api.Delivery(t.Context(), "acme", event.ID, made.ID))
			t.Errorf("it was sent at %v, want once; it is %v, %q", got, standing.State, standing.Reason)
		}
		slow.Store(false)
		stopOwner()
		stopAPI()
	})
}

func TestKeeperDoesForAllNodes(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		disk := memstore.New()
		adapter := memadapter.New()
		a, stopA := startFake(t, disk.Node(), adapter, neohook.Options{})
		time.Sleep(settle)
		b, stopB := startFake(t, disk.Node(), adapter, neohook.Options{})
		time.Sleep(settle)
		createTenant(t, b, "acme")
		createEndpoint(t, b, "acme", webhook.Endpoint{URL: "https://one.example"})
		due := time.Now().Add(5 * time.Minute)
		if _, err := b.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "a", Payload: []byte(`{}`), DeliverAt: due}); err != nil {
			t.Fatal(err)
		}
		stopA() // whoever kept
		time.Sleep(time.Until(due) + time.Second)
		if got := begun(adapter, "", ""); len(got) != 1 || got[0].Before(due) {
			t.Errorf("the deferred event was sent at %v, want once, from %v on", got, due)
		}
		_ = a
		if _, err := b.ExpungePayloads(t.Context(), "acme"); err != nil {
			t.Error(err)
		}
		stopB()
	})
}

func TestRoleIsRefusedOnAStoreForOneNode(t *testing.T) {
	keyset, err := aKeyset()
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []neohook.Role{neohook.RoleAPI, neohook.RoleDeliver, "bystander"} {
		if _, err := neohook.New(t.Context(), memstore.New(), neohook.Options{Keyset: keyset, Role: role}); err == nil || !strings.Contains(err.Error(), "Options.Role") {
			t.Errorf("role %q: %v", role, err)
		}
	}
}

// behind is a node's store that gives out each signal as one of a kind that nobody knows.
type behind struct {
	*memstore.Node
	obscured atomic.Int64
}

func (b *behind) obscure(heard *store.Heard) {
	heard.Signals = slices.Clone(heard.Signals)
	for i := range heard.Signals {
		heard.Signals[i].Kind = 200
		b.obscured.Add(1)
	}
}

// Signals is heard in fake time.
func (b *behind) Signals(ctx context.Context) (store.Heard, error) {
	heard, err := b.Node.Signals(ctx)
	b.obscure(&heard)
	return heard, err
}

// Commit hears too, in fake time.
func (b *behind) Commit(ctx context.Context, batch *store.Batch) ([]store.Verdict, error) {
	verdicts, err := b.Node.Commit(ctx, batch)
	b.obscure(&batch.Heard)
	return verdicts, err
}

// A newer node may tell of what an older one has no word for: it looks at everything.
func TestNodeActsOnSignalsThatItDoesNotKnow(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		disk := memstore.New()
		adapter := memadapter.New()
		old := &behind{Node: disk.Node()}
		_, stopOld := startFake(t, old, adapter, neohook.Options{})
		api, stopAPI := startFake(t, disk.Node(), memadapter.New(), neohook.Options{Role: neohook.RoleAPI})
		time.Sleep(settle)
		createTenant(t, api, "acme")
		endpoint := createEndpoint(t, api, "acme", webhook.Endpoint{URL: "https://one.example"})
		for range 10 {
			publish(t, api, "acme", `{}`)
		}
		time.Sleep(settle)
		if got := len(adapter.Requests()); got != 10 {
			t.Errorf("%d of 10 events were sent", got)
		}
		pause := func(paused bool) {
			if _, err := api.UpdateEndpoint(t.Context(), "acme", endpoint.ID, func(ep *webhook.Endpoint) error {
				ep.Paused = paused
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		pause(true)
		event := publish(t, api, "acme", `{}`)
		time.Sleep(settle)
		if got := len(adapter.Requests()); got != 10 {
			t.Error("it sends to an endpoint that is paused")
		}
		if err := api.CancelDelivery(t.Context(), "acme", event.ID, endpoint.ID); err != nil {
			t.Fatal(err)
		}
		pause(false)
		publish(t, api, "acme", `{}`)
		time.Sleep(settle)
		if got := len(adapter.Requests()); got != 11 {
			t.Errorf("%d requests, want 11: one event was cancelled, and the endpoint goes on", got)
		}
		if err := api.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		publish(t, api, "acme", `{}`)
		time.Sleep(settle)
		if got := len(adapter.Requests()); got != 11 {
			t.Error("it sends while everything is paused")
		}
		if old.obscured.Load() == 0 {
			t.Error("it heard nothing: what is tested did not happen")
		}
		stopOld()
		stopAPI()
	})
}
