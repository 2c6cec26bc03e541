package memstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/neohook/neohook/store"
)

// Tx is a transaction that is not the store's own. It holds up nobody however long it is
// open. Not safe for concurrent use.
type Tx struct {
	store *Store
	rows  map[store.OutboxKey]store.Announcement
	ended bool
}

var _ store.Tx = (*Tx)(nil)

var errEnded = errors.New("transaction has ended")

// Begin begins a transaction.
func (s *Store) Begin() *Tx {
	return &Tx{store: s, rows: make(map[store.OutboxKey]store.Announcement)}
}

// Announce puts an announcement into the outbox, once the transaction is committed. Its key
// is drawn now.
func (t *Tx) Announce(ctx context.Context, made time.Time, a store.Announcement) error {
	return t.store.do(ctx, "Announce", func(db *state) error {
		switch {
		case t.ended:
			return errEnded
		case db.instance == nil || !db.instance.CreatedAt.Equal(instant(made)):
			return fmt.Errorf("%w: it is of another store than the engine's", store.ErrTxRefused)
		}
		t.rows[db.nextOutbox()] = cleanAnnouncement(a)
		return nil
	})
}

// Commit lets the announcements be seen.
func (t *Tx) Commit(ctx context.Context) error {
	return t.store.do(ctx, "Commit of a Tx", func(db *state) error {
		if t.ended {
			return errEnded
		}
		t.ended = true
		maps.Copy(db.outbox, t.rows)
		return nil
	})
}

// Rollback leaves nothing of the transaction, unless it has ended.
func (t *Tx) Rollback() { t.ended = true }
