package postgres

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neohook/neohook/store/internal/migration"
)

// Store is a store.Store in one schema of a PostgreSQL database. Open makes one.
type Store struct {
	pool       *pgxpool.Pool
	schema     string
	migrations []migration.Migration // that the program knows
	log        *slog.Logger
	member     membership
	heard      horizon // of the signals for the handle's node
	posted     horizon // of all signals
	waker      *waker
	away       away
	doubts     doubts
	ranges     ranges
	held       held
	walk       outboxWalk
	dueWalk    dueWalk
	untried    untriedWalk
	onceFloor  floor
	revisits   floor
	rangeNotes rangeNotes
	expunged   expunged
	closed     atomic.Bool

	// presumedDead is how long the counter of a node of an older program stands still until
	// migrating passes over it.
	presumedDead time.Duration
}

// Close waits for what is under way and releases the connections; a second call does
// nothing.
func (s *Store) Close() error {
	if s.closed.CompareAndSwap(false, true) {
		s.ranges.close()
		s.waker.close()
		s.away.close()
		s.pool.Close()
	}
	return nil
}

const newKeySQL = `SELECT nextval('directory_key')`

// NewKey draws a key for a tenant, an endpoint or an event type.
func (s *Store) NewKey(ctx context.Context) (int64, error) {
	return readFirst(ctx, s, scanKey, newKeySQL)
}
