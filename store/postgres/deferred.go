package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	// Who promotes an event, or cancels it, has its row alone: what that one does decides.
	lockDeferredSQL   = `SELECT event FROM deferred WHERE event = ANY ($1) ORDER BY event FOR UPDATE`
	deleteDeferredSQL = `DELETE FROM deferred WHERE event = ANY ($1)`
	// dueSQL looks from a place on, and at the events behind a key for what is due before it.
	// One that is gone is promoted all the same, which deletes its row.
	dueSQL = `SELECT due.event, due.tenant, due_at, coalesce(found.type, ''), found.channels
		FROM (
			(SELECT * FROM deferred WHERE (due_at, event) >= ($3, $4) AND due_at <= $1 ORDER BY due_at, event LIMIT $2)
			UNION ALL (SELECT * FROM deferred WHERE event > $5 AND ((due_at, event) < ($3, $4) AND due_at <= $1) IS TRUE)
			ORDER BY due_at, event LIMIT $2
		) AS due LEFT JOIN LATERAL (SELECT type, channels FROM event WHERE event.key = due.event LIMIT 1) AS found ON true
		ORDER BY due_at, due.event`
	nextDueSQL = `SELECT due_at FROM deferred WHERE due_at > $1 ORDER BY due_at LIMIT 1`
)

func scanDeferred(row pgx.CollectableRow) (ev store.DeferredEvent, err error) {
	err = row.Scan(&ev.Event, &ev.Tenant, &ev.DueAt, &ev.Type, &ev.Channels)
	ev.DueAt = ev.DueAt.UTC()
	return ev, err
}

// dueWalk remembers before which place no deferred event is left, by due time and key, of
// those that had been accepted when it was looked: the keys of all others are higher. So
// those which are gone are not walked over again.
type dueWalk struct {
	accepted horizon // of events, all that is up to it was there to be seen

	mu   sync.Mutex
	from store.Moment
	seen int64 // the events that there were, up to this one
}

// place is where to look from.
func (w *dueWalk) place() (from store.Moment, seen int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.from, w.seen
}

// moved says that of the events up to a key none is left before a place.
func (w *dueWalk) moved(from store.Moment, seen int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from, w.seen = from, seen
}

// look finds what is due.
func (w *dueWalk) look(ctx context.Context, q querier, now time.Time, limit int) (due []store.DeferredEvent, err error) {
	err = w.accepted.look(ctx, q, "event_key", func(batch *pgx.Batch, settled int64, _ *int64) {
		from, seen := w.place()
		if settled < seen { // the database has lost what was stored last
			from, seen = store.Moment{}, 0
		}
		batch.Queue(dueSQL, now, limit, from.At, from.Key, seen).Query(func(rows pgx.Rows) error {
			if due, err = pgx.AppendRows[store.DeferredEvent, []store.DeferredEvent](nil, rows, scanDeferred); err != nil {
				return err
			}
			next := store.Moment{At: now}
			if len(due) > 0 {
				next = store.Moment{At: due[0].DueAt, Key: int64(due[0].Event)}
			}
			w.moved(next, settled)
			return nil
		})
	})
	return due, err
}

// Due returns the deferred events that are due, and when the next one will be.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) (due []store.DeferredEvent, next time.Time, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		due, err = s.dueWalk.look(ctx, q, instant(now), limit)
		if err != nil || len(due) == limit {
			return err
		}
		next, err = first(ctx, q, pgx.RowTo[time.Time], nextDueSQL, instant(now))
		if errors.Is(err, pgx.ErrNoRows) {
			next, err = time.Time{}, nil
		}
		next = next.UTC()
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return due, next, nil
}

// Promote opens the deliveries of deferred events.
func (s *Store) Promote(ctx context.Context, now time.Time, promotions []store.Promotion) (promoted []store.Promoted, err error) {
	err = s.posting(ctx, func(ctx context.Context, tx pgx.Tx, told *post) error {
		p := promoting{promotions: promotions, promoted: make([]store.Promoted, len(promotions)), now: instant(now)}
		promoted = p.promoted
		return p.run(ctx, tx, told)
	})
	if err != nil {
		return nil, err
	}
	return promoted, nil
}

// promoting is a call of Promote.
type promoting struct {
	promotions []store.Promotion
	promoted   []store.Promoted
	now        time.Time
	routes     map[store.TenantKey]int64
	waits      map[store.EventKey]bool
}

func (p *promoting) run(ctx context.Context, tx pgx.Tx, told *post) error {
	if err := p.ask(ctx, tx); err != nil {
		return err
	}
	var ended []store.EventKey
	var openings []store.Opening
	var of []int // whose each opening is
	for i := range p.promotions {
		promotion := &p.promotions[i]
		p.promoted[i].Kind = p.judge(promotion)
		if kind := p.promoted[i].Kind; kind != store.Accepted && kind != store.TenantGone {
			continue
		}
		delete(p.waits, promotion.Event)
		ended = append(ended, promotion.Event)
		if p.promoted[i].Kind != store.Accepted {
			continue
		}
		for _, endpoint := range promotion.Endpoints {
			openings = append(openings, store.Opening{Tenant: promotion.Tenant, Endpoint: endpoint, Event: promotion.Event, DueAt: promotion.DueAt})
			of = append(of, i)
		}
	}
	if len(ended) == 0 {
		return nil
	}
	var counted counted
	opened, err := open(ctx, tx, openings, 0, &counted)
	if err != nil {
		return err
	}
	for at, i := range of {
		if opened[at] {
			p.promoted[i].Endpoints = append(p.promoted[i].Endpoints, openings[at].Endpoint)
		}
	}
	told.opened(openings, opened)
	batch := new(pgx.Batch)
	batch.Queue(deleteDeferredSQL, ended)
	queueRevisits(batch, p.now, ended)
	counted.queue(batch, p.now)
	return tx.SendBatch(ctx, batch).Close()
}

// ask finds out which events are deferred, and by which routes their tenants go.
func (p *promoting) ask(ctx context.Context, tx pgx.Tx) error {
	p.routes, p.waits = make(map[store.TenantKey]int64), make(map[store.EventKey]bool)
	var tenants []store.TenantKey
	events := make([]store.EventKey, len(p.promotions))
	for i := range p.promotions {
		if _, asked := p.routes[p.promotions[i].Tenant]; !asked {
			p.routes[p.promotions[i].Tenant] = 0
			tenants = append(tenants, p.promotions[i].Tenant)
		}
		events[i] = p.promotions[i].Event
	}
	clear(p.routes)
	batch := new(pgx.Batch)
	batch.Queue(lockDeferredSQL, events).Query(eachRow(func(rows pgx.Rows) error {
		var event store.EventKey
		err := rows.Scan(&event)
		p.waits[event] = true
		return err
	}))
	batch.Queue(routesVersionsSQL, tenants).Query(eachRow(func(rows pgx.Rows) error { return scanRoutesVersion(rows, p.routes) }))
	return tx.SendBatch(ctx, batch).Close()
}

func (p *promoting) judge(promotion *store.Promotion) store.VerdictKind {
	version, is := p.routes[promotion.Tenant]
	switch {
	case is && version != promotion.RouteVersion:
		return store.Rerouted
	case !p.waits[promotion.Event]:
		return store.Gone
	case !is:
		return store.TenantGone
	}
	return store.Accepted
}

const (
	deferralSQL    = `SELECT deliver_at IS NOT NULL, cancelled_at IS NOT NULL FROM event WHERE key = $1 AND tenant = $2 FOR NO KEY UPDATE`
	cancelEventSQL = `UPDATE event SET cancelled_at = $2 WHERE key = $1`
)

// CancelEvent ends the deferral of an event for good.
func (s *Store) CancelEvent(ctx context.Context, tenant store.TenantKey, event store.EventKey, now time.Time, announce ...store.Announcement) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		// Before the event, as Promote does.
		waits, err := all(ctx, tx, scanKey, lockDeferredSQL, []store.EventKey{event})
		if err != nil {
			return err
		}
		type deferral struct{ deferred, cancelled bool }
		of, err := first(ctx, tx, func(row pgx.CollectableRow) (of deferral, err error) {
			return of, row.Scan(&of.deferred, &of.cancelled)
		}, deferralSQL, event, tenant)
		switch {
		case err != nil:
			return err
		case of.cancelled:
			return nil
		case len(waits) == 0:
			return store.ErrNotDeferred
		}
		batch := new(pgx.Batch)
		batch.Queue(deleteDeferredSQL, []store.EventKey{event})
		batch.Queue(cancelEventSQL, event, instant(now))
		queueAnnouncements(batch, announce)
		queueRevisits(batch, now, []store.EventKey{event})
		return tx.SendBatch(ctx, batch).Close()
	})
}
