package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
)

// Who publishes under a key, or a UID, has it until its transaction ends, and whoever wants
// the same meanwhile waits. A process may be stopped in the middle of that, and its client
// repeat the event at another node: that one's batch must not wait for it for long. It finds
// out what is held, and stores the others without it.
const (
	claimWithinSQL = `SET LOCAL lock_timeout = '200ms'`
	probeWithinSQL = `SET LOCAL lock_timeout = '20ms'`
	// heldFor is for how long what was found to be held is not asked for again.
	heldFor = 250 * time.Millisecond

	// insertEventUIDsSQL fails where another transaction was first.
	insertEventUIDsSQL = `INSERT INTO event_uid (tenant, uid, event)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS new (tenant, uid, event) ORDER BY tenant, uid COLLATE "C"`
)

// claim stores what there can be only once. It comes last, as it is what may take a moment,
// or fail.
func (a *accepting) claim(batch *pgx.Batch) {
	a.claimOf(batch, claimWithinSQL, a.taken)
}

func (a *accepting) claimOf(batch *pgx.Batch, within string, places []int) {
	var (
		once    [len(publishedKept)]onceColumns
		keyed   bool
		tenants []store.TenantKey
		uids    []string
		named   []store.EventKey
	)
	for _, i := range places {
		accept, key := &a.accepts[i], a.keys[i]
		if accept.Once != nil {
			once[keptWith(accept.Once)].append(accept.Once, key, a.now)
			keyed = true
		}
		if accept.UID != "" {
			tenants, uids, named = append(tenants, accept.Tenant), append(uids, accept.UID), append(named, key)
		}
	}
	if keyed || len(uids) > 0 {
		batch.Queue(within)
	}
	for kept := range once {
		once[kept].queue(batch, kept, a)
	}
	if len(uids) > 0 {
		batch.Queue(insertEventUIDsSQL, tenants, uids, named)
	}
}

// onceColumns are keys to be stored as arrays, one for each column.
type onceColumns struct {
	hashes, bodies [][]byte
	events         []store.EventKey
	expiries       []time.Time
}

func (c *onceColumns) append(once *store.Once, event store.EventKey, now time.Time) {
	c.hashes, c.bodies = append(c.hashes, once.Hash[:]), append(c.bodies, once.Body[:])
	c.events, c.expiries = append(c.events, event), append(c.expiries, instant(now.Add(once.TTL)))
}

// queue has them stored in the part that has the turn.
func (c *onceColumns) queue(batch *pgx.Batch, kept int, a *accepting) {
	if len(c.hashes) == 0 {
		return
	}
	of := &a.once[kept]
	table := publishedPart(kept, of.turn)
	if len(of.expired) > 0 {
		batch.Queue(fmt.Sprintf(expirePublishedSQL, table), of.expired, a.now)
	}
	batch.Queue(fmt.Sprintf(insertPublishedSQL, table), int64(kept*partsInTurn)+of.turn%partsInTurn, a.now, c.hashes, c.bodies, c.events, c.expiries)
}

// heldUp says of an error that others hold for long what a commit claims.
func heldUp(err error) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && answered.Code == lockNotAvailable
}

// probe finds out which of the claims are held, each by itself, and takes nothing.
func (a *accepting) probe(ctx context.Context, conn *pgx.Conn) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	for _, i := range a.taken {
		if a.accepts[i].Once == nil && a.accepts[i].UID == "" {
			continue
		}
		one, err := tx.Begin(ctx) // a savepoint
		if err != nil {
			return err
		}
		batch := new(pgx.Batch)
		a.claimOf(batch, probeWithinSQL, []int{i})
		switch err := send(ctx, conn, batch); {
		case heldUp(err):
			a.held.add(&a.accepts[i])
		case err != nil && !beaten(err):
			return err
		}
		if err := one.Rollback(ctx); err != nil {
			return err
		}
	}
	return tx.Rollback(ctx)
}

// held remembers for a moment what others hold.
type held struct {
	mu     sync.Mutex
	hashes map[[16]byte]time.Time // when it was found
	uids   map[eventUID]time.Time
}

func (h *held) add(accept *store.Accept) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hashes == nil {
		h.hashes, h.uids = make(map[[16]byte]time.Time), make(map[eventUID]time.Time)
	}
	if accept.Once != nil {
		h.hashes[accept.Once.Hash] = time.Now()
	}
	if accept.UID != "" {
		h.uids[eventUID{accept.Tenant, accept.UID}] = time.Now()
	}
}

// has says that an event is not to be stored now.
func (h *held) has(accept *store.Accept) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.hashes)+len(h.uids) == 0 {
		return false
	}
	return accept.Once != nil && recent(h.hashes, accept.Once.Hash) ||
		accept.UID != "" && recent(h.uids, eventUID{accept.Tenant, accept.UID})
}

// recent says that a claim was found to be held just now. It forgets those that were not.
func recent[K comparable](found map[K]time.Time, claim K) bool {
	for other, at := range found {
		if time.Since(at) >= heldFor {
			delete(found, other)
		}
	}
	_, is := found[claim]
	return is
}
