package httpadapter

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/neohook/neohook/webhook"
)

// HealthReport is what HealthCheck tells.
type HealthReport struct {
	Status webhook.HealthStatus `json:"status"`
	// Reasons says why the status is not healthy.
	Reasons     []string        `json:"reasons,omitempty"`
	Pool        PoolHealth      `json:"connection_pool"`
	Performance Performance     `json:"performance"`
	Stats       ConnectionStats `json:"connection_stats"`
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

// Performance is of the last minute.
type Performance struct {
	Requests         int64 `json:"requests"`
	ConnectionErrors int64 `json:"connection_errors"`
	// ErrorRate is ConnectionErrors over Requests, to three places; 0 without requests.
	ErrorRate float64 `json:"error_rate"`
	// AverageResponseTime is in milliseconds, to two places; failures count too.
	AverageResponseTime float64 `json:"average_response_time_ms"`
	// InFlight requests now, those that wait for a place included.
	InFlight int64 `json:"in_flight"`
}

// Over this share of connection errors in the last minute an adapter is degraded, over
// the other unhealthy, if it made so many requests that the share says something.
const (
	degradedErrorRate  = 0.1
	unhealthyErrorRate = 0.5
	tellingRequests    = 10
)

// HealthCheck tells how the adapter is doing. It makes no request.
//
// The adapter is unhealthy when it is closed, or when more than half of the last
// minute's requests, 10 at least, had connection errors. It is degraded when more than a
// tenth had, or when requests wait for a connection at this moment.
func (a *Adapter) HealthCheck(context.Context) HealthReport {
	report := HealthReport{Stats: a.ConnectionStats(), Performance: a.stats.recent.performance(time.Now())}
	report.Performance.InFlight = max(0, a.users.Load())
	report.Pool.TotalPoolSize = max(-1, a.opts.PoolSize)
	report.Pool.PerHostPoolSize = max(-1, a.opts.PoolSizePerHost)
	report.Pool.Open, report.Pool.Idle, report.Pool.Waiting = a.pool.counts()
	report.judge(a.pool.isClosed())
	return report
}

func (r *HealthReport) judge(closed bool) {
	r.Status = webhook.Healthy
	if closed {
		r.Status, r.Reasons = webhook.Unhealthy, []string{errClosed.Error()}
		return
	}
	if share := r.Performance.ErrorRate; share > degradedErrorRate && r.Performance.Requests >= tellingRequests {
		r.Status = webhook.Degraded
		if share > unhealthyErrorRate {
			r.Status = webhook.Unhealthy
		}
		r.Reasons = append(r.Reasons, fmt.Sprintf("%.1f %% of the last minute's requests had connection errors", 100*share))
	}
	if r.Pool.Waiting > 0 {
		if r.Status == webhook.Healthy {
			r.Status = webhook.Degraded
		}
		r.Reasons = append(r.Reasons, fmt.Sprintf("%d requests wait for a connection", r.Pool.Waiting))
	}
}

// Health is HealthCheck in the form that all adapters share. Its Details are a
// HealthReport.
func (a *Adapter) Health(ctx context.Context) webhook.Health {
	report := a.HealthCheck(ctx)
	return webhook.Health{Status: report.Status, Reasons: report.Reasons, Details: report}
}

// window counts over the last minute, to ten seconds. The zero value is ready.
type window struct {
	mu     sync.Mutex
	slices [windowSlices]slice
}

const (
	windowSlices = 6
	sliceLength  = 10 * time.Second
)

type slice struct {
	number           int64 // of slices since 1970
	requests, errors int64
	took             time.Duration
}

func sliceNumber(at time.Time) int64 { return at.Unix() / int64(sliceLength/time.Second) }

func (w *window) add(at time.Time, took time.Duration, failed bool) {
	number := sliceNumber(at)
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.slices[number%windowSlices]
	if s.number != number {
		*s = slice{number: number}
	}
	s.requests++
	s.took += took
	if failed {
		s.errors++
	}
}

func (w *window) performance(now time.Time) (p Performance) {
	number := sliceNumber(now)
	var took time.Duration
	w.mu.Lock()
	for _, s := range w.slices {
		if s.number > number-windowSlices && s.number <= number {
			p.Requests += s.requests
			p.ConnectionErrors += s.errors
			took += s.took
		}
	}
	w.mu.Unlock()
	if p.Requests > 0 {
		p.ErrorRate = rate(p.ConnectionErrors, p.Requests)
		mean := took.Seconds() * 1000 / float64(p.Requests)
		p.AverageResponseTime = math.Round(mean*100) / 100
	}
	return p
}
