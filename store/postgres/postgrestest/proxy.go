package postgrestest

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands between clients and a cluster's server, and can come between them. Its
// methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	copies   sync.WaitGroup
	trips    atomic.Int64

	mu      sync.Mutex
	conns   map[net.Conn]struct{} // of both sides
	refuses bool
	server  string // the server's socket
	moving  *sync.Cond
	held    bool // nothing moves
	way     time.Duration
}

// NewProxy returns a proxy to a cluster's server, on a port of this machine.
func NewProxy(c *Cluster) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, conns: make(map[net.Conn]struct{})}
	p.moving = sync.NewCond(&p.mu)
	p.Point(c)
	p.copies.Go(p.serve)
	return p, nil
}

// Address is where the server is by way of the proxy.
func (p *Proxy) Address() string {
	return "postgres://neohook@" + p.listener.Addr().String() + "/postgres?sslmode=disable"
}

// Point leads later connections to another cluster's server.
func (p *Proxy) Point(c *Cluster) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = filepath.Join(c.Folder, ".s.PGSQL.5432")
}

// Hold stops all that is said on the way, as a network does that swallows everything, and
// lets it go on.
func (p *Proxy) Hold(holds bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = holds
	p.moving.Broadcast()
}

// Delay has all that is said on later connections take that long on its way, in each
// direction, as if the server were far away.
func (p *Proxy) Delay(way time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.way = way
}

// Trips counts the round trips that clients have begun: what they ask and wait for the
// answer of, be it of one statement or of many.
func (p *Proxy) Trips() int64 { return p.trips.Load() }

// Cut ends all connections at once. Later ones go through.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// Refuse cuts all connections and takes no further ones, or lets them through again.
func (p *Proxy) Refuse(refuses bool) {
	p.mu.Lock()
	p.refuses = refuses
	p.mu.Unlock()
	if refuses {
		p.Cut()
	}
}

// Close ends the proxy and all connections.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.Refuse(true)
	p.Hold(false)
	p.copies.Wait()
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.copies.Go(func() { p.join(client) })
	}
}

// join lets a client and the server talk until either ends, or they are cut.
func (p *Proxy) join(client net.Conn) {
	defer p.drop(client)
	if !p.keep(client) {
		return
	}
	p.mu.Lock()
	target, way := p.server, p.way
	p.mu.Unlock()
	server, err := net.Dial("unix", target) //nolint:noctx // it answers at once or not at all
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	over := make(chan struct{}, 2) // from either side
	for from, to := range map[net.Conn]io.Writer{client: io.MultiWriter(&asked{trips: &p.trips}, &gate{p, server}), server: &gate{p, client}} {
		p.copies.Go(func() {
			carry(to, from, way)
			over <- struct{}{}
		})
	}
	<-over
}

// carry brings what is said to where it goes, each piece after as long as the way takes.
func carry(to io.Writer, from io.Reader, way time.Duration) {
	if way == 0 {
		_, _ = io.Copy(to, from)
		return
	}
	type piece struct {
		said []byte
		due  time.Time
	}
	const underWay = 1024 // beyond it the sender waits
	pieces := make(chan piece, underWay)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.said); err != nil {
				return
			}
		}
	}()
	defer func() { <-gone }()
	defer close(pieces)
	for {
		said := make([]byte, 32<<10)
		n, err := from.Read(said)
		if n > 0 {
			select {
			case pieces <- piece{said[:n], time.Now().Add(way)}:
			case <-gone:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// asked counts the round trips in what a client says. It knows of each message where it
// ends, and of those that end a trip: Sync, and a simple Query.
type asked struct {
	trips   *atomic.Int64
	started bool // the first message has no kind
	head    [5]byte
	has     int // of head
	rest    int // of the message behind it
}

func (a *asked) Write(said []byte) (int, error) {
	written := len(said)
	for len(said) > 0 {
		if a.rest > 0 {
			n := min(a.rest, len(said))
			a.rest, said = a.rest-n, said[n:]
			continue
		}
		from := 0
		if !a.started {
			from = 1
		}
		if a.has < from {
			a.has = from
		}
		n := copy(a.head[a.has:], said)
		a.has, said = a.has+n, said[n:]
		if a.has < len(a.head) {
			break
		}
		if kind := a.head[0]; a.started && (kind == 'S' || kind == 'Q') {
			a.trips.Add(1)
		}
		const length = 4 // counts itself
		a.rest = int(binary.BigEndian.Uint32(a.head[1:])) - length
		a.started, a.has = true, 0
	}
	return written, nil
}

// gate lets through what is said unless that is held.
type gate struct {
	proxy *Proxy
	to    net.Conn
}

func (g *gate) Write(said []byte) (int, error) {
	g.proxy.mu.Lock()
	for g.proxy.held {
		g.proxy.moving.Wait()
	}
	g.proxy.mu.Unlock()
	return g.to.Write(said)
}

func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = struct{}{}
	return !p.refuses
}

func (p *Proxy) drop(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}
