package webhook

import (
	"cmp"
	"fmt"
	"time"
)

// The bounds of a Retention's times, and of an event's own PayloadTTL.
const (
	MinRetention = 24 * time.Hour
	MaxRetention = 10 * 365 * 24 * time.Hour
	// MinPayloadTTL and MaxPayloadTTL bound what an event asks for itself.
	MinPayloadTTL = 5 * 24 * time.Hour
	MaxPayloadTTL = 90 * 24 * time.Hour
	// DefaultRetention is how long everything is kept where nobody says otherwise.
	DefaultRetention = 90 * 24 * time.Hour
)

// Retention is how long is kept what events leave behind, each time from MinRetention to
// MaxRetention; 0 is the engine's default. What has not ended is kept in any case.
type Retention struct {
	// Payloads go after this time since acceptance, and with them the possibility to send
	// the event again. It is at most Events.
	Payloads time.Duration
	// Attempts, with the answers, go after this time since they began. It is at most Events.
	Attempts time.Duration
	// Events, with how their deliveries ended, go after this time since acceptance.
	Events time.Duration
}

// WithDefaults returns what applies: the times of defaults in place of those that are 0,
// and nothing longer than Events.
func (r Retention) WithDefaults(defaults Retention) Retention {
	events := cmp.Or(r.Events, defaults.Events)
	return Retention{
		Payloads: min(events, cmp.Or(r.Payloads, defaults.Payloads)),
		Attempts: min(events, cmp.Or(r.Attempts, defaults.Attempts)),
		Events:   events,
	}
}

// Validate returns all that is wrong with a Retention, as *InvalidError, or nil.
func (r Retention) Validate() error {
	var bad InvalidError
	r.check(&bad)
	return bad.Err()
}

func (r Retention) check(bad *InvalidError) {
	for _, time := range []struct {
		field string
		is    time.Duration
	}{{"retention.payloads", r.Payloads}, {"retention.attempts", r.Attempts}, {"retention.events", r.Events}} {
		switch {
		case time.is == 0:
		case time.is < MinRetention || time.is > MaxRetention:
			bad.Add(time.field, fmt.Sprintf("must be between %d and %d days, or 0 for the default", days(MinRetention), days(MaxRetention)))
		case r.Events != 0 && time.is > r.Events:
			bad.Add(time.field, "must not be longer than events are kept")
		}
	}
}

func checkPayloadTTL(bad *InvalidError, ttl time.Duration) {
	if ttl != 0 && (ttl < MinPayloadTTL || ttl > MaxPayloadTTL) {
		bad.Add("payloadTTL", fmt.Sprintf("must be between %d and %d days, or 0 for the default", days(MinPayloadTTL), days(MaxPayloadTTL)))
	}
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }
