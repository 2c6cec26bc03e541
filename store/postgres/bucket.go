package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// turnSQL lets only the last one take effect of the calls that are to change what a node
// owns. One that was lost on its way may be carried out late, and would undo what has come
// behind it. The row is not that of the node, or a call that hangs would hold up its beats.
const turnSQL = `UPDATE node_turn SET turn = $2 WHERE node = $1 AND turn < $2`

var errOutrun = errors.New("postgres: a later call has changed what the node owns")

// nextTurn draws the number of a call, and lets go of buckets if it is to.
func (m *membership) nextTurn(released []store.Bucket) (key store.NodeKey, turn int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
	if len(released) > 0 {
		m.set(released, false)
	}
	return m.key, m.turn
}

func takeTurn(ctx context.Context, tx pgx.Tx, key store.NodeKey, turn int64) error {
	taken, err := tx.Exec(ctx, turnSQL, key, turn)
	if err == nil && taken.RowsAffected() == 0 {
		err = errOutrun
	}
	return err
}

const (
	// Whoever claims a locked one at the same time gets it, or its claim fails: it is
	// claimed by the next one.
	claimSQL = `WITH free AS (SELECT bucket FROM bucket WHERE bucket = ANY($1) AND node IS NULL ORDER BY bucket FOR UPDATE SKIP LOCKED)
		UPDATE bucket SET node = $2 FROM free WHERE bucket.bucket = free.bucket RETURNING bucket.bucket`
	// What was posted for a bucket before it had an owner is seen by whoever reads all of it.
	voidSQL = `DELETE FROM signal WHERE bucket = ANY($1)`
	mineSQL = `SELECT bucket FROM bucket WHERE bucket = ANY($1) AND node = $2 ORDER BY bucket`
)

// Claim makes the node the owner of those of the buckets that nobody owns.
func (s *Store) Claim(ctx context.Context, buckets []store.Bucket) (mine []store.Bucket, err error) {
	key, turn := s.member.nextTurn(nil)
	if key == 0 {
		return nil, store.ErrBuried
	}
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := queries(ctx, tx, patienceSQL); err != nil {
			return err
		}
		if err := takeTurn(ctx, tx, key, turn); err != nil {
			return err
		}
		claimed, err := all(ctx, tx, pgx.RowTo[store.Bucket], claimSQL, buckets, key)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, voidSQL, claimed); err != nil {
			return err
		}
		mine, err = all(ctx, tx, pgx.RowTo[store.Bucket], mineSQL, buckets, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.member.mu.Lock()
	defer s.member.mu.Unlock()
	if s.member.key != key { // it has left meanwhile
		return nil, store.ErrBuried
	}
	s.member.set(mine, true)
	// One that it owned all along may have signals from the time when the handle did not
	// know of it.
	s.heard.again()
	return mine, nil
}

const releaseSQL = `UPDATE bucket SET node = NULL WHERE bucket = ANY($1) AND node = $2`

// Release ends the ownership of those of the buckets that the node owns. It has the node's
// fence alone: the handle may have had a write of unknown fate that is still under way, in
// which nothing was posted for the buckets' next owner.
func (s *Store) Release(ctx context.Context, buckets []store.Bucket) error {
	key, turn := s.member.nextTurn(buckets)
	if key == 0 {
		return store.ErrBuried
	}
	err := s.transactUnfenced(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := queries(ctx, tx, patienceSQL); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, aloneSQL, key); err != nil {
			return err
		}
		if err := lives(ctx, tx, key); err != nil {
			return err
		}
		if err := queries(ctx, tx, joinShareSQL); err != nil {
			return err
		}
		if err := takeTurn(ctx, tx, key, turn); err != nil {
			return err
		}
		released, err := tx.Exec(ctx, releaseSQL, buckets, key)
		if err != nil || released.RowsAffected() == 0 {
			return err
		}
		return tellNodes(ctx, tx, key, store.SignalNodes)
	})
	s.waker.all()
	return err
}
