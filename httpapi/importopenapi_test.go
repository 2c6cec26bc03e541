package httpapi_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/svix/svix-webhooks/go/models"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const petDocument = `{"openapi":"3.1.0","info":{"title":"Webhook Example","version":"1.0.0"},"webhooks":{
	"pet.new":{"post":{"description":"A pet came","requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Pet"}}}}}},
	"pet.gone":{"post":{"deprecated":true}}},
	"components":{"schemas":{"Pet":{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}}}}}`

func TestImportOfAnOpenAPIDocument(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		const path = "/event-type/import/openapi"
		text, err := json.Marshal(petDocument)
		check(t, err)
		before := w.state()
		w.play("dry run", scenario{method: "POST", path: path, body: `{"dryRun":true,"replaceAll":true,"spec":` + petDocument + `}`, status: 200,
			want: []string{`"modified":["pet.gone","pet.new"]`, `"archived":["invoice.paid"]`, `"to_modify":[{"name":"pet.new"`, `"required":["id"]`, `"description":"A pet came"`, `"featureFlag":null`}})
		if w.state() != before {
			t.Error("the dry run changed something")
		}
		w.play("as a text", scenario{method: "POST", path: path, body: `{"specRaw":` + string(text) + `}`, status: 200,
			want: []string{`{"data":{"modified":["pet.gone","pet.new"],"archived":[]}}`}})
		w.play("what was made", scenario{path: "/event-type/pet.new", status: 200, want: []string{`"schemas":{"1":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object"`}})
		w.play("again", scenario{method: "POST", path: path, body: `{"spec":` + petDocument + `}`, status: 200, want: []string{`{"data":{"modified":[],"archived":[]}}`}})
		w.play("in YAML, in place of all", scenario{method: "POST", path: path, body: `{"specRaw":"openapi: 3.0.0\nx-webhooks:\n  pet.gone:\n    post:\n      summary: It left\n","replaceAll":true}`, status: 200,
			want: []string{`"modified":["pet.gone"]`, `"archived":["invoice.paid","pet.new"]`}})
		for name, test := range map[string]struct{ body, field, want string }{
			"neither":         {`{}`, "body/spec", "is required, or specRaw"},
			"both":            {`{"spec":{},"specRaw":""}`, "body/specRaw", "send one of them"},
			"no OpenAPI":      {`{"spec":{"a":1}}`, "body/spec", "must be an OpenAPI document"},
			"no document":     {`{"specRaw":"[1, 2"}`, "body/specRaw", "is neither JSON nor YAML"},
			"no schema":       {`{"spec":` + strings.Replace(petDocument, `"integer"`, `"int"`, 1) + `}`, "body/spec/pet.new", "schemas.1 at /properties/id/type"},
			"no group":        {`{"spec":` + strings.Replace(petDocument, `"deprecated":true`, `"x-svix-group-name":"a b"`, 1) + `}`, "body/spec/pet.gone", "groupName must be"},
			"a bad reference": {`{"spec":` + strings.Replace(petDocument, "schemas/Pet", "schemas/Cat", 1) + `}`, "body/spec", "webhooks.pet.new: schema: refers to #/components/schemas/Cat"},
			"no text":         {`{"specRaw":7}`, "body/specRaw", "must be a string"},
		} {
			w.play(name, scenario{method: "POST", path: path, body: test.body, status: 422, field: test.field, want: []string{test.want}})
		}
	})
}

func TestClientImportsOpenAPI(t *testing.T) {
	w := newWorld(t, worldOptions{})
	api, ctx := w.client(token).EventType, t.Context()
	var spec map[string]any
	check(t, json.Unmarshal([]byte(petDocument), &spec))
	dry, err := api.ImportOpenapi(ctx, models.EventTypeImportOpenApiIn{Spec: &spec, DryRun: ptr(true)}, nil)
	check(t, err)
	if len(dry.Data.ToModify) != 2 || dry.Data.ToModify[0].Schemas == nil && dry.Data.ToModify[1].Schemas == nil {
		t.Errorf("dry run: %+v", dry)
	}
	done, err := api.ImportOpenapi(ctx, models.EventTypeImportOpenApiIn{SpecRaw: ptr(petDocument)}, nil)
	check(t, err)
	if !slices.Equal(done.Data.Modified, []string{"pet.gone", "pet.new"}) || done.Data.ToModify != nil {
		t.Errorf("done: %+v", done)
	}
	list, err := api.List(ctx, nil)
	check(t, err)
	if len(list.Data) != 2 || !list.Data[0].Deprecated {
		t.Errorf("list %+v", list)
	}
}

func TestSendExample(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st, options: neohook.Options{Schedule: webhook.Schedule{}}})
		settle(w)
		w.must("POST", "/api/v1/event-type", `{"name":"order.made","description":"","schemas":`+orderSchema+`}`)
		w.must("POST", "/api/v1/event-type", `{"name":"newest","description":"","schemas":{"2":{"examples":[{"v":2}]},"10":{"examples":[{"v":10}]}}}`)
		w.must("POST", "/api/v1/event-type", `{"name":"bare","description":"","schemas":{"1":{"type":"object"},"2":{"examples":[1]}}}`)
		w.must("POST", "/api/v1/event-type", `{"name":"yes","description":"","schemas":{"1":true}}`)
		// It hears of invoice.paid in channel eu, and is the only one to get what is sent.
		const path = "/app/acme/endpoint/down/send-example"
		for name, payload := range map[string]string{
			"order.made": `{"order":17}`, "newest": `{"v":10}`, "svix.ping": `{"success":true}`, "neohook.ping": `{"success":true}`,
		} {
			w.play(name, scenario{method: "POST", path: path, body: `{"eventType":"` + name + `"}`, status: 200, want: []string{`"eventType":"` + name + `"`, `"payload":{}`, `"id":"msg_`}})
			w.await(1)
			w.play("the message of "+name, scenario{path: "/app/acme/msg?limit=1", status: 200, want: []string{`"eventType":"` + name + `"`, `"payload":` + payload}})
			w.play("its attempt of "+name, scenario{path: "/app/acme/attempt/endpoint/down?limit=1&with_msg=true&event_types=" + name, status: 200, want: []string{`"triggerType":0`, `"statusText":"fail"`, `"eventType":"` + name + `"`}})
		}
		w.play("nobody else got one", scenario{path: "/app/acme/attempt/endpoint/orders?event_types=newest,svix.ping,neohook.ping", status: 200, want: []string{`"data":[]`}})
		w.play("without an example", scenario{method: "POST", path: path, body: `{"eventType":"bare"}`, status: 400, want: []string{`"invalid_scheme"`}})
		w.play("without a schema", scenario{method: "POST", path: path, body: `{"eventType":"invoice.paid"}`, status: 400, want: []string{`"invalid_scheme"`}})
		w.play("a schema that has no room for one", scenario{method: "POST", path: path, body: `{"eventType":"yes"}`, status: 400, want: []string{`"invalid_scheme"`}})
		w.play("unknown", scenario{method: "POST", path: path, body: `{"eventType":"none"}`, status: 404, want: []string{"Event type not found"}})
		w.play("no such endpoint", scenario{method: "POST", path: "/app/acme/endpoint/none/send-example", body: `{"eventType":"none"}`, status: 404, want: []string{"Endpoint not found"}})
		w.play("no such application", scenario{method: "POST", path: "/app/none/endpoint/down/send-example", body: `{"eventType":"none"}`, status: 404, want: []string{"Application not found"}})
		w.play("no type", scenario{method: "POST", path: path, body: `{}`, status: 422, field: "body/eventType"})

		out, err := w.client(token).Endpoint.SendExample(t.Context(), "acme", "orders", models.EventExampleIn{EventType: "svix.ping"}, nil)
		check(t, err)
		if out.EventType != "svix.ping" {
			t.Errorf("the client got %+v", out)
		}
		w.await(1)
		key := map[string]string{"Idempotency-Key": "one"}
		first := w.call("POST", "/api/v1"+path, `{"eventType":"svix.ping"}`, key)
		if again := w.call("POST", "/api/v1"+path, `{"eventType":"svix.ping"}`, key); again.body != first.body {
			t.Errorf("the repeat got %s, the first %s", again.body, first.body)
		}
		if other := w.call("POST", "/api/v1/app/acme/endpoint/orders/send-example", `{"eventType":"svix.ping"}`, key); other.body == first.body || other.status != 200 {
			t.Errorf("at another endpoint, the key gives %s", other.body)
		}
	})
}

func TestExampleForADisabledEndpointReachesNobody(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	w.must("PATCH", "/api/v1/app/acme/endpoint/down", `{"disabled":true}`)
	sent := w.id("POST", "/api/v1/app/acme/endpoint/down/send-example", `{"eventType":"svix.ping"}`)
	deliveries, err := w.engine.DeliveriesOfEvent(t.Context(), "acme", webhook.EventID(sent), neohook.Page{})
	check(t, err)
	if len(deliveries.Items) != 0 {
		t.Errorf("deliveries %+v", deliveries.Items)
	}
}

func TestPrecheck(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	w.must("PATCH", "/api/v1/app/acme/endpoint/orders", `{"disabled":true}`)
	const path = "/app/acme/msg/precheck/active"
	active, silent := []string{`{"active":true}`}, []string{`{"active":false}`}
	w.play("somebody hears of it", scenario{method: "POST", path: path, body: `{"eventType":"invoice.paid","channels":["us","eu"]}`, status: 200, want: active})
	w.play("of another channel", scenario{method: "POST", path: path, body: `{"eventType":"invoice.paid","channels":["us"]}`, status: 200, want: silent})
	w.play("of another type", scenario{method: "POST", path: path, body: `{"eventType":"order.made","channels":["eu"]}`, status: 200, want: silent})
	w.play("no type", scenario{method: "POST", path: path, body: `{}`, status: 422, field: "body/eventType"})
	w.play("no such application", scenario{method: "POST", path: "/app/none/msg/precheck/active", body: `{"eventType":"a"}`, status: 404, want: []string{"Application not found"}})
}
