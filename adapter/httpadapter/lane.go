package httpadapter

import "time"

// What follows is the pool's, under its lock.

// lane returns that of a route.
func (p *pool) lane(r *route) *lane {
	if l := p.lanes[*r]; l != nil {
		return l
	}
	s := p.sites[r.addr]
	if s == nil {
		s = &site{}
		p.sites[r.addr] = s
	}
	s.lanes++
	l := &lane{route: *r, site: s}
	p.lanes[*r] = l
	return l
}

// drop forgets a lane that has nothing any more.
func (p *pool) drop(l *lane) {
	if l.open > 0 || l.waiters.Len() > 0 || p.lanes[l.route] != l {
		return
	}
	delete(p.lanes, l.route)
	if l.site.lanes--; l.site.lanes == 0 {
		delete(p.sites, l.route.addr)
	}
}

// take finds an open connection with room for a request: an HTTP/2 one in use, so that
// others may come to rest, else the one that was used last.
func (p *pool) take(l *lane) *conn {
	for _, c := range l.shared {
		if !c.full && !c.retired {
			c.inUse++
			return c
		}
	}
	if len(l.idle) == 0 {
		return nil
	}
	c := l.idle[len(l.idle)-1]
	p.unidle(c)
	c.inUse = 1
	if c.multiplexed() {
		l.shared = append(l.shared, c)
	}
	return c
}

// rest puts an unused connection by.
func (p *pool) rest(c *conn) {
	l := c.home
	l.shared = without(l.shared, c)
	l.idle = append(l.idle, c)
	l.site.idle++
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
func (p *pool) occupy(l *lane) (victim *conn) {
	switch {
	case p.perHost > 0 && l.site.open >= p.perHost:
		for victim = p.idle.first; victim.home.site != l.site; {
			victim = victim.next
		}
	case p.size > 0 && p.open >= p.size:
		victim = p.idle.first
	}
	p.open++
	l.open++
	l.site.open++
	if victim != nil {
		p.detach(victim)
	}
	return victim
}

// leave gives up a slot.
func (p *pool) leave(l *lane) {
	p.open--
	l.open--
	l.site.open--
	p.drop(l)
}

// wait queues up.
func (p *pool) wait(l *lane) *waiter {
	p.arrivals++
	p.waits++
	w := &waiter{arrival: p.arrivals, grant: make(chan *conn, 1)}
	w.place = l.waiters.PushBack(w)
	if l.place == nil {
		l.place = p.hungry.PushBack(l)
	}
	return w
}

func (p *pool) dequeue(l *lane, w *waiter) {
	p.waits--
	l.waiters.Remove(w.place)
	w.place = nil
	if l.waiters.Len() == 0 {
		p.hungry.Remove(l.place)
		l.place = nil
	}
}

// serve gives what is free to who has waited longest.
func (p *pool) serve() {
	for p.waits > 0 {
		w, l := p.next()
		if w == nil {
			return
		}
		p.dequeue(l, w)
		c := l.forWaiter()
		switch {
		case c != nil:
			c.spare--
			c.inUse++
		case len(l.idle) > 0:
			c = p.take(l)
		default:
			w.victim = p.occupy(l)
		}
		if c != nil {
			w.seat = c.inUse
		}
		w.grant <- c
	}
}

// next finds the waiter that came first of those that can be served.
func (p *pool) next() (first *waiter, of *lane) {
	for e := p.hungry.Front(); e != nil; e = e.Next() {
		l := e.Value.(*lane)
		w := l.waiters.Front().Value.(*waiter)
		if first != nil && first.arrival < w.arrival {
			continue
		}
		if len(l.idle) > 0 || l.forWaiter() != nil || p.room(l.site) {
			first, of = w, l
		}
	}
	return first, of
}

// forWaiter finds a shared connection that may have room.
func (l *lane) forWaiter() *conn {
	for _, c := range l.shared {
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
