package egress

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Dialer dials what its policy allows. It is safe for concurrent use.
type Dialer struct {
	policy  *policy
	cache   *cache
	proxy   *proxy // nil: none
	timeout time.Duration

	hits, misses atomic.Uint64
}

// New returns a Dialer, or an error that names the option that is wrong. It starts
// nothing.
func New(o Options) (*Dialer, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	p, err := newPolicy(o)
	if err != nil {
		return nil, err
	}
	c := newCache(o)
	via, err := newProxy(o, c)
	if err != nil {
		return nil, err
	}
	return &Dialer{policy: p, cache: c, proxy: via, timeout: o.Timeout}, nil
}

// DialContext connects to address, "host:port" with the port in figures, for an
// http.Transport or anything else. Network is "tcp", "tcp4" or "tcp6". The host is
// looked up through the cache; each address found is judged when it is dialled, and
// those that the policy refuses are left out. When none is left the error is a
// *BlockedError. Every error is a *net.OpError: with a *BlockedError in it where the
// policy refused, a *net.DNSError where the look-up failed, a *ProxyError where the
// proxy did, net.ErrClosed after Close.
//
// An http.Transport that uses it must have a nil Proxy: else it would ask for the
// proxy's address and the target's would not be judged.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.timeout)
		defer cancel()
	}
	told := Dial{}
	conn, err := d.dial(ctx, network, address, &told)
	if err != nil {
		err = opError(network, err)
	}
	if done, ok := ctx.Value(traceKey{}).(func(Dial)); ok {
		told.Err = err
		done(told)
	}
	return conn, err
}

func opError(network string, err error) error {
	if op, ok := err.(*net.OpError); ok { //nolint:errorlint // one that wraps it is wrapped again
		return op
	}
	return &net.OpError{Op: "dial", Net: network, Err: err}
}

func (d *Dialer) dial(ctx context.Context, network, address string, told *Dial) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, net.UnknownNetworkError(network)
	}
	if d.cache.isClosed() {
		return nil, net.ErrClosed
	}
	t, err := parseTarget(address)
	told.Host = t.host
	if err != nil {
		return nil, err
	}
	if blocked := d.policy.host(t); blocked != nil {
		return nil, blocked
	}
	via := d.proxy
	if via != nil && via.bypass.hasHost(&t) {
		via = nil
	}
	if via != nil && via.resolves && !t.ip.IsValid() {
		told.Proxied = true
		defer stopwatch(&told.Connect)()
		return via.connect(ctx, net.JoinHostPort(t.lookup(), strconv.Itoa(int(t.port))))
	}
	addrs, err := d.addresses(ctx, network, &t, told)
	if err != nil {
		return nil, err
	}
	defer stopwatch(&told.Connect)()
	conn, to, err := race(ctx, addrs, func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
		to := netip.AddrPortFrom(ip, t.port)
		if via != nil && !via.bypass.hasAddress(ip) {
			return via.connect(ctx, netip.AddrPortFrom(ip.WithZone(""), t.port).String()) // a zone is this machine's own
		}
		return d.connect(ctx, &t, to)
	})
	told.Target = netip.AddrPortFrom(to, t.port)
	told.Proxied = via != nil && !via.bypass.hasAddress(to)
	if err == nil && to != addrs[0] {
		d.cache.prefer(t.lookup(), to)
	}
	return conn, err
}

// stopwatch starts now; the function it returns stores the time since.
func stopwatch(took *time.Duration) func() {
	begun := time.Now()
	return func() { *took = time.Since(begun) }
}

// addresses returns those of the target that the network and the policy allow.
func (d *Dialer) addresses(ctx context.Context, network string, t *target, told *Dial) ([]netip.Addr, error) {
	addrs := []netip.Addr{t.ip}
	if told.Literal = t.ip.IsValid(); !told.Literal {
		var err error
		stop := stopwatch(&told.Lookup)
		addrs, told.Cached, err = d.cache.resolve(ctx, t.lookup())
		stop()
		if told.Cached {
			d.hits.Add(1)
		} else {
			d.misses.Add(1)
		}
		if err != nil {
			return nil, err
		}
	}
	var blocked *BlockedError
	ok := make([]netip.Addr, 0, len(addrs))
	for _, ip := range addrs {
		if network == "tcp4" && !ip.Is4() || network == "tcp6" && ip.Is4() {
			continue
		}
		if b := d.policy.address(t.host, netip.AddrPortFrom(ip, t.port)); b == nil {
			ok = append(ok, ip)
		} else if blocked == nil {
			blocked = b
		}
	}
	switch {
	case len(ok) > 0:
		return ok, nil
	case blocked != nil:
		return nil, blocked
	}
	return nil, &net.AddrError{Err: "no address for network " + network, Addr: t.host}
}

// connect opens a connection to one address. Control judges what the operating system
// is about to be asked for, whatever came before.
func (d *Dialer) connect(ctx context.Context, t *target, to netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if blocked := d.policy.address(t.host, at); blocked != nil {
			return blocked
		}
		return nil
	}}
	return dialer.DialContext(ctx, "tcp", to.String())
}

// Moved says whether host, as it was dialled, no longer leads to ip, for closing
// connections that are kept open. It asks the cache, which looks up when its answer is
// missing or old. Asked every twentieth of DNSCacheTTL, it tells within one DNSCacheTTL
// that a host has moved. An address as host does not move, and a host whose look-up
// fails has not. Of a host whose DNS answers with other addresses each time, those that
// the last answer left out are taken for left.
func (d *Dialer) Moved(ctx context.Context, host string, ip netip.Addr) bool {
	t, blocked := parseHost(host)
	if blocked != nil || t.ip.IsValid() {
		return false
	}
	addrs, _, err := d.cache.resolve(ctx, t.lookup())
	return err == nil && !slices.Contains(addrs, ip.Unmap())
}

// Stats returns the figures of the DNS cache.
func (d *Dialer) Stats() Stats {
	refreshes, hosts := d.cache.figures()
	return Stats{Hits: d.hits.Load(), Misses: d.misses.Load(), Refreshes: refreshes, Hosts: hosts}
}

// Close ends the look-ups that are going on, waits for them, and makes every later
// DialContext fail with net.ErrClosed. Connections stay open: they are the caller's, and
// so are dials that are past their look-up.
func (d *Dialer) Close() error {
	d.cache.close()
	return nil
}
