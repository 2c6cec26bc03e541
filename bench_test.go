package neohook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
// nothing. "cpu-µs/op" is the whole process's. Batches are published by four.
func BenchmarkEngine(b *testing.B) {
	for _, endpoints := range []int{1, 3} {
		b.Run(fmt.Sprintf("endpoints=%d", endpoints), func(b *testing.B) { benchmarkEngine(b, endpoints, 64, 1) })
	}
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { benchmarkEngine(b, 1, 4, size) })
	}
}

func benchmarkEngine(b *testing.B, endpoints, publishers, size int) {
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
	var running sync.WaitGroup
	events := slices.Repeat([]webhook.Event{{Tenant: "acme", Type: "bench", Payload: payload}}, size)
	b.ResetTimer()
	before := usedCPU(b)
	for range publishers {
		running.Go(func() {
			for n := int(next.Add(1)) - 1; n*size < b.N; n = int(next.Add(1)) - 1 {
				org := eng.Once(neohook.Once{Key: fmt.Sprintf("key-%d", n), Request: payload, KeepFor: 10 * time.Minute})
				if err := publishSome(ctx, org, events[:min(size, b.N-n*size)]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	running.Wait()
	<-adapter.all
	cancel()
	if err := <-ended; err != nil { // what is left to record is recorded by then
		b.Fatal(err)
	}
	b.ReportMetric(float64((usedCPU(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func publishSome(ctx context.Context, org *neohook.Organisation, events []webhook.Event) error {
	if cap(events) == 1 {
		_, err := org.Publish(ctx, events[0])
		return err
	}
	results, err := org.PublishBatch(ctx, "acme", events)
	for i := range results {
		err = errors.Join(err, results[i].Err)
	}
	return err
}

func usedCPU(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
