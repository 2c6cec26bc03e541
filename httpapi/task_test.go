package httpapi_test

import (
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

func TestTasks(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		since := `"since":"` + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339) + `"`
		started := []string{`"id":"qtask_`, `"updatedAt":"20`}
		down, orders := "/app/acme/endpoint/down", "/app/acme/endpoint/orders"

		w.play("preview a recovery", scenario{method: "POST", path: down + "/recover/preview", body: `{` + since + `}`, status: 200, want: []string{`{"examined":1,"matched":1,"exact":true}`}})
		w.play("preview none", scenario{method: "POST", path: orders + "/recover/preview", body: `{` + since + `}`, status: 200, want: []string{`"matched":0`}})
		w.play("recover nothing", scenario{method: "POST", path: orders + "/recover", body: `{` + since + `}`, status: 202, want: append(started, `"task":"endpoint.recover"`)})
		task := w.id("POST", "/api/v1"+down+"/recover", `{`+since+`}`)
		w.await(1)
		for name, s := range map[string]scenario{
			"without a time": {body: `{}`, status: 422, field: "body/since"},
			"too far back":   {body: `{"since":"2020-01-01T00:00:00Z"}`, status: 422, field: "body/since"},
			"no body":        {status: 422, field: "body"},
		} {
			for _, what := range []string{"/recover", "/recover/preview"} {
				s.method, s.path = "POST", down+what
				w.play(what+" "+name, s)
			}
		}
		w.play("recover nobody", scenario{method: "POST", path: "/app/acme/endpoint/nobody/recover", body: `{` + since + `}`, status: 404, want: []string{"Endpoint not found"}})

		w.play("preview a replay", scenario{method: "POST", path: down + "/replay-missing/preview", body: `{` + since + `}`, status: 200, want: []string{`"matched":0`, `"exact":true`}})
		w.play("preview a replay without a time", scenario{method: "POST", path: down + "/replay-missing/preview", body: `{}`, status: 422, field: "body/since"})
		w.play("replay", scenario{method: "POST", path: orders + "/replay-missing", body: `{` + since + `}`, status: 202, want: append(started, `"task":"endpoint.replay"`)})
		w.play("replay without a time", scenario{method: "POST", path: orders + "/replay-missing", body: `{}`, status: 422, field: "body/since"})
		w.play("bulk replay", scenario{method: "POST", path: orders + "/bulk-replay", body: `{` + since + `,"status":0,"eventTypes":["order.made"]}`, status: 202, want: append(started, `"task":"endpoint.bulk-replay"`, `"kind":"resend"`)})
		w.await(1)
		w.play("bulk replay of an odd class", scenario{method: "POST", path: orders + "/bulk-replay", body: `{` + since + `,"statusCodeClass":250}`, status: 422, field: "body/statusCodeClass"})
		w.play("bulk replay of what is pending", scenario{method: "POST", path: orders + "/bulk-replay", body: `{` + since + `,"status":1}`, status: 422, field: "body/status"})

		all := "/app/acme/delivery"
		w.play("preview resends", scenario{method: "POST", path: all + "/resend/preview", body: `{"state":"succeeded"}`, status: 200, want: []string{`"exact":true`}, not: []string{`"matched":0`}})
		w.play("preview odd resends", scenario{method: "POST", path: all + "/resend/preview", body: `{"state":"odd"}`, status: 422, field: "body/state"})
		w.play("resend", scenario{method: "POST", path: all + "/resend", body: `{"tag":"none","state":"exhausted"}`, status: 202, want: started})
		w.play("resend at nobody", scenario{method: "POST", path: all + "/resend", body: `{"endpointId":"nobody","state":"exhausted"}`, status: 404})
		w.play("resend whatever there is", scenario{method: "POST", path: all + "/resend", body: `{}`, status: 422, field: "body/state"})
		w.play("preview cancels", scenario{method: "POST", path: all + "/cancel/preview", body: `{"endpointId":"down"}`, status: 200, want: []string{`"exact":true`}})
		w.play("preview odd cancels", scenario{method: "POST", path: all + "/cancel/preview", body: `{"statusCodeClass":7}`, status: 422, field: "body/statusCodeClass"})
		w.play("cancel", scenario{method: "POST", path: all + "/cancel", body: `{"endpointId":"down"}`, status: 202, want: append(started, `"kind":"cancel"`)})
		w.play("cancel oddly", scenario{method: "POST", path: all + "/cancel", body: `{"rate":0}`, status: 422, field: "body/rate"})

		w.play("task", scenario{path: "/background-task/" + task, status: 200, want: []string{`"task":"endpoint.recover"`, `"matched":1`, `"made":1`}})
		w.play("no task", scenario{path: "/background-task/qtask_000000000000000000000000000", status: 404})
		w.play("tasks", scenario{path: "/background-task?app_id=acme&limit=2", status: 200, want: []string{`"iterator":"qtask_`, `"done":false`}})
		w.play("recoveries", scenario{path: "/background-task?task=endpoint.recover", status: 200, want: []string{task}, not: []string{"bulk-replay"}})
		w.play("tasks of no kind", scenario{path: "/background-task?task=sdk.generate", status: 200, want: []string{`"data":[]`}})
		w.play("tasks of nobody", scenario{path: "/background-task?app_id=nobody", status: 404})
		w.play("cancel a task", scenario{method: "POST", path: "/background-task/" + task + "/cancel", status: 200, want: []string{task}})
		w.play("cancel no task", scenario{method: "POST", path: "/background-task/qtask_000000000000000000000000000/cancel", status: 404})
	})
}
