package webhook

import (
	"net/url"
	"slices"
	"time"
)

// Defaults and limits of an endpoint.
const (
	DefaultMethod  = "POST"
	DefaultTimeout = 30 * time.Second
	MinTimeout     = time.Second
	MaxTimeout     = 300 * time.Second
)

// Endpoint is a receiver: where a tenant wants to be told, of what, and how.
type Endpoint struct {
	ID     EndpointID
	Tenant TenantID
	// UID is the caller's own name for the endpoint, unique in its tenant; "" is none.
	UID string
	// Name is for people; adapters report it and do nothing else with it.
	Name        string
	Description string
	// URL is absolute, http or https. A user and password in it go out as HTTP Basic,
	// unless Headers has an Authorization.
	URL string
	// Method of the request; "" is POST.
	Method string
	// Secret signs each request. RetiringSecrets sign beside it until they expire, so
	// that a receiver can change over in its own time.
	Secret          Secret
	RetiringSecrets []RetiringSecret
	// Headers are added to each request.
	Headers map[string]string
	// Protocol narrows the version of HTTP; "" lets the two sides agree.
	Protocol Protocol
	// Timeout of an attempt, from the look-up to the last byte of the answer,
	// 1 s to 300 s; 0 is 30 s.
	Timeout time.Duration
	// Disabled stops deliveries; the engine neither routes nor sends to the endpoint.
	Disabled bool
	// Paused keeps what is for the endpoint waiting: its deliveries are made, and sent
	// once it is resumed.
	Paused bool
	// EventTypes are those the endpoint hears of; empty is all.
	EventTypes []string
	// Channels narrows further: an event must share one; empty is no narrowing.
	Channels []string
	// RateLimit bounds the attempts per second, 1 to 65,535; 0 is no limit.
	RateLimit int
	// Concurrency is how many attempts may be in flight at once, 1 to 1,000; 0 is the
	// engine's default.
	Concurrency int
	// Ordered endpoints get events strictly in the order of acceptance, one attempt at a
	// time whatever the Concurrency: the next one waits until the one before has
	// succeeded or ended. An event that was deferred takes its place when it is due, and
	// manual sends keep to no order.
	Ordered bool
	// Schedule is the endpoint's own waits between attempts, at most 20 of at most 7 days;
	// nil is the engine's, and empty but not nil a single attempt. Backoff.Schedule makes
	// one of growing waits.
	Schedule Schedule
	// FinalStatuses are those, of 300 to 599, after which a delivery is not tried again:
	// it is Exhausted. 410 always ends it, and 2xx is success.
	FinalStatuses []int
	// Version is the caller's own, 1 or more; 0 is 1.
	Version int
	// Metadata is the caller's own; its JSON text is at most 4,096 bytes.
	Metadata  map[string]string
	CreatedBy UserID
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Protocol is a version of HTTP.
type Protocol string

// The protocols an endpoint can ask for. With neither, HTTP/1.1 is spoken without TLS,
// and with TLS what the receiver prefers of the two.
const (
	// HTTP1 is preferred: HTTP/2 is spoken only with a receiver that offers nothing else.
	HTTP1 Protocol = "http/1.1"
	// HTTP2 is spoken from the first byte where there is no TLS (h2c, with prior
	// knowledge), and is the only version offered where there is.
	HTTP2 Protocol = "http/2"
)

// RetiringSecret is a key that was replaced and still signs for a while.
type RetiringSecret struct {
	Secret  Secret
	Expires time.Time
}

// ShownURL is the URL without its password, as a Result tells it; "" where it can't be
// read.
func (ep *Endpoint) ShownURL() string {
	parsed, err := url.Parse(ep.URL)
	switch {
	case err != nil:
		return ""
	case parsed.User == nil:
		return ep.URL
	}
	return parsed.Redacted()
}

// Hears says whether an event of this type and these channels is for the endpoint. A
// disabled endpoint hears nothing.
func (ep *Endpoint) Hears(eventType string, channels []string) bool {
	if ep.Disabled {
		return false
	}
	if len(ep.EventTypes) > 0 && !slices.Contains(ep.EventTypes, eventType) {
		return false
	}
	return len(ep.Channels) == 0 || slices.ContainsFunc(channels, func(channel string) bool {
		return slices.Contains(ep.Channels, channel)
	})
}

// SigningSecrets returns the keys that sign at the instant now: the current one, then
// those retiring and not expired, soonest to expire first. There are none where the
// endpoint has no Secret.
func (ep *Endpoint) SigningSecrets(now time.Time) []Secret {
	if ep.Secret == "" {
		return nil
	}
	secrets := []Secret{ep.Secret}
	if len(ep.RetiringSecrets) == 0 {
		return secrets
	}
	retiring := slices.Clone(ep.RetiringSecrets)
	slices.SortStableFunc(retiring, func(a, b RetiringSecret) int { return a.Expires.Compare(b.Expires) })
	for _, old := range retiring {
		if now.Before(old.Expires) {
			secrets = append(secrets, old.Secret)
		}
	}
	return secrets
}
