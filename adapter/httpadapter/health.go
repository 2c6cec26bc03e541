package httpadapter

import (
	"context"

	"github.com/neohook/neohook/webhook"
)

// HealthReport is what HealthCheck tells.
type HealthReport struct {
	Status  webhook.HealthStatus `json:"status"`
	Reasons []string             `json:"reasons,omitempty"`
	Pool    PoolHealth           `json:"connection_pool"`
	Stats   ConnectionStats      `json:"performance"`
}

// PoolHealth is the state of the connections.
type PoolHealth struct {
	// TotalPoolSize and PerHostPoolSize are the limits; -1 is none.
	TotalPoolSize   int `json:"total_pool_size"`
	PerHostPoolSize int `json:"per_host_pool_size"`
	// Open connections, those being opened included; Idle ones; requests Waiting for one.
	Open    int `json:"open"`
	Idle    int `json:"idle"`
	Waiting int `json:"waiting"`
}

// HealthCheck tells how the adapter is doing. It makes no request.
func (a *Adapter) HealthCheck(context.Context) HealthReport {
	report := HealthReport{Status: webhook.Healthy, Stats: a.ConnectionStats()}
	report.Pool.TotalPoolSize = max(-1, a.opts.PoolSize)
	report.Pool.PerHostPoolSize = max(-1, a.opts.PoolSizePerHost)
	report.Pool.Open, report.Pool.Idle, report.Pool.Waiting = a.pool.counts()
	switch {
	case a.pool.isClosed():
		report.Status, report.Reasons = webhook.Unhealthy, []string{errClosed.Error()}
	case report.Pool.Waiting > 0:
		report.Status, report.Reasons = webhook.Degraded, []string{"requests wait for a connection"}
	}
	return report
}

// Health is HealthCheck in the form that all adapters share; its Details are a
// HealthReport.
func (a *Adapter) Health(ctx context.Context) webhook.Health {
	report := a.HealthCheck(ctx)
	return webhook.Health{Status: report.Status, Reasons: report.Reasons, Details: report}
}
