package httpapi_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

// What clients of today do not know of an endpoint must outlive their changes to it.
func TestChangesLeaveThePolicyThatClientsDoNotKnow(t *testing.T) {
	w := newWorld(t, worldOptions{})
	acme, err := w.engine.CreateTenant(t.Context(), webhook.Tenant{Name: "Acme", UID: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	before, err := w.engine.CreateEndpoint(t.Context(), acme.ID, webhook.Endpoint{
		UID: "orders", URL: "https://up.example/", Name: "Orders", Method: "PUT", Protocol: webhook.HTTP1, Timeout: 3 * time.Second,
		Concurrency: 3, Ordered: true, Schedule: webhook.Schedule{time.Second, time.Hour}, FinalStatuses: []int{400, 404},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []scenario{
		{method: "PUT", body: `{"url":"https://up.example/put","uid":"orders"}`},
		{method: "PATCH", body: `{"url":"https://up.example/patched"}`},
		{method: "PATCH", body: `{"disabled":true}`},
	} {
		s.path, s.status = "/app/acme/endpoint/orders", 200
		w.play(s.method+" "+s.body, s)
		got, err := w.engine.Endpoint(t.Context(), acme.ID, before.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := before
		want.URL, want.Disabled, want.UpdatedAt = got.URL, got.Disabled, got.UpdatedAt
		if got.UpdatedAt.Equal(before.UpdatedAt) || !reflect.DeepEqual(got, want) {
			t.Errorf("after %s %s: %+v\nwant %+v", s.method, s.body, got, want)
		}
	}
}
