package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A cache keeps the answers of a resolver. Each look-up runs once however many dials
// wait for it, in a goroutine that ends with the look-up.
type cache struct {
	resolver    Resolver
	ttl         time.Duration // negative: keep nothing
	failureTTL  time.Duration
	maxHosts    int
	maxAnswers  int
	lookupLimit time.Duration

	lookups sync.WaitGroup

	mu      sync.Mutex
	answers map[string]*answer
	flights map[string]*flight
	closed  bool

	refreshes uint64
}

// An answer is what a look-up gave. It is not changed once in the map, but replaced.
type answer struct {
	addrs   []netip.Addr // in the order to try
	err     error
	refresh time.Time // a use after this looks up anew in the background
	expires time.Time
}

// A flight is a look-up that is going on.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when answer is set
	answer *answer
}

func newCache(o Options) *cache {
	return &cache{
		resolver: o.Resolver, ttl: o.DNSCacheTTL, failureTTL: min(failureTTL, o.DNSCacheTTL),
		maxHosts: o.DNSCacheHosts, maxAnswers: maxAddresses, lookupLimit: lookupTimeout,
		answers: map[string]*answer{}, flights: map[string]*flight{},
	}
}

// resolve returns the addresses of a host in the order to try them, at least one, and
// whether they were there without waiting. The slice is shared: it is not to be changed.
func (c *cache) resolve(ctx context.Context, host string) (addrs []netip.Addr, cached bool, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, false, net.ErrClosed
	}
	now := time.Now()
	if a := c.answers[host]; a != nil && now.Before(a.expires) {
		if now.After(a.refresh) && c.flights[host] == nil {
			c.refreshes++
			c.start(ctx, host)
		}
		c.mu.Unlock()
		return a.addrs, true, a.err
	}
	f := c.flights[host]
	if f == nil {
		f = c.start(ctx, host)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.answer.addrs, false, f.answer.err
	case <-ctx.Done():
		return nil, false, lookupError(host, ctx.Err())
	}
}

// start begins a look-up; c.mu is held. It serves every dial that waits for it and the
// cache, so it outlives the context of the one that came first, bounded by lookupLimit
// and close, and takes nothing of that context's values along.
func (c *cache) start(ctx context.Context, host string) *flight {
	ctx, cancel := context.WithTimeout(bare{context.WithoutCancel(ctx)}, c.lookupLimit)
	f := &flight{cancel: cancel, done: make(chan struct{})}
	c.flights[host] = f
	c.lookups.Go(func() {
		defer cancel()
		c.finish(host, f, c.ask(ctx, host))
	})
	return f
}

// bare is a context without values.
type bare struct{ context.Context } //nolint:containedctx // it is one

func (bare) Value(any) any { return nil }

func (c *cache) finish(host string, f *flight, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, host)
	if c.closed {
		a = &answer{err: net.ErrClosed}
	}
	f.answer = a
	close(f.done)
	if c.closed || c.ttl < 0 {
		return
	}
	now := time.Now()
	old := c.answers[host]
	if a.err != nil && old != nil && old.err == nil && now.Before(old.expires) {
		// A refresh that failed: what is known holds until it expires.
		kept := *old
		kept.refresh = now.Add(c.failureTTL)
		c.answers[host] = &kept
		return
	}
	ttl := c.ttl
	if a.err != nil {
		ttl = c.failureTTL
	}
	a.expires = now.Add(ttl)
	a.refresh = a.expires
	if a.err == nil {
		a.refresh = now.Add(ttl - ttl/refreshFraction)
	}
	if old == nil {
		c.makeRoom(now)
	}
	c.answers[host] = a
}

// makeRoom evicts an answer if the cache is full; c.mu is held. Of a few, which the map
// gives at random, it takes the one that expires first.
func (c *cache) makeRoom(now time.Time) {
	if len(c.answers) < c.maxHosts {
		return
	}
	const sample = 16
	var victim string
	var first time.Time
	seen := 0
	for host, a := range c.answers {
		if seen == 0 || a.expires.Before(first) {
			victim, first = host, a.expires
		}
		if seen++; seen == sample || !now.Before(a.expires) {
			break
		}
	}
	delete(c.answers, victim)
}

// ask does one look-up.
func (c *cache) ask(ctx context.Context, host string) *answer {
	found, err := c.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return &answer{err: lookupError(host, err)}
	}
	addrs := make([]netip.Addr, 0, len(found))
	for _, ip := range found {
		ip = ip.Unmap()
		if ip.IsValid() && !slices.Contains(addrs, ip) {
			addrs = append(addrs, ip)
		}
		if len(addrs) == c.maxAnswers {
			break
		}
	}
	if len(addrs) == 0 {
		return &answer{err: &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}}
	}
	return &answer{addrs: interleave(addrs)}
}

// lookupError makes any error of a look-up a *net.DNSError.
func lookupError(host string, err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return &net.DNSError{
		UnwrapErr: err, Err: err.Error(), Name: host,
		IsTimeout: errors.Is(err, context.DeadlineExceeded), IsTemporary: true,
	}
}

// interleave keeps the resolver's order (RFC 6724) within each family and alternates
// between them, beginning with the family of the first (RFC 8305, section 4).
func interleave(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, 0, len(addrs))
	var rest [2][]netip.Addr // those of the first one's family, the others
	for _, ip := range addrs {
		family := 0
		if ip.Is4() != addrs[0].Is4() {
			family = 1
		}
		rest[family] = append(rest[family], ip)
	}
	for len(rest[0])+len(rest[1]) > 0 {
		for i := range rest {
			if len(rest[i]) > 0 {
				out = append(out, rest[i][0])
				rest[i] = rest[i][1:]
			}
		}
	}
	return out
}

// prefer puts an address of a host first for as long as the answer that named it holds:
// the ones before it did not connect (RFC 8305, section 4, on history).
func (c *cache) prefer(host string, ip netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.answers[host]
	if a == nil {
		return
	}
	if at := slices.Index(a.addrs, ip); at > 0 {
		moved := *a
		moved.addrs = slices.Concat([]netip.Addr{ip}, a.addrs[:at], a.addrs[at+1:])
		c.answers[host] = &moved
	}
}

func (c *cache) figures() (refreshes uint64, hosts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refreshes, len(c.answers)
}

func (c *cache) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// close ends the look-ups that are going on and waits for them.
func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	clear(c.answers)
	for _, f := range c.flights {
		f.cancel()
	}
	c.mu.Unlock()
	c.lookups.Wait()
}
