package webhook

import (
	"net/netip"
	"time"
)

// Result is what came of one attempt.
type Result struct {
	// Success says that the destination took the delivery: for HTTP a status of 2xx, for
	// a verification one below 500.
	Success bool
	// Attempt is the delivery's attempt number.
	Attempt     int
	URL         string
	Method      string
	StartedAt   time.Time
	CompletedAt time.Time
	// StatusCode of the answer; 0 where there was none.
	StatusCode int
	// Header holds every value of the answer's header fields, by canonical name.
	Header map[string][]string
	// Body is the beginning of the answer's body, after decompression. BodyTruncated says
	// that there was more.
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
	// Fault says why there is no HTTP answer, or none that could be read to its end; nil
	// where there is.
	Fault *Fault
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
)

// FaultCode is the exact cause of a Fault, stable for programs to compare.
type FaultCode string

// The causes. An adapter may have more of its own.
const (
	FaultDNS                 FaultCode = "dns"
	FaultRefused             FaultCode = "refused"
	FaultReset               FaultCode = "reset"
	FaultUnreachable         FaultCode = "unreachable"
	FaultConnectTimeout      FaultCode = "connect_timeout"
	FaultTLS                 FaultCode = "tls"
	FaultTLSExpired          FaultCode = "tls_expired"
	FaultTLSUnknownAuthority FaultCode = "tls_unknown_authority"
	FaultTLSHostname         FaultCode = "tls_hostname"
	FaultBlockedAddress      FaultCode = "blocked_address"
	FaultProxy               FaultCode = "proxy"
	FaultResponseTimeout     FaultCode = "response_timeout"
	FaultBodyTooSlow         FaultCode = "body_too_slow"
	FaultBodyTooLarge        FaultCode = "body_too_large"
	FaultMalformedResponse   FaultCode = "malformed_response"
	FaultHeadersTooLarge     FaultCode = "headers_too_large"
	FaultInvalidRequest      FaultCode = "invalid_request" // the endpoint or payload can't be sent as it is
	FaultCancelled           FaultCode = "cancelled"       // the caller's context ended
	FaultClosed              FaultCode = "closed"          // the adapter was closed
	FaultOther               FaultCode = "other"
)

// Fault says why an attempt has no answer. It is an error and can be unwrapped.
type Fault struct {
	Kind FaultKind
	Code FaultCode
	// Message is a sentence for people. It holds no secret and no payload.
	Message string
	// Cause is the error below, or nil.
	Cause error
}

// Error returns the message.
func (f *Fault) Error() string { return f.Message }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Cause }
