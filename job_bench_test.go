package neohook_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// BenchmarkRecover recovers b.N deliveries that failed at one endpoint, as fast as a job
// may, while another tenant publishes 50 events a second. It reports the delays of that
// one's, from publishing to arrival, while the job runs and before.
func BenchmarkRecover(b *testing.B) {
	st := openStore(b, b.TempDir())
	adapter := &gauge{instant: instant{want: int64(b.N), all: make(chan struct{})}}
	eng, err := neohook.New(b.Context(), st, neohook.Options{Adapter: adapter})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	var endpoints []webhook.Endpoint
	for _, uid := range []string{"acme", "other"} {
		if _, err := eng.CreateTenant(ctx, webhook.Tenant{UID: uid, Name: uid}); err != nil {
			b.Fatal(err)
		}
		made, err := eng.CreateEndpoint(ctx, webhook.TenantID(uid), webhook.Endpoint{URL: "http://127.0.0.1/"})
		if err != nil {
			b.Fatal(err)
		}
		endpoints = append(endpoints, made)
	}
	failBefore(b, st, "acme", b.N)
	ended := make(chan error, 1)
	go func() { ended <- eng.Run(ctx) }()
	calmly, stop := context.WithTimeout(ctx, 3*time.Second)
	publishLive(calmly, b, eng, "other")
	stop()
	calm := adapter.takeDelays()
	measuring, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { publishLive(measuring, b, eng, "other") })
	b.ResetTimer()
	before := usedCPU(b)
	_, err = eng.Recover(ctx, "acme", endpoints[0].ID, neohook.Window{Since: time.Now().Add(-24 * time.Hour), Rate: neohook.MaxJobRate})
	if err != nil {
		b.Fatal(err)
	}
	<-adapter.all
	b.StopTimer()
	b.ReportMetric(float64((usedCPU(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
	reportDelays(b, "calm", calm)
	reportDelays(b, "live", adapter.takeDelays())
	stop()
	running.Wait()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

func (g *gauge) takeDelays() []time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := g.delay
	g.delay = nil
	return taken
}

func reportDelays(b *testing.B, name string, delays []time.Duration) {
	b.Helper()
	slices.Sort(delays)
	if n := len(delays); n > 0 {
		b.ReportMetric(float64(delays[n/2].Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(delays[n*99/100].Microseconds())/1000, name+"-p99-ms")
	}
}

// failBefore stores deliveries to a tenant's endpoints that were exhausted an hour ago.
func failBefore(b *testing.B, st store.Store, tenant string, count int) {
	b.Helper()
	stored, err := st.TenantByUID(b.Context(), string(neohook.DefaultOrganisation), tenant)
	if err != nil {
		b.Fatal(err)
	}
	routes, err := st.Routes(b.Context(), stored.Key)
	if err != nil {
		b.Fatal(err)
	}
	at := time.Now().Add(-time.Hour)
	for n := 0; n < count; {
		batch, outcomes := store.Batch{Now: at}, store.Batch{Now: at}
		for ; n < count && len(batch.Accepts) < 1000; n++ {
			batch.Accepts = append(batch.Accepts, store.Accept{
				Tenant: stored.Key, RouteVersion: routes.Version, Type: "a", Payload: []byte(`{"n":1}`),
				Endpoints: []store.EndpointKey{routes.Endpoints[0].Key},
			})
		}
		verdicts, err := st.Commit(b.Context(), &batch)
		if err != nil {
			b.Fatal(err)
		}
		for _, verdict := range verdicts {
			outcomes.Outcomes = append(outcomes.Outcomes, store.Outcome{
				Tenant: stored.Key, Endpoint: routes.Endpoints[0].Key, Event: verdict.Event, State: webhook.Exhausted,
				Attempt: &store.Attempt{Number: 1, URL: "http://127.0.0.1/", StatusCode: 500, StartedAt: at, Duration: time.Millisecond},
			})
		}
		if _, err := st.Commit(b.Context(), &outcomes); err != nil {
			b.Fatal(err)
		}
	}
}
