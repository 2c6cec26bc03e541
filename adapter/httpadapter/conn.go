package httpadapter

import (
	"container/list"
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

	// The pool's, under its lock.
	home      *host
	inUse     int
	full      bool // HTTP/2: the peer allows no more streams for now
	retired   bool // takes no more requests, and goes with its last one
	idleSince time.Time
	place     *list.Element
}

// multiplexed connections carry several requests at a time.
func (c *conn) multiplexed() bool { return c.two != nil }

// reserve makes sure that a connection that was used before takes one more request.
func (c *conn) reserve() bool {
	if c.two != nil {
		return c.two.client.Reserve() == nil
	}
	return c.one.ready()
}

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
