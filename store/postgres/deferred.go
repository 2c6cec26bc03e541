package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	// Who promotes an event, or cancels it, has its row alone: what that one does decides.
	lockDeferredSQL   = `SELECT event FROM deferred WHERE event = ANY ($1) ORDER BY event FOR UPDATE`
	deleteDeferredSQL = `DELETE FROM deferred WHERE event = ANY ($1)`
	// One that is gone is promoted all the same, which deletes its row.
	dueSQL = `SELECT deferred.event, deferred.tenant, due_at, coalesce(type, ''), channels
		FROM deferred LEFT JOIN event ON event.key = deferred.event
		WHERE due_at <= $1 ORDER BY due_at, deferred.event LIMIT $2`
	nextDueSQL = `SELECT due_at FROM deferred WHERE due_at > $1 ORDER BY due_at LIMIT 1`
)

func scanDeferred(row pgx.CollectableRow) (ev store.DeferredEvent, err error) {
	err = row.Scan(&ev.Event, &ev.Tenant, &ev.DueAt, &ev.Type, &ev.Channels)
	ev.DueAt = ev.DueAt.UTC()
	return ev, err
}

// Due returns the deferred events that are due, and when the next one will be.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) (due []store.DeferredEvent, next time.Time, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		due, err = all(ctx, q, scanDeferred, dueSQL, instant(now), limit)
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
