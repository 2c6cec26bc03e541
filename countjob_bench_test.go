package neohook_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/webhook"
)

// BenchmarkCount counts over b.N tenants, each with an endpoint and an event, as jobs do:
// what was made for them in 28 days, and what they listen to.
func BenchmarkCount(b *testing.B) {
	eng, stop := start(b, openStore(b, b.TempDir()), neohook.Options{Adapter: memadapter.New()})
	defer stop()
	ctx := b.Context()
	for n := range b.N {
		tenant := webhook.TenantID(fmt.Sprint("tenant-", n))
		if _, err := eng.CreateTenant(ctx, webhook.Tenant{UID: string(tenant), Name: "x"}); err != nil {
			b.Fatal(err)
		}
		if _, err := eng.CreateEndpoint(ctx, tenant, webhook.Endpoint{URL: "http://127.0.0.1/"}); err != nil {
			b.Fatal(err)
		}
		if _, err := eng.Publish(ctx, webhook.Event{Tenant: tenant, Type: "a", Payload: []byte("{}")}); err != nil {
			b.Fatal(err)
		}
	}
	for name, begin := range map[string]func(context.Context) (webhook.Job, error){
		"usage": func(ctx context.Context) (webhook.Job, error) { return eng.CountUsage(ctx, nil, neohook.Span{}) },
		"types": eng.CountSubscriptions,
	} {
		begun := time.Now()
		job, err := begin(ctx)
		for err == nil && job.State == webhook.JobRunning {
			<-time.After(time.Millisecond)
			job, err = eng.Job(ctx, job.ID)
		}
		if err != nil || len(job.Usage)+len(job.Subscriptions) != b.N {
			b.Fatalf("%+v, %v", job, err)
		}
		b.ReportMetric(float64(time.Since(begun).Microseconds())/float64(b.N), name+"-µs/tenant")
	}
}
