package neohook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// operatorURL is where the operator's own endpoint is.
const operatorURL = "https://operator.example/"

// listen registers an endpoint of the operator's for what happens in the default
// organisation.
func listen(t *testing.T, eng *neohook.Engine, types ...string) (*neohook.Organisation, webhook.TenantID, webhook.Endpoint) {
	t.Helper()
	acting, tenant, err := eng.Operational(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := acting.CreateEndpoint(t.Context(), tenant, webhook.Endpoint{URL: operatorURL, Ordered: true, EventTypes: types})
	if err != nil {
		t.Fatal(err)
	}
	return acting, tenant, endpoint
}

// notice is an operational event as it is received.
type notice struct {
	Type string
	Data map[string]any
}

// notices are what the operator was sent, in order.
func notices(t *testing.T, adapter *memadapter.Adapter) (got []notice) {
	t.Helper()
	for _, request := range adapter.Requests() {
		if request.Endpoint.URL != operatorURL {
			continue
		}
		var n notice
		if err := json.Unmarshal(request.Delivery.Payload, &n); err != nil {
			t.Fatalf("%s: %v", request.Delivery.Payload, err)
		}
		if n.Type != request.Delivery.EventType {
			t.Errorf("an event of type %s says %s", request.Delivery.EventType, request.Delivery.Payload)
		}
		got = append(got, n)
	}
	return got
}

func typesOf(notices []notice) (types []string) {
	for _, n := range notices {
		types = append(types, n.Type)
	}
	return types
}

// sameData compares what a notice tells with what it should, as JSON.
func sameData(t *testing.T, got notice, wantType string, want map[string]any) {
	t.Helper()
	text := func(v any) string {
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	if got.Type != wantType || text(got.Data) != text(want) {
		t.Errorf("told %s of %s\nwant %s of %s", got.Type, text(got.Data), wantType, text(want))
	}
}

func TestOperatorIsToldWhatHappensToEndpoints(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		acme := createTenant(t, eng, "acme")
		before := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://before.example"})
		listen(t, eng)
		ctx := t.Context()
		change := func(change func(*webhook.Endpoint)) {
			t.Helper()
			must[webhook.Endpoint](t)(eng.UpdateEndpoint(ctx, "acme", "hook", func(ep *webhook.Endpoint) error { change(ep); return nil }))
			time.Sleep(time.Second)
		}
		hook := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "hook", URL: "https://hook.example"})
		time.Sleep(time.Second)
		change(func(ep *webhook.Endpoint) { ep.URL = "https://other.example" })
		change(func(ep *webhook.Endpoint) { ep.Headers = map[string]string{"X-Key": "secret"} }) // not told
		change(func(*webhook.Endpoint) {})                                                       // changes nothing
		change(func(ep *webhook.Endpoint) { ep.Paused = true })
		change(func(ep *webhook.Endpoint) { ep.Paused, ep.Description = false, "and more" })
		if err := eng.RotateSecret(ctx, "acme", "hook", "", time.Hour); err != nil {
			t.Fatal(err)
		}
		change(func(ep *webhook.Endpoint) { ep.Disabled = true })
		for _, ref := range []webhook.EndpointID{"hook", before.ID} {
			if err := eng.DeleteEndpoint(ctx, "acme", ref); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		got := notices(t, adapter)
		want := []string{
			"endpoint.created", "endpoint.updated", "endpoint.paused", "endpoint.resumed", "endpoint.updated",
			"endpoint.updated", "endpoint.updated", "endpoint.deleted", "endpoint.deleted",
		}
		if !slices.Equal(typesOf(got), want) {
			t.Fatalf("told %v\nwant %v", typesOf(got), want)
		}
		for i, n := range got {
			data := map[string]any{"appId": acme.ID, "appUid": "acme", "endpointId": hook.ID, "endpointUid": "hook"}
			if i == len(got)-1 {
				data["endpointId"], data["endpointUid"] = before.ID, nil
			}
			sameData(t, n, want[i], data)
		}
	})
}

func TestOperatorIsToldOfMessagesThatFailAndRecover(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		schedule := slices.Repeat(webhook.Schedule{time.Minute}, 7)
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: schedule})
		acme := createTenant(t, eng, "acme")
		hook := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "hook", URL: "https://hook.example", Concurrency: 1})
		listen(t, eng)
		ctx := t.Context()
		refused := memadapter.Reply{StatusCode: http.StatusTeapot}
		send := func(uid string, replies ...memadapter.Reply) webhook.Event {
			t.Helper()
			adapter.ScriptFor(hook.ID, append(replies, memadapter.Reply{})...)
			event := must[webhook.Event](t)(eng.Publish(ctx, webhook.Event{Tenant: "acme", UID: uid, Type: "a", Payload: []byte(`{}`)}))
			time.Sleep(20 * time.Minute)
			return event
		}
		send("", slices.Repeat([]memadapter.Reply{refused}, 3)...)                     // tried four times, not told
		recovers := send("recovers", slices.Repeat([]memadapter.Reply{refused}, 4)...) // failing, then recovered
		ends := send("", slices.Repeat([]memadapter.Reply{refused}, 8)...)             // failing, then exhausted
		got := notices(t, adapter)
		want := []string{"message.attempt.failing", "message.attempt.recovered", "message.attempt.failing", "message.attempt.exhausted"}
		if !slices.Equal(typesOf(got), want) {
			t.Fatalf("told %v\nwant %v", typesOf(got), want)
		}
		for i, c := range []struct {
			event   webhook.Event
			uid     any
			attempt int // from 1
			status  int
		}{{recovers, "recovers", 4, 418}, {recovers, "recovers", 5, 200}, {ends, nil, 4, 418}, {ends, nil, 8, 418}} {
			made := attempts(t, eng, c.event, c.attempt)[c.attempt-1]
			sameData(t, got[i], want[i], map[string]any{
				"appId": acme.ID, "appUid": "acme", "endpointId": hook.ID, "msgId": c.event.ID, "msgEventId": c.uid,
				"lastAttempt": map[string]any{"id": made.ID, "responseStatusCode": c.status, "timestamp": made.StartedAt},
			})
			id, _ := got[i].Data["lastAttempt"].(map[string]any)["id"].(string)
			if found := must[webhook.Attempt](t)(eng.Attempt(ctx, "acme", c.event.ID, webhook.AttemptID(id))); found.Number != c.attempt {
				t.Errorf("%s names attempt %d, want %d", want[i], found.Number, c.attempt)
			}
		}
	})
}

func TestOperatorIsToldOfAnEndpointThatFailsForDays(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{DisableAfter: 100 * time.Hour, Schedule: webhook.Schedule{}})
		acme := createTenant(t, eng, "acme")
		hook := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		gone := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "gone", URL: "https://gone.example", Channels: []string{"gone"}})
		listen(t, eng, "endpoint.failing", "endpoint.disabled")
		adapter.ScriptFor(hook.ID, memadapter.Reply{StatusCode: 500})
		adapter.ScriptFor(gone.ID, memadapter.Reply{StatusCode: http.StatusGone})
		since := time.Now().UTC()
		for range 120 {
			publish(t, eng, "acme", `{}`)
			time.Sleep(time.Hour)
		}
		at := time.Now().UTC()
		must[webhook.Event](t)(eng.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "a", Channels: []string{"gone"}}))
		time.Sleep(time.Minute)
		got := notices(t, adapter)
		if len(got) != 4 {
			t.Fatalf("told %v", typesOf(got))
		}
		about := func(id webhook.EndpointID, uid any, more map[string]any) map[string]any {
			data := map[string]any{"appId": acme.ID, "appUid": "acme", "endpointId": id, "endpointUid": uid}
			for name, value := range more {
				data[name] = value
			}
			return data
		}
		ends := since.Add(100 * time.Hour)
		sameData(t, got[0], "endpoint.failing", about(hook.ID, nil, map[string]any{"failSince": since, "percent": 50, "disabledAt": ends}))
		sameData(t, got[1], "endpoint.failing", about(hook.ID, nil, map[string]any{"failSince": since, "percent": 90, "disabledAt": ends}))
		sameData(t, got[2], "endpoint.disabled", about(hook.ID, nil, map[string]any{"failSince": since}))
		sameData(t, got[3], "endpoint.disabled", about(gone.ID, "gone", map[string]any{"failSince": at}))
	})
}

func TestOperatorIsToldOfACancelledMessage(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		acme := createTenant(t, eng, "acme")
		listen(t, eng, "message.cancelled")
		event := must[webhook.Event](t)(eng.Publish(t.Context(), webhook.Event{
			Tenant: "acme", UID: "order-1", Type: "a", DeliverAt: time.Now().Add(time.Hour),
		}))
		for range 2 {
			if err := eng.CancelEvent(t.Context(), "acme", event.ID); err != nil {
				t.Fatal(err)
			}
		}
		hook := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "hook", URL: "https://hook.example"})
		adapter.ScriptFor(hook.ID, memadapter.Reply{StatusCode: 500})
		failed := publish(t, eng, "acme", `{}`)
		time.Sleep(time.Second)
		for range 2 {
			if err := eng.CancelDelivery(t.Context(), "acme", failed.ID, hook.ID); err != nil {
				t.Fatal(err)
			}
		}
		// What ends with its endpoint is told by the endpoint's end.
		publish(t, eng, "acme", `{}`)
		time.Sleep(time.Second)
		if err := eng.DeleteEndpoint(t.Context(), "acme", hook.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		got := notices(t, adapter)
		if want := []string{"message.cancelled", "message.cancelled"}; !slices.Equal(typesOf(got), want) {
			t.Fatalf("told %v", typesOf(got))
		}
		sameData(t, got[1], "message.cancelled", map[string]any{
			"appId": acme.ID, "appUid": "acme", "endpointId": hook.ID, "msgId": failed.ID, "msgEventId": nil,
		})
		sameData(t, got[0], "message.cancelled", map[string]any{
			"appId": acme.ID, "appUid": "acme", "endpointId": nil, "msgId": event.ID, "msgEventId": "order-1",
		})
	})
}

func TestNothingIsToldWhereNobodyListens(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		calls := countCalls(st)
		eng, _ := startFake(t, st, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		other := eng.In("org_other")
		must[webhook.Tenant](t)(other.CreateTenant(t.Context(), webhook.Tenant{Name: "Acme", UID: "acme"}))
		acting, tenant, endpoint := listen(t, eng, "endpoint.deleted")
		rows := func() int { return must[int](t)(st.CountOutbox(t.Context(), 99)) }
		happens := func(org *neohook.Organisation) {
			t.Helper()
			ep := must[webhook.Endpoint](t)(org.CreateEndpoint(t.Context(), "acme", webhook.Endpoint{URL: "https://hook.example"}))
			if err := org.DeleteEndpoint(t.Context(), "acme", ep.ID); err != nil {
				t.Fatal(err)
			}
		}
		happens(other)
		if rows() != 0 {
			t.Error("something is announced in an organisation without listeners")
		}
		must[webhook.Endpoint](t)(acting.UpdateEndpoint(t.Context(), tenant, endpoint.ID, func(ep *webhook.Endpoint) error { ep.Disabled = true; return nil }))
		happens(eng.Organisation)
		time.Sleep(time.Minute)
		before := calls()
		time.Sleep(time.Hour)
		if asked := calls() - before; asked != 0 {
			t.Errorf("the store was asked %d things meanwhile", asked)
		}
		must[webhook.Endpoint](t)(acting.UpdateEndpoint(t.Context(), tenant, endpoint.ID, func(ep *webhook.Endpoint) error { ep.Disabled = false; return nil }))
		happens(eng.Organisation)
		time.Sleep(time.Minute)
		if err := acting.DeleteEndpoint(t.Context(), tenant, endpoint.ID); err != nil {
			t.Fatal(err)
		}
		happens(eng.Organisation)
		time.Sleep(time.Minute)
		if got := typesOf(notices(t, adapter)); !slices.Equal(got, []string{"endpoint.deleted"}) {
			t.Errorf("told %v, want the one deletion of which somebody is told", got)
		}
		if rows() != 0 {
			t.Errorf("%d rows are left in the outbox", rows())
		}
	})
}

func TestOperationalEventsMakeNone(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{StatusCode: 500})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{DisableAfter: time.Hour})
		createTenant(t, eng, "acme")
		acting, tenant, endpoint := listen(t, eng)
		// A tenant for that organisation itself, which Operational refuses to make.
		if _, _, err := acting.Operational(t.Context()); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("Operational of itself: %v", err)
		}
		itself := must[webhook.Tenant](t)(acting.CreateTenant(t.Context(), webhook.Tenant{Name: "itself", UID: string(neohook.OperationalOrganisation)}))
		must[webhook.Endpoint](t)(acting.CreateEndpoint(t.Context(), itself.ID, webhook.Endpoint{URL: "https://itself.example"}))
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		publish(t, eng, "acme", `{}`)
		for range 48 {
			time.Sleep(time.Hour)
			if _, err := acting.UpdateEndpoint(t.Context(), tenant, endpoint.ID, func(ep *webhook.Endpoint) error { ep.Disabled, ep.Ordered = false, false; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		told := make(map[string]bool)
		for _, request := range adapter.Requests() {
			if !strings.HasPrefix(request.Endpoint.URL, "https://hook") {
				told[fmt.Sprint(request.Endpoint.URL, " ", request.Delivery.EventType)] = true
			}
			if request.Endpoint.URL == "https://itself.example" {
				t.Errorf("told of itself: %s", request.Delivery.Payload)
			}
			if strings.Contains(string(request.Delivery.Payload), string(endpoint.ID)) {
				t.Errorf("told of its own endpoint: %s", request.Delivery.Payload)
			}
		}
		if len(told) < 3 {
			t.Errorf("told only %v", told)
		}
	})
}

func TestOperationalTenantIsMadeOnceAndKeepsWhoListensOverARestart(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		eng, stop := startFake(t, st, adapter, neohook.Options{})
		acting, tenant, endpoint := listen(t, eng)
		again, same, err := eng.Operational(t.Context())
		if err != nil || same != tenant {
			t.Errorf("again: %v, %v", same, err)
		}
		if found := must[webhook.Endpoint](t)(again.Endpoint(t.Context(), webhook.TenantID(neohook.DefaultOrganisation), endpoint.ID)); found.URL != operatorURL {
			t.Errorf("by the organisation's id: %+v", found)
		}
		for _, known := range neohook.OperationalEventTypes() {
			if _, err := acting.EventType(t.Context(), known.Name); err != nil {
				t.Errorf("%s: %v", known.Name, err)
			}
		}
		stop()
		eng, _ = startFake(t, st.Reopen(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		time.Sleep(time.Second)
		if got := typesOf(notices(t, adapter)); !slices.Equal(got, []string{"endpoint.created"}) {
			t.Errorf("told %v", got)
		}
	})
}

// The same over SQLite and real time: what was stored by one engine and not told, another
// one tells, and sends what came due in between.
func TestNextEngineTellsAndSendsWhatIsLeft(t *testing.T) {
	st, adapter := openStore(t, t.TempDir()), memadapter.New()
	keyset, err := aKeyset()
	if err != nil {
		t.Fatal(err)
	}
	opts := neohook.Options{Adapter: adapter, Keyset: keyset}
	first := must[*neohook.Engine](t)(neohook.New(t.Context(), st, opts)) // which never runs
	acme := createTenant(t, first, "acme")
	listen(t, first)
	hook := createEndpoint(t, first, "acme", webhook.Endpoint{UID: "hook", URL: "https://hook.example"})
	tenant := must[store.Tenant](t)(st.TenantByUID(t.Context(), string(neohook.DefaultOrganisation), "acme"))
	routes := must[store.Routes](t)(st.Routes(t.Context(), tenant.Key))
	deferred := store.Accept{Tenant: tenant.Key, RouteVersion: routes.Version, Type: "a", DeliverAt: time.Now(), Payload: []byte(`"due"`)}
	if _, err := st.Commit(t.Context(), &store.Batch{Now: time.Now(), Accepts: []store.Accept{deferred}}); err != nil {
		t.Fatal(err)
	}
	eng, stop := start(t, st, opts)
	if err := adapter.Wait(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	stop() // all is counted by then
	sameData(t, notices(t, adapter)[0], "endpoint.created", map[string]any{"appId": acme.ID, "appUid": "acme", "endpointId": hook.ID, "endpointUid": "hook"})
	sent := slices.ContainsFunc(adapter.Requests(), func(r memadapter.Request) bool {
		return r.Endpoint.ID == hook.ID && string(r.Delivery.Payload) == `"due"`
	})
	if stats := eng.Stats(t.Context()); !sent || stats.Deferred.Promoted != 1 || stats.Outbox.Accepted != 1 {
		t.Errorf("sent: %v, deferred %+v, outbox %+v", sent, stats.Deferred, stats.Outbox)
	}
}
