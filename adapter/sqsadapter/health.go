package sqsadapter

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Stats counts since New. Health has them as its Details.
type Stats struct {
	// InFlight are the requests under way.
	InFlight int `json:"in_flight"`
	// Succeeded and Failed requests; of the failed those that were Throttled. A
	// verification is two requests, a health check one if there is a HealthQueue.
	Succeeded uint64 `json:"succeeded"`
	Failed    uint64 `json:"failed"`
	Throttled uint64 `json:"throttled"`
	// Refused are deliveries for which no request was made, as their URL, size or
	// attributes are wrong.
	Refused uint64 `json:"refused"`
}

type stats struct{ sent, failed, throttled, refused atomic.Uint64 }

// Stats returns the counts.
func (a *Adapter) Stats() Stats {
	inside, _ := a.users.state()
	return Stats{
		InFlight: inside, Succeeded: a.stats.sent.Load(), Failed: a.stats.failed.Load(),
		Throttled: a.stats.throttled.Load(), Refused: a.stats.refused.Load(),
	}
}

// Health looks for credentials, which may ask the provider for fresh ones, and asks for
// the attributes of Options.HealthQueue. It is unhealthy where either fails or the
// adapter was closed, and degraded where the queue is throttled. It takes no longer than
// Options.Timeout. Its Details are Stats.
func (a *Adapter) Health(ctx context.Context) webhook.Health {
	status, reason := a.condition(ctx)
	health := webhook.Health{Status: status, Details: a.Stats()}
	if reason != "" {
		health.Reasons = []string{reason}
	}
	return health
}

func (a *Adapter) condition(ctx context.Context) (status webhook.HealthStatus, reason string) {
	if _, closed := a.users.state(); closed {
		return webhook.Unhealthy, errClosed.Error()
	}
	if a.health == nil {
		ctx, cancel := context.WithTimeout(ctx, a.opts.Timeout)
		defer cancel()
		if _, err := a.opts.Config.Credentials.Retrieve(ctx); err != nil {
			return webhook.Unhealthy, fmt.Sprintf("there are no AWS credentials: %v", err)
		}
		return webhook.Healthy, ""
	}
	r, _ := a.ask(ctx, webhook.Result{StartedAt: time.Now()}, *a.health, a.opts.Timeout)
	switch {
	case r.Success:
		return webhook.Healthy, ""
	case r.Fault.Code == FaultThrottled:
		return webhook.Degraded, r.Fault.Message
	}
	return webhook.Unhealthy, fmt.Sprintf("the queue %s: %s", a.health.Name, r.Fault.Message)
}
