package neohook_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// instant is an adapter whose every delivery succeeds at once, so that what is measured
// is the engine and its store.
type instant struct {
	delivered atomic.Int64
	want      int64
	all       chan struct{}
}

func (a *instant) Deliver(context.Context, *webhook.Delivery, *webhook.Endpoint) webhook.Result {
	if a.delivered.Add(1) == a.want {
		close(a.all)
	}
	now := time.Now()
	return webhook.Result{Success: true, StatusCode: 204, URL: "http://127.0.0.1/", StartedAt: now, CompletedAt: now}
}

func (a *instant) Verify(context.Context, *webhook.Endpoint, []byte) webhook.Result {
	return webhook.Result{}
}

func (a *instant) Health(context.Context) webhook.Health {
	return webhook.Health{Status: webhook.Healthy}
}

// BenchmarkEngine publishes 1 KB events from 64 goroutines, each under a fresh Once, and
// waits until all are delivered and recorded, over SQLite and an adapter that costs
// nothing. "cpu-µs/op" is the whole process's.
func BenchmarkEngine(b *testing.B) {
	for _, endpoints := range []int{1, 3} {
		b.Run(fmt.Sprintf("endpoints=%d", endpoints), func(b *testing.B) { benchmarkEngine(b, endpoints) })
	}
}

func benchmarkEngine(b *testing.B, endpoints int) {
	adapter := &instant{want: int64(b.N * endpoints), all: make(chan struct{})}
	eng, err := neohook.New(b.Context(), openStore(b, b.TempDir()), neohook.Options{Adapter: adapter})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	go func() { ended <- eng.Run(ctx) }()
	if _, err := eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "acme"}); err != nil {
		b.Fatal(err)
	}
	for range endpoints {
		if _, err := eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{URL: "http://127.0.0.1/"}); err != nil {
			b.Fatal(err)
		}
	}
	payload := []byte(`{"pad":"` + strings.Repeat("x", 1000) + `"}`)
	var next atomic.Int64
	var publishers sync.WaitGroup
	b.ResetTimer()
	before := usedCPU(b)
	for range 64 {
		publishers.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				once := neohook.Once{Key: fmt.Sprintf("key-%d", n), Request: payload, KeepFor: 10 * time.Minute}
				if _, err := eng.Once(once).Publish(ctx, webhook.Event{Tenant: "acme", Type: "bench", Payload: payload}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	publishers.Wait()
	<-adapter.all
	cancel()
	if err := <-ended; err != nil { // what is left to record is recorded by then
		b.Fatal(err)
	}
	b.ReportMetric(float64((usedCPU(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func usedCPU(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
