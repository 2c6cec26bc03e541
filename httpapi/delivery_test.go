package httpapi_test

import (
	"testing"

	"github.com/neohook/neohook/store"
)

func TestDeliveries(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		// What is for the paused one waits.
		w.play("pause", scenario{method: "POST", path: "/app/acme/endpoint/orders/pause", status: 204})
		w.play("paused", scenario{path: "/app/acme/endpoint/orders", status: 200, want: []string{`"paused":true`}})
		w.play("publish", scenario{method: "POST", path: "/app/acme/msg", body: `{"eventType":"order.made","eventId":"order-3","payload":{"n":3},"tags":["red"]}`, status: 202})

		list := "/app/acme/endpoint/orders/delivery"
		w.play("all", scenario{path: list, status: 200, want: []string{`"state":"parked"`, `"reason":"paused"`, `"state":"succeeded"`, `"lastAttempt":{`, `"done":true`}, not: []string{`"payload"`}})
		w.play("with messages", scenario{path: list + "?with_msg=true", status: 200, want: []string{`"payload":{"n":3}`}})
		w.play("open", scenario{path: list + "?state=pending", status: 200, want: []string{`"state":"parked"`}, not: []string{"succeeded"}})
		w.play("ended", scenario{path: list + "?state=succeeded&status_code_class=200", status: 200, want: []string{`"state":"succeeded"`}, not: []string{"parked"}})
		w.play("by tag", scenario{path: list + "?tag=red", status: 200, want: []string{`"eventType":"order.made"`, "parked"}, not: []string{"succeeded"}})
		w.play("no such state", scenario{path: list + "?state=odd", status: 400})
		w.play("nobody's", scenario{path: "/app/acme/endpoint/nobody/delivery", status: 404, want: []string{"Endpoint not found"}})
		w.play("of a message", scenario{path: "/app/acme/msg/order-3/delivery", status: 200, want: []string{`"state":"parked"`}})
		w.play("of no message", scenario{path: "/app/acme/msg/nothing/delivery", status: 404, want: []string{"Message not found"}})

		one := "/app/acme/msg/order-3/endpoint/orders"
		w.play("one", scenario{path: one + "/delivery", status: 200, want: []string{`"state":"parked"`, `"attempts":[]`, `"tried":0`}})
		w.play("one that ended", scenario{path: "/app/acme/msg/order-1/endpoint/orders/delivery", status: 200, want: []string{`"state":"succeeded"`, `"attempts":[{"id":"atmpt_`, `"endedAt":"20`}})
		w.play("none", scenario{path: "/app/acme/msg/order-1/endpoint/down/delivery", status: 404, want: []string{"Delivery not found"}})
		w.play("cancel", scenario{method: "POST", path: one + "/cancel", status: 204})
		w.play("cancel again", scenario{method: "POST", path: one + "/cancel", status: 204})
		w.play("cancelled", scenario{path: one + "/delivery", status: 200, want: []string{`"state":"cancelled"`, `"reason":"cancel_asked"`}})
		w.play("cancel what succeeded", scenario{method: "POST", path: "/app/acme/msg/order-1/endpoint/orders/cancel", status: 409, want: []string{"delivery_ended"}})
		w.play("resume", scenario{method: "POST", path: "/app/acme/endpoint/orders/resume", status: 204})
		w.play("pause nobody", scenario{method: "POST", path: "/app/acme/endpoint/nobody/pause", status: 404})
		w.play("resume nobody", scenario{method: "POST", path: "/app/acme/endpoint/nobody/resume", status: 404})
	})
}

func TestResends(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		w.play("resend", scenario{method: "POST", path: "/app/acme/msg/order-1/endpoint/orders/resend", status: 202, want: []string{"{}"}})
		w.await(1)
		w.play("attempts", scenario{path: "/app/acme/msg/order-1/attempt", status: 200, want: []string{`"triggerType":1`, `"triggerType":0`}})
		w.play("attempts of nothing", scenario{path: "/app/acme/msg/nothing/attempt", status: 404})
		w.play("attempts at the endpoint", scenario{path: "/app/acme/msg/order-1/endpoint/orders/attempt", status: 200, want: []string{`"triggerType":1`}})
		w.play("attempts at nobody", scenario{path: "/app/acme/msg/order-1/endpoint/nobody/attempt", status: 404})
		w.play("what is not there", scenario{method: "POST", path: "/app/acme/msg/nothing/endpoint/orders/resend", status: 404, want: []string{"Message or endpoint not found"}})
		w.play("to nobody", scenario{method: "POST", path: "/app/acme/msg/order-1/endpoint/nobody/resend", status: 404})
		w.play("disable", scenario{method: "PATCH", path: "/app/acme/endpoint/orders", body: `{"disabled":true}`, status: 200})
		w.play("to a disabled endpoint", scenario{method: "POST", path: "/app/acme/msg/order-1/endpoint/orders/resend", status: 202})
	})
}

func TestAttemptedMessagesAndDestinations(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		good, bad := "/app/acme/endpoint/orders/msg", "/app/acme/endpoint/down/msg"
		w.play("succeeded", scenario{path: good, status: 200, want: []string{`"eventId":"order-1"`, `"status":0`, `"statusText":"success"`, `"payload":{"n":1}`}, not: []string{"nextAttempt"}})
		w.play("without content", scenario{path: good + "?with_content=false", status: 200, want: []string{`"payload":{}`}})
		w.play("being retried", scenario{path: bad, status: 200, want: []string{`"status":3`, `"statusText":"sending"`, `"nextAttempt":"20`}})
		for status, want := range map[string][]string{"0": {}, "1": {}, "2": {}, "3": {`"status":3`}, "4": {}} {
			w.play("with status "+status, scenario{path: bad + "?status=" + status, status: 200, want: append(want, `"done":true`)})
		}
		w.play("of another type", scenario{path: good + "?event_types=nothing", status: 200, want: []string{`"data":[]`}})
		w.play("odd status", scenario{path: good + "?status=9", status: 400})
		w.play("nobody's", scenario{path: "/app/acme/endpoint/nobody/msg", status: 404, want: []string{"Endpoint not found"}})

		where := "/app/acme/msg/order-1/endpoint"
		w.play("destinations", scenario{path: where, status: 200, want: []string{`"url":"https://receiver.example/"`, `"status":0`, `"nextAttempt":null`, `"done":true`}})
		w.play("destinations of nothing", scenario{path: "/app/acme/msg/nothing/endpoint", status: 404})
		w.play("delete", scenario{method: "DELETE", path: "/app/acme/endpoint/orders", status: 204})
		w.play("deleted ones too", scenario{path: where, status: 200, want: []string{`"url":"https://receiver.example/"`, `"disabled":true`, `"createdAt":"20`}})
	})
}

func TestPauses(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	w.play("pause", scenario{method: "POST", path: "/app/acme/pause", status: 204})
	w.play("paused", scenario{path: "/app/acme", status: 200, want: []string{`"paused":true`}})
	w.play("resume", scenario{method: "POST", path: "/app/acme/resume", status: 204})
	w.play("resumed", scenario{path: "/app/acme", status: 200, want: []string{`"paused":false`}})
	w.play("pause nobody", scenario{method: "POST", path: "/app/nobody/pause", status: 404})
	w.play("resume nobody", scenario{method: "POST", path: "/app/nobody/resume", status: 404})

	w.play("pause everything", scenario{method: "POST", path: "/pause", status: 204})
	w.play("everything is paused", scenario{path: "/pause", status: 200, want: []string{`{"paused":true}`}})
	w.play("resume everything", scenario{method: "POST", path: "/resume", status: 204})
	w.play("nothing is paused", scenario{path: "/pause", status: 200, want: []string{`{"paused":false}`}})
	other := map[string]string{"Authorization": "Bearer " + otherToken}
	for _, s := range []scenario{{path: "/pause"}, {method: "POST", path: "/pause"}, {method: "POST", path: "/resume"}} {
		s.header, s.status = other, 403
		w.play("by a stranger", s)
	}
}
