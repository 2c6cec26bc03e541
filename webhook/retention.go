package webhook

import "time"

// The bounds of a Retention's times, and of an event's own PayloadTTL.
const (
	MinRetention = 24 * time.Hour
	MaxRetention = 10 * 365 * 24 * time.Hour
	// MinPayloadTTL and MaxPayloadTTL bound what an event asks for itself.
	MinPayloadTTL = 5 * 24 * time.Hour
	MaxPayloadTTL = 90 * 24 * time.Hour
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
