package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// waker tells other nodes that there is something to hear, and hears it. What is said
// together within a few milliseconds is told once, on a connection and in a transaction
// of its own, since those that notify commit one after another.
type waker struct {
	config  *pgx.ConnConfig
	channel string // of all nodes; a node's own has its key behind
	nudge   string // the statement that nudges

	mu      sync.Mutex
	targets map[string]struct{}
	nudges  map[store.Bucket]struct{} // the buckets whose owners are to be
	armed   bool                      // telling will see what is in targets
	closed  bool
	telling sync.WaitGroup
	mouth   *pgx.Conn // of the one that is telling

	hush      func()     // ends the call of Wake; nil is none
	listening sync.Mutex // one call of Wake has the ear
	ear       ear
}

// ear is a connection that listens for a node.
type ear struct {
	conn *pgx.Conn
	node store.NodeKey
}

func newWaker(config *pgx.ConnConfig, schema string) *waker {
	name := fnv.New64a() // the name of a channel is cut at 63 bytes
	_, _ = name.Write([]byte(schema))
	w := &waker{config: config, channel: fmt.Sprintf("neohook_%x", name.Sum64())}
	w.nudge = fmt.Sprintf(nudgeSQL, w.channel, nudged, pgx.Identifier{schema, "bucket"}.Sanitize())
	w.targets, w.nudges = make(map[string]struct{}), make(map[store.Bucket]struct{})
	return w
}

// all wakes all nodes.
func (w *waker) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake(w.channel)
}

// told wakes those whom signals are for that were stored.
func (w *waker) told(p *post) {
	if !p.nodes && len(p.owners) == 0 {
		return
	}
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

// Nudge has Wake return at the node that owns a bucket.
func (s *Store) Nudge(bucket store.Bucket) {
	w := s.waker
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.nudges[bucket] = struct{}{}
		w.arm()
	}
}

func (w *waker) own(node store.NodeKey) string { return fmt.Sprintf("%s_%d", w.channel, node) }

// together is how long is waited for more to tell.
const together = 5 * time.Millisecond

// wake tells a channel soon. The mutex is held.
func (w *waker) wake(channel string) {
	if w.closed {
		return
	}
	w.targets[channel] = struct{}{}
	w.arm()
}

// arm has tell called soon, unless it will be anyway. The mutex is held.
func (w *waker) arm() {
	if w.armed {
		return
	}
	w.armed = true
	w.telling.Add(1)
	time.AfterFunc(together, w.tell)
}

// tell tells what has come together. That it could not is no matter: nodes look by
// themselves, too.
func (w *waker) tell() {
	defer w.telling.Done()
	w.mu.Lock()
	var channels []string
	for channel := range w.targets {
		channels = append(channels, channel)
	}
	buckets := slices.Collect(maps.Keys(w.nudges))
	clear(w.targets)
	clear(w.nudges)
	w.mu.Unlock()
	w.say(channels, buckets)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed = false; len(w.targets)+len(w.nudges) > 0 { // in the meantime
		w.arm()
	}
}

const (
	notifySQL = `SELECT pg_notify(channel, '') FROM unnest($1::text[]) AS channel`
	// nudgeSQL notifies owners of buckets. %s are the channel of all, what is said, and the
	// table.
	nudgeSQL = `SELECT pg_notify('%s_' || node, '%s') FROM %s WHERE bucket = ANY ($1) AND node IS NOT NULL`
	// nudged is what comes with a notification that is a nudge.
	nudged = "nudge"
)

// say notifies channels and the owners of buckets, and connects first where that is needed.
func (w *waker) say(channels []string, buckets []store.Bucket) {
	const most = time.Second
	ctx, cancel := context.WithTimeout(context.Background(), most) //nolint:forbidigo // of nobody's request
	defer cancel()
	for range 2 { // a connection that was cut is known by its use
		if w.mouth == nil || w.mouth.IsClosed() {
			conn, err := pgx.ConnectConfig(ctx, w.config)
			if err != nil {
				return
			}
			w.mouth = conn
		}
		batch := new(pgx.Batch) // one transaction
		if len(channels) > 0 {
			batch.Queue(notifySQL, channels)
		}
		if len(buckets) > 0 {
			batch.Queue(w.nudge, buckets)
		}
		if err := w.mouth.SendBatch(ctx, batch).Close(); err == nil || !w.mouth.IsClosed() {
			return
		}
	}
}

// close waits until all is told, and ends the call of Wake.
func (w *waker) close() {
	w.mu.Lock()
	w.closed = true
	if w.hush != nil {
		w.hush()
	}
	w.mu.Unlock()
	w.telling.Wait()
	if w.mouth != nil {
		hangUp(w.mouth)
	}
	w.listening.Lock()
	defer w.listening.Unlock()
	w.deafen()
}

// Wake returns when there may be something to hear.
func (s *Store) Wake(ctx context.Context) (nudged bool, err error) {
	node, _ := s.member.present()
	if node == 0 {
		return false, store.ErrBuried
	}
	w := s.waker
	w.listening.Lock()
	defer w.listening.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !w.attend(cancel) {
		return false, store.ErrClosed
	}
	isNew, err := w.listen(ctx, node)
	nudged = isNew // who knows
	if err == nil && !isNew {
		nudged, err = w.hear(ctx)
	}
	if err != nil && s.closed.Load() {
		err = store.ErrClosed
	}
	return nudged, err
}

// attend has close end the call of Wake, unless it has been called.
func (w *waker) attend(hush func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hush = hush
	return !w.closed
}

// listen sees to it that there is a connection that listens for a node. It says whether
// that is new, and something may have been missed.
func (w *waker) listen(ctx context.Context, node store.NodeKey) (isNew bool, err error) {
	if w.ear.conn != nil && !w.ear.conn.IsClosed() && w.ear.node == node {
		return false, nil
	}
	w.deafen()
	conn, err := pgx.ConnectConfig(ctx, w.config)
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

const (
	// silence is how long nothing may be heard before it is seen whether the connection
	// still is one: where a machine or a network is gone, nobody says so.
	silence = 15 * time.Second
	answer  = 5 * time.Second
)

// hear waits for a notification, and says whether it is a nudge. Those that come with it are
// for the next call.
func (w *waker) hear(ctx context.Context) (isNudge bool, err error) {
	for {
		waiting, cancel := context.WithTimeout(ctx, silence)
		heard, err := w.ear.conn.WaitForNotification(waiting)
		quiet := waiting.Err() != nil
		cancel()
		switch {
		case err == nil:
			return heard.Payload == nudged, nil
		case ctx.Err() != nil:
			return false, ctx.Err() // the connection goes on listening
		case quiet && w.answers(ctx):
			continue
		}
		w.deafen()
		return false, translate(err)
	}
}

// answers says whether the server does. What it notifies of meanwhile is kept.
func (w *waker) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	return w.ear.conn.Ping(ctx) == nil
}

func (w *waker) deafen() {
	if w.ear.conn != nil {
		hangUp(w.ear.conn)
	}
	w.ear = ear{}
}

func hangUp(conn *pgx.Conn) {
	const most = time.Second
	ctx, cancel := context.WithTimeout(context.Background(), most) //nolint:forbidigo // of nobody's request
	defer cancel()
	_ = conn.Close(ctx)
}
