package httpadapter

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// conn is an open connection that speaks HTTP.
type conn struct {
	route       route
	client      *http.ClientConn
	wire        *wire
	multiplexed bool // HTTP/2
	remote      netip.AddrPort

	// The pool's, under its lock.
	home      *host
	inUse     int
	full      bool // HTTP/2: the peer allows no more streams for now
	retired   bool // takes no more requests, and goes with its last one
	idleSince time.Time
	place     *list.Element
}

// reserve makes sure that the connection takes one more request.
func (c *conn) reserve() bool {
	if c.multiplexed {
		return c.client.Reserve() == nil
	}
	return !c.dead()
}

func (c *conn) dead() bool { return c.wire.closed.Load() }

// close is safe to call on nil, and more than once.
func (c *conn) close() {
	if c != nil {
		_ = c.client.Close()
		_ = c.wire.Close()
	}
}

// wire is the connection below HTTP. It tells how much was written, so that a request
// of which nothing left can be sent again, and that it was closed.
type wire struct {
	net.Conn
	// bottom is the connection below TLS. It is closed first: the farewell that TLS
	// sends could wait five seconds for a peer that does not read.
	bottom  net.Conn
	onClose func()
	written atomic.Int64
	closed  atomic.Bool
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.written.Add(int64(n))
	return n, err
}

func (w *wire) Close() error {
	if w.closed.Swap(true) {
		return nil
	}
	err := w.bottom.Close()
	_ = w.Conn.Close()
	w.onClose()
	return err
}

// codecs make HTTP clients of connections. net/http's own pools are not used.
type codecs struct {
	http1, http2 *http.Transport
	gone         func(*conn) // told of each connection that was closed
}

type wireKey struct{}

func newCodecs(o *Options) codecs {
	given := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return ctx.Value(wireKey{}).(net.Conn), nil
	}
	var one, two http.Protocols
	one.SetHTTP1(true)
	two.SetUnencryptedHTTP2(true) // the connection is given as it is, with TLS below or not
	return codecs{
		http1: &http.Transport{
			DialContext: given, Protocols: &one, DisableCompression: true,
			MaxResponseHeaderBytes: int64(o.MaxHeaderBytes),
		},
		http2: &http.Transport{
			DialContext: given, Protocols: &two, DisableCompression: true,
			MaxResponseHeaderBytes: int64(o.MaxHeaderBytes),
			HTTP2: &http.HTTP2Config{
				// What a receiver may send ahead of its answer being read: by default 4 MiB
				// a request and 1 GiB a connection.
				MaxReceiveBufferPerStream:     64 << 10,
				MaxReceiveBufferPerConnection: 1 << 20,
			},
		},
	}
}

// open makes a client of a connection, the one below it being bottom.
func (k codecs) open(ctx context.Context, top, bottom net.Conn, r *route, http2 bool) (*conn, error) {
	c := &conn{route: *r, wire: &wire{Conn: top, bottom: bottom}, multiplexed: http2}
	c.wire.onClose = func() { k.gone(c) }
	if addr, ok := bottom.RemoteAddr().(*net.TCPAddr); ok {
		c.remote = addr.AddrPort()
		c.remote = netip.AddrPortFrom(c.remote.Addr().Unmap(), c.remote.Port())
	}
	transport := k.http1
	if http2 {
		transport = k.http2
	}
	var err error
	c.client, err = transport.NewClientConn(context.WithValue(ctx, wireKey{}, c.wire), "http", r.addr)
	return c, err
}
