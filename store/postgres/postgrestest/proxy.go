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
	server   string // the server's socket
	copies   sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]struct{} // of both sides
	refuses bool
}

// NewProxy returns a proxy to a cluster's server, on a port of this machine.
func NewProxy(c *Cluster) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, server: filepath.Join(c.Folder, ".s.PGSQL.5432"), conns: make(map[net.Conn]struct{})}
	p.copies.Go(p.serve)
	return p, nil
}

// Address is where the server is by way of the proxy.
func (p *Proxy) Address() string {
	return "postgres://neohook@" + p.listener.Addr().String() + "/postgres?sslmode=disable"
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
	server, err := net.Dial("unix", p.server) //nolint:noctx // it answers at once or not at all
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
			_, _ = io.Copy(to, from)
			over <- struct{}{}
		})
	}
	<-over
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
