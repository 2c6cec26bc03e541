package breaker

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Defaults of Options.
const (
	DefaultFailures = 5
	DefaultPause    = 30 * time.Second
	DefaultProbes   = 1
	DefaultMaxKeys  = 10_000
)

// Options of an Adapter. The zero value is the default; what is negative is the default too.
type Options struct {
	// Failures in a row that open a breaker; 0 is 5.
	Failures int
	// Pause is how long it is open until it lets a request through to see; 0 is 30 s.
	Pause time.Duration
	// Probes is how many such requests there are at once, and how many must succeed to
	// close it; 0 is 1. One that fails opens it again.
	Probes int
	// Key names the breaker of an endpoint; nil is ByEndpoint.
	Key func(*webhook.Endpoint) string
	// Judge says what a result tells of the receiver; nil is the function of that name.
	Judge func(*webhook.Result) Verdict
	// Changed, where it is set, is told of each change of a breaker, in order. It must be
	// quick and not use the Adapter.
	Changed func(Change)
	// MaxKeys bounds the breakers that are kept: those with a failure since their last
	// success. Past it, the one unused for longest is forgotten, which closes it. 0 is
	// 10,000.
	MaxKeys int
}

// Change is one of a breaker's state.
type Change struct {
	Key      string
	From, To State
}

// State of a breaker.
type State string

// The states of a breaker.
const (
	Closed   State = "closed"    // requests go through
	Open     State = "open"      // requests fail at once
	HalfOpen State = "half_open" // probes go through
)

// Verdict is what a result tells of the receiver.
type Verdict int

// The verdicts.
const (
	Good    Verdict = iota // it works
	Bad                    // it does not
	Neither                // the result tells nothing of it
)

// Judge takes for bad what may pass by itself: no answer, 429 and all of 5xx. Any other
// answer is good: the receiver works and knows what it wants. What came from this side
// is neither: a request that can't be made, is too large or is not allowed, an adapter that
// is closed, a caller who has gone.
func Judge(result *webhook.Result) Verdict {
	if result.Fault == nil || result.Fault.Kind == webhook.FaultAnswered {
		if result.StatusCode == http.StatusTooManyRequests || result.StatusCode >= http.StatusInternalServerError {
			return Bad
		}
		return Good
	}
	switch result.Fault.Code {
	case webhook.FaultInvalidRequest, webhook.FaultMessageTooLarge, webhook.FaultBlockedAddress,
		webhook.FaultClosed, webhook.FaultCancelled, FaultOpen:
		return Neither
	}
	return Bad
}

// ByEndpoint gives each endpoint a breaker of its own: by its ID, or by its URL where it
// has none.
func ByEndpoint(endpoint *webhook.Endpoint) string {
	return cmp.Or(string(endpoint.ID), endpoint.URL)
}

// ByHost gives the endpoints of one host and port a breaker together.
func ByHost(endpoint *webhook.Endpoint) string {
	parsed, err := url.Parse(endpoint.URL)
	if err != nil {
		return endpoint.URL
	}
	return parsed.Host
}

func (o Options) withDefaults() Options {
	o.Failures = cmp.Or(max(0, o.Failures), DefaultFailures)
	o.Pause = cmp.Or(max(0, o.Pause), DefaultPause)
	o.Probes = cmp.Or(max(0, o.Probes), DefaultProbes)
	o.MaxKeys = cmp.Or(max(0, o.MaxKeys), DefaultMaxKeys)
	if o.Key == nil {
		o.Key = ByEndpoint
	}
	if o.Judge == nil {
		o.Judge = Judge
	}
	return o
}
