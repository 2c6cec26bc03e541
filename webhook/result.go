package webhook

import (
	"cmp"
	"net/netip"
	"time"
)

// Result is what came of one attempt. Its JSON form is described at MarshalJSON; in Go
// every value can be reached.
type Result struct {
	// Success says that the destination took the delivery: for HTTP a status of 2xx, for
	// a verification one below 500. Where it is true, Fault is nil.
	Success bool
	// Attempt is the delivery's attempt number.
	Attempt int
	// URL is where the request went, without a password.
	URL         string
	Method      string
	StartedAt   time.Time
	CompletedAt time.Time
	// StatusCode of the answer; 0 where there was none.
	StatusCode int
	// Header holds every value of the answer's header fields, by canonical name.
	Header map[string][]string
	// Body is the beginning of the answer's body, after decompression. BodyTruncated says
	// that there was more; text is then cut between two characters.
	Body          []byte
	BodyTruncated bool
	// ConnectionReused says that the request went out on a connection that was open.
	ConnectionReused bool
	// CompressionUsed says that the answer was compressed.
	CompressionUsed bool
	// RetryAfter is how long the receiver asked to be left alone (RFC 9110, 10.2.3);
	// 0 where it did not.
	RetryAfter time.Duration
	// Protocol is "HTTP/1.1" or "HTTP/2.0"; "" where there was no answer.
	Protocol string
	// RemoteAddr is the peer the request was sent to: a proxy's, where there is one.
	RemoteAddr netip.AddrPort
	// Timings are the parts of the time taken.
	Timings Timings
	// BytesSent and BytesReceived are of bodies, as on the wire.
	BytesSent, BytesReceived int64
	// Fault says why there is no answer, or none that could be read to its end (then
	// StatusCode, Header and Body hold what did come); nil where there is one. A
	// destination whose refusals have codes has a Fault of the kind FaultAnswered.
	Fault *Fault
}

// NotMade is the Result of an attempt that was not made, for the reason in fault. It serves
// adapters. The delivery and the endpoint say which attempt it was and where it would have
// gone; either may be nil, and a verification has no delivery.
func NotMade(delivery *Delivery, endpoint *Endpoint, fault *Fault) Result {
	now := time.Now()
	result := Result{Attempt: 1, StartedAt: now, CompletedAt: now, Fault: fault}
	if delivery != nil {
		result.Attempt = max(1, delivery.Attempt)
	}
	if endpoint != nil {
		result.URL, result.Method = endpoint.ShownURL(), cmp.Or(endpoint.Method, DefaultMethod)
	}
	return result
}

// Duration is the time from the start of the attempt to its completion.
func (r *Result) Duration() time.Duration { return r.CompletedAt.Sub(r.StartedAt) }

// Timings are the phases of an attempt; 0 for one that did not happen, as on a reused
// connection.
type Timings struct {
	DNS       time.Duration // look-up of the host
	Connect   time.Duration // TCP, or to the proxy
	TLS       time.Duration // handshake
	FirstByte time.Duration // from the request written to the first byte of the answer
	Total     time.Duration
}

// FaultKind is the coarse class of a Fault.
type FaultKind string

// The kinds of fault.
const (
	// FaultTimeout is a limit of time that passed.
	FaultTimeout FaultKind = "timeout"
	// FaultClient is any other failure to get an answer.
	FaultClient FaultKind = "client_error"
	// FaultAnswered is an answer that is the failure: its StatusCode tells whether to try
	// again, as without a Fault, and the Fault's Code why, which a status can't.
	FaultAnswered FaultKind = "http_error"
)

// Phase is a part of an attempt.
type Phase string

// The phases, in their order.
const (
	PhasePrepare  Phase = "prepare"  // judging the endpoint, signing
	PhaseWait     Phase = "wait"     // for a free connection
	PhaseDNS      Phase = "dns"      // look-up of the host
	PhaseConnect  Phase = "connect"  // TCP, and the proxy's part
	PhaseTLS      Phase = "tls"      // handshake
	PhaseRequest  Phase = "request"  // sending
	PhaseResponse Phase = "response" // from the request sent to the end of the answer's header
	PhaseBody     Phase = "body"     // of the answer
)

// FaultCode is the exact cause of a Fault, stable for programs to compare.
type FaultCode string

// The causes. An adapter may have more of its own.
const (
	FaultDNS                 FaultCode = "dns"                   // the host has no address, or the look-up failed
	FaultRefused             FaultCode = "refused"               // nothing listens there
	FaultReset               FaultCode = "reset"                 // the connection was closed before the answer's end
	FaultUnreachable         FaultCode = "unreachable"           // no route to the host or network
	FaultConnectTimeout      FaultCode = "connect_timeout"       // connection or TLS handshake
	FaultPoolExhausted       FaultCode = "pool_exhausted"        // no connection became free in time
	FaultTLS                 FaultCode = "tls"                   // any other failure of the handshake
	FaultTLSExpired          FaultCode = "tls_expired"           // certificate not valid any more, or not yet
	FaultTLSUnknownAuthority FaultCode = "tls_unknown_authority" // certificate not signed by a trusted root
	FaultTLSHostname         FaultCode = "tls_hostname"          // certificate of another host
	FaultTLSVersion          FaultCode = "tls_version"           // the receiver offers only versions before 1.2
	FaultTLSRefused          FaultCode = "tls_refused"           // the receiver refused us, as for want of a client certificate
	FaultTLSNotSpoken        FaultCode = "tls_not_spoken"        // what answered does not speak TLS
	FaultBlockedAddress      FaultCode = "blocked_address"       // the egress policy said no
	FaultProxy               FaultCode = "proxy"                 // the proxy refused or failed
	FaultRequestTimeout      FaultCode = "request_timeout"       // the receiver did not take the request in time
	FaultResponseTimeout     FaultCode = "response_timeout"      // no answer in time
	FaultBodyTooSlow         FaultCode = "body_too_slow"         // an answer that did not end in time
	FaultBodyTooLarge        FaultCode = "body_too_large"        // an answer longer than is read
	FaultMalformedResponse   FaultCode = "malformed_response"    // not HTTP, or broken compression
	FaultHeadersTooLarge     FaultCode = "headers_too_large"     // of the answer
	FaultInvalidRequest      FaultCode = "invalid_request"       // the endpoint or payload can't be sent as it is
	FaultMessageTooLarge     FaultCode = "message_too_large"     // not sent: more than the destination takes
	FaultCancelled           FaultCode = "cancelled"             // the caller's context ended
	FaultClosed              FaultCode = "closed"                // the adapter was closed
	FaultOther               FaultCode = "other"
)

// Fault says why an attempt has no answer. It is an error and can be unwrapped.
type Fault struct {
	Kind FaultKind
	Code FaultCode
	// Phase is where it happened; "" where an adapter does not tell.
	Phase Phase
	// Message is a sentence for people. It holds no secret and no payload.
	Message string
	// Cause is the error below, or nil.
	Cause error
}

// Error returns the message.
func (f *Fault) Error() string { return f.Message }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Cause }
