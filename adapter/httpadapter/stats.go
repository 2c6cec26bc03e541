package httpadapter

import (
	"math"
	"sync/atomic"

	"github.com/neohook/neohook/webhook"
)

// ConnectionStats counts since the adapter was made.
type ConnectionStats struct {
	// TotalRequests are those that were tried: deliveries, verifications and tests of
	// connectivity. What could not be sent as it was is none.
	TotalRequests int64 `json:"total_requests"`
	// ConnectionReuses are those that went out on a connection that was open.
	ConnectionReuses int64 `json:"connection_reuses"`
	// DNSCacheHits are dials to a name that needed no look-up.
	DNSCacheHits int64 `json:"dns_cache_hits"`
	// ConnectionErrors are requests without an HTTP answer because of the connection:
	// DNS, TCP, TLS, a proxy, or a connection that broke. A receiver that is too slow to
	// answer, an address that policy blocks and a cancelled request are not among them.
	ConnectionErrors int64 `json:"connection_errors"`
	// PoolExhausted are requests that had to wait for one of the MaxConcurrent places or
	// for a connection.
	PoolExhausted int64 `json:"pool_exhausted_count"`
	// ReuseRate and ErrorRate are ConnectionReuses and ConnectionErrors over
	// TotalRequests, to three places; 0 where there were no requests.
	ReuseRate float64 `json:"connection_reuse_rate"`
	ErrorRate float64 `json:"error_rate"`
}

// ConnectionStats returns the counts. Each is exact; between two of them a request may
// end.
func (a *Adapter) ConnectionStats() ConnectionStats {
	s := ConnectionStats{ // the parts before the whole, so that no rate exceeds 1
		ConnectionReuses: a.stats.reuses.Load(), DNSCacheHits: a.stats.dnsHits.Load(),
		ConnectionErrors: a.stats.errors.Load(), PoolExhausted: a.stats.exhausted.Load(),
	}
	s.TotalRequests = a.stats.total.Load()
	s.ReuseRate = rate(s.ConnectionReuses, s.TotalRequests)
	s.ErrorRate = rate(s.ConnectionErrors, s.TotalRequests)
	return s
}

func rate(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return math.Round(float64(part)/float64(whole)*1000) / 1000
}

type stats struct {
	total, reuses, dnsHits, errors, exhausted atomic.Int64
	recent                                    window
}

func (s *stats) count(x *exchange, result *webhook.Result) {
	if !x.made {
		return
	}
	s.total.Add(1)
	if x.reused {
		s.reuses.Add(1)
	}
	if x.dnsHit {
		s.dnsHits.Add(1)
	}
	if x.exhausted {
		s.exhausted.Add(1)
	}
	failed := result.StatusCode == 0 && result.Fault != nil && isConnectionError(result.Fault.Code)
	if failed {
		s.errors.Add(1)
	}
	s.recent.add(result.CompletedAt, result.Duration(), failed)
}

func isConnectionError(code webhook.FaultCode) bool {
	switch code {
	case webhook.FaultDNS, webhook.FaultRefused, webhook.FaultReset, webhook.FaultUnreachable,
		webhook.FaultConnectTimeout, webhook.FaultPoolExhausted, webhook.FaultProxy,
		webhook.FaultTLS, webhook.FaultTLSExpired, webhook.FaultTLSUnknownAuthority,
		webhook.FaultTLSHostname, webhook.FaultTLSVersion, webhook.FaultTLSRefused,
		webhook.FaultTLSNotSpoken:
		return true
	}
	return false
}
