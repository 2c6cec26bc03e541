package monitor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/adapter/adaptertest"
	"github.com/neohook/neohook/adapter/breaker"
	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/adapter/monitor"
	"github.com/neohook/neohook/webhook"
)

func TestKeepsTheContract(t *testing.T) {
	adaptertest.RunAround(t, func(_ *testing.T, inside webhook.Adapter) webhook.Adapter {
		return monitor.New(inside, monitor.Options{Logger: slog.New(slog.DiscardHandler)})
	})
}

func deliver(t *testing.T, a webhook.Adapter) webhook.Result {
	t.Helper()
	return a.Deliver(t.Context(), &webhook.Delivery{ID: "dlv_1", Event: "msg_1"},
		&webhook.Endpoint{ID: "ep_1", URL: "https://user:hunter2@api.example.com/hook/%2Fa?key=hidden#there"})
}

// counted has statistics of its own connections.
type counted struct {
	*memadapter.Adapter
	stats httpadapter.ConnectionStats
}

func (c counted) ConnectionStats() httpadapter.ConnectionStats { return c.stats }

func TestSummaryWithoutRequests(t *testing.T) {
	a := monitor.New(memadapter.New(), monitor.Options{})
	a.Verify(t.Context(), &webhook.Endpoint{}, nil) // not counted
	got, err := json.Marshal(a.Summary())
	want := `{"status":"no_requests","metrics":{"total_requests":0,"successful_requests":0,"failed_requests":0,` +
		`"total_response_time_ms":0,"connection_pool_stats":[]}}`
	if err != nil || string(got) != want {
		t.Errorf("summary = %s, %v\nwant %s", got, err, want)
	}
}

func TestSummaryMarshalsToItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(
			memadapter.Reply{Delay: 100 * time.Millisecond},
			memadapter.Reply{Delay: 101 * time.Millisecond, StatusCode: 503},
			memadapter.Reply{Delay: 101 * time.Millisecond},
		)
		inside := counted{mem, httpadapter.ConnectionStats{TotalRequests: 3, ConnectionReuses: 2, ConnectionErrors: 1, ReuseRate: 0.667, ErrorRate: 0.333}}
		a := monitor.New(breaker.New(inside, breaker.Options{}), monitor.Options{})
		for range 3 {
			deliver(t, a)
		}
		got, err := json.Marshal(a.Summary())
		want := `{"status":"active","request_metrics":{"total_requests":3,"success_rate":0.667,"average_response_time_ms":100.67},` +
			`"connection_metrics":{"total_requests":3,"connection_reuses":2,"dns_cache_hits":0,"connection_errors":1,"pool_exhausted_count":0,"connection_reuse_rate":0.667,"error_rate":0.333},` +
			`"performance_indicators":{"high_error_rate":true,"slow_responses":false,"connection_issues":true}}`
		if err != nil || string(got) != want {
			t.Errorf("summary = %s, %v\nwant %s", got, err, want)
		}
	})
}

func TestIndicatorsTurnAtTheirBounds(t *testing.T) {
	const ms = time.Millisecond
	tests := map[string]struct {
		failed, of int
		took       time.Duration
		errorRate  float64
		want       [3]bool // high error rate, slow responses, connection issues
	}{
		"all well":                {0, 20, ms, 0, [3]bool{}},
		"0.95 is enough":          {1, 20, ms, 0, [3]bool{}},
		"less than 0.95 is not":   {2, 21, ms, 0, [3]bool{true}},
		"0.9499 rounds to enough": {51, 1018, ms, 0, [3]bool{true}},
		"1000 ms is quick":        {0, 1, 1000 * ms, 0, [3]bool{}},
		"more is slow":            {0, 1, 1001 * ms, 0, [3]bool{false, true}},
		"0.1 of connections":      {0, 1, ms, 0.1, [3]bool{}},
		"more of connections":     {0, 1, ms, 0.101, [3]bool{false, false, true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memadapter.New(memadapter.Reply{Delay: test.took, StatusCode: 500})
				a := monitor.New(counted{mem, httpadapter.ConnectionStats{ErrorRate: test.errorRate}}, monitor.Options{})
				for i := range test.of {
					if i == test.failed {
						mem.Script(memadapter.Reply{Delay: test.took})
					}
					deliver(t, a)
				}
				s := a.Summary()
				if got := [3]bool{s.HighErrorRate, s.SlowResponses, s.ConnectionIssues}; got != test.want {
					t.Errorf("indicators = %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestPercentilesAreOfTheLastDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n time.Duration
		mem := &memadapter.Adapter{Answer: func(memadapter.Request) memadapter.Reply {
			n++
			return memadapter.Reply{Delay: n * time.Millisecond}
		}}
		a := monitor.New(mem, monitor.Options{})
		for range 100 {
			deliver(t, a)
		}
		s := a.Summary()
		if got, want := []time.Duration{s.P50, s.P90, s.P95, s.P99}, []time.Duration{50, 90, 95, 99}; !equalMillis(got, want) {
			t.Errorf("percentiles = %v, want %v ms", got, want)
		}
		for range 1024 {
			deliver(t, a)
		}
		s = a.Summary() // of 101 to 1124
		if got, want := []time.Duration{s.P50, s.P90, s.P95, s.P99}, []time.Duration{612, 1022, 1073, 1114}; !equalMillis(got, want) {
			t.Errorf("percentiles = %v, want %v ms", got, want)
		}
		if s.Metrics.Total != 1124 {
			t.Errorf("total = %d", s.Metrics.Total)
		}
	})
}

func equalMillis(got, want []time.Duration) bool {
	return slices.EqualFunc(got, want, func(a, b time.Duration) bool { return a == b*time.Millisecond })
}

// logged runs what is to be logged and returns the records, without their times.
func logged(t *testing.T, level slog.Level, run func(*slog.Logger)) []string {
	t.Helper()
	var out bytes.Buffer
	run(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
		if attr.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attr
	}})))
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "hidden") {
		t.Errorf("the log tells a secret: %s", out.String())
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

const about = "delivery_id=dlv_1 endpoint_url=https://api.example.com/hook/%2Fa"

func TestEachDeliveryIsLogged(t *testing.T) {
	const done = `msg="webhook delivery completed" ` + about
	tests := map[string]struct {
		reply memadapter.Reply
		want  []string
	}{
		"a success": {memadapter.Reply{Delay: 150 * time.Millisecond}, []string{
			"level=INFO " + done + " success=true response_time_ms=150 connection_reused=false",
		}},
		"on a connection that was open": {memadapter.Reply{ConnectionReused: true}, []string{
			"level=INFO " + done + " success=true response_time_ms=0 connection_reused=true",
			`level=DEBUG msg="connection reused" ` + about,
		}},
		"a slow one": {memadapter.Reply{Delay: 1001 * time.Millisecond}, []string{
			"level=INFO " + done + " success=true response_time_ms=1001 connection_reused=false",
			`level=WARN msg="slow response" ` + about + " response_time_ms=1001",
		}},
		"one that is not slow yet": {memadapter.Reply{Delay: time.Second}, []string{
			"level=INFO " + done + " success=true response_time_ms=1000 connection_reused=false",
		}},
		"an answer that is a failure": {memadapter.Reply{StatusCode: 503}, []string{
			"level=INFO " + done + " success=false response_time_ms=0 connection_reused=false error_type=http_error",
			`level=ERROR msg="high error rate" error_rate=1 requests=1`,
		}},
		"no answer": {memadapter.Reply{Fault: webhook.FaultConnectTimeout}, []string{
			"level=INFO " + done + " success=false response_time_ms=0 connection_reused=false error_type=timeout error_code=connect_timeout",
			`level=ERROR msg="high error rate" error_rate=1 requests=1`,
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := logged(t, slog.LevelDebug, func(log *slog.Logger) {
					deliver(t, monitor.New(memadapter.New(test.reply), monitor.Options{Logger: log}))
				})
				if !slices.Equal(got, test.want) {
					t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
			})
		})
	}
}

func TestNilArgumentsAreLoggedAndCounted(t *testing.T) {
	var a *monitor.Adapter
	got := logged(t, slog.LevelInfo, func(log *slog.Logger) {
		a = monitor.New(memadapter.New(), monitor.Options{Logger: log})
		a.Deliver(t.Context(), nil, nil)
	})
	if !strings.Contains(got[0], `delivery_id="" endpoint_url="" success=false`) || !strings.Contains(got[0], "error_code=invalid_request") {
		t.Errorf("logged %s", got[0])
	}
	if s := a.Summary(); s.Metrics.Failed != 1 {
		t.Errorf("metrics = %+v", s.Metrics)
	}
}

func TestHighErrorRateIsLoggedOnce(t *testing.T) {
	got := logged(t, slog.LevelInfo, func(log *slog.Logger) {
		mem := memadapter.New()
		a := monitor.New(mem, monitor.Options{Logger: log})
		send := func(n, status int) {
			mem.Script(memadapter.Reply{StatusCode: status})
			for range n {
				deliver(t, a)
			}
		}
		send(5000, 200) // long ago: the rate is that of late
		send(10, 500)   // 10 of 100
		send(1, 500)    // 11
		send(50, 500)
		send(89, 200)
		send(1, 200) // 10 of 100 again
		send(200, 200)
		send(11, 500)
	})
	var about []string
	for _, line := range got {
		if !strings.Contains(line, "webhook delivery completed") {
			about = append(about, line)
		}
	}
	want := []string{
		`level=ERROR msg="high error rate" error_rate=0.11 requests=100`,
		`level=INFO msg="error rate recovered" error_rate=0.1 requests=100`,
		`level=ERROR msg="high error rate" error_rate=0.11 requests=100`,
	}
	if !slices.Equal(about, want) {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(about, "\n"), strings.Join(want, "\n"))
	}
}

type fragile struct{ webhook.Adapter }

func (fragile) Deliver(context.Context, *webhook.Delivery, *webhook.Endpoint) webhook.Result {
	panic("broken")
}

func TestAPanicIsCountedAndGoesOn(t *testing.T) {
	var a *monitor.Adapter
	got := logged(t, slog.LevelInfo, func(log *slog.Logger) {
		a = monitor.New(fragile{}, monitor.Options{Logger: log})
		defer func() {
			if recover() != "broken" {
				t.Error("the panic is gone")
			}
		}()
		deliver(t, a)
	})
	if s := a.Summary(); s.Metrics.Total != 1 || s.Metrics.Failed != 1 {
		t.Errorf("metrics = %+v", s.Metrics)
	}
	if last := got[len(got)-1]; last != `level=ERROR msg="webhook delivery panicked" `+about {
		t.Errorf("logged %s", got)
	}
}

func TestOverHTTP(t *testing.T) {
	bench := adaptertest.HTTP(t)
	got := logged(t, slog.LevelDebug, func(log *slog.Logger) {
		a := monitor.New(bench.Adapter, monitor.Options{Logger: log})
		var wg sync.WaitGroup
		for i := range 40 {
			endpoint := bench.Taking.Endpoint
			if i%4 == 0 {
				endpoint = bench.Refusing.Endpoint
			}
			wg.Go(func() {
				event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
				a.Deliver(t.Context(), webhook.NewDelivery(event, &endpoint), &endpoint)
				a.Summary()
			})
		}
		wg.Wait()
		s := a.Summary()
		if s.Status != monitor.Active || s.Metrics.Total != 40 || s.Metrics.Successful != 30 || s.SuccessRate != 0.75 || !s.HighErrorRate {
			t.Errorf("summary = %+v", s)
		}
		if s.Connections == nil || s.Connections.TotalRequests != 40 || s.ConnectionIssues || s.AverageResponseTime <= 0 || s.P99 < s.P50 {
			t.Errorf("summary = %+v, connections %+v", s, s.Connections)
		}
	})
	count := func(text string) (n int) {
		for _, line := range got {
			if strings.Contains(line, text) {
				n++
			}
		}
		return n
	}
	if done, reused := count("webhook delivery completed"), count("connection_reused=true"); done != 40 || reused != count(`msg="connection reused"`) {
		t.Errorf("%d completed, %d reused, %d said so", done, reused, count(`msg="connection reused"`))
	}
}

func Example() {
	adapter := memadapter.New(memadapter.Reply{}, memadapter.Reply{}, memadapter.Reply{StatusCode: 503})
	watched := monitor.New(adapter, monitor.Options{}) // with a Logger, each delivery is logged
	endpoint := &webhook.Endpoint{URL: "https://api.example.com/webhook"}
	event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
	for range 3 {
		watched.Deliver(context.Background(), webhook.NewDelivery(event, endpoint), endpoint)
	}
	summary := watched.Summary()
	fmt.Println(summary.Status, summary.Metrics.Total, summary.SuccessRate)
	fmt.Println("high error rate:", summary.HighErrorRate)
	// Output:
	// active 3 0.667
	// high error rate: true
}
