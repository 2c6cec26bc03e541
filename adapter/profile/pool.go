package profile

import (
	"math"
	"time"
)

// maxPerHost is the most connections to one host that PoolSize gives.
const maxPerHost = 100

// PoolSize returns how many connections a load needs, for httpadapter.Options.PoolSize and
// PoolSizePerHost. By the rule of thumb these are as many as are busy on average, requests
// per second × time of a response, twice for safety; and a quarter of them to any one
// host, at most 100. Neither is below 1.
func PoolSize(requestsPerSecond float64, responseTime time.Duration) (total, perHost int) {
	size := requestsPerSecond * responseTime.Seconds() * 2
	switch {
	case !(size >= 1): // not a number, too
		total = 1
	case size >= math.MaxInt32:
		total = math.MaxInt32
	default:
		total = int(size)
	}
	return total, max(1, min(total/4, maxPerHost))
}
