package neohook_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// refusing is a gauge at which every delivery fails that is neither live nor operational.
type refusing struct {
	gauge
	told    atomic.Int64
	toldAll chan struct{}
}

func (r *refusing) Deliver(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
	if ep.URL == operatorURL {
		if r.told.Add(1) == r.want {
			close(r.toldAll)
		}
		now := time.Now()
		return webhook.Result{Success: true, StatusCode: 204, URL: ep.URL, StartedAt: now, CompletedAt: now}
	}
	result := r.gauge.Deliver(ctx, d, ep)
	if len(d.Payload) == 0 {
		result.Success, result.StatusCode = false, 500
	}
	return result
}

// BenchmarkFailuresAreTold has b.N messages fail for good, fifteen at each endpoint so that
// no breaker opens, without an operator and with one who is told of each, while another
// tenant publishes 50 events a second, whose delays are reported.
func BenchmarkFailuresAreTold(b *testing.B) {
	for _, listens := range []bool{false, true} {
		b.Run(fmt.Sprint("listens=", listens), func(b *testing.B) { benchmarkFailures(b, listens) })
	}
}

func benchmarkFailures(b *testing.B, listens bool) {
	const each, publishers = 15, 64
	adapter := &refusing{gauge: gauge{instant: instant{want: int64(b.N), all: make(chan struct{})}}, toldAll: make(chan struct{})}
	eng, err := neohook.New(b.Context(), openStore(b, b.TempDir()), neohook.Options{Adapter: adapter, Schedule: webhook.Schedule{}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	go func() { ended <- eng.Run(ctx) }()
	create := func(uid string) {
		_, err := eng.CreateTenant(ctx, webhook.Tenant{UID: uid, Name: uid})
		if err == nil {
			_, err = eng.CreateEndpoint(ctx, webhook.TenantID(uid), webhook.Endpoint{URL: "http://127.0.0.1/"})
		}
		if err != nil {
			b.Error(err)
		}
	}
	for n := range (b.N-1)/each + 1 {
		create(fmt.Sprint("tenant-", n))
	}
	create("live")
	if listens {
		acting, tenant, err := eng.Operational(ctx)
		if err == nil {
			_, err = acting.CreateEndpoint(ctx, tenant, webhook.Endpoint{URL: operatorURL, Concurrency: 100})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	var running sync.WaitGroup
	measuring, stop := context.WithCancel(ctx)
	b.ResetTimer()
	before := usedCPU(b)
	running.Go(func() { publishLive(measuring, b, eng, "live") })
	for range publishers {
		running.Go(func() {
			for n := next.Add(1) - 1; n < int64(b.N); n = next.Add(1) - 1 {
				event := webhook.Event{Tenant: webhook.TenantID(fmt.Sprint("tenant-", n/each)), Type: "a"}
				if _, err := eng.Publish(ctx, event); err != nil {
					b.Error(err)
				}
			}
		})
	}
	<-adapter.all
	untold := int64(b.N) - adapter.told.Load()
	stop()
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "failures/s")
	if listens {
		<-adapter.toldAll
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if listens {
		b.ReportMetric(float64(untold)/float64(b.N), "untold-share")
	}
	b.ReportMetric(float64((usedCPU(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	slices.Sort(adapter.delay)
	if n := len(adapter.delay); n > 0 {
		b.ReportMetric(float64(adapter.delay[n/2].Microseconds())/1000, "live-p50-ms")
		b.ReportMetric(float64(adapter.delay[n*99/100].Microseconds())/1000, "live-p99-ms")
	}
}
