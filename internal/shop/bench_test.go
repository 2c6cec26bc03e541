package shop

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// instant is an adapter whose every delivery succeeds at once.
type instant struct {
	left atomic.Int64
	all  chan struct{}
}

func (a *instant) Deliver(context.Context, *webhook.Delivery, *webhook.Endpoint) webhook.Result {
	if a.left.Add(-1) == 0 {
		close(a.all)
	}
	now := time.Now()
	return webhook.Result{Success: true, StatusCode: 204, URL: "https://acme.example/", StartedAt: now, CompletedAt: now}
}

func (a *instant) Verify(context.Context, *webhook.Endpoint, []byte) webhook.Result {
	return webhook.Result{}
}

func (a *instant) Health(context.Context) webhook.Health {
	return webhook.Health{Status: webhook.Healthy}
}

// BenchmarkOrders stores orders from 16 goroutines, with an event of 1 KB each, and waits
// until all are delivered: within the transaction of the order, after it by Publish, and
// events without orders. "alone" is orders without events.
func BenchmarkOrders(b *testing.B) {
	ways := []struct {
		name  string
		told  bool
		order func(ctx context.Context, s *shop, number int64) error
	}{
		{"alone", false, func(ctx context.Context, s *shop, number int64) error { return s.alone(ctx, number) }},
		{"publish", true, func(ctx context.Context, s *shop, _ int64) error { return s.publish(ctx) }},
		{"then-publish", true, func(ctx context.Context, s *shop, number int64) error {
			if err := s.alone(ctx, number); err != nil {
				return err
			}
			return s.publish(ctx)
		}},
		{"publish-tx", true, func(ctx context.Context, s *shop, number int64) error { return s.together(ctx, number) }},
	}
	for name, open := range openers {
		for _, way := range ways {
			b.Run(name+"/"+way.name, func(b *testing.B) {
				adapter := &instant{all: make(chan struct{})}
				adapter.left.Store(int64(b.N))
				s := open.open(b, b.TempDir(), neohook.Options{Adapter: adapter})
				s.db.SetMaxIdleConns(16)
				s.begin(b)
				s.run(b)
				var next atomic.Int64
				var running sync.WaitGroup
				b.ResetTimer()
				for range 16 {
					running.Go(func() {
						for number := next.Add(1); number <= int64(b.N); number = next.Add(1) {
							if err := way.order(b.Context(), s, number); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				running.Wait()
				if way.told {
					<-adapter.all
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
			})
		}
	}
}

func (s *shop) alone(ctx context.Context, number int64) error {
	_, err := s.db.ExecContext(ctx, fmt.Sprintf("INSERT INTO app_order VALUES (%d)", number))
	return err
}

func (s *shop) publish(ctx context.Context) error {
	_, err := s.eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "order.placed", Payload: payload})
	return err
}

func (s *shop) together(ctx context.Context, number int64) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO app_order VALUES (%d)", number)); err != nil {
		return err
	}
	receipt, err := s.eng.PublishTx(ctx, s.tx(tx), webhook.Event{Tenant: "acme", Type: "order.placed", Payload: payload})
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	receipt.Committed()
	return nil
}
