package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
)

// post gathers the signals of a write, for the owners of what is not the handle's own. The
// handle's membership is held.
type post struct {
	member  *membership
	signals []store.Signal
	// Who is to be woken up once that is stored: the owners, or all nodes.
	owners  map[store.NodeKey]struct{}
	nodes   bool
	fresh   map[store.EndpointKey]int // places of those that there is one of for an endpoint
	waiting map[store.EndpointKey]int
}

// of posts a signal to the owner of its tenant's bucket, unless that is the node itself.
func (p *post) of(signal store.Signal) {
	if p.member.owns(signal.Tenant) {
		return
	}
	places := &p.fresh
	switch signal.Kind {
	case store.SignalWaiting:
		places = &p.waiting
	case store.SignalFresh:
	default:
		p.signals = append(p.signals, signal)
		return
	}
	if *places == nil {
		*places = make(map[store.EndpointKey]int)
	}
	if at, has := (*places)[signal.Endpoint]; has {
		p.signals[at].Event = min(p.signals[at].Event, signal.Event)
		if signal.Due.Before(p.signals[at].Due) {
			p.signals[at].Due = signal.Due
		}
		return
	}
	(*places)[signal.Endpoint] = len(p.signals)
	p.signals = append(p.signals, signal)
}

// made posts the sends that were stored: those with a key.
func (p *post) made(sends []store.Send, keys []store.SendKey) {
	for i, key := range keys {
		if key != 0 {
			p.of(store.Signal{Kind: store.SignalWaiting, Tenant: sends[i].Tenant, Endpoint: sends[i].Endpoint, Due: sends[i].DueAt})
		}
	}
}

// opened posts the deliveries that were opened among these.
func (p *post) opened(openings []store.Opening, opened []bool) {
	for i, is := range opened {
		if is {
			p.of(store.Signal{Kind: store.SignalWaiting, Tenant: openings[i].Tenant, Endpoint: openings[i].Endpoint, Due: openings[i].DueAt})
		}
	}
}

const tenantsOfSQL = `SELECT key, tenant FROM endpoint WHERE key = ANY($1)`

// cancelled posts the deliveries that were cancelled among these.
func (p *post) cancelled(ctx context.Context, tx pgx.Tx, refs []store.DeliveryRef, cancelled []bool) error {
	var endpoints []store.EndpointKey
	for i, is := range cancelled {
		if is {
			endpoints = append(endpoints, refs[i].Endpoint)
		}
	}
	if len(endpoints) == 0 {
		return nil
	}
	tenants := make(map[store.EndpointKey]store.TenantKey)
	batch := new(pgx.Batch)
	batch.Queue(tenantsOfSQL, endpoints).Query(eachRow(func(rows pgx.Rows) error {
		var endpoint store.EndpointKey
		var tenant store.TenantKey
		err := rows.Scan(&endpoint, &tenant)
		tenants[endpoint] = tenant
		return err
	}))
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	for i, is := range cancelled {
		if is {
			p.of(store.Signal{Kind: store.SignalEnded, Tenant: tenants[refs[i].Endpoint], Endpoint: refs[i].Endpoint, Event: refs[i].Event})
		}
	}
	return nil
}

const insertSignalsSQL = `INSERT INTO signal (key, kind, bucket, tenant, endpoint, event, send, job, due_at)
	SELECT nextval('signal_key'), * FROM unnest($1::smallint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
		$8::timestamptz[])
	RETURNING (SELECT node FROM bucket WHERE bucket.bucket = signal.bucket)`

// queue adds the statement that stores the signals, if there are any.
func (p *post) queue(batch *pgx.Batch) {
	n := len(p.signals)
	if n == 0 {
		return
	}
	kinds, buckets := make([]int16, n), make([]store.Bucket, n)
	tenants, endpoints, events := make([]store.TenantKey, n), make([]store.EndpointKey, n), make([]store.EventKey, n)
	sends, jobs, due := make([]store.SendKey, n), make([]store.JobKey, n), make([]*time.Time, n)
	for i, signal := range p.signals {
		kinds[i], buckets[i] = int16(signal.Kind), store.BucketOf(signal.Tenant)
		tenants[i], endpoints[i], events[i], sends[i], jobs[i] = signal.Tenant, signal.Endpoint, signal.Event, signal.Send, signal.Job
		due[i] = instantOrNull(signal.Due)
	}
	batch.Queue(insertSignalsSQL, kinds, buckets, tenants, endpoints, events, sends, jobs, due).Query(eachRow(func(rows pgx.Rows) error {
		var owner *store.NodeKey // who claims what has none looks by itself
		err := rows.Scan(&owner)
		if owner != nil {
			if p.owners == nil {
				p.owners = make(map[store.NodeKey]struct{})
			}
			p.owners[*owner] = struct{}{}
		}
		return err
	}))
}

// posting is transact for what others have to hear of: the signals that do posts are stored
// with the rest.
func (s *Store) posting(ctx context.Context, do func(context.Context, pgx.Tx, *post) error) error {
	var last *post
	err := s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		last = &post{member: &s.member}
		if err := do(ctx, tx, last); err != nil {
			return err
		}
		batch := new(pgx.Batch)
		last.queue(batch)
		if batch.Len() == 0 {
			return nil
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err == nil {
		s.waker.told(last)
	}
	return err
}

const (
	tellNodesSQL = `INSERT INTO signal (key, kind, node, tenant, endpoint, event, send, job)
		SELECT nextval('signal_key'), $1, key, 0, 0, 0, 0, 0 FROM node WHERE key <> $2 ORDER BY key`
	tellWatchersSQL = `INSERT INTO signal (key, kind, node, tenant, endpoint, event, send, job)
		SELECT nextval('signal_key'), $1, node.key, tenant.key, 0, 0, 0, 0 FROM node JOIN tenant ON tenant.organisation = node.watches
		WHERE tenant.key = $2 AND node.key <> $3 ORDER BY node.key`
)

// everybody posts a signal to all other nodes.
func (p *post) everybody(ctx context.Context, tx pgx.Tx, kind store.SignalKind) error {
	if _, err := tx.Exec(ctx, joinShareSQL); err != nil {
		return err
	}
	p.nodes = true
	return tellNodes(ctx, tx, p.member.key, kind)
}

// tellNodes posts a signal to all nodes but one. It is for who has the join lock, or shares
// it.
func tellNodes(ctx context.Context, tx pgx.Tx, but store.NodeKey, kind store.SignalKind) error {
	_, err := tx.Exec(ctx, tellNodesSQL, int16(kind), but)
	return err
}

// routes posts that a tenant's routes have another version, also to those who watch its
// organisation.
func (p *post) routes(ctx context.Context, tx pgx.Tx, tenant store.TenantKey) error {
	batch := new(pgx.Batch)
	batch.Queue(joinShareSQL)
	batch.Queue(tellWatchersSQL, int16(store.SignalRoutes), tenant, p.member.key).Exec(func(told pgconn.CommandTag) error {
		p.nodes = p.nodes || told.RowsAffected() > 0
		return nil
	})
	p.of(store.Signal{Kind: store.SignalRoutes, Tenant: tenant})
	return tx.SendBatch(ctx, batch).Close()
}

const signalSequence = "signal_key"

const (
	signalsSQL = `SELECT key, kind, tenant, endpoint, event, send, job, due_at FROM signal
		WHERE key >= $1 AND (node = $2 OR get_bit($3::bytea, bucket) = 1) ORDER BY key LIMIT $4`
	endSignalsSQL = `DELETE FROM signal WHERE key = ANY($1)`
)

func scanSignal(row pgx.CollectableRow) (signal store.Signal, err error) {
	var due *time.Time
	err = row.Scan(&signal.Key, &signal.Kind, &signal.Tenant, &signal.Endpoint, &signal.Event, &signal.Send, &signal.Job, &due)
	signal.Due = utcOrZero(due)
	return signal, err
}

// Signals returns those for the node and for the buckets that it owns.
func (s *Store) Signals(ctx context.Context) (heard store.Heard, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return s.heard.look(ctx, q, signalSequence, func(batch *pgx.Batch, from int64, lowest *int64) {
			heard = store.Heard{}
			key, mask := s.member.present()
			if key == 0 {
				return
			}
			batch.Queue(signalsSQL, from, key, mask, store.MostHeard+1).Query(func(rows pgx.Rows) error {
				found, err := pgx.CollectRows(rows, scanSignal)
				if len(found) > 0 {
					heard, *lowest = hear(found), int64(found[0].Key)
				}
				return err
			})
		})
	})
	return heard, err
}

func hear(found []store.Signal) store.Heard {
	return store.Heard{Signals: found[:min(len(found), store.MostHeard)], More: len(found) > store.MostHeard}
}

// EndSignals ends signals that were acted upon.
func (s *Store) EndSignals(ctx context.Context, keys []store.SignalKey) error {
	if len(keys) == 0 {
		return nil
	}
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, endSignalsSQL, keys)
		return err
	})
}

const (
	lowestSignalSQL = `SELECT key FROM signal WHERE key >= $1 ORDER BY key LIMIT 1`
	unheardSQL      = `SELECT key FROM signal WHERE key >= $1 AND tenant = $2`
	// A signal to a bucket without an owner is not waited for: who claims it reads all. Nor
	// is one to a node that is gone.
	leftSQL = `SELECT key FROM signal WHERE key = ANY($1) AND (EXISTS (SELECT FROM node WHERE node.key = signal.node)
		OR EXISTS (SELECT FROM bucket WHERE bucket.bucket = signal.bucket AND bucket.node IS NOT NULL))`
)

// AwaitHeard returns when all that others had to hear of a tenant before the call has been
// acted upon.
func (s *Store) AwaitHeard(ctx context.Context, tenant store.TenantKey) error {
	var left []store.SignalKey
	err := s.read(ctx, func(ctx context.Context, q querier) error {
		return s.posted.look(ctx, q, signalSequence, func(batch *pgx.Batch, from int64, lowest *int64) {
			left = nil
			batch.Queue(unheardSQL, from, tenant).Query(func(rows pgx.Rows) (err error) {
				left, err = pgx.AppendRows(left, rows, pgx.RowTo[store.SignalKey])
				return err
			})
			batch.Queue(lowestSignalSQL, from).Query(eachRow(func(rows pgx.Rows) error { return rows.Scan(lowest) }))
		})
	})
	const soon, late = time.Millisecond, 50 * time.Millisecond
	for pause := soon; err == nil && len(left) > 0; pause = min(2*pause, late) {
		if left, err = readAll(ctx, s, pgx.RowTo[store.SignalKey], leftSQL, left); len(left) == 0 {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}
