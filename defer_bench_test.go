package neohook_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// gauge tells of deliveries by their payloads: those that say "live", and the others.
type gauge struct {
	instant
	mu    sync.Mutex
	delay []time.Duration // from the time in a live payload to its arrival
}

func (g *gauge) Deliver(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
	if at, err := time.Parse(time.RFC3339Nano, string(d.Payload)); err == nil {
		g.mu.Lock()
		g.delay = append(g.delay, time.Since(at))
		g.mu.Unlock()
		now := time.Now()
		return webhook.Result{Success: true, StatusCode: 204, URL: ep.URL, StartedAt: now, CompletedAt: now}
	}
	return g.instant.Deliver(ctx, d, ep)
}

// BenchmarkDeferredComeDueAtOnce has b.N events come due at the same instant, those of 100
// endpoints of as many tenants, while another tenant publishes 50 events a second. It
// reports the delays of that one's, from publishing to arrival, and the heap at its
// largest.
func BenchmarkDeferredComeDueAtOnce(b *testing.B) {
	st := openStore(b, b.TempDir())
	adapter := &gauge{instant: instant{want: int64(b.N), all: make(chan struct{})}}
	eng, err := neohook.New(b.Context(), st, neohook.Options{Adapter: adapter})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	const tenants = 100
	var routes []store.Routes
	for i := range tenants + 1 {
		uid := fmt.Sprint("tenant-", i)
		made, err := eng.CreateTenant(ctx, webhook.Tenant{UID: uid, Name: uid})
		if err == nil {
			_, err = eng.CreateEndpoint(ctx, made.ID, webhook.Endpoint{URL: "http://127.0.0.1/"})
		}
		if err != nil {
			b.Fatal(err)
		}
		stored, err := st.TenantByUID(ctx, string(neohook.DefaultOrganisation), uid)
		if err != nil {
			b.Fatal(err)
		}
		of, err := st.Routes(ctx, stored.Key)
		if err != nil {
			b.Fatal(err)
		}
		routes = append(routes, of)
	}
	due := time.Now()
	for n := 0; n < b.N; {
		batch := store.Batch{Now: due}
		for ; n < b.N && len(batch.Accepts) < 1000; n++ {
			of := routes[n%tenants]
			batch.Accepts = append(batch.Accepts, store.Accept{
				Tenant: of.Tenant.Key, RouteVersion: of.Version, Type: "a", DeliverAt: due, Payload: []byte(`{"n":1}`),
			})
		}
		if _, err := st.Commit(ctx, &batch); err != nil {
			b.Fatal(err)
		}
	}
	var running sync.WaitGroup
	var heap uint64
	measuring, stop := context.WithCancel(ctx)
	running.Go(func() { heap = largestHeap(measuring) })
	b.ResetTimer()
	before := usedCPU(b)
	ended := make(chan error, 1)
	go func() { ended <- eng.Run(ctx) }()
	running.Go(func() { publishLive(measuring, b, eng, fmt.Sprint("tenant-", tenants)) })
	<-adapter.all
	stop()
	running.Wait()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64((usedCPU(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(heap)/(1<<20), "heap-MiB")
	slices.Sort(adapter.delay)
	if n := len(adapter.delay); n > 0 {
		b.ReportMetric(float64(adapter.delay[n/2].Microseconds())/1000, "live-p50-ms")
		b.ReportMetric(float64(adapter.delay[n*99/100].Microseconds())/1000, "live-p99-ms")
	}
}

func largestHeap(ctx context.Context) (largest uint64) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		largest = max(largest, m.HeapInuse)
		select {
		case <-ctx.Done():
			return largest
		case <-ticker.C:
		}
	}
}

func publishLive(ctx context.Context, b *testing.B, eng *neohook.Engine, tenant string) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		payload := time.Now().Format(time.RFC3339Nano)
		if _, err := eng.Publish(context.WithoutCancel(ctx), webhook.Event{Tenant: webhook.TenantID(tenant), Type: "live", Payload: []byte(payload)}); err != nil {
			b.Error(err)
		}
	}
}
