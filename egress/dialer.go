package egress

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// Dialer dials what its policy allows. It is safe for concurrent use.
type Dialer struct {
	policy  *policy
	cache   *cache
	timeout time.Duration
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
	return &Dialer{policy: p, cache: newCache(o), timeout: o.Timeout}, nil
}

// DialContext connects to address, "host:port" with the port in figures, for an
// http.Transport or anything else. Network is "tcp", "tcp4" or "tcp6". The host is
// looked up through the cache; each address found is judged when it is dialled, and
// those that the policy refuses are left out. When none is left the error is a
// *BlockedError. Every error is a *net.OpError: with a *BlockedError in it where the
// policy refused, a *net.DNSError where the look-up failed, net.ErrClosed after Close.
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
	t, err := parseTarget(address)
	told.Host = t.host
	if err != nil {
		return nil, err
	}
	if blocked := d.policy.host(t); blocked != nil {
		return nil, blocked
	}
	addrs, err := d.addresses(ctx, network, &t, told)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	told.Target = netip.AddrPortFrom(addrs[0], t.port)
	conn, to, err := race(ctx, addrs, func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
		return d.connect(ctx, &t, netip.AddrPortFrom(ip, t.port))
	})
	told.Connect = time.Since(begun)
	if err != nil {
		return nil, err
	}
	told.Target = netip.AddrPortFrom(to, t.port)
	if to != addrs[0] {
		d.cache.prefer(t.lookup(), to)
	}
	return conn, nil
}

// addresses returns those of the target that the network and the policy allow.
func (d *Dialer) addresses(ctx context.Context, network string, t *target, told *Dial) ([]netip.Addr, error) {
	addrs := []netip.Addr{t.ip}
	if told.Literal = t.ip.IsValid(); !told.Literal {
		begun := time.Now()
		var err error
		addrs, told.Cached, err = d.cache.resolve(ctx, t.lookup())
		told.Lookup = time.Since(begun)
		if err != nil {
			return nil, err
		}
	}
	var blocked *BlockedError
	ok := make([]netip.Addr, 0, len(addrs))
	for _, ip := range addrs {
		if network == "tcp4" && !ip.Unmap().Is4() || network == "tcp6" && ip.Unmap().Is4() {
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
		if at.Port() != t.port { // only what was judged
			return &BlockedError{Host: t.host, IP: at.Addr(), Port: at.Port(), Rule: RulePort}
		}
		if blocked := d.policy.address(t.host, at); blocked != nil {
			return blocked
		}
		return nil
	}}
	return dialer.DialContext(ctx, "tcp", to.String())
}

// Moved says whether host, a name as it was dialled, no longer leads to ip, by the cache
// or, where the cache has no answer or an old one, by a look-up. So an idle connection
// that Moved says true of can be closed; asked about each within every DNSCacheTTL, none
// outlives its host's move by more than twice that. An address as host never moves, and
// neither does a host whose look-up fails.
func (d *Dialer) Moved(ctx context.Context, host string, ip netip.Addr) bool {
	t, blocked := parseHost(host)
	if blocked != nil || t.ip.IsValid() {
		return false
	}
	addrs, _, err := d.cache.resolve(ctx, t.lookup())
	return err == nil && !slices.Contains(addrs, ip.Unmap())
}

// Stats returns the figures of the DNS cache.
func (d *Dialer) Stats() Stats { return d.cache.read() }

// Close ends the look-ups that are going on, waits for them, and makes every later
// DialContext of a name fail with net.ErrClosed. Connections stay open: they are the caller's.
func (d *Dialer) Close() error {
	d.cache.close()
	return nil
}
