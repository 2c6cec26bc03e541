package httpadapter

import (
	"context"
	"net/netip"
	"time"
)

// alarm is a timer that is set again only after it went off. Its owner's lock guards it.
type alarm struct {
	ring  func()
	timer *time.Timer
	armed bool
}

func (a *alarm) set(after time.Duration) {
	if a.armed {
		return
	}
	a.armed = true
	if a.timer == nil {
		a.timer = time.AfterFunc(after, a.ring)
		return
	}
	a.timer.Reset(after)
}

func (a *alarm) cancel() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// expire closes the connections that were idle for too long.
func (p *pool) expire() {
	var closing []*conn
	p.mu.Lock()
	p.expiry.armed = false
	now := time.Now()
	for c := p.idle.first; c != nil && !p.closed; c = p.idle.first {
		if left := p.keepAlive - now.Sub(c.idleSince); left > 0 {
			p.expiry.set(left)
			break
		}
		p.detach(c)
		closing = append(closing, c)
	}
	p.mu.Unlock()
	p.discard(closing...)
}

// clean is one sweep: it closes the idle connections that their peers closed, and ends
// those whose host has other addresses now.
func (p *pool) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), p.every) //nolint:forbidigo // a timer has none; bounded, and close ends it
	defer cancel()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.sweeps.Add(1)
	defer p.sweeps.Done()
	p.stop = cancel
	conns := make([]*conn, 0, len(p.conns))
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()

	gone := p.movedAmong(ctx, conns)
	for _, c := range conns {
		p.look(c, gone[residence{hostOf(c.route.addr), c.target}])
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = nil
	p.sweep.armed = false
	if len(p.conns) > 0 && !p.closed {
		p.sweep.set(p.every)
	}
}

// residence is a host at an address.
type residence struct {
	host string
	ip   netip.Addr
}

// movedAmong asks about each residence once.
func (p *pool) movedAmong(ctx context.Context, conns []*conn) map[residence]bool {
	if p.moved == nil {
		return nil
	}
	gone := make(map[residence]bool)
	for _, c := range conns {
		at := residence{hostOf(c.route.addr), c.target}
		if _, asked := gone[at]; asked || !c.target.IsValid() || ctx.Err() != nil {
			continue
		}
		gone[at] = p.moved(ctx, at.host, at.ip)
	}
	return gone
}

// look ends a connection if its host moved or it is idle and not silent. It holds the
// lock for a look at one connection only.
func (p *pool) look(c *conn, moved bool) {
	var closing []*conn
	p.mu.Lock()
	c.retired = c.retired || moved
	if c.atRest && (c.retired || !c.silent()) {
		p.detach(c)
		closing = append(closing, c)
	}
	p.mu.Unlock()
	p.discard(closing...)
}
