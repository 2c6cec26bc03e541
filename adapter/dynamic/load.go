package dynamic

import (
	"cmp"
	"math"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
)

// Load is what the traffic is like.
type Load struct {
	// RequestsPerSecond; 0 is 10.
	RequestsPerSecond float64
	// ErrorRate is the share of requests that fail, 0 to 1.
	ErrorRate float64
	// ResponseTime is the average; 0 is 500 ms.
	ResponseTime time.Duration
}

// What Load is where it is not known.
const (
	DefaultRequestsPerSecond = 10
	DefaultResponseTime      = 500 * time.Millisecond
)

// Settings returns base with what the load asks for, by these rules:
//
//   - above 100 requests per second, MaxConcurrent is half of them, at most 50, and
//     PoolSize three times as many, at most 500;
//   - above an error rate of 0.1, Timeout is doubled, to 60 s at most;
//   - above a response time of 2 s, KeepAlive is 60 s and DNSCacheTTL 120 s.
//
// What base leaves at 0 is 30 s for Timeout, 10 for MaxConcurrent and 100 for PoolSize.
//
// The rule for slow responses comes from the original adapter documentation, which calls
// that keep-alive a shorter one. It is shorter than that of a busy configuration and
// longer than the default of 30 s. The number is kept.
func Settings(load Load, base httpadapter.Options) httpadapter.Options {
	base.Timeout = cmp.Or(base.Timeout, httpadapter.DefaultTimeout)
	base.MaxConcurrent = cmp.Or(base.MaxConcurrent, httpadapter.DefaultMaxConcurrent)
	base.PoolSize = cmp.Or(base.PoolSize, httpadapter.DefaultPoolSize)
	if rate := cmp.Or(load.RequestsPerSecond, DefaultRequestsPerSecond); rate > 100 {
		base.MaxConcurrent = int(math.Floor(min(50, rate/2)))
		base.PoolSize = int(math.Floor(min(500, rate*3)))
	}
	if load.ErrorRate > 0.1 {
		base.Timeout = min(60*time.Second, base.Timeout*2)
	}
	if cmp.Or(load.ResponseTime, DefaultResponseTime) > 2*time.Second {
		base.KeepAlive = 60 * time.Second
		base.DNSCacheTTL = 120 * time.Second
	}
	return base
}

// numbers are what Settings sets; an adapter is exchanged when one of them changes.
type numbers struct {
	timeout, keepAlive, dnsCacheTTL time.Duration
	maxConcurrent, poolSize         int
}

func numbersOf(o *httpadapter.Options) numbers {
	return numbers{
		timeout: o.Timeout, keepAlive: o.KeepAlive, dnsCacheTTL: o.DNSCacheTTL,
		maxConcurrent: o.MaxConcurrent, poolSize: o.PoolSize,
	}
}
