package postgres

import (
	"context"
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
	turn  int64         // the number of the last call that was to change what it owns
	owned [store.BucketCount]bool
	mask  []byte // owned, a bit each; replaced by every change

	// former is a node that the handle was, and that may still be stored as one, as its
	// leaving has not been confirmed. 0 is none.
	former store.NodeKey
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
	m.key, m.fence, m.left, m.turn = key, fence, key == 0, 0
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

// idle says that the handle is no node, and that none is left of it.
func (m *membership) idle() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.key == 0 && m.former == 0
}

// resign makes the handle none, once the writes under way have ended, and returns the node
// that may be left of it, or 0. One that has never been a node stays so.
func (m *membership) resign() (former store.NodeKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.key != 0 {
		m.former = m.key
		m.become(0, 0)
	}
	return m.former
}

// lives returns ErrBuried for a node that is there no more.
func lives(ctx context.Context, tx pgx.Tx, key store.NodeKey) error {
	alive, err := first(ctx, tx, pgx.RowTo[bool], aliveSQL, key)
	if err == nil && !alive {
		err = store.ErrBuried
	}
	return err
}
