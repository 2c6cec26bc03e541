package postgres_test

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/neohook/neohook/store/postgres/postgrestest"
)

// proxy stands between a store and its server, and can cut connections at a statement.
type proxy struct {
	t       *testing.T
	network string
	target  string
	folder  string // of its socket
	config  *pgx.ConnConfig

	schema string // of the store behind it

	trips atomic.Int64 // requests that are answered together

	mu   sync.Mutex
	cut  cut
	left sync.WaitGroup // clients that had to
	// conns are open, both ends of each.
	conns map[net.Conn]struct{}
}

// cut says where a connection is cut, once: at the statement, before the server has it or
// when it has carried it out.
type cut struct {
	statement string
	after     bool
	done      chan struct{}
	// late, where there is one, is closed when the server is to have the statement after all.
	// Until then it waits for it.
	late chan struct{}
	// leaves says that the client is gone meanwhile; else it waits, too.
	leaves bool
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	config, err := pgx.ParseConfig(postgrestest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, folder: t.TempDir(), config: config, conns: make(map[net.Conn]struct{})}
	p.network, p.target = pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := net.Listen("unix", filepath.Join(p.folder, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		serving.Wait()
	})
	return p
}

// address is the server's, through the proxy.
func (p *proxy) address() string {
	parts := []string{"host=" + p.folder, "port=5432", "sslmode=disable", "user=" + p.config.User, "dbname=" + p.config.Database}
	if p.config.Password != "" {
		parts = append(parts, "password="+p.config.Password)
	}
	return strings.Join(parts, " ")
}

// cutAt cuts the connection that the next such statement comes on. The channel is closed
// when that has been done.
func (p *proxy) cutAt(statement string, after bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut{statement: statement, after: after, done: make(chan struct{})}
	return p.cut.done
}

// delayAt has the server wait for the next such statement, until late is closed. That it
// does is told by the channel that is returned. The client is cut off, if it leaves, or
// waits with it.
func (p *proxy) delayAt(statement string, late chan struct{}, leaves bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut{statement: statement, done: make(chan struct{}), late: late, leaves: leaves}
	return p.cut.done
}

// meets says whether a statement is where to cut, and takes that away if it is.
func (p *proxy) meets(statement string) (cut, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut.statement == "" || p.cut.statement != statement {
		return cut{}, false
	}
	found := p.cut
	p.cut = cut{}
	return found, true
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial(p.network, p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	p.mu.Unlock()
	defer func() {
		_, _ = client.Close(), server.Close()
		p.mu.Lock()
		delete(p.conns, client)
		delete(p.conns, server)
		p.mu.Unlock()
	}()

	toServer, toClient := pgproto3.NewBackend(client, server), pgproto3.NewFrontend(server, client)
	start, err := toServer.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if _, err := server.Write(encoded(start)); err != nil {
		return
	}
	var answers sync.WaitGroup
	held := make(chan cut, 1) // whose answer is not passed on
	answers.Go(func() {
		defer client.Close() //nolint:errcheck // it may be closed
		p.answer(toClient, client, held)
	})
	left := p.ask(toServer, client, server, held)
	if half, is := server.(interface{ CloseWrite() error }); is {
		_ = half.CloseWrite() // what it has been asked it is to do
	}
	answers.Wait()
	if left {
		p.left.Done()
	}
}

// cutAll cuts all connections.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// wait returns when the server has done with the clients that have left.
func (p *proxy) wait() { p.left.Wait() }

// ask passes on what the client asks, and says whether that had to leave.
func (p *proxy) ask(client *pgproto3.Backend, conn, server net.Conn, held chan<- cut) (left bool) {
	statements := make(map[string]string) // by name
	for {
		message, err := client.Receive()
		if err != nil {
			return left
		}
		statement := ""
		switch m := message.(type) {
		case *pgproto3.Parse:
			statements[m.Name] = m.Query
		case *pgproto3.Bind:
			statement = statements[m.PreparedStatement]
		case *pgproto3.Query:
			p.trips.Add(1)
			statement = m.String
		case *pgproto3.Sync:
			p.trips.Add(1)
		}
		switch at, is := p.meets(statement); {
		case is && at.late != nil:
			if at.leaves {
				p.left.Add(1)
				left = true
				_ = conn.Close()
			}
			close(at.done)
			<-at.late
		case is && !at.after:
			close(at.done)
			return left
		case is:
			held <- at
		}
		if _, err := server.Write(encoded(message)); err != nil {
			return left
		}
	}
}

// answer passes on what the server answers, until an answer is held.
func (p *proxy) answer(server *pgproto3.Frontend, client net.Conn, held <-chan cut) {
	for {
		message, err := server.Receive()
		if err != nil {
			return
		}
		select {
		case at := <-held:
			for { // the server is to have done it
				if _, is := message.(*pgproto3.ReadyForQuery); is {
					close(at.done)
					return
				}
				if message, err = server.Receive(); err != nil {
					p.t.Error("the server ended the connection:", err)
					close(at.done)
					return
				}
			}
		default:
		}
		// A frontend does not know what a kind of authentication is followed by.
		if _, err := client.Write(encoded(message)); err != nil {
			for err = nil; err == nil; _, err = server.Receive() {
			}
			return
		}
	}
}

type message interface {
	Encode(to []byte) ([]byte, error)
}

func encoded(m message) []byte {
	b, err := m.Encode(nil)
	if err != nil {
		panic(errors.New("a message that was read can't be written: " + err.Error()))
	}
	return b
}
