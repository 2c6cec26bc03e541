package httpadapter

import (
	"net"
	"net/netip"
	"time"
)

// conn is an open connection that speaks HTTP. One of one and two is set.
type conn struct {
	route  route
	one    *http1
	two    *http2
	remote netip.AddrPort
	target netip.Addr // what the host was found to be; behind a proxy not the remote's
	// keepFor is how long the receiver said it keeps the connection; 0 is unknown. It
	// belongs to the exchange under way.
	keepFor time.Duration

	// The pool's, under its lock.
	home       *group
	inUse      int
	full       bool // HTTP/2: the peer allows no more streams for now
	spare      int  // HTTP/2: how many waiters may try it
	retired    bool // takes no more requests, and goes with its last one
	idleSince  time.Time
	atRest     bool
	prev, next *conn
}

// multiplexed connections carry several requests at a time.
func (c *conn) multiplexed() bool { return c.two != nil }

// takes says whether a connection that was used before takes one more request, which is
// the seat-th at this moment.
func (c *conn) takes(seat int) bool {
	if c.two != nil {
		return seat <= c.two.seats()
	}
	if c.keepFor > 0 && time.Since(c.idleSince) >= c.keepFor {
		return false
	}
	return c.one.ready()
}

// silent says that an idle connection's peer neither closed it nor sent anything.
func (c *conn) silent() bool { return c.two != nil || c.one.ready() }

// dead says that a connection was closed from below.
func (c *conn) dead() bool { return c.two != nil && c.two.wire.closed.Load() }

func (c *conn) close() {
	if c.two != nil {
		c.two.close()
		return
	}
	c.one.close()
}

func remoteOf(c net.Conn) netip.AddrPort {
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	pair := addr.AddrPort()
	return netip.AddrPortFrom(pair.Addr().Unmap(), pair.Port())
}
