package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/neohook/neohook/store"
)

func TestOperationalEndpoints(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		const path = "/operational-webhook/endpoint"
		w.play("create", scenario{method: "POST", path: path, status: 201, want: []string{`"uid":"ops"`, `"filterTypes":["endpoint.deleted"]`},
			body: `{"url":"https://ops.example","uid":"ops","filterTypes":["endpoint.deleted"],"secret":"` + knownSecret + `"}`, not: []string{knownSecret}})
		w.play("create, with a type there is none of", scenario{method: "POST", path: path, body: `{"url":"https://ops.example","eventTypes":["no.such"]}`, status: 422, field: "body/eventTypes"})
		w.play("list", scenario{path: path, status: 200, want: []string{`"uid":"ops"`}, not: []string{`"orders"`}})
		w.play("list, of a bad page", scenario{path: path + "?iterator=x", status: 422})
		w.play("get", scenario{path: path + "/ops", status: 200, want: []string{`"https://ops.example/"`}})
		w.play("secret", scenario{path: path + "/ops/secret", status: 200, want: []string{knownSecret}})
		w.play("rotate", scenario{method: "POST", path: path + "/ops/secret/rotate", body: `{}`, status: 200, want: []string{`"key":"whsec_`}, not: []string{knownSecret}})
		w.play("set headers", scenario{method: "PUT", path: path + "/ops/headers", body: `{"headers":{"X-Api-Key":"sesame","X-Trace":"on"}}`, status: 204})
		w.play("headers", scenario{path: path + "/ops/headers", status: 200, want: []string{`"X-Trace":"on"`, `"sensitive":["X-Api-Key"]`}, not: []string{"sesame"}})
		w.play("put", scenario{method: "PUT", path: path + "/ops", body: `{"url":"https://ops2.example","uid":"ops","eventTypes":["endpoint.deleted"]}`, status: 200, want: []string{"ops2"}})
		w.must("DELETE", "/api/v1/app/acme/endpoint/down", "")
		w.await(1)
		told := w.must("GET", "/api/v1"+path+"/ops", "")
		if told["url"] != "https://ops2.example/" {
			t.Errorf("told %v", told)
		}
		theirs := map[string]string{"Authorization": "Bearer " + otherToken}
		for method, suffix := range map[string]string{"GET": "", "DELETE": ""} {
			w.play(method+" another organisation's", scenario{method: method, path: path + "/ops" + suffix, header: theirs, status: 404})
		}
		w.play("another organisation's list", scenario{path: path, header: theirs, status: 200, want: []string{`"data":[]`}})
		for _, none := range []scenario{
			{method: "GET", path: "/none/secret"}, {method: "POST", path: "/none/secret/rotate", body: `{}`}, {method: "GET", path: "/none/headers"},
			{method: "PUT", path: "/none/headers", body: `{"headers":{}}`},
		} {
			none.path, none.status = path+none.path, 404
			w.play(fmt.Sprint(none.method, none.path), none)
		}
		w.play("put nothing", scenario{method: "PUT", path: path + "/ops", body: `{}`, status: 422, field: "body/url"})
		w.play("delete", scenario{method: "DELETE", path: path + "/ops", status: 204})
		w.play("is gone", scenario{path: path + "/ops", status: 404})
	})
}
