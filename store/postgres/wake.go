package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neohook/neohook/store"
)

// waker tells other nodes that there is something to hear, and hears it. What is said
// together within a few milliseconds is told once, on a connection and in a transaction
// of its own, since those that notify commit one after another.
type waker struct {
	pool    *pgxpool.Pool
	channel string // of all nodes; a node's own has its key behind

	mu      sync.Mutex
	targets map[string]struct{}
	armed   bool
	closed  bool
	telling sync.WaitGroup

	ear ear // of the one call of Wake
}

// ear is a connection that listens for a node.
type ear struct {
	conn *pgx.Conn
	node store.NodeKey
}

func newWaker(pool *pgxpool.Pool, schema string) *waker {
	name := fnv.New64a() // the name of a channel is cut at 63 bytes
	_, _ = name.Write([]byte(schema))
	return &waker{pool: pool, channel: fmt.Sprintf("neohook_%x", name.Sum64()), targets: make(map[string]struct{})}
}

// all wakes all nodes.
func (w *waker) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake(w.channel)
}

// told wakes those whom signals are for that were stored.
func (w *waker) told(p *post) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.nodes {
		w.wake(w.channel)
		return
	}
	for owner := range p.owners {
		w.wake(w.own(owner))
	}
}

func (w *waker) own(node store.NodeKey) string { return fmt.Sprintf("%s_%d", w.channel, node) }

// wake tells a channel soon. The mutex is held.
func (w *waker) wake(channel string) {
	const together = 5 * time.Millisecond
	if w.closed {
		return
	}
	w.targets[channel] = struct{}{}
	if !w.armed {
		w.armed = true
		w.telling.Add(1)
		time.AfterFunc(together, w.tell)
	}
}

const notifySQL = `SELECT pg_notify(channel, '') FROM unnest($1::text[]) AS channel`

// tell tells what has come together. That it could not is no matter: nodes look by
// themselves, too.
func (w *waker) tell() {
	defer w.telling.Done()
	w.mu.Lock()
	var channels []string
	for channel := range w.targets {
		channels = append(channels, channel)
	}
	clear(w.targets)
	w.armed = false
	w.mu.Unlock()
	const most = time.Second
	ctx, cancel := context.WithTimeout(context.Background(), most) //nolint:forbidigo // of nobody's request
	defer cancel()
	_, _ = w.pool.Exec(ctx, notifySQL, channels)
}

// close waits until all is told. Nobody listens any more.
func (w *waker) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.telling.Wait()
	w.deafen()
}

// Wake returns when there may be something to hear.
func (s *Store) Wake(ctx context.Context) error {
	node, _ := s.member.present()
	if node == 0 {
		return store.ErrBuried
	}
	heard, err := s.waker.listen(ctx, node)
	if err != nil || heard {
		return err
	}
	return s.waker.hear(ctx)
}

// listen sees to it that there is a connection that listens for a node. It says true where
// that is new, and something may have been missed.
func (w *waker) listen(ctx context.Context, node store.NodeKey) (heard bool, err error) {
	if w.ear.conn != nil && !w.ear.conn.IsClosed() && w.ear.node == node {
		return false, nil
	}
	w.deafen()
	config := w.pool.Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = "neohook listener"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, translate(err)
	}
	w.ear = ear{conn, node}
	if _, err := conn.Exec(ctx, "LISTEN "+w.channel+"; LISTEN "+w.own(node)); err != nil {
		w.deafen()
		return false, translate(err)
	}
	return true, nil
}

// hear waits for a notification, and takes those that came with it.
func (w *waker) hear(ctx context.Context) error {
	_, err := w.ear.conn.WaitForNotification(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // the connection goes on listening
	}
	if err != nil {
		w.deafen()
	}
	return translate(err)
}

func (w *waker) deafen() {
	if w.ear.conn == nil {
		return
	}
	const most = time.Second
	ctx, cancel := context.WithTimeout(context.Background(), most) //nolint:forbidigo // of nobody's request
	defer cancel()
	_ = w.ear.conn.Close(ctx)
	w.ear = ear{}
}
