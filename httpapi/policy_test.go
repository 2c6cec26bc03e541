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

func TestPolicyIsSetChangedAndTakenBack(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
	all := []string{`"method":"PATCH"`, `"protocol":"http/2"`, `"timeoutSeconds":7`, `"concurrency":3`, `"ordered":true`, `"scheduleSeconds":[5,0,60]`, `"finalStatuses":[400,599]`}
	w.play("set", scenario{method: "POST", path: "/app/acme/endpoint", status: 201, want: all,
		body: `{"url":"https://up.example/","uid":"orders","method":"PATCH","protocol":"http/2","timeoutSeconds":7,"concurrency":3,"ordered":true,"scheduleSeconds":[5,0,60],"finalStatuses":[400,599]}`})
	path := "/app/acme/endpoint/orders"
	w.play("put leaves it", scenario{method: "PUT", path: path, body: `{"url":"https://up.example/","uid":"orders"}`, status: 200, want: all})
	w.play("change", scenario{method: "PATCH", path: path, body: `{"scheduleSeconds":[],"ordered":false,"finalStatuses":[]}`, status: 200,
		want: []string{`"scheduleSeconds":[]`, `"ordered":false`, `"finalStatuses":[]`, `"timeoutSeconds":7`}})
	w.play("take back", scenario{method: "PATCH", path: path, body: `{"method":null,"protocol":null,"timeoutSeconds":null,"concurrency":null,"scheduleSeconds":null,"finalStatuses":null}`, status: 200,
		want: []string{`"method":"POST"`, `"protocol":null`, `"timeoutSeconds":30`, `"concurrency":null`, `"scheduleSeconds":null`, `"finalStatuses":[]`}})
	for _, bad := range []struct{ field, value, at string }{
		{"method", `"BREW"`, ""},
		{"protocol", `"spdy"`, ""},
		{"timeoutSeconds", `0`, ""},
		{"concurrency", `1001`, ""},
		{"ordered", `null`, ""},
		{"scheduleSeconds", `[1,604801]`, "/[1]"},
		{"scheduleSeconds", `[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]`, ""},
		{"scheduleSeconds", `[null]`, "/[0]"},
		{"finalStatuses", `[200]`, "/[0]"},
		{"finalStatuses", `["400"]`, "/[0]"},
	} {
		w.play("bad "+bad.field+" "+bad.value, scenario{
			method: "PATCH", path: path, body: `{"` + bad.field + `":` + bad.value + `}`, status: 422, field: "body/" + bad.field + bad.at,
		})
	}
}
