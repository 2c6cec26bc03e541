package httpapi

import (
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/webhook"
)

func adapterOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "adapter.get", route: "GET /adapter",
			scope: operatorOnly, needs: access.View,
			summary: "Get how the part that sends is doing, and what its connections are like",
		}, getAdapter),
	}
}

// adapterOut is how the part that sends is doing. What an adapter does not tell is null.
type adapterOut struct {
	Status      webhook.HealthStatus `json:"status" is:"enum=healthy|degraded|unhealthy" doc:"The verdict. Degraded is that more than a tenth of the last minute's requests had connection errors, or that requests wait for a connection; unhealthy that more than half had."`
	Reasons     []string             `json:"reasons" doc:"Why the status is not healthy."`
	Pool        *poolOut             `json:"pool" doc:"The connections at this moment."`
	LastMinute  *lastMinuteOut       `json:"lastMinute" doc:"The requests of the last minute."`
	Connections *connectionsOut      `json:"connections" doc:"Counts since the server started."`
}

type poolOut struct {
	Open       int  `json:"open" doc:"Connections that are open, or being opened."`
	Idle       int  `json:"idle" doc:"Of them, those that nothing is sent on."`
	Waiting    int  `json:"waiting" doc:"Requests that wait for a connection."`
	Max        *int `json:"max" doc:"The most there may be; null is no limit."`
	MaxPerHost *int `json:"maxPerHost" doc:"The most there may be to one host; null is no limit."`
}

type lastMinuteOut struct {
	Requests         int64   `json:"requests" doc:"How many were made."`
	ConnectionErrors int64   `json:"connectionErrors" doc:"How many had no answer because of the connection."`
	ErrorRate        float64 `json:"errorRate" doc:"The share of those, from 0 to 1."`
	AverageMS        float64 `json:"averageMs" doc:"What a request took."`
	InFlight         int64   `json:"inFlight" doc:"Requests that are being made now."`
}

type connectionsOut struct {
	Requests         int64   `json:"requests" doc:"Requests that were made."`
	Reuses           int64   `json:"reuses" doc:"Requests on a connection that was open."`
	ReuseRate        float64 `json:"reuseRate" doc:"The share of those, from 0 to 1."`
	DNSCacheHits     int64   `json:"dnsCacheHits" doc:"Connections to a name that needed no look-up."`
	ConnectionErrors int64   `json:"connectionErrors" doc:"Requests without an answer because of the connection: look-up, TCP, TLS, a proxy, or one that broke."`
	ErrorRate        float64 `json:"errorRate" doc:"The share of those, from 0 to 1."`
	PoolExhausted    int64   `json:"poolExhausted" doc:"Requests that had to wait for a connection."`
}

func getAdapter(c *call, _, _ *none) (adapterOut, error) {
	health := c.api.engine.AdapterHealth(c.ctx())
	out := adapterOut{Status: health.Status, Reasons: health.Reasons}
	if report, ok := health.Details.(httpadapter.HealthReport); ok {
		pool, last, all := &report.Pool, &report.Performance, &report.Stats
		out.Pool = &poolOut{pool.Open, pool.Idle, pool.Waiting, unlessUnbounded(pool.TotalPoolSize), unlessUnbounded(pool.PerHostPoolSize)}
		out.LastMinute = &lastMinuteOut{last.Requests, last.ConnectionErrors, last.ErrorRate, last.AverageResponseTime, last.InFlight}
		out.Connections = &connectionsOut{
			all.TotalRequests, all.ConnectionReuses, all.ReuseRate, all.DNSCacheHits, all.ConnectionErrors, all.ErrorRate, all.PoolExhausted,
		}
	}
	return out, nil
}

// unlessUnbounded is null on the wire where an adapter has -1 for "no limit".
func unlessUnbounded(limit int) *int {
	if limit < 0 {
		return nil
	}
	return &limit
}
