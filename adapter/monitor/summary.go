package monitor

import (
	"encoding/json"
	"math"
	"time"

	"github.com/neohook/neohook/adapter"
	"github.com/neohook/neohook/adapter/httpadapter"
)

// Status says whether there is anything to tell.
type Status string

// The statuses.
const (
	NoRequests Status = "no_requests"
	Active     Status = "active"
)

// Metrics counts deliveries.
type Metrics struct {
	Total, Successful, Failed int64
	// ResponseTime is that of all together.
	ResponseTime time.Duration
}

func (m *Metrics) add(took time.Duration, success bool) {
	m.Total++
	if success {
		m.Successful++
	} else {
		m.Failed++
	}
	m.ResponseTime += took
}

// Summary is how an adapter has done. Its JSON form is described at MarshalJSON.
type Summary struct {
	Status  Status
	Metrics Metrics
	// SuccessRate is Successful over Total, to three places; 0 without requests.
	SuccessRate float64
	// AverageResponseTime is over all deliveries, failed ones too.
	AverageResponseTime time.Duration
	// P50 to P99 are the times within which so many in a hundred of the last 1,024
	// deliveries ended.
	P50, P90, P95, P99 time.Duration
	// Connections are the statistics of the adapter inside; nil where it has none.
	Connections *httpadapter.ConnectionStats
	// HighErrorRate is a success rate below 0.95.
	HighErrorRate bool
	// SlowResponses is an average above a second.
	SlowResponses bool
	// ConnectionIssues is a rate of connection errors above 0.1.
	ConnectionIssues bool
}

// connections is what an adapter with statistics can do.
type connections interface {
	ConnectionStats() httpadapter.ConnectionStats
}

// Summary tells how the adapter has done since New.
func (a *Adapter) Summary() Summary {
	a.mu.Lock()
	s := Summary{Status: NoRequests, Metrics: a.metrics}
	quantiles := a.recent.percentiles(0.5, 0.9, 0.95, 0.99)
	a.mu.Unlock()
	s.P50, s.P90, s.P95, s.P99 = quantiles[0], quantiles[1], quantiles[2], quantiles[3]
	if inside, ok := adapter.As[connections](a.inside); ok {
		stats := inside.ConnectionStats()
		s.Connections = &stats
	}
	if s.Metrics.Total == 0 {
		return s
	}
	s.Status = Active
	rate := float64(s.Metrics.Successful) / float64(s.Metrics.Total)
	s.SuccessRate = places(rate, 3)
	s.AverageResponseTime = s.Metrics.ResponseTime / time.Duration(s.Metrics.Total)
	s.HighErrorRate = rate < MinSuccessRate
	s.SlowResponses = s.AverageResponseTime > MaxAverageResponseTime
	s.ConnectionIssues = s.Connections != nil && s.Connections.ErrorRate > MaxConnectionErrorRate
	return s
}

// MarshalJSON writes the keys "status", "request_metrics" ("total_requests",
// "success_rate" to three places, "average_response_time_ms" to two),
// "connection_metrics" (those of httpadapter.ConnectionStats, or null) and
// "performance_indicators" ("high_error_rate", "slow_responses", "connection_issues").
//
// Without requests they are "status" and "metrics": "total_requests",
// "successful_requests", "failed_requests", "total_response_time_ms" and
// "connection_pool_stats", which is always empty.
func (s Summary) MarshalJSON() ([]byte, error) {
	if s.Status == NoRequests {
		return json.Marshal(noRequestsJSON{
			Status: s.Status, Metrics: metricsJSON{
				s.Metrics.Total, s.Metrics.Successful, s.Metrics.Failed, s.Metrics.ResponseTime.Milliseconds(), []struct{}{},
			},
		})
	}
	return json.Marshal(activeJSON{
		Status:      s.Status,
		Requests:    requestsJSON{s.Metrics.Total, s.SuccessRate, places(float64(s.AverageResponseTime)/float64(time.Millisecond), 2)},
		Connections: s.Connections,
		Indicators:  indicatorsJSON{s.HighErrorRate, s.SlowResponses, s.ConnectionIssues},
	})
}

type noRequestsJSON struct {
	Status  Status      `json:"status"`
	Metrics metricsJSON `json:"metrics"`
}

type metricsJSON struct {
	Total        int64      `json:"total_requests"`
	Successful   int64      `json:"successful_requests"`
	Failed       int64      `json:"failed_requests"`
	ResponseTime int64      `json:"total_response_time_ms"`
	Pool         []struct{} `json:"connection_pool_stats"`
}

type activeJSON struct {
	Status      Status                       `json:"status"`
	Requests    requestsJSON                 `json:"request_metrics"`
	Connections *httpadapter.ConnectionStats `json:"connection_metrics"`
	Indicators  indicatorsJSON               `json:"performance_indicators"`
}

type requestsJSON struct {
	Total        int64   `json:"total_requests"`
	SuccessRate  float64 `json:"success_rate"`
	ResponseTime float64 `json:"average_response_time_ms"`
}

type indicatorsJSON struct {
	HighErrorRate    bool `json:"high_error_rate"`
	SlowResponses    bool `json:"slow_responses"`
	ConnectionIssues bool `json:"connection_issues"`
}

func share(part, whole int) float64 { return places(float64(part)/float64(whole), 3) }

// places rounds to a number of decimal places.
func places(x float64, n int) float64 {
	scale := math.Pow10(n)
	return math.Round(x*scale) / scale
}
