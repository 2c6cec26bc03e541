package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neohook/neohook/store"
)

// mostTransaction bounds a transaction with all its repetitions, whatever becomes of its
// caller: a server that hangs must not hold it for ever.
const mostTransaction = 30 * time.Second

// querier is a transaction or a connection.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

// acquire takes a connection on which nothing is in doubt any more, unless ctx ends or the
// store closes before. One that turns out to be lost is no reason to fail, as those are that
// somebody else has ended: there may be others.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for tries := 1; ; tries++ {
		conn, err := s.connect(ctx)
		if err != nil {
			return nil, err
		}
		if err = s.settle(ctx, conn.Conn()); err == nil {
			return conn, nil
		}
		again := conn.Conn().IsClosed() && ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable) && tries < mostLost
		err = translateOn(ctx, conn.Conn(), err)
		conn.Release()
		if !again {
			return nil, err
		}
		s.pool.Reset()
	}
}

// connect takes a connection of the pool.
func (s *Store) connect(ctx context.Context) (*pgxpool.Conn, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	if cause := s.away.now(); cause != nil {
		return nil, &connectError{cause}
	}
	conn, err := s.pool.Acquire(ctx)
	switch {
	case err == nil:
	case s.closed.Load():
		return nil, store.ErrClosed
	case ctx.Err() != nil:
		return nil, fmt.Errorf("postgres: connect: %w", err)
	default:
		if missing(err) {
			s.away.goneBy(err, s.find)
		}
		return nil, &connectError{err}
	}
	return conn, nil
}

// write lends a connection to do, which makes one transaction on it. All that is ever
// written goes through here. While do runs, what the handle's node owns does not change.
// What do has not ended when it returns is rolled back.
//
// Once begun it is carried through whatever becomes of ctx, so that an impatient caller is
// no reason for an unknown outcome. Where the server, or another transaction, was in the
// way and nothing is stored, do is called again: it must not build on what an earlier call
// has left behind.
func (s *Store) write(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	return s.carryThrough(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		// Not while a connection is waited for: a change of what is owned waits for this.
		s.member.mu.RLock()
		defer s.member.mu.RUnlock()
		return do(ctx, conn)
	})
}

// transact lets do write in a transaction, as the handle's node if it is one, by statements
// of its own. As write it may call do several times.
func (s *Store) transact(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	return s.write(ctx, inTransaction(func(ctx context.Context, tx pgx.Tx) error {
		entry := new(pgx.Batch)
		if err := s.member.enter(entry); err != nil {
			return err
		}
		if entry.Len() > 0 {
			if err := tx.SendBatch(ctx, entry).Close(); err != nil {
				return err
			}
		}
		return do(ctx, tx)
	}))
}

// transactUnfenced is transact for what makes the handle a node, or none.
func (s *Store) transactUnfenced(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	return s.carryThrough(ctx, inTransaction(do))
}

func inTransaction(do func(context.Context, pgx.Tx) error) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		if err := do(ctx, tx); err != nil {
			return err
		}
		return commitFault(tx.Commit(ctx))
	}
}

func (s *Store) carryThrough(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mostTransaction)
	defer cancel()
	for tries := 1; ; tries++ {
		session := sessionOf(conn.Conn().PgConn())
		lost, err := lend(ctx, conn, do)
		if errors.Is(err, store.ErrCommitUnknown) {
			s.doubts.add(session)
		}
		if lost {
			s.pool.Reset() // where one connection has broken, others have: not each is to be tried
		}
		if err == nil || !passes(err, lost, tries) || !rest(ctx, tries) {
			if err = translate(err); lost {
				err = unavailable(err)
			}
			return err
		}
		if conn, err = s.acquire(ctx); err != nil {
			return err
		}
	}
}

// lend lends a connection to do and gives it back, with no transaction in it. It says
// whether it was lost.
func lend(ctx context.Context, conn *pgxpool.Conn, do func(context.Context, *pgx.Conn) error) (lost bool, err error) {
	defer conn.Release() // which closes one in a transaction, as after a panic
	err = do(ctx, conn.Conn())
	var answered *pgconn.PgError
	if errors.As(err, &answered) && answered.Code == nowStandby {
		_ = conn.Conn().Close(ctx) // the primary is elsewhere
	}
	lost = conn.Conn().IsClosed()
	const idle = 'I'
	if !lost && conn.Conn().PgConn().TxStatus() != idle {
		if _, failed := conn.Exec(ctx, "rollback"); failed != nil {
			_ = conn.Conn().Close(ctx)
		}
	}
	return lost, err
}

// rest waits a little before the next try, at random, so that two do not meet again.
func rest(ctx context.Context, tries int) bool {
	timer := time.NewTimer(rand.N(time.Millisecond << min(tries, 7))) //nolint:gosec // chance will do
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// read lends a connection to do. Each statement sees the database as of its own beginning.
func (s *Store) read(ctx context.Context, do func(context.Context, querier) error) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return translateOn(ctx, conn.Conn(), do(ctx, conn))
}

// snapshot is read where all statements see the database as of one instant.
func (s *Store) snapshot(ctx context.Context, do func(context.Context, querier) error) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return translateOn(ctx, conn.Conn(), err)
	}
	err = do(ctx, tx)
	return errors.Join(translateOn(ctx, conn.Conn(), err), rollback(context.WithoutCancel(ctx), tx))
}

// rollback says nothing of a connection that is gone: so is the transaction.
func rollback(ctx context.Context, tx pgx.Tx) error {
	if err := tx.Rollback(ctx); err != nil && !tx.Conn().IsClosed() {
		return err
	}
	return nil
}

// first returns the first row of a statement, or pgx.ErrNoRows.
func first[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], query string, args ...any) (T, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		var none T
		return none, err
	}
	return pgx.CollectOneRow(rows, scan)
}

// all returns all rows of a statement; nil where there are none.
func all[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], query string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.AppendRows[T, []T](nil, rows, scan)
}

func readFirst[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], query string, args ...any) (found T, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		found, err = first(ctx, q, scan, query, args...)
		return err
	})
	return found, err
}

func readAll[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], query string, args ...any) (found []T, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		found, err = all(ctx, q, scan, query, args...)
		return err
	})
	return found, err
}
