package httpadapter

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/neohook/neohook/webhook"
)

var (
	errClosed = errors.New("the adapter is closed")
	// errNoConnection is a wait for a connection that the context ended.
	errNoConnection = errors.New("no connection became free")
)

// pool keeps connections. It holds the limits on how many there are, in all and to one
// address. net/http has no limit in all: where all are taken, an idle connection to
// another address is closed here, else the request waits for one to become idle or to
// close.
//
// Waiting requests are served first come, first served. What becomes free goes to one of
// them directly, so that no newcomer takes it.
//
// Lock order: the pool's lock may be taken while net/http holds one of its own, so
// nothing of net/http is called under it, and connections are closed outside it. One
// keeps its slot until it is closed.
type pool struct {
	size, perHost int // not positive: no bound
	keepAlive     time.Duration
	dial          func(ctx context.Context, x *exchange, r *route) (*conn, error)

	mu       sync.Mutex
	closed   bool
	groups   map[route]*group
	sites    map[string]*site
	conns    map[*conn]struct{} // all that are open
	open     int                // conns and dials
	idle     idleList
	hungry   list.List // of *group that has waiters
	waits    int       // waiters in all
	arrivals uint64    // waiters ever
	dials    map[*exchange]context.CancelFunc

	expiry alarm // closes what was idle for keepAlive
	sweep  alarm // closes what its peer closed, or whose host moved
	// Of sweeps. moved may be nil.
	every  time.Duration // not positive: none
	moved  func(ctx context.Context, host string, ip netip.Addr) bool
	stop   context.CancelFunc // of the sweep that is going on
	sweeps sync.WaitGroup
}

// route is what connections must have in common to serve the same requests.
type route struct {
	addr     string // host in ASCII, and port
	secure   bool
	protocol webhook.Protocol
	tls      *tls.Config // as the caller gave it
}

// group is the connections of one route.
type group struct {
	route   route
	site    *site
	open    int       // connections and dials
	idle    []*conn   // the one idle for the shortest time last
	shared  []*conn   // HTTP/2, in use
	waiters list.List // of *waiter
	place   *list.Element
}

// site is the groups to one address.
type site struct{ groups, open, idle int }

type waiter struct {
	arrival uint64
	// grant is sent to once: a connection, or nil for leave to dial.
	grant  chan *conn
	seat   int   // on that connection
	victim *conn // to be discarded before dialling; may be nil
	err    error // that the pool is closed
	place  *list.Element
}

func newPool(size, perHost int, keepAlive time.Duration) *pool {
	p := &pool{
		size: size, perHost: perHost, keepAlive: keepAlive,
		groups: make(map[route]*group), sites: make(map[string]*site),
		conns: make(map[*conn]struct{}), dials: make(map[*exchange]context.CancelFunc),
	}
	p.expiry.ring, p.sweep.ring = p.expire, p.clean
	return p
}

// get returns a connection for one request, which put or refused must take back. It may
// turn out to be dead.
func (p *pool) get(ctx context.Context, x *exchange, r *route) (*conn, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, errClosed
		}
		g := p.group(r)
		if g.waiters.Len() == 0 {
			if c := p.take(g); c != nil {
				seat := c.inUse
				p.mu.Unlock()
				if c.takes(seat) {
					x.reused = true
					return c, nil
				}
				p.refused(c)
				continue
			}
		}
		c, err := p.make(ctx, x, g)
		if c != nil || err != nil {
			return c, err
		}
	}
}

// make waits for leave to open a connection, and opens it. It may get one that became
// free meanwhile, or (nil, nil) if that one did not take the request. It gives up the lock.
func (p *pool) make(parent context.Context, x *exchange, g *group) (*conn, error) {
	ctx, cancel := context.WithDeadline(parent, x.deadline)
	defer cancel()
	if g.waiters.Len() == 0 && p.room(g.site) {
		victim := p.occupy(g)
		p.mu.Unlock()
		p.discard(victim)
		return p.connect(ctx, x, g)
	}
	w := p.wait(g)
	p.mu.Unlock()
	x.exhausted = true
	c, err := p.await(ctx, g, w)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		p.discard(w.victim)
		return p.connect(ctx, x, g)
	case c.takes(w.seat):
		x.reused = true
		return c, nil
	}
	p.refused(c)
	return nil, nil
}

// await waits for a grant.
func (p *pool) await(ctx context.Context, g *group, w *waiter) (*conn, error) {
	select {
	case c := <-w.grant:
		return c, w.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	if w.place != nil {
		p.dequeue(g, w)
		p.drop(g)
		p.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", errNoConnection, ctx.Err())
	}
	p.mu.Unlock()
	c := <-w.grant // it came at the same time: hand it on
	switch {
	case w.err != nil:
		return nil, w.err
	case c != nil:
		p.put(c, true)
	default:
		p.discard(w.victim)
		p.release(g)
	}
	return nil, fmt.Errorf("%w: %w", errNoConnection, ctx.Err())
}

// connect dials in a slot that the caller holds.
func (p *pool) connect(ctx context.Context, x *exchange, g *group) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, x.connectTimeout)
	defer cancel()
	p.mu.Lock()
	if p.closed {
		cancel()
	}
	p.dials[x] = cancel
	p.mu.Unlock()

	c, err := p.dial(ctx, x, &g.route)

	p.mu.Lock()
	delete(p.dials, x)
	if err == nil && !p.closed {
		p.add(g, c)
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	if err == nil {
		c.close()
		err = errClosed
	}
	p.release(g)
	return nil, err
}

// release gives up a slot that nothing is open in.
func (p *pool) release(g *group) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(g)
	p.serve()
}

// add takes in a connection that was dialled, with its first request.
func (p *pool) add(g *group, c *conn) {
	c.home, c.inUse = g, 1
	p.conns[c] = struct{}{}
	if p.every > 0 {
		p.sweep.set(p.every)
	}
	if c.multiplexed() && p.keepAlive > 0 {
		g.shared = append(g.shared, c)
		c.spare = initialStreams
		p.serve()
	}
}

// initialStreams is what is taken for granted of a peer that has not yet told how many
// streams it allows.
const initialStreams = 100

// put takes a connection back after a request. One that is not usable is closed, once
// its other requests are done.
func (p *pool) put(c *conn, usable bool) {
	p.mu.Lock()
	c.inUse--
	c.full, c.spare = false, 1
	c.retired = c.retired || !usable || p.keepAlive <= 0 || c.dead()
	_, known := p.conns[c]
	switch {
	case !known: // closed from below, or with the pool
	case c.retired && c.inUse == 0:
		p.detach(c)
		p.mu.Unlock()
		p.discard(c)
		return
	case c.inUse == 0:
		p.rest(c)
	}
	p.serve()
	p.mu.Unlock()
}

// refused takes back a connection that did not take the request: it is dead, ends, or
// (HTTP/2) has as many streams as its peer allows.
func (p *pool) refused(c *conn) {
	p.mu.Lock()
	if c.inUse > 1 && !c.dead() {
		c.inUse--
		c.full = true
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.put(c, false)
}

// gone forgets a connection that was closed from below.
func (p *pool) gone(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.detach(c) {
		p.leave(c.home)
		p.serve()
	}
}

// discard closes connections that were detached, and gives up their slots. It skips nil.
func (p *pool) discard(conns ...*conn) {
	for _, c := range conns {
		if c != nil {
			c.close()
			p.release(c.home)
		}
	}
}

// close ends everything: connections, dials, waits. get fails from now on.
func (p *pool) close() {
	var closing []*conn
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		closing = append(closing, c)
		p.detach(c)
	}
	for e := p.hungry.Front(); e != nil; e = p.hungry.Front() {
		g := e.Value.(*group)
		w := g.waiters.Front().Value.(*waiter)
		p.dequeue(g, w)
		w.err = errClosed
		w.grant <- nil
	}
	for _, cancel := range p.dials {
		cancel()
	}
	p.expiry.cancel()
	p.sweep.cancel()
	if p.stop != nil {
		p.stop()
	}
	p.mu.Unlock()
	p.discard(closing...)
	p.sweeps.Wait()
}

func (p *pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// counts tells the open connections (dials included), the idle ones and the requests
// that wait for one.
func (p *pool) counts() (open, idle, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, p.idle.len, p.waits
}
