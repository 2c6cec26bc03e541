package egress

import (
	"context"
	"net/netip"
	"time"
)

// Dial tells how a call of DialContext went.
type Dial struct {
	// Host as it was asked for, without the port.
	Host string
	// Target is the address that was connected to, or that the proxy was told to connect
	// to; after an error, the first that was tried, or the zero AddrPort.
	Target netip.AddrPort
	// Proxied says that the connection goes through Options.Proxy.
	Proxied bool
	// Literal says that the host was an address: there was nothing to look up.
	Literal bool
	// Cached says that the look-up was answered from the cache.
	Cached bool
	// Lookup and Connect are how long the parts took. Connect has the proxy's part in it.
	Lookup, Connect time.Duration
	// Err is what DialContext returned.
	Err error
}

type traceKey struct{}

// WithTrace returns a context whose dials are told to done: once each, before
// DialContext returns and from its goroutine. An http.Transport hands the values of a
// request's context on to the dial that the request caused.
//
// A trace of net/http/httptrace gets its Connect hooks called, and not its DNS hooks: a
// look-up is shared by dials and kept.
func WithTrace(ctx context.Context, done func(Dial)) context.Context {
	return context.WithValue(ctx, traceKey{}, done)
}

// Stats counts since New.
type Stats struct {
	// Hits are dials whose look-up was answered from the cache, Misses those that had to
	// wait for a look-up of their own or another's. A dial of an address is neither.
	Hits, Misses uint64
	// Refreshes are look-ups in the background, of hosts in use, before their answer
	// expired.
	Refreshes uint64
	// Hosts are those in the cache now.
	Hosts int
}
