package httpapi_test

import (
	"strings"
	"testing"
	"time"

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
		app := w.must("GET", "/api/v1/app/acme", "")["id"].(string)
		since, until := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
		span := `"since":"` + since + `","until":"` + until + `"`
		usage := scenario{method: "POST", path: "/stats/usage/app", body: `{` + span + `}`, status: 202}
		usage.want = []string{`"id":"qtask_`, `"task":"application.stats"`, `"unresolvedAppIds":[]`}
		w.play("deliveries", usage)
		w.finished(w.id("POST", "/api/v1/stats/usage/app", usage.body), `"appStats":[{"appId":"`+app+`","appUid":"acme","messageDestinations":3}]`, `"appId":null`)
		usage.body, usage.want = `{"appIds":["nobody","acme"],`+span+`}`, []string{`"unresolvedAppIds":["nobody"]`}
		usage.header = map[string]string{"Idempotency-Key": "usage"}
		w.play("of some", usage)
		w.must("POST", "/api/v1/app", `{"name":"Nobody","uid":"nobody"}`)
		w.play("of some, again", usage)
		usage.body = strings.Replace(usage.body, "acme", "nobody", 1)
		usage.status, usage.want = 409, []string{"idempotency_mismatch"}
		w.play("of others under that key", usage)
		for name, s := range map[string]scenario{
			"of foreigners":         {body: `{"appIds":["foreign"],` + span + `}`, field: "body/appIds"},
			"of an odd name":        {body: `{"appIds":["a b"],` + span + `}`, field: "body/appIds/[0]"},
			"without a time":        {body: `{"since":"` + since + `"}`, field: "body/until"},
			"the wrong way round":   {body: `{"since":"` + until + `","until":"` + since + `"}`, field: "body/since"},
			"before there was time": {body: `{"since":"1999-01-01T00:00:00Z","until":"` + until + `"}`, field: "body/since"},
		} {
			s.method, s.path, s.status = "POST", "/stats/usage/app", 422
			w.play("deliveries "+name, s)
		}
		w.play("subscriptions", scenario{method: "PUT", path: "/stats/usage/event-types", status: 202, want: []string{`"task":"event-type.aggregate"`}})
		w.play("subscriptions, asked by nobody", scenario{method: "PUT", path: "/stats/usage/event-types", header: map[string]string{"Authorization": ""}, status: 401})
		w.finished(w.must("PUT", "/api/v1/stats/usage/event-types", "")["id"].(string),
			`{"appId":"`+app+`","appUid":"acme","explicitlySubscribedEventTypes":["invoice.paid"],"hasCatchAllEndpoint":true}`,
			`"explicitlySubscribedEventTypes":[],"hasCatchAllEndpoint":false}`)
		w.play("lists leave out what was found", scenario{path: "/background-task", status: 200, want: []string{`"kind":"usage"`}, not: []string{"appStats", "event_types"}})
		w.play("by type, too long ago", scenario{path: "/stats/usage/event-types?since=1999-01-01T00:00:00Z", status: 422, field: "query/since"})
	})
}
