package httpapi_test

import (
	"strings"
	"testing"

	"github.com/neohook/neohook/store"
)

func TestExpunging(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		ids := settle(w)
		msg := "/app/acme/msg/order-1"
		attempt := msg + "/attempt/" + ids["attempt"]
		w.play("an answer", scenario{method: "DELETE", path: attempt + "/content", status: 204})
		w.play("is gone", scenario{path: attempt, status: 200, want: []string{`"response":"EXPUNGED"`}})
		w.play("no answer", scenario{method: "DELETE", path: msg + "/attempt/atmpt_000000000000000000000000000/content", status: 404})
		w.play("a payload", scenario{method: "DELETE", path: msg + "/content", status: 204})
		w.play("again", scenario{method: "DELETE", path: msg + "/content", status: 204})
		w.play("is gone, too", scenario{path: msg, status: 200, want: []string{`"payload":{"expired":true}`}})
		w.play("nothing to resend", scenario{method: "POST", path: msg + "/endpoint/orders/resend", status: 400, want: []string{"missing_payload"}})
		w.play("no payload", scenario{method: "DELETE", path: "/app/acme/msg/nothing/content", status: 404, want: []string{"Message not found"}})
		w.play("a message", scenario{method: "DELETE", path: msg, status: 204})
		w.play("is not found", scenario{path: msg, status: 404})
		w.play("nor found again", scenario{method: "DELETE", path: msg, status: 404})
		some := w.id("POST", "/api/v1/app/acme/msg", `{"eventType":"order.made","eventId":"order-2","payload":{"n":3}}`)
		bulk := scenario{method: "POST", path: "/app/acme/msg/bulk-expunge", body: `{"ids":["order-2","nothing","` + some + `","msg_000000000000000000000000000"]}`, status: 200}
		bulk.want = []string{`"order-2":"expunged"`, `"nothing":"not-found"`, `"` + some + `":"expunged"`, `"msg_000000000000000000000000000":"not-found"`}
		w.play("some payloads", bulk)
		w.play("some payloads again", bulk)
		w.play("some are gone", scenario{path: "/app/acme/msg/order-2", status: 200, want: []string{`"payload":{"expired":true}`}})
		w.play("none named", scenario{method: "POST", path: bulk.path, body: `{}`, status: 200, want: []string{`{"results":{}}`}})
		w.play("an odd name", scenario{method: "POST", path: bulk.path, body: `{"ids":["a b"]}`, status: 422, field: "body/ids/[0]"})
		w.play("too many", scenario{method: "POST", path: bulk.path, body: `{"ids":["a"` + strings.Repeat(`,"a"`, 250) + `]}`, status: 422, field: "body/ids"})
		w.play("of nobody", scenario{method: "POST", path: "/app/nobody/msg/bulk-expunge", body: `{"ids":["a"]}`, status: 404, want: []string{"Application not found"}})
		all := "/app/acme/msg/expunge-all-contents"
		w.play("all payloads", scenario{method: "POST", path: all, status: 202, want: []string{`"id":"qtask_`, `"status":"running"`, `"task":"application.purge_content"`}})
		task := w.id("POST", "/api/v1"+all, "")
		w.finished(task, `"status":"finished"`, `"messagesPurged":`, `"kind":"expunge"`)
		w.play("are listed", scenario{path: "/background-task?task=application.purge_content", status: 200, want: []string{task}})
		w.play("are gone", scenario{path: "/app/acme/msg", status: 200, want: []string{`"payload":{"expired":true}`}, not: []string{`"n":2`}})
		w.play("all payloads of nobody", scenario{method: "POST", path: "/app/nobody/msg/expunge-all-contents", status: 404})
		w.play("an application", scenario{method: "POST", path: "/app/acme/expunge", status: 204})
		w.play("is no more", scenario{path: "/app/acme", status: 404})
		w.play("and can't be expunged by a uid that nobody has", scenario{method: "POST", path: "/app/acme/expunge", status: 404})
	})
}

func TestRetention(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	path := "/app/acme/retention"
	w.play("the server's own", scenario{path: path, status: 200, want: []string{`{"payloadDays":null,"attemptDays":null,"messageDays":null}`}})
	w.play("set", scenario{method: "PUT", path: path, body: `{"payloadDays":7,"attemptDays":14,"messageDays":30}`, status: 200, want: []string{`{"payloadDays":7,"attemptDays":14,"messageDays":30}`}})
	w.play("read back", scenario{path: path, status: 200, want: []string{`"payloadDays":7`}})
	w.play("too short", scenario{method: "PUT", path: path, body: `{"payloadDays":0}`, status: 422, field: "body/payloadDays"})
	w.play("longer than its message", scenario{method: "PUT", path: path, body: `{"payloadDays":31,"messageDays":30}`, status: 422, field: "body/payloadDays", want: []string{"must not be longer than events are kept"}})
	w.play("attempts, too", scenario{method: "PUT", path: path, body: `{"attemptDays":31,"messageDays":30}`, status: 422, field: "body/attemptDays"})
	w.play("nobody's", scenario{path: "/app/nobody/retention", status: 404})
	w.play("of nobody", scenario{method: "PUT", path: "/app/nobody/retention", body: `{}`, status: 404})
}
