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

// route is what connections must have in common to serve the same requests.
type route struct {
	addr     string // host in ASCII, and port
	host     string // for the certificate
	secure   bool
	protocol webhook.Protocol
	tls      *tls.Config // as the caller gave it
}

// pool keeps connections. It holds the limits on how many there are, in all and to one
// address, which net/http can't do: where all are taken, an idle connection to another
// address is closed, else the request waits for one to become idle or to close.
//
// Waiting requests are served first come, first served within an address, and addresses
// in turn. A slot or connection that becomes free goes to one of them directly, so that
// no newcomer takes it.
type pool struct {
	size, perHost int // not positive: no bound
	keepAlive     time.Duration
	dial          func(ctx context.Context, x *exchange, r *route) (*conn, error)

	mu     sync.Mutex
	closed bool
	hosts  map[string]*host
	conns  map[*conn]struct{} // all that are open
	open   int                // conns and dials
	idle   list.List          // of *conn, longest idle first
	hungry list.List          // of *host with waiters, next in turn first
	waits  int                // waiters in all
	dials  map[*exchange]context.CancelFunc

	expiry alarm // closes what was idle for keepAlive
	sweep  alarm // closes what its peer closed, or whose host moved
	// Of sweeps. moved may be nil.
	every  time.Duration // not positive: none
	moved  func(ctx context.Context, host string, ip netip.Addr) bool
	stop   context.CancelFunc // of the sweep that is going on
	sweeps sync.WaitGroup
}

// host is the connections to one address.
type host struct {
	addr    string
	open    int       // connections and dials
	idle    []*conn   // the one idle for the shortest time last
	shared  []*conn   // HTTP/2, in use
	waiters list.List // of *waiter, first come first
	turn    *list.Element
}

type waiter struct {
	route *route
	// grant is sent to once: a connection, or nil for leave to dial.
	grant chan *conn
	seat  int   // on that connection
	err   error // that the pool is closed
	place *list.Element
}

func newPool(size, perHost int, keepAlive time.Duration) *pool {
	return &pool{
		size: size, perHost: perHost, keepAlive: keepAlive,
		hosts: make(map[string]*host), conns: make(map[*conn]struct{}), dials: make(map[*exchange]context.CancelFunc),
	}
}

// get returns a connection for one request, which put must take back. It may turn out to
// be dead.
func (p *pool) get(ctx context.Context, x *exchange, r *route) (*conn, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, errClosed
		}
		h := p.hosts[r.addr]
		if h == nil {
			h = &host{addr: r.addr}
			p.hosts[r.addr] = h
		}
		if c := p.take(h, r); c != nil {
			seat := c.inUse
			p.mu.Unlock()
			if c.takes(seat) {
				x.reused = true
				return c, nil
			}
			p.refused(c)
			continue
		}
		c, err := p.make(ctx, x, h, r)
		if c != nil || err != nil {
			return c, err
		}
	}
}

// make waits for leave to open a connection, and opens it. It may get one that became
// free meanwhile, or (nil, nil) if that one did not take the request. It gives up the lock.
func (p *pool) make(parent context.Context, x *exchange, h *host, r *route) (*conn, error) {
	ctx, cancel := context.WithDeadline(parent, x.deadline)
	defer cancel()
	victim, ok := p.slot(h)
	if ok {
		p.occupy(h)
		p.mu.Unlock()
		if victim != nil {
			victim.close()
		}
		return p.connect(ctx, x, r)
	}
	w := p.wait(h, r)
	p.mu.Unlock()
	x.exhausted = true
	c, err := p.await(ctx, h, w)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		return p.connect(ctx, x, r)
	case c.takes(w.seat):
		x.reused = true
		return c, nil
	}
	p.refused(c)
	return nil, nil
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

// take finds an open connection of the route with room for a request: an HTTP/2 one in
// use, so that others may come to rest, else the one that was used last.
func (p *pool) take(h *host, r *route) *conn {
	for _, c := range h.shared {
		if c.route == *r && !c.full && !c.retired {
			c.inUse++
			return c
		}
	}
	for i := len(h.idle) - 1; i >= 0; i-- {
		c := h.idle[i]
		if c.route != *r {
			continue
		}
		p.unidle(h, i)
		c.inUse = 1
		if c.multiplexed() {
			h.shared = append(h.shared, c)
		}
		return c
	}
	return nil
}

// unidle takes h.idle[i] out of the idle connections.
func (p *pool) unidle(h *host, i int) {
	c := h.idle[i]
	h.idle = append(h.idle[:i], h.idle[i+1:]...)
	p.idle.Remove(c.place)
	c.place = nil
}

// slot says whether one more connection to h may be opened, perhaps at the cost of an
// idle one, which the caller closes.
func (p *pool) slot(h *host) (victim *conn, ok bool) {
	switch {
	case p.perHost > 0 && h.open >= p.perHost:
		if len(h.idle) == 0 { // those idle are of other routes
			return nil, false
		}
		victim = h.idle[0]
	case p.size > 0 && p.open >= p.size:
		if p.idle.Len() == 0 {
			return nil, false
		}
		victim = p.idle.Front().Value.(*conn)
	default:
		return nil, true
	}
	p.remove(victim)
	return victim, true
}

// remove forgets a connection, wherever it stands.
func (p *pool) remove(c *conn) {
	if _, known := p.conns[c]; !known {
		return
	}
	delete(p.conns, c)
	h := c.home
	for i, other := range h.idle {
		if other == c {
			p.unidle(h, i)
			break
		}
	}
	for i, other := range h.shared {
		if other == c {
			h.shared = append(h.shared[:i], h.shared[i+1:]...)
			break
		}
	}
	p.leave(h)
}

// occupy takes a slot of h.
func (p *pool) occupy(h *host) {
	p.open++
	h.open++
	p.hosts[h.addr] = h // closing the victim may have emptied it
}

// leave gives up a slot of h.
func (p *pool) leave(h *host) {
	p.open--
	h.open--
	if h.open == 0 && h.waiters.Len() == 0 {
		delete(p.hosts, h.addr)
	}
}

func (p *pool) wait(h *host, r *route) *waiter {
	w := &waiter{route: r, grant: make(chan *conn, 1)}
	w.place = h.waiters.PushBack(w)
	p.waits++
	if h.turn == nil {
		h.turn = p.hungry.PushBack(h)
	}
	return w
}

// dequeue takes a waiter out of its queue; its host goes to the end of the turns.
func (p *pool) dequeue(h *host, w *waiter) {
	h.waiters.Remove(w.place)
	w.place = nil
	p.waits--
	if h.waiters.Len() == 0 {
		p.hungry.Remove(h.turn)
		h.turn = nil
	} else {
		p.hungry.MoveToBack(h.turn)
	}
}

func (p *pool) await(ctx context.Context, h *host, w *waiter) (*conn, error) {
	select {
	case c := <-w.grant:
		return c, w.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	if w.place != nil {
		p.dequeue(h, w)
		if h.open == 0 && h.waiters.Len() == 0 {
			delete(p.hosts, h.addr)
		}
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
		p.mu.Lock()
		p.leave(h)
		closing := p.feed()
		p.mu.Unlock()
		closeAll(closing)
	}
	return nil, fmt.Errorf("%w: %w", errNoConnection, ctx.Err())
}

// connect dials in a slot that the caller holds.
func (p *pool) connect(ctx context.Context, x *exchange, r *route) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, x.connectTimeout)
	defer cancel()
	p.mu.Lock()
	if p.closed {
		cancel()
	}
	p.dials[x] = cancel
	p.mu.Unlock()

	c, err := p.dial(ctx, x, r)

	p.mu.Lock()
	delete(p.dials, x)
	h := p.hosts[r.addr] // the slot keeps it there
	var closing []*conn
	switch {
	case err != nil:
		p.leave(h)
		closing = p.feed()
	case p.closed:
		p.leave(h)
		closing, err = append(closing, c), errClosed
		c = nil
	default:
		c.home, c.inUse = h, 1
		p.conns[c] = struct{}{}
		if p.every > 0 {
			p.sweep.set(p.every, p.clean)
		}
		if c.multiplexed() && p.keepAlive > 0 {
			h.shared = append(h.shared, c)
			p.share(c, h.waiters.Len())
		}
	}
	p.mu.Unlock()
	closeAll(closing)
	return c, err
}

// put takes a connection back after a request. One that is not usable is closed, once
// its other requests are done.
func (p *pool) put(c *conn, usable bool) {
	var closing []*conn
	p.mu.Lock()
	c.inUse--
	c.full = false
	c.retired = c.retired || !usable || p.keepAlive <= 0 || c.dead()
	_, known := p.conns[c]
	switch {
	case !known: // closed from below, or with the pool
	case c.retired && c.inUse == 0:
		p.remove(c)
		closing = append(p.feed(), c)
	case c.retired:
	case c.inUse > 0:
		p.share(c, 1)
	default:
		p.rest(c)
		closing = p.feed()
	}
	p.mu.Unlock()
	closeAll(closing)
}

// rest hands an unused connection to a waiter of its route, else puts it by.
func (p *pool) rest(c *conn) {
	h := c.home
	for i, other := range h.shared {
		if other == c {
			h.shared = append(h.shared[:i], h.shared[i+1:]...)
			break
		}
	}
	for e := h.waiters.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		if *w.route != c.route {
			continue
		}
		p.dequeue(h, w)
		c.inUse = 1
		if c.multiplexed() {
			h.shared = append(h.shared, c)
		}
		w.seat = 1
		w.grant <- c
		return
	}
	c.idleSince = time.Now()
	h.idle = append(h.idle, c)
	c.place = p.idle.PushBack(c)
	p.expiry.set(p.keepAlive, p.expire)
}

// share lets as many as most waiters of its route onto an HTTP/2 connection.
func (p *pool) share(c *conn, most int) {
	for e := c.home.waiters.Front(); e != nil && most > 0; {
		w := e.Value.(*waiter)
		e = e.Next()
		if *w.route == c.route {
			p.dequeue(c.home, w)
			c.inUse++
			most--
			w.seat = c.inUse
			w.grant <- c
		}
	}
}

// feed gives free slots, and those of idle connections, to waiting addresses in turn.
// The caller closes what it returns.
func (p *pool) feed() (closing []*conn) {
	for e := p.hungry.Front(); e != nil; {
		h := e.Value.(*host)
		victim, ok := p.slot(h)
		if !ok {
			e = e.Next()
			continue
		}
		if victim != nil {
			closing = append(closing, victim)
		}
		w := h.waiters.Front().Value.(*waiter)
		p.occupy(h)
		p.dequeue(h, w)
		w.grant <- nil
		e = p.hungry.Front()
	}
	return closing
}

// gone forgets a connection that was closed from below.
func (p *pool) gone(c *conn) {
	p.mu.Lock()
	p.remove(c)
	closing := p.feed()
	p.mu.Unlock()
	closeAll(closing)
}

// close ends everything: connections, dials, waits. get fails from now on.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	closing := make([]*conn, 0, len(p.conns))
	for c := range p.conns {
		closing = append(closing, c)
	}
	for _, c := range closing {
		p.remove(c)
	}
	for e := p.hungry.Front(); e != nil; e = p.hungry.Front() {
		h := e.Value.(*host)
		w := h.waiters.Front().Value.(*waiter)
		p.dequeue(h, w)
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
	closeAll(closing)
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
	return p.open, p.idle.Len(), p.waits
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}
