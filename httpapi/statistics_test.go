package httpapi_test

import (
	"testing"

	"github.com/neohook/neohook/store"
)

func TestStatistics(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		settle(w)
		good, bad := "/app/acme/endpoint/orders/stats", "/app/acme/endpoint/down/stats"
		w.play("attempts, to newer clients", scenario{path: "/app/acme/endpoint/down/attempt-stats", status: 200, want: []string{`{"success":0,"fail":1,"canceled":0}`}})
		w.play("attempts of none", scenario{path: "/app/acme/endpoint/none/attempt-stats", status: 404})
		w.play("succeeded", scenario{path: good, status: 200, want: []string{`{"success":2,"pending":0,"sending":0,"fail":0,"canceled":0}`}})
		w.play("failed", scenario{path: bad, status: 200, want: []string{`"success":0`, `"fail":1`}})
		w.play("long ago", scenario{path: bad + "?since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z", status: 200, want: []string{`"fail":0`}})
		w.play("too long", scenario{path: bad + "?since=2026-01-01T00:00:00Z&until=2026-02-02T00:00:00Z", status: 400, want: []string{"invalid_range"}})
		w.play("in the future", scenario{path: bad + "?until=9999-01-01T00:00:00Z", status: 400, want: []string{"invalid_range"}})
		w.play("the wrong way round", scenario{path: bad + "?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", status: 422, field: "query/since"})
		w.play("no date", scenario{path: bad + "?since=soon", status: 400})
		w.play("nobody's", scenario{path: "/app/acme/endpoint/nobody/stats", status: 404, want: []string{"Endpoint not found"}})

		w.play("application", scenario{path: "/app/acme/stats", status: 200, want: []string{`"messages":2`, `"deliveries":3`, `"succeededAttempts":2`, `"failedAttempts":1`, `"latencyMs":{"p50":`}})
		w.play("no application", scenario{path: "/app/nobody/stats", status: 404, want: []string{"Application not found"}})
		w.play("series", scenario{path: "/app/acme/stats/series?unit=day", status: 200, want: []string{`"messages":2`, `"messages":0`}})
		w.play("series of an endpoint", scenario{path: "/app/acme/stats/series?endpoint_id=down", status: 200, want: []string{`"failedAttempts":1`}, not: []string{`"messages":2`}})
		w.play("series of a type", scenario{path: "/app/acme/stats/series?event_type=order.made", status: 200, want: []string{`"messages":1`}})
		w.play("series too long", scenario{path: "/app/acme/stats/series?unit=minute&since=2026-01-01T00:00:00Z", status: 422, field: "query/since"})
		w.play("series of nobody", scenario{path: "/app/acme/stats/series?endpoint_id=nobody", status: 404})
		w.play("odd unit", scenario{path: "/app/acme/stats/series?unit=year", status: 400})

		w.play("by application", scenario{path: "/stats/usage/app", status: 200, want: []string{`"appUid":"acme"`, `"messages":2`, `"done":true`}, not: []string{"foreign"}})
		w.play("by application, too long ago", scenario{path: "/stats/usage/app?since=1999-01-01T00:00:00Z", status: 422, field: "query/since"})
		w.play("by type", scenario{path: "/stats/usage/event-types", status: 200, want: []string{`"eventType":"order.made"`, `"eventType":"invoice.paid"`}, not: []string{`"eventType":"x"`}})
		w.play("by type, too long ago", scenario{path: "/stats/usage/event-types?since=1999-01-01T00:00:00Z", status: 422, field: "query/since"})
	})
}
