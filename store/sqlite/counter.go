package sqlite

import (
	"context"

	"github.com/neohook/neohook/store"
)

// counter gives keys out, ascending, from blocks that it has reserved on disk. So a key
// is never used twice, though the newest rows be deleted or never written; a restart
// leaves the rest of a block out.
type counter struct {
	name     string
	next     int64
	reserved int64 // keys below it may be given out
}

const counterBlock = 4096

const reserveSQL = `UPDATE counter SET reserved = max(reserved, ?2) WHERE name = ?1`

// reserve sees to it that n keys can be drawn, inside a transaction.
func (n *counter) reserve(ctx context.Context, c *conn, count int) error {
	if n.has(count) {
		return nil
	}
	reserved := n.next + int64(count) + counterBlock
	if _, err := c.exec(ctx, reserveSQL, n.name, reserved); err != nil {
		return err
	}
	n.reserved = reserved
	return nil
}

func (n *counter) has(count int) bool { return n.next+int64(count) <= n.reserved }

// draw gives a key that was reserved.
func (n *counter) draw() int64 {
	n.next++
	return n.next - 1
}

// last is the key that was drawn last, or one above it.
func (n *counter) last() int64 { return n.next - 1 }

// forget is for a transaction that was undone, and the reservation perhaps with it.
func (n *counter) forget() { n.reserved = 0 }

const reservedSQL = `SELECT reserved FROM counter WHERE name = ?`

func (w *writer) loadCounters(ctx context.Context) error {
	for _, n := range []*counter{&w.directory, &w.events, &w.attempts, &w.sends} {
		reserved, err := first(ctx, w.conn, (*row).int, reservedSQL, n.name)
		if err != nil {
			return err
		}
		n.next, n.reserved = reserved, reserved
	}
	w.gone = store.EventKey(w.events.next) // of what there was before, nobody remembers
	return nil
}

// NewKey draws a key for a tenant or an endpoint. Only each few thousandth writes.
func (s *Store) NewKey(ctx context.Context) (int64, error) {
	w, err := take(ctx, s, s.writer)
	if err != nil {
		return 0, err
	}
	defer func() { s.writer <- w }()
	if !w.directory.has(1) {
		err := w.transact(context.WithoutCancel(ctx), func(ctx context.Context, w *writer) error {
			return w.directory.reserve(ctx, w.conn, 1)
		})
		if err != nil {
			return 0, err
		}
	}
	return w.directory.draw(), nil
}
