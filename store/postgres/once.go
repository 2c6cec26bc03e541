package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	onceSQL = `SELECT body, answer FROM once WHERE hash = $1 AND expires_at > $2`
	// claimOnceSQL waits for another transaction that has the hash: what that one becomes
	// decides. It returns a row where the hash was free, or had expired.
	claimOnceSQL = `INSERT INTO once (hash, body, expires_at, tenant, answer) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (hash) DO UPDATE
			SET body = excluded.body, expires_at = excluded.expires_at, tenant = excluded.tenant, answer = excluded.answer
			WHERE once.expires_at <= $6
		RETURNING true`
	sweepOnceSQL = `WITH gone AS (DELETE FROM once WHERE hash IN (
			SELECT hash FROM once WHERE expires_at <= $1 AND expires_at >= $3 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
		RETURNING expires_at)
		SELECT count(*), coalesce(max(expires_at), $1) FROM gone`
)

type madeOnce struct {
	body, answer []byte
}

func scanOnce(row pgx.CollectableRow) (found madeOnce, err error) {
	return found, row.Scan(&found.body, &found.answer)
}

// replayed returns *ReplayError if a change was made under once and that is live at now.
func replayed(ctx context.Context, q querier, once *store.Once, now time.Time) error {
	found, err := first(ctx, q, scanOnce, onceSQL, once.Hash[:], instant(now))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case [16]byte(found.body) != once.Body:
		return &store.ReplayError{Mismatch: true}
	}
	return &store.ReplayError{Answer: found.answer}
}

// claim stores once, if it is not nil, for the change that is being made to what is a
// tenant's, 0 being none's; or returns *ReplayError. It comes first in a transaction: who waits for a hash holds nothing else then.
func claim(ctx context.Context, tx pgx.Tx, once *store.Once, tenant store.TenantKey) error {
	if once == nil {
		return nil
	}
	// What is in the way may have been swept by the time that it is looked at.
	const tries = 3
	for range tries {
		_, err := first(ctx, tx, pgx.RowTo[bool], claimOnceSQL, once.Hash[:], once.Body[:],
			instant(once.Now.Add(once.TTL)), tenant, listOrNull(once.Answer), instant(once.Now))
		if err == nil {
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := replayed(ctx, tx, once, once.Now); err != nil {
			return err
		}
	}
	return errors.New("postgres: an idempotency key comes and goes")
}

// Replay returns the stored answer of once as *ReplayError, or nil if it was not seen
// before, as of now.
func (s *Store) Replay(ctx context.Context, once *store.Once, now time.Time) error {
	return s.read(ctx, func(ctx context.Context, q querier) error { return replayed(ctx, q, once, now) })
}

// ReplayEvent returns the verdict on a repeat under once. As in a commit, what a standby may
// not have is not told.
func (s *Store) ReplayEvent(ctx context.Context, once *store.Once, now time.Time) (store.Verdict, error) {
	var before published
	is := false
	err := s.read(ctx, func(ctx context.Context, q querier) error {
		batch := new(pgx.Batch)
		batch.Queue(publishedSQL[keptWith(once)], [][]byte{once.Hash[:]}, instant(now)).Query(eachRow(func(rows pgx.Rows) error {
			_, found, expired, err := scanPublished(rows)
			if err == nil && !expired {
				before, is = found, true
			}
			return err
		}))
		return q.SendBatch(ctx, batch).Close()
	})
	if err != nil || !is {
		return store.Verdict{Kind: store.NotRepeated}, err
	}
	err = s.transactUnfenced(ctx, func(ctx context.Context, tx pgx.Tx) error { return queries(ctx, tx, markSQL) })
	return before.verdict(once), err
}
