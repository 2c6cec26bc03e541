package httpapi_test

import (
	"strings"
	"testing"

	"github.com/neohook/neohook/store"
)

func TestBatches(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		const path = "/app/acme/msg/batch"
		mixed := `{"messages":[
			{"eventType":"a","eventId":"one","payload":{"n":1}},
			{"eventType":"a b","payload":[]},
			{"eventType":"a","eventId":"order-1","payload":{}},
			{"eventType":"a","payload":{},"application":{"name":"x","uid":"acme"}},
			{"eventType":"a","transformationsParams":{"rawPayload":"plain"},"payload":{},"colour":1},
			7]}`
		want := []string{
			`"accepted":2,"refused":4`, `{"status":202,"message":{"id":"msg_`, `"payload":{}`,
			`{"status":422,"error":{"detail":[{"loc":["body","messages","[1]","eventType"]`, `{"loc":["body","messages","[1]","payload"],"msg":"must be an object"`,
			`{"status":409,"error":{"code":"conflict","detail":"An entity with this eventId exists"}}`,
			`["body","messages","[3]","application"]`, `["body","messages","[5]"]`,
		}
		w.play("each has its answer", scenario{method: "POST", path: path, body: mixed, odd: true, status: 202, want: want,
			not: []string{`"n":1`}, answers: map[string]string{"Neohook-Ignored": "messages[4].colour"}})
		w.play("with content", scenario{method: "POST", path: path + "?with_content=true", body: `{"messages":[{"eventType":"a","payload":{"n": 2}}]}`, status: 202, want: []string{`"payload":{"n":2}`}})
		w.play("they are there", scenario{path: "/app/acme/msg/one", status: 200, want: []string{`"payload":{"n":1}`}})
		w.play("a message may be called batch", scenario{method: "POST", path: path, body: `{"messages":[{"eventType":"a","eventId":"batch","payload":{"n":3}}]}`, status: 202})
		w.play("and be asked for", scenario{path: path, status: 200, want: []string{`"n":3`}})
		w.play("other methods are not there", scenario{method: "PUT", path: path, status: 405})
		w.play("no such application", scenario{method: "POST", path: "/app/none/msg/batch", body: `{"messages":[{"eventType":"a","payload":{}}]}`, status: 404, want: []string{"Application not found"}})
		w.play("no such application, nothing valid", scenario{method: "POST", path: "/app/none/msg/batch", body: `{"messages":[{}]}`, status: 404})
		for body, field := range map[string]string{
			``: "body", `[]`: "body", `{}`: "body/messages", `{"messages":null}`: "body/messages", `{"messages":[]}`: "body/messages", `{"messages":{}}`: "body/messages",
			`{"messages":[` + strings.Repeat(`{},`, 1000) + `{}]}`:                                    "body/messages",
			`{"messages":[{"eventType":"a","payload":{}}`:                                             "body/messages",
			`{"messages":[` + strings.Repeat(`{"eventType":"a","payload":{"a":1,"a":2}},`, 2) + `7]}`: "body/messages/[0]/payload/a",
		} {
			w.play("bad batch "+body[:min(len(body), 20)], scenario{method: "POST", path: path, body: body, status: 422, field: field})
		}
		w.play("more than 16 MiB", scenario{method: "POST", path: path, body: `{"messages":[` + strings.Repeat(" ", 16<<20) + `]}`, status: 413})
		// Larger than any other body may be, and than one commit's payload.
		long := strings.Repeat(`{"eventType":"long","payload":{"a":"`+strings.Repeat("x", 1<<20-1000)+`"}},`, 9)
		w.play("9 MiB", scenario{method: "POST", path: path, body: `{"messages":[` + strings.TrimSuffix(long, ",") + `]}`, odd: true, status: 202, want: []string{`"accepted":9`}})
	})
}

func TestRepeatedBatchDoesWhatWasNotDone(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	key := map[string]string{"Idempotency-Key": "k"}
	bad := `{"messages":[{"eventType":"a","payload":{"n":1}},{"payload":{"n":2}},{"eventType":"a","payload":{"n":3}}]}`
	first := w.call("POST", "/api/v1/app/acme/msg/batch", bad, key)
	mended := strings.Replace(bad, `{"payload":{"n":2}}`, `{"eventType":"b","payload":{"n":2}}`, 1)
	mended = strings.Replace(mended, `{"n":3}`, `{"n":4}`, 1)
	again := w.call("POST", "/api/v1/app/acme/msg/batch", mended, key)
	one := first.body[strings.Index(first.body, `"id":"`):][:36]
	for _, text := range []string{one, `"status":409,"error":{"code":"idempotency_mismatch"`, `"accepted":2,"refused":1`} {
		if !strings.Contains(again.body, text) {
			t.Errorf("%s\nis not in %s", text, again.body)
		}
	}
}
