package shop

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// arrivals is an adapter that tells when a delivery has arrived, which succeeds at once.
type arrivals chan time.Time

func (a arrivals) Deliver(context.Context, *webhook.Delivery, *webhook.Endpoint) webhook.Result {
	now := time.Now()
	a <- now
	return webhook.Result{Success: true, StatusCode: 204, URL: "https://acme.example/", StartedAt: now, CompletedAt: now}
}

func (a arrivals) Verify(context.Context, *webhook.Endpoint, []byte) webhook.Result {
	return webhook.Result{}
}

func (a arrivals) Health(context.Context) webhook.Health {
	return webhook.Health{Status: webhook.Healthy}
}

// BenchmarkArrival measures how long after the commit of an order its event arrives, where
// one node runs: told of the commit by itself, by another engine on the same database, which
// is no node, or by nobody.
func BenchmarkArrival(b *testing.B) {
	for _, way := range []struct {
		name           string
		another, tells bool
	}{{"told-here", false, true}, {"told-elsewhere", true, true}, {"not-told", true, false}} {
		b.Run(way.name, func(b *testing.B) {
			open, folder, arrived := openers["postgres"], b.TempDir(), make(arrivals, 1)
			running := open.open(b, folder, neohook.Options{Adapter: arrived})
			running.begin(b)
			running.run(b)
			from := running
			if way.another {
				from = open.open(b, folder, neohook.Options{Adapter: arrived})
			}
			took := make([]time.Duration, 0, b.N)
			number := 0
			tell := func() {
				number++
				committed, err := from.tell(b.Context(), number, way.tells)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, (<-arrived).Sub(committed))
			}
			tell() // once the node has taken its place
			took = took[:0]
			for b.Loop() {
				tell()
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
		})
	}
}

// tell stores an order with its event, and returns when that was committed.
func (s *shop) tell(ctx context.Context, number int, tells bool) (committed time.Time, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return committed, err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO app_order VALUES (%d)", number)); err != nil {
		return committed, err
	}
	receipt, err := s.eng.PublishTx(ctx, s.tx(tx), webhook.Event{Tenant: "acme", Type: "order.placed", Payload: payload})
	if err != nil {
		return committed, err
	}
	if err := tx.Commit(); err != nil {
		return committed, err
	}
	committed = time.Now()
	if tells {
		receipt.Committed()
	}
	return committed, nil
}
