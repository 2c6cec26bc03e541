package metrics_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/metrics"
	"github.com/neohook/neohook/webhook"
)

// fixed is a source that says the same every time.
type fixed neohook.Stats

func (f *fixed) Stats(context.Context) neohook.Stats { return neohook.Stats(*f) }

// sample has something of each kind.
func sample() *fixed {
	h := neohook.Histogram{Bounds: []float64{1, 2}, Counts: []uint64{3, 4, 5}, Sum: 20}
	return &fixed{
		Publish: neohook.PublishStats{Accepted: 7, Refused: map[neohook.Refusal]uint64{neohook.Refusal(neohook.QueueFull): 2}},
		Store:   neohook.StoreStats{CommitTime: h, Events: h, Outcomes: h, TableBytes: map[string]int64{"event": 8192}},
		Lanes: neohook.LaneStats{Due: map[neohook.Wait]neohook.DueStats{
			neohook.WaitTurn:    {Endpoints: 1, Deliveries: 2, Oldest: 1500 * time.Millisecond},
			neohook.WaitBreaker: {Endpoints: 3, Deliveries: 40, Oldest: time.Hour},
		}},
		Attempts: neohook.AttemptStats{
			Made:     map[neohook.AttemptKind]uint64{{Outcome: neohook.AttemptTimedOut, Code: webhook.FaultResponseTimeout}: 6},
			Ended:    map[neohook.Ending]uint64{{State: webhook.Cancelled, Reason: webhook.EndpointDeleted}: 8},
			Duration: h, FirstDelay: h,
		},
		Adapter: &httpadapter.HealthReport{Status: webhook.Degraded},
	}
}

func TestNamesAndHelpFollowTheConventions(t *testing.T) {
	problems, err := testutil.CollectAndLint(metrics.New(sample()))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestValuesAreThoseOfTheStats(t *testing.T) {
	registry := prometheus.NewPedanticRegistry() // which checks that what is described is what is sent
	registry.MustRegister(metrics.New(sample()))
	want := `
# HELP neohook_attempts_total Attempts whose outcome is stored, by outcome (success, throttled by 429 or 503, timeout, failure) and by the code of what kept the answer away, empty where there was one.
# TYPE neohook_attempts_total counter
neohook_attempts_total{code="",outcome="failure"} 0
neohook_attempts_total{code="",outcome="success"} 0
neohook_attempts_total{code="",outcome="throttled"} 0
neohook_attempts_total{code="response_timeout",outcome="timeout"} 6
# HELP neohook_commit_events Events in a transaction.
# TYPE neohook_commit_events histogram
neohook_commit_events_bucket{le="1"} 3
neohook_commit_events_bucket{le="2"} 7
neohook_commit_events_bucket{le="+Inf"} 12
neohook_commit_events_sum 20
neohook_commit_events_count 12
# HELP neohook_deliveries_ended_total Deliveries that ended, by state, and by reason where they were cancelled.
# TYPE neohook_deliveries_ended_total counter
neohook_deliveries_ended_total{reason="",state="exhausted"} 0
neohook_deliveries_ended_total{reason="",state="succeeded"} 0
neohook_deliveries_ended_total{reason="endpoint_deleted",state="cancelled"} 8
# HELP neohook_lag_seconds Age of the oldest due delivery in memory that waits for nothing but the engine: its turn, or a place among slow attempts.
# TYPE neohook_lag_seconds gauge
neohook_lag_seconds 1.5
# HELP neohook_store_table_bytes Bytes that a table takes with its indexes; long_values is what long values of any table take beyond their row, schema the schema.
# TYPE neohook_store_table_bytes gauge
neohook_store_table_bytes{table="event"} 8192
# HELP neohook_adapter_health 1 for what the HTTP adapter is: healthy, degraded or unhealthy.
# TYPE neohook_adapter_health gauge
neohook_adapter_health{status="degraded"} 1
neohook_adapter_health{status="healthy"} 0
neohook_adapter_health{status="unhealthy"} 0
`
	err := testutil.GatherAndCompare(registry, strings.NewReader(want), "neohook_attempts_total", "neohook_commit_events",
		"neohook_deliveries_ended_total", "neohook_lag_seconds", "neohook_store_table_bytes", "neohook_adapter_health")
	if err != nil {
		t.Error(err)
	}
}

// Every number in the Stats is in some metric: it is set alone, and the scrape changes.
func TestNoPartOfTheStatsIsLeftOut(t *testing.T) {
	scrape := func(s fixed) string {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(metrics.New(&s))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, family := range families {
			text.WriteString(family.String())
		}
		return text.String()
	}
	none := scrape(fixed{})
	for _, part := range []string{"Publish", "Store", "Lanes", "Retention"} {
		fields := reflect.TypeOf(fixed{})
		group, _ := fields.FieldByName(part)
		for i := range group.Type.NumField() {
			var s fixed
			field := reflect.ValueOf(&s).Elem().FieldByName(part).Field(i)
			switch {
			case field.CanInt():
				field.SetInt(7_000_000)
			case field.CanUint():
				field.SetUint(7_000_000)
			default:
				continue // maps and histograms are in the tests above
			}
			if scrape(s) == none {
				t.Errorf("%s.%s is in no metric", part, group.Type.Field(i).Name)
			}
		}
	}
}
