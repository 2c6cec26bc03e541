package httpadapter

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

// Options of an Adapter. The zero value is the default.
type Options struct {
	// Timeout of a request whose endpoint names none, from the look-up of the host to
	// the last byte of the answer; 0 is 30 s. Waiting for one of the MaxConcurrent places
	// is not part of it, waiting for a connection is.
	Timeout time.Duration
	// ConnectTimeout is the part of it in which the connection must stand: look-up, TCP,
	// the proxy's part and TLS. 0 is a third of the timeout, at most 10 s. It never
	// exceeds the timeout.
	ConnectTimeout time.Duration

	// MaxConcurrent bounds the requests at any one time; 0 is 10, negative is no bound.
	// More wait for their turn, for as long as their context allows.
	MaxConcurrent int
	// PoolSize bounds the open connections; 0 is 100, negative is no bound. Where all
	// are taken an idle one to another host gives way, else the request waits.
	PoolSize int
	// PoolSizePerHost bounds the open connections to one host and port; 0 is 30,
	// negative is no bound.
	PoolSizePerHost int
	// KeepAlive is how long a connection may wait for its next request; 0 is 30 s,
	// negative gives each request a connection of its own. A receiver that announces a
	// shorter time (Keep-Alive: timeout=5) is believed.
	KeepAlive time.Duration

	// DNSCacheTTL is how long the answer to a look-up is used; 0 is 300 s, negative looks
	// up for every connection. With a Dialer of your own, tell it the same.
	DNSCacheTTL time.Duration
	// NoCleanup leaves connections that their receivers have closed until they are to be
	// used again or KeepAlive has passed, and does not close those whose host has got
	// other addresses. By default both are gone within one DNSCacheTTL.
	NoCleanup bool

	// Egress decides what may be dialled, and through which proxy; the zero value is public
	// addresses only. Its DNSCacheTTL and Timeout, where they are 0, are those of these Options.
	Egress egress.Options
	// Dialer, where it is not nil, opens the connections in place of one made of Egress.
	// Any other than an *egress.Dialer must itself judge the addresses that it is told to
	// dial by strangers. The adapter does not close it.
	Dialer Dialer

	// TLS is what connections to https URLs start from: roots, client certificates,
	// server name. nil is the system's roots. Versions before 1.2 and
	// InsecureSkipVerify without a VerifyConnection are refused. It must not change any more.
	TLS *tls.Config
	// TLSFor gives an endpoint settings of its own, in place of TLS; where it returns nil
	// they are those of TLS. Endpoints share connections if they share the pointer, so it
	// returns the same one each time. It must be safe for concurrent use.
	TLSFor func(*webhook.Endpoint) *tls.Config
	// Protocol is that of endpoints that name none; "" lets the two sides agree.
	Protocol webhook.Protocol

	// MaxBodyBytes is how much of an answer's body is kept; 0 is 10,240, negative is nothing.
	MaxBodyBytes int
	// MaxResponseBytes is how much of it is read, on the wire and after decompression, so
	// that the connection can be used again; 0 is 1 MiB. An answer that is longer
	// is a failure, webhook.FaultBodyTooLarge. It is never less than MaxBodyBytes.
	MaxResponseBytes int64
	// MaxHeaderBytes bounds the answer's header; 0 is 64 KiB.
	MaxHeaderBytes int
	// NoCompression stops asking for compressed answers.
	NoCompression bool

	// UserAgent is the field of that name; "" is "Neohook/" and the version.
	UserAgent string
	// SvixHeaders repeats the signature's fields under the names that Svix gives them.
	SvixHeaders bool
	// InfoHeaders adds webhook-event-type, webhook-delivery-id and webhook-attempt. They
	// are not signed.
	InfoHeaders bool
}

// Dialer opens connections. It is safe for concurrent use. An *egress.Dialer is one.
type Dialer interface {
	// DialContext connects to "host:port".
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// MovingDialer is a Dialer that knows when a host has other addresses than it had.
type MovingDialer interface {
	Dialer
	// Moved says whether host no longer leads to ip.
	Moved(ctx context.Context, host string, ip netip.Addr) bool
}

// Defaults of Options.
const (
	DefaultTimeout          = webhook.DefaultTimeout
	DefaultMaxConcurrent    = 10
	DefaultPoolSize         = 100
	DefaultPoolSizePerHost  = 30
	DefaultKeepAlive        = 30 * time.Second
	DefaultDNSCacheTTL      = 300 * time.Second
	DefaultMaxBodyBytes     = 10 << 10
	DefaultMaxResponseBytes = 1 << 20
	DefaultMaxHeaderBytes   = 64 << 10
)

const maxConnectTimeout = 10 * time.Second

func (o Options) withDefaults() (Options, error) {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.MaxConcurrent = cmp.Or(o.MaxConcurrent, DefaultMaxConcurrent)
	o.PoolSize = cmp.Or(o.PoolSize, DefaultPoolSize)
	o.PoolSizePerHost = cmp.Or(o.PoolSizePerHost, DefaultPoolSizePerHost)
	o.KeepAlive = cmp.Or(o.KeepAlive, DefaultKeepAlive)
	o.DNSCacheTTL = cmp.Or(o.DNSCacheTTL, o.Egress.DNSCacheTTL, DefaultDNSCacheTTL)
	o.Egress.DNSCacheTTL = cmp.Or(o.Egress.DNSCacheTTL, o.DNSCacheTTL)
	o.Egress.Timeout = cmp.Or(o.Egress.Timeout, -1) // ConnectTimeout bounds it
	o.MaxBodyBytes = max(0, cmp.Or(o.MaxBodyBytes, DefaultMaxBodyBytes))
	o.MaxResponseBytes = max(cmp.Or(o.MaxResponseBytes, DefaultMaxResponseBytes), int64(o.MaxBodyBytes))
	o.MaxHeaderBytes = cmp.Or(o.MaxHeaderBytes, DefaultMaxHeaderBytes)
	if o.UserAgent == "" {
		o.UserAgent = defaultUserAgent()
	}
	if o.Timeout < 0 || o.ConnectTimeout < 0 || o.MaxHeaderBytes < 0 {
		return o, errors.New("httpadapter: Timeout, ConnectTimeout and MaxHeaderBytes can't be negative")
	}
	if err := checkProtocol(o.Protocol); err != nil {
		return o, fmt.Errorf("httpadapter: Protocol: %w", err)
	}
	if err := webhook.CheckHeaderValue(o.UserAgent); err != nil {
		return o, fmt.Errorf("httpadapter: UserAgent: %w", err)
	}
	if err := checkTLS(o.TLS); err != nil {
		return o, fmt.Errorf("httpadapter: TLS: %w", err)
	}
	return o, nil
}

// connectTimeout is the part of timeout in which a connection must stand.
func (o *Options) connectTimeout(timeout time.Duration) time.Duration {
	if o.ConnectTimeout > 0 {
		return min(o.ConnectTimeout, timeout)
	}
	return min(maxConnectTimeout, timeout/3)
}

// cleanupEvery is short beside DNSCacheTTL, so that what a sweep finds, and what the look-up
// that it causes finds, is done within one.
func (o *Options) cleanupEvery() time.Duration {
	const share, least = 20, 100 * time.Millisecond
	if o.NoCleanup {
		return -1
	}
	if o.DNSCacheTTL < 0 {
		return DefaultDNSCacheTTL / share
	}
	return max(least, o.DNSCacheTTL/share)
}

func checkProtocol(protocol webhook.Protocol) error {
	switch protocol {
	case "", webhook.HTTP1, webhook.HTTP2:
		return nil
	}
	return fmt.Errorf("%q is neither %q nor %q", protocol, webhook.HTTP1, webhook.HTTP2)
}

func checkTLS(config *tls.Config) error {
	switch {
	case config == nil:
		return nil
	case config.InsecureSkipVerify && config.VerifyConnection == nil:
		return errors.New("InsecureSkipVerify needs a VerifyConnection: certificates are always verified")
	case config.MinVersion != 0 && config.MinVersion < tls.VersionTLS12,
		config.MaxVersion != 0 && config.MaxVersion < tls.VersionTLS12:
		return errors.New("versions before TLS 1.2 are not spoken")
	}
	return nil
}
