package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
)

const (
	// onceSQL finds what was made under a hash and has not expired at an instant.
	onceSQL       = `SELECT body, answer FROM once WHERE hash = ?1 AND expires_at > ?2`
	insertOnceSQL = `INSERT OR REPLACE INTO once (hash, body, expires_at, tenant, answer) VALUES (?, ?, ?, ?, ?)`
	sweepOnceSQL  = `DELETE FROM once WHERE hash IN (SELECT hash FROM once WHERE expires_at <= ?1 LIMIT ?2)`
)

// replayed returns *ReplayError if a change was made under once and that is live at now.
func replayed(ctx context.Context, c *conn, once *store.Once, now time.Time) error {
	type made struct{ body, answer []byte }
	found, err := first(ctx, c, func(r *row) made { return made{r.blob(), r.blob()} },
		onceSQL, once.Hash[:], micros(now))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case [16]byte(found.body) != once.Body:
		return &store.ReplayError{Mismatch: true}
	}
	return &store.ReplayError{Answer: found.answer}
}

// claim stores once, if it is not nil, for the change that is being made to what is a
// tenant's, 0 being none's; or returns *ReplayError. It deletes a few that have expired.
func (w *writer) claim(ctx context.Context, once *store.Once, tenant store.TenantKey) error {
	if once == nil {
		return nil
	}
	if err := replayed(ctx, w.conn, once, once.Now); err != nil {
		return err
	}
	expires := micros(once.Now) + once.TTL.Microseconds()
	if _, err := w.exec(ctx, insertOnceSQL, once.Hash[:], once.Body[:], expires, int64(tenant), blobOrNull(once.Answer)); err != nil {
		return err
	}
	const few = 10
	_, err := w.sweepOnce(ctx, once.Now, few)
	return err
}

// sweepOnce deletes some that have expired, and says whether there may be more.
func (w *writer) sweepOnce(ctx context.Context, now time.Time, most int64) (bool, error) {
	deleted, err := w.exec(ctx, sweepOnceSQL, micros(now), most)
	return deleted == most, err
}

// Replay returns the stored answer of once as *ReplayError, or nil if it was not seen
// before, as of now.
func (s *Store) Replay(ctx context.Context, once *store.Once, now time.Time) error {
	return s.read(ctx, func(ctx context.Context, c *conn) error { return replayed(ctx, c, once, now) })
}
