package postgrestest

import (
	"io"
	"net"
	"path/filepath"
	"sync"
)

// Proxy stands between clients and a cluster's server, and can come between them. Its
// methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	copies   sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]struct{} // of both sides
	refuses bool
	server  string // the server's socket
	moving  *sync.Cond
	held    bool // nothing moves
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
	target := p.server
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
	for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
		p.copies.Go(func() {
			_, _ = io.Copy(&gate{p, to}, from)
			over <- struct{}{}
		})
	}
	<-over
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
