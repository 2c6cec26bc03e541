package httpadapter

import "time"

// What follows is under the pool's lock.

// group returns that of a route.
func (p *pool) group(r *route) *group {
	if g := p.groups[*r]; g != nil {
		return g
	}
	s := p.sites[r.addr]
	if s == nil {
		s = &site{}
		p.sites[r.addr] = s
	}
	s.groups++
	g := &group{route: *r, site: s}
	p.groups[*r] = g
	return g
}

// drop forgets a group that has nothing any more.
func (p *pool) drop(g *group) {
	if g.open > 0 || g.waiters.Len() > 0 || p.groups[g.route] != g {
		return
	}
	delete(p.groups, g.route)
	if g.site.groups--; g.site.groups == 0 {
		delete(p.sites, g.route.addr)
	}
}

// take finds an open connection with room for a request: an HTTP/2 one in use, so that
// others may come to rest, else the one that was used last.
func (p *pool) take(g *group) *conn {
	for _, c := range g.shared {
		if !c.full && !c.retired {
			c.inUse++
			return c
		}
	}
	if len(g.idle) == 0 {
		return nil
	}
	c := g.idle[len(g.idle)-1]
	p.unidle(c)
	c.inUse = 1
	if c.multiplexed() {
		g.shared = append(g.shared, c)
	}
	return c
}

// rest puts an unused connection by.
func (p *pool) rest(c *conn) {
	g := c.home
	g.shared = without(g.shared, c)
	g.idle = append(g.idle, c)
	g.site.idle++
	c.idleSince = time.Now()
	p.idle.push(c)
	p.expiry.set(p.keepAlive)
}

// unidle takes a connection from those at rest.
func (p *pool) unidle(c *conn) {
	c.home.idle = without(c.home.idle, c)
	c.home.site.idle--
	p.idle.remove(c)
}

// without removes an element, looked for from the end.
func without(conns []*conn, c *conn) []*conn {
	for i := len(conns) - 1; i >= 0; i-- {
		if conns[i] == c {
			copy(conns[i:], conns[i+1:])
			conns[len(conns)-1] = nil
			return conns[:len(conns)-1]
		}
	}
	return conns
}

// detach takes a connection from wherever it stands, but not from its slot. It says
// whether it still stood there.
func (p *pool) detach(c *conn) bool {
	if _, known := p.conns[c]; !known {
		return false
	}
	delete(p.conns, c)
	if c.atRest {
		p.unidle(c)
	}
	c.home.shared = without(c.home.shared, c)
	return true
}

// room says whether one more connection to a site may be opened, perhaps at the cost of
// one at rest.
func (p *pool) room(s *site) bool {
	switch {
	case p.perHost > 0 && s.open >= p.perHost:
		return s.idle > 0
	case p.size > 0 && p.open >= p.size:
		return p.idle.len > 0
	}
	return true
}

// occupy takes the slot that room has found, and returns what must be discarded before
// it is used; nil is nothing. Until then both are counted.
func (p *pool) occupy(g *group) (victim *conn) {
	switch {
	case p.perHost > 0 && g.site.open >= p.perHost:
		for victim = p.idle.first; victim.home.site != g.site; {
			victim = victim.next
		}
	case p.size > 0 && p.open >= p.size:
		victim = p.idle.first
	}
	p.open++
	g.open++
	g.site.open++
	if victim != nil {
		p.detach(victim)
	}
	return victim
}

// leave gives up a slot.
func (p *pool) leave(g *group) {
	p.open--
	g.open--
	g.site.open--
	p.drop(g)
}

// wait queues up.
func (p *pool) wait(g *group) *waiter {
	p.arrivals++
	p.waits++
	w := &waiter{arrival: p.arrivals, grant: make(chan *conn, 1)}
	w.place = g.waiters.PushBack(w)
	if g.place == nil {
		g.place = p.hungry.PushBack(g)
	}
	return w
}

func (p *pool) dequeue(g *group, w *waiter) {
	p.waits--
	g.waiters.Remove(w.place)
	w.place = nil
	if g.waiters.Len() == 0 {
		p.hungry.Remove(g.place)
		g.place = nil
	}
}

// serve gives what is free to who has waited longest.
func (p *pool) serve() {
	for p.waits > 0 {
		w, g := p.next()
		if w == nil {
			return
		}
		p.dequeue(g, w)
		c := g.forWaiter()
		switch {
		case c != nil:
			c.spare--
			c.inUse++
		case len(g.idle) > 0:
			c = p.take(g)
		default:
			w.victim = p.occupy(g)
		}
		if c != nil {
			w.seat = c.inUse
		}
		w.grant <- c
	}
}

// next finds the waiter that came first of those that can be served.
func (p *pool) next() (first *waiter, of *group) {
	for e := p.hungry.Front(); e != nil; e = e.Next() {
		g := e.Value.(*group)
		w := g.waiters.Front().Value.(*waiter)
		if first != nil && first.arrival < w.arrival {
			continue
		}
		if len(g.idle) > 0 || g.forWaiter() != nil || p.room(g.site) {
			first, of = w, g
		}
	}
	return first, of
}

// forWaiter finds a shared connection that may have room.
func (g *group) forWaiter() *conn {
	for _, c := range g.shared {
		if c.spare > 0 && !c.full && !c.retired {
			return c
		}
	}
	return nil
}

// idleList is the connections at rest, the one for the longest time first. It is linked
// through them, as each request goes through it.
type idleList struct {
	first, last *conn
	len         int
}

func (l *idleList) push(c *conn) {
	c.atRest, c.prev, c.next = true, l.last, nil
	if l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
	l.len++
}

func (l *idleList) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.atRest, c.prev, c.next = false, nil, nil
	l.len--
}
