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

	trips atomic.Int64 // requests that are answered together

	mu  sync.Mutex
	cut cut
	// conns are open, both ends of each.
	conns map[net.Conn]struct{}
}

// cut says where a connection is cut, once: at the statement, before the server has it or
// when it has carried it out.
type cut struct {
	statement string
	after     bool
	done      chan struct{}
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
	p.ask(toServer, server, held)
	_ = server.Close()
	answers.Wait()
}

// ask passes on what the client asks.
func (p *proxy) ask(client *pgproto3.Backend, server net.Conn, held chan<- cut) {
	statements := make(map[string]string) // by name
	for {
		message, err := client.Receive()
		if err != nil {
			return
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
		if at, is := p.meets(statement); is && !at.after {
			close(at.done)
			return
		} else if is {
			held <- at
		}
		if _, err := server.Write(encoded(message)); err != nil {
			return
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
