package neohook

import (
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Counts is what happened in a time, by what was stored until the call. What Retention
// has let go of since is counted still, what was expunged is not.
type Counts struct {
	// From, inclusive, and To, exclusive, are the time that was counted.
	From, To time.Time
	// Events is how many a tenant has published: at an endpoint it is 0.
	Events int64
	// Deliveries were made of events from that time, also where they were made later.
	Deliveries int64
	// Attempts began in that time.
	Attempts AttemptCounts
	// Ended deliveries did so in that time.
	Ended EndingCounts
	// Latency tells how long the attempts took, in seconds; see Histogram.Quantile. Its
	// bounds go from 1 ms to 300 s, six to a power of ten.
	Latency Histogram
}

// AttemptCounts are attempts by what came of them.
type AttemptCounts struct {
	Succeeded, Failed int64
	// WithoutStatus had no answer, and ByClass is how many answers of each class failed:
	// 100, 200 (what came with it could not be read), 300, 400 and 500, and 0 for a status
	// of no class. Together they are Failed.
	WithoutStatus int64
	ByClass       map[int]int64
	// TimedOut and Throttled, by 429 or 503, are among Failed.
	TimedOut, Throttled int64
	// Manual is how many of all were asked for by somebody.
	Manual int64
}

// EndingCounts are deliveries by how they ended. Recovered ones are those of the other
// kinds that a manual send delivered later.
type EndingCounts struct {
	Succeeded, Exhausted, Cancelled int64
	Recovered                       int64
}

// latencyBounds are those of a Latency, in seconds.
var latencyBounds = func() []float64 {
	bounds := make([]float64, len(store.Latencies))
	for i, bound := range store.Latencies {
		bounds[i] = bound.Seconds()
	}
	return bounds
}()

func countsOf(from, to time.Time, c *store.Counts) Counts {
	out := Counts{
		From: from, To: to, Events: c[store.EventsAccepted], Deliveries: c[store.DeliveriesMade],
		Attempts: AttemptCounts{
			Succeeded: c[store.AttemptsSucceeded], WithoutStatus: c[store.AttemptsWithoutStatus],
			TimedOut: c[store.AttemptsTimedOut], Throttled: c[store.AttemptsThrottled], Manual: c[store.AttemptsManual],
			ByClass: make(map[int]int64),
		},
		Ended: EndingCounts{
			Succeeded: c[store.EndedSucceeded], Exhausted: c[store.EndedExhausted], Cancelled: c[store.EndedCancelled],
			Recovered: c[store.Recovered],
		},
		Latency: Histogram{Bounds: slices.Clone(latencyBounds), Sum: (time.Duration(c[store.AttemptMicroseconds]) * time.Microsecond).Seconds()},
	}
	a := &out.Attempts
	a.Failed = a.WithoutStatus
	for what, class := range map[store.Count]int{
		store.AttemptsFailed1xx: 100, store.AttemptsFailed2xx: 200, store.AttemptsFailed3xx: 300,
		store.AttemptsFailed4xx: 400, store.AttemptsFailed5xx: 500, store.AttemptsFailedOther: 0,
	} {
		if n := c[what]; n != 0 {
			a.ByClass[class] = n
			a.Failed += n
		}
	}
	for _, n := range c[store.LatencyFirst:] {
		out.Latency.Counts = append(out.Latency.Counts, uint64(max(0, n))) //nolint:gosec // not below 0
	}
	return out
}

// Span is a time to count in.
type Span struct {
	// From is inclusive, To exclusive; a zero To is now, a zero From DefaultSpan before
	// To. Both are widened to whole minutes if From is within the last two days, to whole
	// hours if it is within the last ninety, and else to whole days of UTC.
	From, To time.Time
}

// DefaultSpan is the length of a Span that does not say it.
const DefaultSpan = 28 * 24 * time.Hour

// Unit is a length of time that is counted by itself.
type Unit string

// The units. Minutes are kept for two days, hours for ninety, days, which are UTC's, for
// three years.
const (
	PerMinute Unit = "minute"
	PerHour   Unit = "hour"
	PerDay    Unit = "day"
)

var units = map[Unit]store.Unit{PerMinute: store.Minute, PerHour: store.Hour, PerDay: store.Day}

// fill puts the defaults in and checks the span.
func (s Span) fill(at time.Time) (Span, error) {
	if s.To.IsZero() {
		s.To = at
	}
	if s.From.IsZero() {
		s.From = s.To.Add(-DefaultSpan)
	}
	var bad webhook.InvalidError
	if !s.From.Before(s.To) {
		bad.Add("from", fmt.Sprintf("must be before to, which is %s", s.To.UTC().Format(time.RFC3339)))
	}
	if oldest := at.Add(-store.Day.Kept()); s.From.Before(oldest) {
		bad.Add("from", fmt.Sprintf("must not be before %s: what was counted then is gone", oldest.UTC().Format(time.RFC3339)))
	}
	return s, bad.Err()
}

// finest is the shortest unit that is kept for as long as a span is ago.
func (s Span) finest(at time.Time) store.Unit {
	for _, unit := range []store.Unit{store.Minute, store.Hour} {
		if !s.From.Before(oldest(unit, at)) {
			return unit
		}
	}
	return store.Day
}

// oldest is from when on all of a unit is there.
func oldest(unit store.Unit, at time.Time) time.Time {
	return unit.Start(at.Add(-unit.Kept())).Add(unit.Length())
}

// widen makes whole units of a span.
func (s Span) widen(unit store.Unit) Span {
	return Span{From: unit.Start(s.From), To: unit.Start(s.To.Add(unit.Length() - 1))}
}

// Quantile returns a value that so great a share of the values, 0 to 1, is not above, by
// drawing a line through the bucket that it is in. It is 0 where there are none, and the
// last bound for whatever is beyond that.
func (h *Histogram) Quantile(share float64) float64 {
	var all uint64
	for _, n := range h.Counts {
		all += n
	}
	below, rank := uint64(0), share*float64(all)
	for i, n := range h.Counts {
		if i == len(h.Bounds) {
			break
		}
		if n > 0 && float64(below+n) >= rank {
			low := 0.0
			if i > 0 {
				low = h.Bounds[i-1]
			}
			return low + (h.Bounds[i]-low)*max(0, rank-float64(below))/float64(n)
		}
		below += n
	}
	if all == 0 || len(h.Bounds) == 0 {
		return 0
	}
	return h.Bounds[len(h.Bounds)-1]
}
