package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// Whoever makes or ends a node, or gives away a bucket, locks in this order, and so do
// all others: the fences of nodes ascending by key, the join lock, a row of node, one of
// node_turn, rows of bucket. It gives up soon, as it must not hold up those who publish.
const (
	patienceSQL = `SET LOCAL lock_timeout = '2s'`

	// A signal to all nodes is posted under the share of this lock, and who joins has it
	// alone: so it gets what is posted, or has joined behind it.
	joinLockSQL  = `SELECT pg_advisory_xact_lock(hashtextextended('neohook join ' || current_schema(), 0))`
	joinShareSQL = `SELECT pg_advisory_xact_lock_shared(hashtextextended('neohook join ' || current_schema(), 0))`

	// Who has a node's fence alone comes behind all its writes, also those of which it does
	// not know whether they were stored.
	fenceOfSQL = `SELECT hashtextextended('neohook node ' || current_schema(), $1)`
	aloneSQL   = `SELECT pg_advisory_xact_lock(hashtextextended('neohook node ' || current_schema(), $1))`
	shareSQL   = `SELECT pg_advisory_xact_lock_shared(hashtextextended('neohook node ' || current_schema(), $1))`
)

const (
	insertNodeSQL = `INSERT INTO node (key, name, delivers, watches, beat, knows) VALUES (nextval('node_key'), $1, $2, $3, 0, $4)
		RETURNING key, hashtextextended('neohook node ' || current_schema(), key)`
	insertTurnSQL = `INSERT INTO node_turn (node, turn) VALUES ($1, 0)`
	// What was posted for a node at the time that it ended, by who had seen it before.
	// Nobody posts to nodes at present.
	deleteStraySQL = `DELETE FROM signal WHERE node IS NOT NULL AND NOT EXISTS (SELECT FROM node WHERE node.key = signal.node)`
)

// Join makes the handle a new node.
func (s *Store) Join(ctx context.Context, member store.Member) (store.NodeKey, error) {
	m := &s.member
	former := m.resign()
	var key store.NodeKey
	var fence int64
	err := s.transactUnfenced(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := queries(ctx, tx, patienceSQL); err != nil {
			return err
		}
		if former != 0 {
			if _, err := tx.Exec(ctx, aloneSQL, former); err != nil {
				return err
			}
		}
		if err := queries(ctx, tx, joinLockSQL); err != nil {
			return err
		}
		if former != 0 {
			if err := remove(ctx, tx, former, former); err != nil {
				return err
			}
		}
		// Under the lock, as who raises what is needed has it and looks at the nodes.
		state, err := readSchemaState(ctx, tx)
		if err == nil {
			err = s.newer(state)
		}
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, insertNodeSQL, member.Name, member.Delivers, member.Watches, s.known()).Scan(&key, &fence); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertTurnSQL, key); err != nil {
			return err
		}
		if err := queries(ctx, tx, deleteStraySQL); err != nil {
			return err
		}
		return tellNodes(ctx, tx, key, store.SignalNodes)
	})
	s.waker.all()
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	m.become(key, fence)
	m.former = 0
	m.mu.Unlock()
	s.heard.again()
	return key, nil
}

// queries carries out statements that have no arguments.
func queries(ctx context.Context, tx pgx.Tx, list ...string) error {
	for _, query := range list {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// Leave ends the handle's node.
func (s *Store) Leave(ctx context.Context) error {
	m := &s.member
	if m.idle() {
		return nil
	}
	former := m.resign()
	err := s.transactUnfenced(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := queries(ctx, tx, patienceSQL); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, aloneSQL, former); err != nil {
			return err
		}
		if err := queries(ctx, tx, joinShareSQL); err != nil {
			return err
		}
		return remove(ctx, tx, former, former)
	})
	s.waker.all()
	if err == nil {
		m.mu.Lock()
		m.former = 0
		m.mu.Unlock()
	}
	return err
}

const (
	deleteNodeSQL    = `DELETE FROM node WHERE key = $1`
	deleteTurnSQL    = `DELETE FROM node_turn WHERE node = $1`
	freeBucketsSQL   = `UPDATE bucket SET node = NULL WHERE node = $1`
	deleteUnheardSQL = `DELETE FROM signal WHERE node = $1`
)

// remove lets go of a node, and tells all others but one. It is for who has the node's
// fence alone, and the join lock or a share of it.
func remove(ctx context.Context, tx pgx.Tx, key, but store.NodeKey) error {
	gone, err := tx.Exec(ctx, deleteNodeSQL, key)
	if err != nil || gone.RowsAffected() == 0 {
		return err
	}
	for _, query := range []string{deleteTurnSQL, freeBucketsSQL, deleteUnheardSQL} {
		if _, err := tx.Exec(ctx, query, key); err != nil {
			return err
		}
	}
	return tellNodes(ctx, tx, but, store.SignalNodes)
}

const (
	beatSQL = `UPDATE node SET beat = beat + 1 WHERE key = $1 RETURNING beat`
	// viewSQL is one statement, for one consistent reading: a row for each node, and one with
	// the owners of all buckets.
	viewSQL = `SELECT key, name, delivers, watches, beat, NULL::bigint[], false FROM node
		UNION ALL
		SELECT 0, '', false, '', 0, ARRAY(SELECT coalesce(node, 0) FROM bucket ORDER BY bucket), coalesce((SELECT paused FROM instance), false)`
)

// Beat raises the node's counter and returns how the cluster stands. It ends with ctx: a
// beat of unknown fate does no harm, and one that takes long is of no use.
func (s *Store) Beat(ctx context.Context) (view store.View, err error) {
	key, _ := s.member.present()
	if key == 0 {
		return view, store.ErrBuried
	}
	lives := false
	// In one round trip, so that nobody waits for a node that was stopped in the midst of it.
	batch := new(pgx.Batch)
	batch.Queue(beatSQL, key).Query(eachRow(func(rows pgx.Rows) error {
		lives = true
		return nil
	}))
	batch.Queue(viewSQL).Query(eachRow(func(rows pgx.Rows) error { return scanView(rows, &view) }))
	err = s.read(ctx, func(ctx context.Context, q querier) error { return q.SendBatch(ctx, batch).Close() })
	if err == nil && !lives {
		err = store.ErrBuried
	}
	if err != nil {
		return store.View{}, err
	}
	slices.SortFunc(view.Nodes, func(a, b store.Node) int { return cmp.Compare(a.Key, b.Key) })
	return view, nil
}

// scanView adds a row to a view.
func scanView(rows pgx.Rows, view *store.View) error {
	var n store.Node
	var owners []store.NodeKey
	var paused bool
	if err := rows.Scan(&n.Key, &n.Name, &n.Delivers, &n.Watches, &n.Beat, &owners, &paused); err != nil {
		return err
	}
	if n.Key != 0 {
		view.Nodes = append(view.Nodes, n)
		return nil
	}
	view.Paused = paused
	copy(view.Owners[:], owners)
	return nil
}

const (
	beatOfSQL   = `SELECT beat FROM node WHERE key = $1`
	lockBeatSQL = beatOfSQL + ` FOR UPDATE`
	// The sessions that are in a write of the node, whoever has opened them. Those which
	// are not are in nobody's way, and what they begin finds the node buried.
	endSessionsSQL = `SELECT count(pg_terminate_backend(pid)) FROM pg_locks
		WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid <> pg_backend_pid()
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND classid::bigint << 32 | objid::bigint = $1`
)

// Bury ends another node whose counter stands at beat.
func (s *Store) Bury(ctx context.Context, node store.NodeKey, beat int64) error {
	own, _ := s.member.present()
	if own == 0 {
		return store.ErrBuried
	}
	err := s.transactUnfenced(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := queries(ctx, tx, patienceSQL); err != nil {
			return err
		}
		if err := lives(ctx, tx, own); err != nil {
			return err
		}
		return bury(ctx, tx, own, node, beat)
	})
	s.waker.all()
	return err
}

// bury ends a node whose counter stands at beat, for another one; 0 is for none.
func bury(ctx context.Context, tx pgx.Tx, own, node store.NodeKey, beat int64) error {
	// Its sessions are ended only once it is clear that it may be dead. Should it live
	// all the same, that costs it a moment.
	if gone, err := stands(ctx, tx, beatOfSQL, node, beat); gone || err != nil {
		return err
	}
	fence, err := first(ctx, tx, pgx.RowTo[int64], fenceOfSQL, node)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, endSessionsSQL, fence); err != nil {
		return err
	}
	if err := fences(ctx, tx, own, node); err != nil {
		return err
	}
	if own != 0 {
		if err := lives(ctx, tx, own); err != nil {
			return err
		}
	}
	if err := queries(ctx, tx, joinShareSQL); err != nil {
		return err
	}
	if gone, err := stands(ctx, tx, lockBeatSQL, node, beat); gone || err != nil {
		return err
	}
	return remove(ctx, tx, node, own)
}

// fences takes the share of the own one and the other alone, in the order of their keys:
// two may bury each other.
func fences(ctx context.Context, tx pgx.Tx, own, other store.NodeKey) error {
	queries := map[store.NodeKey]string{own: shareSQL, other: aloneSQL}
	for _, key := range []store.NodeKey{min(own, other), max(own, other)} {
		if key == 0 {
			continue
		}
		if _, err := tx.Exec(ctx, queries[key], key); err != nil {
			return err
		}
	}
	return nil
}

// stands says of a node whether it is gone, or returns ErrStale where it beats.
func stands(ctx context.Context, tx pgx.Tx, query string, node store.NodeKey, beat int64) (gone bool, err error) {
	found, err := first(ctx, tx, pgx.RowTo[int64], query, node)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return true, nil
	case err == nil && found != beat:
		return false, store.ErrStale
	}
	return false, err
}
