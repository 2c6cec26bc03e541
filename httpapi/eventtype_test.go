package httpapi_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
	"github.com/svix/svix-webhooks/go/utils"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
)

const orderSchema = `{"1":{"type":"object","required":["order"],"properties":{"order":{"type":"integer"}},"examples":[{"order":17},{"order":18}]}}`

func TestEventTypes(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		const path = "/event-type"
		w.play("create the least", scenario{method: "POST", path: path, body: `{"name":"user.signup","description":""}`, status: 201,
			want: []string{`"name":"user.signup"`, `"description":""`, `"archived":false`, `"deprecated":false`, `"schemas":null`,
				`"featureFlag":null`, `"featureFlags":null`, `"groupName":null`, `"createdAt":"20`, `"updatedAt":"20`}})
		w.play("create all", scenario{method: "POST", path: path, status: 201,
			body: `{"name":"order.made","description":"An order","deprecated":true,"groupName":"order","featureFlags":["beta","b"],"schemas":` + orderSchema + `}`,
			want: []string{`"description":"An order"`, `"deprecated":true`, `"groupName":"order"`, `"featureFlags":["beta","b"]`, `"featureFlag":"beta"`, `"schemas":` + orderSchema}})
		w.play("create by the older name", scenario{method: "POST", path: path, body: `{"name":"old","description":"","featureFlag":"x","schemas":null}`, status: 201,
			want: []string{`"featureFlags":["x"]`, `"featureFlag":"x"`}})
		w.play("create by both names", scenario{method: "POST", path: path, body: `{"name":"both","description":"","featureFlag":"y","featureFlags":["x","y"]}`, status: 201,
			want: []string{`"featureFlags":["x","y"]`, `"featureFlag":"x"`}})
		w.play("create archived", scenario{method: "POST", path: path, body: `{"name":"gone","description":"","archived":true}`, status: 201, want: []string{`"archived":true`}})
		w.play("it is there", scenario{method: "POST", path: path, body: `{"name":"order.made","description":"again"}`, status: 409, want: []string{`"event_type_exists"`}})
		w.play("an archived one is replaced", scenario{method: "POST", path: path, body: `{"name":"gone","description":"back"}`, status: 201,
			want: []string{`"archived":false`, `"description":"back"`}})
		for field, bodies := range map[string][]string{
			"name":             {`{"description":""}`, `{"name":"a b","description":""}`, `{"name":"","description":""}`, `{"name":null,"description":""}`},
			"description":      {`{"name":"a"}`, `{"name":"a","description":null}`, `{"name":"a","description":"\u0001"}`},
			"groupName":        {`{"name":"a","description":"","groupName":"a b"}`},
			"featureFlag":      {`{"name":"a","description":"","featureFlag":"a b"}`, `{"name":"a","description":"","featureFlag":"x","featureFlags":["y"]}`},
			"featureFlags":     {`{"name":"a","description":"","featureFlags":"x"}`, `{"name":"a","description":"","featureFlags":[` + strings.TrimSuffix(strings.Repeat(`"f",`, 51), ",") + `]}`},
			"featureFlags/[0]": {`{"name":"a","description":"","featureFlags":["x y"]}`},
			"schemas":          {`{"name":"a","description":"","schemas":[]}`, `{"name":"a","description":"","schemas":{"":{}}}`, `{"name":"a","description":"","schemas":{"1":"` + strings.Repeat("x", 300_000) + `"}}`},
			"schemas/1":        {`{"name":"a","description":"","schemas":{"1":{"type":"text"}}}`, `{"name":"a","description":"","schemas":{"1":null}}`, `{"name":"a","description":"","schemas":{"1":{"$ref":"http://127.0.0.1/x"}}}`},
			"archived":         {`{"name":"a","description":"","archived":1}`},
		} {
			for _, body := range bodies {
				w.play("create, bad "+field, scenario{method: "POST", path: path, body: body, status: 422, field: "body/" + field})
			}
		}
		w.play("a bad schema is told where", scenario{method: "POST", path: path, body: `{"name":"a","description":"","schemas":{"2":{},"1":{"properties":{"x":{"minimum":"1"}}}}}`,
			status: 422, field: "body/schemas/1", want: []string{"at /properties/x/minimum: must be of type number"}})

		w.play("get", scenario{path: path + "/order.made", status: 200, want: []string{`"name":"order.made"`, orderSchema}})
		w.play("get none", scenario{path: path + "/none", status: 404, want: []string{"Event type not found"}})
		w.play("get no name", scenario{path: path + "/a%20b", status: 422, field: "path/event_type_name"})
		w.play("list", scenario{path: path, status: 200, want: []string{`"data":[{"name":"both"`, `"schemas":null`, `"done":true`, `"iterator":"user.signup"`, `"prevIterator":"-both"`}, not: []string{"properties"}})
		w.play("list with content", scenario{path: path + "?with_content=true&limit=5", status: 200, want: []string{orderSchema, `"done":false`, `"iterator":"order.made"`}, not: []string{"user.signup"}})
		w.play("the next page", scenario{path: path + "?iterator=invoice.paid&limit=2", status: 200, want: []string{`"name":"old"`, `"name":"order.made"`}, not: []string{"invoice.paid\"", "user.signup"}})
		w.play("the page before", scenario{path: path + "?iterator=-old&limit=2", status: 200, want: []string{`"data":[{"name":"gone"`, `"name":"invoice.paid"`}, not: []string{`"name":"old"`}})
		w.play("order is not looked at", scenario{path: path + "?order=descending", status: 200, want: []string{`"data":[{"name":"both"`}, answers: map[string]string{"neohook-ignored": "order"}})
		w.play("bad iterator", scenario{path: path + "?iterator=a%20b", status: 422, field: "query/iterator"})
		w.play("another organisation sees none", scenario{path: path, header: map[string]string{"Authorization": "Bearer " + otherToken}, status: 200, want: []string{`"data":[]`, `"iterator":null`}})
		w.play("nor gets one", scenario{path: path + "/order.made", header: map[string]string{"Authorization": "Bearer " + otherToken}, status: 404})

		w.play("patch nothing", scenario{method: "PATCH", path: path + "/order.made", body: `{}`, status: 200, want: []string{`"description":"An order"`, `"featureFlags":["beta","b"]`, orderSchema}})
		w.play("patch some", scenario{method: "PATCH", path: path + "/order.made", body: `{"description":"x","deprecated":false,"featureFlag":"new"}`, status: 200,
			want: []string{`"description":"x"`, `"deprecated":false`, `"featureFlags":["new"]`, `"groupName":"order"`, orderSchema}})
		w.play("patch clears", scenario{method: "PATCH", path: path + "/order.made", body: `{"featureFlag":null,"groupName":null,"schemas":null}`, status: 200,
			want: []string{`"featureFlags":null`, `"groupName":null`, `"schemas":null`, `"description":"x"`}})
		for field, body := range map[string]string{
			"description": `{"description":null}`, "archived": `{"archived":null}`, "featureFlags": `{"featureFlags":3}`, "schemas/v1": `{"schemas":{"v1":{"type":7}}}`,
		} {
			w.play("patch, bad "+field, scenario{method: "PATCH", path: path + "/order.made", body: body, status: 422, field: "body/" + field})
		}
		w.play("patch none", scenario{method: "PATCH", path: path + "/none", body: `{"deprecated":true}`, status: 404, want: []string{"Event type not found"}})
		w.play("patch none comes before a bad body", scenario{method: "PATCH", path: path + "/none", body: `{"description":null}`, status: 404})
		w.play("put replaces", scenario{method: "PUT", path: path + "/order.made", body: `{"description":"put"}`, status: 200, want: []string{`"name":"order.made"`, `"description":"put"`}})
		w.play("put creates", scenario{method: "PUT", path: path + "/put", body: `{"description":"","featureFlags":["f"]}`, status: 201, want: []string{`"name":"put"`, `"featureFlags":["f"]`}})
		w.play("put, bad", scenario{method: "PUT", path: path + "/put", body: `{}`, status: 422, field: "body/description"})
		w.play("unknown names are told with a refusal too", scenario{method: "PUT", path: path + "/put", body: `{"name":"put"}`, status: 422, answers: map[string]string{"neohook-ignored": "name"}})
		w.play("put, bad schema", scenario{method: "PUT", path: path + "/new", body: `{"description":"","schemas":{"1":1}}`, status: 422, field: "body/schemas/1"})

		w.play("delete archives", scenario{method: "DELETE", path: path + "/put", status: 204})
		w.play("again", scenario{method: "DELETE", path: path + "/put", status: 204})
		w.play("archived is there", scenario{path: path + "/put", status: 200, want: []string{`"archived":true`}})
		w.play("and in no list", scenario{path: path, status: 200, not: []string{`"name":"put"`}})
		w.play("but one that asks", scenario{path: path + "?include_archived=true", status: 200, want: []string{`"name":"put"`}})
		w.play("put takes it out of the archive", scenario{method: "PUT", path: path + "/put", body: `{"description":""}`, status: 200, want: []string{`"archived":false`}})
		w.play("expunge", scenario{method: "DELETE", path: path + "/put?expunge=true", status: 204})
		w.play("is gone", scenario{path: path + "/put", status: 404})
		w.play("expunge again", scenario{method: "DELETE", path: path + "/put?expunge=true", status: 404})
		w.play("delete none", scenario{method: "DELETE", path: path + "/none", status: 404})
	})
}

// What a flag hides is not there for an application's own users: in no list, by no name, and
// as no example.
func TestFeatureFlagsHideTypesFromPortals(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		for name, flags := range map[string]string{"open": `[]`, "beta": `["beta","b"]`, "secret": `["s"]`} {
			w.must("POST", "/api/v1/event-type", `{"name":"`+name+`","description":"","featureFlags":`+flags+`,"schemas":`+orderSchema+`}`)
		}
		w.must("POST", "/api/v1/event-type", `{"name":"was","description":"","archived":true}`)
		portal := func(body string) map[string]string {
			text, _ := w.must("POST", "/api/v1/auth/app-portal-access/acme", body)["token"].(string)
			return map[string]string{"Authorization": "Bearer " + text}
		}
		for name, test := range map[string]struct {
			header   map[string]string
			sees     []string
			seesLess []string
		}{
			"no flags":     {portal(`{}`), []string{`"open"`, `"invoice.paid"`}, []string{"beta", "secret", `"was"`}},
			"a flag":       {portal(`{"featureFlags":["beta","other"]}`), []string{`"open"`, `"name":"beta"`}, []string{"secret"}},
			"organisation": {nil, []string{`"open"`, `"name":"beta"`, `"name":"secret"`}, nil},
		} {
			w.play("list, "+name, scenario{path: "/event-type", header: test.header, status: 200, want: test.sees, not: test.seesLess})
			for what, found := range map[string]bool{"open": true, "beta": name != "no flags", "secret": name == "organisation", "was": true} {
				status := map[bool]int{true: 200, false: 404}[found]
				w.play("get "+what+", "+name, scenario{path: "/event-type/" + what, header: test.header, status: status})
				if what != "was" {
					w.play("example of "+what+", "+name, scenario{method: "POST", path: "/app/acme/endpoint/orders/send-example", body: `{"eventType":"` + what + `"}`, header: test.header, status: status})
				}
			}
			w.play("archived ones, "+name, scenario{path: "/event-type?include_archived=true&with_content=true", header: test.header, status: 200, want: append(test.sees, `"was"`), not: test.seesLess[:max(0, len(test.seesLess)-1)]})
		}
		w.play("nobody changes one", scenario{method: "PATCH", path: "/event-type/open", body: `{"deprecated":true}`, header: portal(`{}`), status: 403})
	})
}

func TestEndpointsSubscribeToTypesThatThereAre(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		w.types("a", "b", "old")
		w.must("DELETE", "/api/v1/event-type/old", "")
		const path = "/app/acme/endpoint"
		w.play("unknown", scenario{method: "POST", path: path, body: `{"url":"https://a.example","eventTypes":["a","none","never"]}`, status: 422, field: "body/eventTypes",
			want: []string{`do not exist: \"never\", \"none\"`}})
		w.play("archived", scenario{method: "POST", path: path, body: `{"url":"https://a.example","eventTypes":["a","old"]}`, status: 422, field: "body/eventTypes", want: []string{`are archived: \"old\"`}})
		w.play("by the older name", scenario{method: "POST", path: path, body: `{"url":"https://a.example","filterTypes":["none"]}`, status: 422, field: "body/filterTypes"})
		w.play("put creates", scenario{method: "PUT", path: path + "/new", body: `{"url":"https://a.example","eventTypes":["none"]}`, status: 422, field: "body/eventTypes"})
		w.play("put replaces", scenario{method: "PUT", path: path + "/orders", body: `{"url":"https://a.example","uid":"orders","eventTypes":["none"]}`, status: 422, field: "body/eventTypes"})
		w.play("patch", scenario{method: "PATCH", path: path + "/orders", body: `{"filterTypes":["none"]}`, status: 422, field: "body/filterTypes"})
		w.play("known", scenario{method: "POST", path: path, body: `{"url":"https://a.example","uid":"ab","eventTypes":["a","b","a"]}`, status: 201})

		w.must("DELETE", "/api/v1/event-type/a", "")
		w.must("DELETE", "/api/v1/event-type/b?expunge=true", "")
		w.play("what it heard of stays", scenario{method: "PATCH", path: path + "/ab", body: `{"description":"x","eventTypes":["b","a"]}`, status: 200})
		w.play("in a put too", scenario{method: "PUT", path: path + "/ab", body: `{"url":"https://a.example","uid":"ab","eventTypes":["a"]}`, status: 200})
		w.play("once it is gone, it does not come back", scenario{method: "PATCH", path: path + "/ab", body: `{"eventTypes":["a","b"]}`, status: 422, field: "body/eventTypes", want: []string{`do not exist: \"b\"`}, not: []string{"archived"}})
		w.must("POST", "/api/v1/app/acme/msg", `{"eventType":"a","payload":{}}`)
		w.await(2) // orders, and the one that subscribed
	})
}

func TestPayloadsAreCheckedAtPublish(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st, options: neohook.Options{CheckPayloads: true}})
		settle(w)
		w.must("POST", "/api/v1/event-type", `{"name":"order.checked","description":"","schemas":{"1":{"required":["order"],"properties":{"order":{"type":"integer"},"lines":{"items":{"required":["sku"]}}}},"2":{"required":["id"]}}}`)
		const path = "/app/acme/msg"
		w.play("fits the newest", scenario{method: "POST", path: path, body: `{"eventType":"order.checked","payload":{"id":"secret"}}`, status: 202})
		repeat := scenario{method: "POST", path: path, body: `{"eventType":"order.checked","payload":{"id":1}}`, header: map[string]string{"Idempotency-Key": "k"}, status: 202}
		w.play("under a key", repeat)
		w.play("fits an older version", scenario{method: "POST", path: path, body: `{"eventType":"order.checked","data":{"order":1}}`, status: 202})
		w.play("fits none", scenario{method: "POST", path: path, body: `{"eventType":"order.checked","payload":{"order":"secret"}}`, status: 422, field: "body/payload",
			want: []string{`must have \"id\" (schema 2 of order.checked)`}, not: []string{"secret"}})
		w.must("PATCH", "/api/v1/event-type/order.checked", `{"schemas":{"1":{"properties":{"order":{"type":"integer"},"lines":{"items":{"required":["sku"]}}}}}}`)
		w.must("PATCH", "/api/v1/event-type/order.checked", `{"schemas":{"1":false}}`)
		w.play("a repeat is judged by what was, not by what is", repeat)
		repeat.header = map[string]string{"Idempotency-Key": "another"}
		repeat.status, repeat.field = 422, "body/payload"
		w.play("which no repeat may do", repeat)
		w.must("PATCH", "/api/v1/event-type/order.checked", `{"schemas":{"1":{"properties":{"order":{"type":"integer"},"lines":{"items":{"required":["sku"]}}}}}}`)
		w.play("is told where", scenario{method: "POST", path: path, body: `{"eventType":"order.checked","payload":{"order":"x","lines":[{"sku":1},{}]}}`, status: 422, field: "body/payload/lines/[1]",
			want: []string{`["body","payload","order"]`}})
		w.play("by its other name", scenario{method: "POST", path: path, body: `{"eventType":"order.checked","data":{"order":"x"}}`, status: 422, field: "body/data/order"})
		w.play("raw", scenario{method: "POST", path: path, body: `{"eventType":"order.checked","payload":{},"transformationsParams":{"rawPayload":"a=b"}}`, status: 422,
			field: "body/transformationsParams/rawPayload", want: []string{"is not JSON"}})
		w.play("without a schema", scenario{method: "POST", path: path, body: `{"eventType":"invoice.paid","payload":{"order":"x"}}`, status: 202})
		w.play("unknown", scenario{method: "POST", path: path, body: `{"eventType":"nobody.knows","payload":{"order":"x"}}`, status: 202})
		w.must("DELETE", "/api/v1/event-type/order.checked?expunge=true", "")
		w.play("not any more", scenario{method: "POST", path: path, body: `{"eventType":"order.checked","payload":{"order":"x"}}`, status: 202})
	})
}

func TestPayloadsAreNotCheckedUnlessAsked(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	w.must("POST", "/api/v1/event-type", `{"name":"order.checked","description":"","schemas":{"1":false}}`)
	w.must("POST", "/api/v1/app/acme/msg", `{"eventType":"order.checked","payload":{}}`)
}

func TestClientEventTypes(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		api, ctx := w.client(token).EventType, t.Context()
		schemas := map[string]any{"1": map[string]any{"type": "object", "title": "<Order>"}}
		made, err := api.Create(ctx, models.EventTypeIn{Name: "order.made", Description: "An order", Schemas: &schemas, FeatureFlags: []string{"beta"}, GroupName: ptr("order")}, nil)
		check(t, err)
		if made.Name != "order.made" || *made.Archived || *made.FeatureFlag != "beta" || *made.GroupName != "order" || !reflect.DeepEqual(*made.Schemas, schemas) {
			t.Errorf("made %+v", made)
		}
		got, err := api.Get(ctx, "order.made")
		check(t, err)
		if !reflect.DeepEqual(got, made) {
			t.Errorf("got %+v, made %+v", got, made)
		}
		_, err = api.Create(ctx, models.EventTypeIn{Name: "order.made", Description: "again"}, nil)
		refused(t, err, 409, `"code":"event_type_exists"`)
		patched, err := api.Patch(ctx, "order.made", models.EventTypePatch{Description: ptr("changed"), FeatureFlags: utils.NewNullable[[]string](nil)})
		check(t, err)
		if patched.Description != "changed" || !reflect.DeepEqual(*patched.Schemas, schemas) {
			t.Errorf("patched %+v", patched)
		}
		updated, err := api.Update(ctx, "order.made", models.EventTypeUpdate{Description: "put", FeatureFlag: ptr("old")})
		check(t, err)
		if updated.Description != "put" || updated.Schemas != nil || !slices.Equal(updated.FeatureFlags, []string{"old"}) {
			t.Errorf("updated %+v", updated)
		}
		check(t, api.Delete(ctx, "order.made", nil))
		list, err := api.List(ctx, nil)
		check(t, err)
		if len(list.Data) != 0 || !list.Done {
			t.Errorf("list %+v", list)
		}
		list, err = api.List(ctx, &svix.EventTypeListOptions{IncludeArchived: ptr(true), WithContent: ptr(true), Order: ptr(models.ORDERING_DESCENDING)})
		check(t, err)
		if len(list.Data) != 1 || !*list.Data[0].Archived {
			t.Errorf("with archived ones: %+v", list)
		}
		_, err = api.Create(ctx, models.EventTypeIn{Name: "order.made", Description: "new"}, nil)
		check(t, err)
		check(t, api.Delete(ctx, "order.made", &svix.EventTypeDeleteOptions{Expunge: ptr(true)}))
		_, err = api.Get(ctx, "order.made")
		refused(t, err, 404, "Event type not found")

		once := &svix.EventTypeCreateOptions{IdempotencyKey: ptr("key")}
		first, err := api.Create(ctx, models.EventTypeIn{Name: "once", Description: "1"}, once)
		check(t, err)
		_, err = api.Update(ctx, "once", models.EventTypeUpdate{Description: "2"})
		check(t, err)
		again, err := api.Create(ctx, models.EventTypeIn{Name: "once", Description: "1"}, once)
		check(t, err)
		if !reflect.DeepEqual(again, first) {
			t.Errorf("the repeat got %+v, the first %+v", again, first)
		}
		_, err = api.Create(ctx, models.EventTypeIn{Name: "once", Description: "3"}, once)
		refused(t, err, 409, `"code":"idempotency_mismatch"`)
	})
}

// Iterators of event types are names, and names may begin with the sign of walking back.
func TestClientWalksEventTypes(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		api, ctx := w.client(token).EventType, t.Context()
		want := []string{"-", "--a", "-a", ".", "0", "Z", "a", "a-b"}
		for _, name := range want {
			_, err := api.Create(ctx, models.EventTypeIn{Name: name}, nil)
			check(t, err)
		}
		for _, limit := range []uint64{1, 3} {
			t.Run(fmt.Sprint(limit), func(t *testing.T) {
				get := func(iterator *string) (page, error) {
					out, err := api.List(ctx, &svix.EventTypeListOptions{Limit: &limit, Iterator: iterator})
					if err != nil {
						return page{}, err
					}
					return pageOf(out.Data, func(t models.EventTypeOut) string { return t.Name }, out.Iterator, out.PrevIterator, out.Done), nil
				}
				forward := walk(t, nil, get, func(p page) *string { return p.next })
				if !slices.Equal(slices.Concat(forward...), want) {
					t.Fatalf("forward %q", forward)
				}
				last := forward[len(forward)-1][0]
				start := "-" + last
				backward := walk(t, &start, get, func(p page) *string { return p.previous })
				slices.Reverse(backward)
				if got := slices.Concat(backward...); !slices.Equal(got, want[:slices.Index(want, last)]) {
					t.Errorf("backward from %q: %q", last, backward)
				}
			})
		}
		empty, err := api.List(ctx, &svix.EventTypeListOptions{Limit: ptr[uint64](0)})
		check(t, err)
		if len(empty.Data) != 0 || empty.Done {
			t.Errorf("a page of nothing: %+v", empty)
		}
		if got := w.call(http.MethodGet, "/api/v1/event-type?limit=0&iterator=zz", "", nil); !strings.Contains(got.body, `"done":true`) {
			t.Errorf("a page of nothing at the end: %s", got.body)
		}
	})
}
