package monitor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/neohook/neohook/webhook"
)

// The bounds past which something is wrong.
const (
	MinSuccessRate         = 0.95
	MaxAverageResponseTime = time.Second
	MaxConnectionErrorRate = 0.1
	// SlowResponse is logged.
	SlowResponse = time.Second
	// MaxErrorRate is logged, over the last ErrorRateWindow deliveries.
	MaxErrorRate    = 0.1
	ErrorRateWindow = 100
)

// Options of an Adapter. The zero value is the default.
type Options struct {
	// Logger takes the records; nil is silent.
	Logger *slog.Logger
}

// Adapter is an adapter that is watched. It is safe for concurrent use.
type Adapter struct {
	inside webhook.Adapter
	log    *slog.Logger

	mu      sync.Mutex
	metrics Metrics
	recent  recent
	ailing  bool // the high error rate was logged
}

// New watches an adapter.
func New(inside webhook.Adapter, o Options) *Adapter {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Adapter{inside: inside, log: o.Logger}
}

// Deliver delivers with the adapter inside, and takes note.
func (a *Adapter) Deliver(ctx context.Context, delivery *webhook.Delivery, endpoint *webhook.Endpoint) webhook.Result {
	begun, returned := time.Now(), false
	defer func() {
		if !returned { // a panic is a failure, and goes on
			a.count(ctx, time.Since(begun), false)
			a.log.ErrorContext(ctx, "webhook delivery panicked", about(delivery, endpoint)...)
		}
	}()
	result := a.inside.Deliver(ctx, delivery, endpoint)
	returned = true
	a.record(ctx, delivery, endpoint, &result)
	a.count(ctx, result.Duration(), result.Success)
	return result
}

// Verify verifies with the adapter inside. It is not counted.
func (a *Adapter) Verify(ctx context.Context, endpoint *webhook.Endpoint, payload []byte) webhook.Result {
	return a.inside.Verify(ctx, endpoint, payload)
}

// Health is that of the adapter inside.
func (a *Adapter) Health(ctx context.Context) webhook.Health { return a.inside.Health(ctx) }

// Unwrap returns the adapter inside.
func (a *Adapter) Unwrap() webhook.Adapter { return a.inside }

// count takes a delivery into the figures, and logs when too many of late have failed.
func (a *Adapter) count(ctx context.Context, took time.Duration, success bool) {
	a.mu.Lock()
	defer a.mu.Unlock() // logging under it keeps the records in order
	a.metrics.add(took, success)
	a.recent.add(took, success)
	failed, requests := a.recent.failures()
	switch high := float64(failed) > MaxErrorRate*float64(requests); {
	case high && !a.ailing:
		a.log.ErrorContext(ctx, "high error rate", "error_rate", share(failed, requests), "requests", requests)
	case !high && a.ailing:
		a.log.InfoContext(ctx, "error rate recovered", "error_rate", share(failed, requests), "requests", requests)
	default:
		return
	}
	a.ailing = !a.ailing
}
