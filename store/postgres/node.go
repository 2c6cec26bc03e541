package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// membership is which node of a cluster a handle is, and what that node owns.
type membership struct {
	// mu is held for reading by each write from its beginning to its end, so that a
	// change of what follows waits for those under way.
	mu    sync.RWMutex
	key   store.NodeKey // 0 is none
	left  bool          // the handle has been a node, and is none
	fence int64         // the advisory lock that its writes share
	owned [store.BucketCount]bool
	mask  []byte // owned, a bit each; replaced by every change
}

// present is the handle's node, and what it owns, a bit each.
func (m *membership) present() (store.NodeKey, []byte) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.key, m.mask
}

// owns says whether the writing handle's node owns a tenant's bucket. mu is held.
func (m *membership) owns(tenant store.TenantKey) bool { return m.owned[store.BucketOf(tenant)] }

// set changes what is owned. mu is held for writing.
func (m *membership) set(buckets []store.Bucket, owned bool) {
	for _, bucket := range buckets {
		m.owned[bucket] = owned
	}
	m.mask = make([]byte, store.BucketCount/8)
	for bucket, owned := range m.owned {
		if owned {
			m.mask[bucket/8] |= 1 << (bucket % 8) // as get_bit counts them
		}
	}
}

// become makes the handle another node, or none. mu is held for writing.
func (m *membership) become(key store.NodeKey, fence int64) {
	m.key, m.fence, m.left = key, fence, key == 0
	m.owned = [store.BucketCount]bool{}
	m.set(nil, false)
}

const (
	fenceSQL = `SELECT pg_advisory_xact_lock_shared($1)`
	aliveSQL = `SELECT EXISTS (SELECT FROM node WHERE key = $1)`
)

// enter queues what a write of the node begins with: it shares a lock that whoever buries
// the node wants for itself, and then sees whether that has been done. These are two
// statements, as one would see the database as of before it had the lock. mu is held.
func (m *membership) enter(batch *pgx.Batch) error {
	if m.left {
		return store.ErrBuried
	}
	if m.key == 0 {
		return nil
	}
	batch.Queue(fenceSQL, m.fence)
	batch.Queue(aliveSQL, m.key).QueryRow(func(row pgx.Row) error {
		var alive bool
		if err := row.Scan(&alive); err != nil {
			return err
		}
		if !alive {
			return store.ErrBuried
		}
		return nil
	})
	return nil
}

const (
	fenceSessionSQL   = `SELECT pg_advisory_lock_shared($1)`
	unfenceSessionSQL = `SELECT pg_advisory_unlock_shared($1)`
)

// enterSession is enter for a write that sees the database as of one instant, which would
// be too old to see whether the node was buried while it waited for the lock.
func (m *membership) enterSession(ctx context.Context, conn *pgx.Conn) (leave func(), err error) {
	m.mu.RLock()
	key, fence, left := m.key, m.fence, m.left
	m.mu.RUnlock()
	switch {
	case left:
		return nil, store.ErrBuried
	case key == 0:
		return func() {}, nil
	}
	if _, err := conn.Exec(ctx, fenceSessionSQL, fence); err != nil {
		return nil, err
	}
	leave = func() {
		ctx := context.WithoutCancel(ctx)
		if _, err := conn.Exec(ctx, unfenceSessionSQL, fence); err != nil {
			_ = conn.Close(ctx) // which lets go of it
		}
	}
	alive, err := first(ctx, conn, pgx.RowTo[bool], aliveSQL, key)
	if err == nil && !alive {
		err = store.ErrBuried
	}
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

const (
	// A signal to all nodes is posted under the share of this lock, and who joins has it
	// alone: so it gets what is posted, or has joined behind it.
	joinLockSQL   = `SELECT pg_advisory_xact_lock(hashtextextended('neohook join ' || current_schema(), 0))`
	joinShareSQL  = `SELECT pg_advisory_xact_lock_shared(hashtextextended('neohook join ' || current_schema(), 0))`
	insertNodeSQL = `INSERT INTO node (key, name, delivers, watches, beat) VALUES (nextval('node_key'), $1, $2, $3, 0)
		RETURNING key, hashtextextended('neohook node ' || current_schema(), key)`
	deleteNodeSQL    = `DELETE FROM node WHERE key = $1`
	freeBucketsSQL   = `UPDATE bucket SET node = NULL WHERE node = $1`
	deleteUnheardSQL = `DELETE FROM signal WHERE node = $1`
)

// Join makes the handle a new node.
func (s *Store) Join(ctx context.Context, member store.Member) (store.NodeKey, error) {
	if err := s.Leave(ctx); err != nil {
		return 0, err
	}
	var key store.NodeKey
	var fence int64
	err := s.transactUnfenced(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, joinLockSQL); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, insertNodeSQL, member.Name, member.Delivers, member.Watches).Scan(&key, &fence); err != nil {
			return err
		}
		return tellNodes(ctx, tx, key, store.SignalNodes)
	})
	if err != nil {
		return 0, err
	}
	s.member.mu.Lock()
	s.member.become(key, fence)
	s.member.mu.Unlock()
	s.pool.Reset() // connections made from now on have the node's name
	s.waker.all()
	return key, nil
}

// Leave ends the handle's node.
func (s *Store) Leave(ctx context.Context) error {
	m := &s.member
	m.mu.Lock()
	key := m.key
	if key != 0 {
		m.become(0, 0)
	}
	m.mu.Unlock()
	if key == 0 {
		return nil
	}
	err := s.transactUnfenced(ctx, func(ctx context.Context, tx pgx.Tx) error { return remove(ctx, tx, key, key) })
	s.waker.all()
	return err
}

// remove lets go of a node, and tells all others but one.
func remove(ctx context.Context, tx pgx.Tx, key, but store.NodeKey) error {
	if _, err := tx.Exec(ctx, joinShareSQL); err != nil {
		return err
	}
	gone, err := tx.Exec(ctx, deleteNodeSQL, key)
	if err != nil || gone.RowsAffected() == 0 {
		return err
	}
	for _, query := range []string{freeBucketsSQL, deleteUnheardSQL} {
		if _, err := tx.Exec(ctx, query, key); err != nil {
			return err
		}
	}
	return tellNodes(ctx, tx, but, store.SignalNodes)
}

const (
	beatSQL   = `UPDATE node SET beat = beat + 1 WHERE key = $1`
	nodesSQL  = `SELECT key, name, delivers, watches, beat FROM node ORDER BY key`
	ownersSQL = `SELECT bucket, node FROM bucket WHERE node IS NOT NULL`
	pausedSQL = `SELECT COALESCE((SELECT paused FROM instance), false)`
)

// Beat raises the node's counter and returns how the cluster stands.
func (s *Store) Beat(ctx context.Context) (view store.View, err error) {
	key, _ := s.member.present()
	if key == 0 {
		return view, store.ErrBuried
	}
	err = s.transactUnfenced(ctx, func(ctx context.Context, tx pgx.Tx) error {
		raised, err := tx.Exec(ctx, beatSQL, key)
		if err == nil && raised.RowsAffected() == 0 {
			err = store.ErrBuried
		}
		return err
	})
	if err != nil {
		return view, err
	}
	err = s.snapshot(ctx, func(ctx context.Context, q querier) (err error) {
		if view.Nodes, err = all(ctx, q, pgx.RowToFunc[store.Node](scanNode), nodesSQL); err != nil {
			return err
		}
		if view.Paused, err = first(ctx, q, pgx.RowTo[bool], pausedSQL); err != nil {
			return err
		}
		return readOwners(ctx, q, &view.Owners)
	})
	if err != nil {
		return store.View{}, err
	}
	return view, nil
}

func scanNode(row pgx.CollectableRow) (n store.Node, err error) {
	err = row.Scan(&n.Key, &n.Name, &n.Delivers, &n.Watches, &n.Beat)
	return n, err
}

func readOwners(ctx context.Context, q querier, owners *[store.BucketCount]store.NodeKey) error {
	rows, err := q.Query(ctx, ownersSQL)
	if err != nil {
		return err
	}
	var bucket store.Bucket
	var node store.NodeKey
	_, err = pgx.ForEachRow(rows, []any{&bucket, &node}, func() error {
		owners[bucket] = node
		return nil
	})
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
	key, _ := s.member.present()
	if key == 0 {
		return nil, store.ErrBuried
	}
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
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
	return mine, nil
}

const releaseSQL = `UPDATE bucket SET node = NULL WHERE bucket = ANY($1) AND node = $2`

// Release ends the ownership of those of the buckets that the node owns.
func (s *Store) Release(ctx context.Context, buckets []store.Bucket) error {
	m := &s.member
	m.mu.Lock()
	key := m.key
	m.set(buckets, false)
	m.mu.Unlock()
	if key == 0 {
		return store.ErrBuried
	}
	err := s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, joinShareSQL); err != nil {
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

const (
	beatOfSQL      = `SELECT beat FROM node WHERE key = $1`
	lockBeatSQL    = beatOfSQL + ` FOR UPDATE`
	fenceOfSQL     = `SELECT hashtextextended('neohook node ' || current_schema(), $1)`
	alone          = `SELECT pg_advisory_xact_lock($1)`
	endSessionsSQL = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE application_name = $1 AND usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()`
)

// sessionName is what the connections of a node are called, so that they can be found. The
// server cuts names at 63 bytes.
func (s *Store) sessionName(key store.NodeKey) string {
	if key == 0 {
		return "neohook"
	}
	return fmt.Sprintf("neohook node %d %.30s", key, s.schema)
}

// Bury ends another node whose counter stands at beat.
func (s *Store) Bury(ctx context.Context, node store.NodeKey, beat int64) error {
	if own, _ := s.member.present(); own == 0 {
		return store.ErrBuried
	}
	judge := func(ctx context.Context, tx pgx.Tx, query string) (gone bool, err error) {
		found, err := first(ctx, tx, pgx.RowTo[int64], query, node)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return true, nil
		case err == nil && found != beat:
			return false, store.ErrStale
		}
		return false, err
	}
	err := s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		// Its sessions are ended only once it is clear that it may be dead. Should it live
		// all the same, that costs it a moment.
		if gone, err := judge(ctx, tx, beatOfSQL); gone || err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, endSessionsSQL, s.sessionName(node)); err != nil {
			return err
		}
		fence, err := first(ctx, tx, pgx.RowTo[int64], fenceOfSQL, node)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, alone, fence); err != nil {
			return err
		}
		if gone, err := judge(ctx, tx, lockBeatSQL); gone || err != nil {
			return err
		}
		return remove(ctx, tx, node, s.member.key)
	})
	s.waker.all()
	return err
}

// LanesIn is Lanes for the tenants of some buckets.
func (s *Store) LanesIn(ctx context.Context, buckets []store.Bucket, after store.EndpointKey, limit int) (lanes []store.Lane, err error) {
	wanted := among(buckets)
	const page = 1000
	for len(lanes) < limit {
		found, err := s.Lanes(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, lane := range found {
			if wanted[store.BucketOf(lane.Tenant)] {
				lanes = append(lanes, lane)
			}
		}
		if len(found) < page {
			break
		}
		after = found[len(found)-1].Endpoint
	}
	return lanes[:min(limit, len(lanes))], nil
}

func among(buckets []store.Bucket) (wanted [store.BucketCount]bool) {
	for _, bucket := range buckets {
		wanted[bucket] = true
	}
	return wanted
}

const failingInSQL = `SELECT failing.endpoint, since, told, tenant FROM failing JOIN endpoint ON endpoint.key = failing.endpoint
	WHERE failing.endpoint > $1 ORDER BY failing.endpoint LIMIT $2`

// FailingIn is FailingEndpoints for the tenants of some buckets.
func (s *Store) FailingIn(ctx context.Context, buckets []store.Bucket, after store.EndpointKey, limit int) (failing []store.FailingEndpoint, err error) {
	type found struct {
		store.FailingEndpoint
		tenant store.TenantKey
	}
	scan := func(row pgx.CollectableRow) (f found, err error) {
		err = row.Scan(&f.Endpoint, &f.Since, &f.Told, &f.tenant)
		f.Since = f.Since.UTC()
		return f, err
	}
	wanted := among(buckets)
	const page = 1000
	for len(failing) < limit {
		rows, err := readAll(ctx, s, scan, failingInSQL, after, page)
		if err != nil {
			return nil, err
		}
		for _, f := range rows {
			if wanted[store.BucketOf(f.tenant)] {
				failing = append(failing, f.FailingEndpoint)
			}
		}
		if len(rows) < page {
			break
		}
		after = rows[len(rows)-1].Endpoint
	}
	return slices.Clip(failing[:min(limit, len(failing))]), nil
}
