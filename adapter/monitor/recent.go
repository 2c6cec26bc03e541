package monitor

import (
	"math"
	"slices"
	"time"
)

// recent are the last deliveries, in a ring.
type recent struct {
	took     []time.Duration
	failed   []bool
	next     int // where the next goes, and, once the ring is full, the oldest is
	inWindow int // failures among the last ErrorRateWindow
}

const ringSize = 1024

func (r *recent) add(took time.Duration, success bool) {
	if r.took == nil {
		r.took, r.failed = make([]time.Duration, 0, ringSize), make([]bool, 0, ringSize)
	}
	if len(r.failed) >= ErrorRateWindow && r.failed[(r.next-ErrorRateWindow+ringSize)%ringSize] {
		r.inWindow-- // it leaves the window
	}
	if !success {
		r.inWindow++
	}
	if len(r.took) < ringSize {
		r.took, r.failed = append(r.took, took), append(r.failed, !success)
	} else {
		r.took[r.next], r.failed[r.next] = took, !success
	}
	r.next = (r.next + 1) % ringSize
}

// failures returns how many failed of the last ErrorRateWindow, or of those there were.
func (r *recent) failures() (failed, of int) {
	return r.inWindow, min(len(r.failed), ErrorRateWindow)
}

// percentiles returns, for each share, the time within which that share of the deliveries
// ended: the nearest rank. Shares are above 0 and at most 1.
func (r *recent) percentiles(shares ...float64) []time.Duration {
	sorted := slices.Sorted(slices.Values(r.took))
	out := make([]time.Duration, len(shares))
	for i, share := range shares {
		if len(sorted) > 0 {
			rank := int(math.Ceil(share * float64(len(sorted)))) // from 1
			out[i] = sorted[rank-1]
		}
	}
	return out
}
