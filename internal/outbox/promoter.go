// Package outbox accepts the events that were announced: what is stored in the outbox with
// its cause becomes an event like any other, and leaves the outbox in the same transaction.
//
// An event of somebody's own stays in the outbox until its tenant has room for it. An
// operational event, which nobody has handed over and nobody waits for, is dropped and
// counted instead, so that a flood of them is bounded by the quota of who is to be told.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/internal/quota"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Most is how many events may wait in the outbox before nothing more is announced. What is
// judged already comes on top, some thousand at most.
const Most = 100_000

// page is how many are accepted at a time: few beside a full batch of live events.
const page = 64

// rest is the pause after a pass that has left something behind.
const rest = time.Second

// Parts are what a Promoter works with.
type Parts struct {
	Store  store.Outbox
	Intake *intake.Queue
	Routes *routing.Table
	Quota  *quota.Quota
	IDs    *ident.Codec
	// Ready says that events may be accepted now.
	Ready func() bool
	// Deferred is told of events that come due later.
	Deferred func(time.Time)
	Log      *slog.Logger
}

// Promoter accepts what is announced. Make one with New and Run it once; its other methods
// are safe for concurrent use.
type Promoter struct {
	Parts
	bell chan struct{}

	waiting           atomic.Int64
	accepted, refused atomic.Uint64
}

// New returns a Promoter.
func New(parts Parts) *Promoter { return &Promoter{Parts: parts, bell: make(chan struct{}, 1)} }

// Load finds out how much waits.
func (p *Promoter) Load(ctx context.Context) error {
	count, err := p.Store.CountOutbox(ctx, Most)
	p.waiting.Store(int64(count))
	return err
}

// Added says that n announcements were stored, or may have been.
func (p *Promoter) Added(n int) {
	if n == 0 {
		return
	}
	p.waiting.Add(int64(n))
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// Full says that nothing more is to be announced.
func (p *Promoter) Full() bool { return p.waiting.Load() >= Most }

// Stats are what has become of announced events.
type Stats struct {
	Waiting  int    // in the outbox, as far as is known
	Accepted uint64 // as events
	Refused  uint64 // dropped, as they can't be accepted or are beyond a quota
}

// Stats returns the present numbers.
func (p *Promoter) Stats() Stats {
	return Stats{Waiting: int(max(0, p.waiting.Load())), Accepted: p.accepted.Load(), Refused: p.refused.Load()}
}

// Run accepts events until ctx ends.
func (p *Promoter) Run(ctx context.Context) {
	for ctx.Err() == nil {
		left, err := p.pass(ctx)
		if err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "announced events could not be accepted, trying again", "error", err)
		}
		var again <-chan time.Time
		bell := p.bell
		if left || err != nil {
			again, bell = time.After(rest), nil
		}
		select {
		case <-ctx.Done():
		case <-again:
		case <-bell:
		}
	}
}

// pass goes through the outbox once, and says whether it has left something there that is
// to be accepted later. So an event that can't be accepted now holds up no other.
func (p *Promoter) pass(ctx context.Context) (left bool, err error) {
	for after := store.OutboxKey(0); ctx.Err() == nil; {
		if !p.Ready() {
			return true, nil
		}
		rows, err := p.Store.Outbox(ctx, after, page)
		if err != nil {
			return true, err
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].Key
		some, err := p.promote(ctx, rows)
		if err != nil {
			return true, err
		}
		left = left || some
	}
	if left || p.waiting.Load() == 0 {
		return left, nil
	}
	return false, p.Load(ctx) // what was told of was not all stored
}

// entry is a row on its way.
type entry struct {
	row    *store.Announced
	item   *intake.Item
	accept store.Accept
	fate   fate
	err    error
}

// fate is what becomes of a row.
type fate uint8

const (
	stays fate = iota // and is tried again later
	gone              // it has become an event
	drops             // it is deleted
)

// promote accepts the rows of a page, in their order.
func (p *Promoter) promote(ctx context.Context, rows []store.Announced) (left bool, _ error) {
	entries := make([]entry, len(rows))
	for i := range rows {
		entries[i].row = &rows[i]
		p.enter(ctx, &entries[i])
	}
	var dropped []store.OutboxKey
	var failed error
	for i := range entries {
		e := &entries[i]
		if e.item != nil {
			p.await(ctx, e)
		}
		switch e.fate {
		case drops:
			dropped = append(dropped, e.row.Key)
		case gone:
			p.waiting.Add(-1)
		case stays:
			left = true
			failed = errors.Join(failed, e.err)
		}
	}
	if len(dropped) > 0 {
		if err := p.Store.DeleteOutbox(ctx, dropped); err != nil {
			return true, err
		}
		p.waiting.Add(-int64(len(dropped)))
	}
	return left, failed
}

// enter queues a row's event.
func (p *Promoter) enter(ctx context.Context, e *entry) {
	routes, err := p.owner(ctx, e.row)
	switch {
	case errors.Is(err, store.ErrNotFound): // nobody is told
		e.fate = drops
		return
	case err != nil:
		e.err = err
		return
	}
	made := e.row.Payload == nil
	payload := e.row.Payload
	if made {
		if payload, err = operational.Payload(p.IDs, e.row); err != nil {
			p.Log.ErrorContext(ctx, "operational event can't be made", "error", err)
		}
		if payload == nil {
			e.fate = drops
			return
		}
	}
	row := e.row
	e.accept = store.Accept{
		From: row.Key, Tenant: routes.Tenant.Key, RouteVersion: routes.Version,
		UID: row.UID, Type: row.Type, Channels: row.Channels, Tags: row.Tags,
		DeliverAt: row.DeliverAt, PayloadTTL: row.PayloadTTL, Payload: payload,
	}
	if row.DeliverAt.IsZero() {
		e.accept.Endpoints = routes.Match(row.Type, row.Channels)
	}
	if made && len(e.accept.Endpoints) == 0 {
		e.fate = drops
		return
	}
	granted, err := p.Quota.Take(ctx, e.accept.Tenant, e.accept.Opens())
	switch {
	case err != nil:
		e.err = err
		return
	case !granted && made:
		e.fate = drops
		p.refused.Add(1)
		return
	case !granted:
		return
	}
	if e.item, e.err = p.Intake.Enter(e.accept); e.err != nil {
		p.Quota.Settle(e.accept.Tenant, e.accept.Opens(), false)
	}
}

// owner returns the routes of the tenant whose event it will be, or store.ErrNotFound.
func (p *Promoter) owner(ctx context.Context, row *store.Announced) (*routing.Routes, error) {
	switch {
	case row.Tenant != 0:
		return p.Routes.Routes(ctx, row.Tenant)
	case row.Organisation != "":
		return p.Routes.Tenant(ctx, webhook.OrganisationID(row.Organisation), webhook.TenantID(row.TenantUID))
	case row.Subject.Organisation == "", row.Subject.Organisation == operational.Organisation:
		return nil, store.ErrNotFound
	}
	return p.Routes.Tenant(ctx, operational.Organisation, webhook.TenantID(row.Subject.Organisation))
}

// await waits for the verdict on an entry.
func (p *Promoter) await(ctx context.Context, e *entry) {
	verdict, err := p.Intake.Await(ctx, e.item)
	stored := verdict.Kind == store.Accepted || errors.Is(err, store.ErrCommitUnknown)
	p.Quota.Settle(e.accept.Tenant, e.accept.Opens(), stored)
	if !e.accept.DeliverAt.IsZero() && stored {
		p.Deferred(e.accept.DeliverAt)
	}
	var overloaded *intake.OverloadedError
	switch {
	case errors.As(err, &overloaded), errors.Is(err, intake.ErrStopped):
	case err != nil:
		e.err = err
	case verdict.Kind == store.Accepted:
		p.accepted.Add(1)
		e.fate = gone
	case verdict.Kind == store.Gone:
		e.fate = gone
	case verdict.Kind == store.Rerouted, verdict.Kind == store.TenantGone:
		p.Routes.Refresh(e.accept.Tenant)
	default: // it never can be
		p.refused.Add(1)
		e.fate = drops
	}
}
