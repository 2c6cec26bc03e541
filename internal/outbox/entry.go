package outbox

import (
	"context"
	"errors"

	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// entry is a row on its way.
type entry struct {
	row    *store.Announced
	accept store.Accept
	fate   fate
	why    Refusal // of one of somebody's own that drops
	err    error
}

// isOwn says that the event is somebody's own, and not operational.
func (e *entry) isOwn() bool { return e.row.Payload != nil }

// fate is what becomes of a row.
type fate uint8

const (
	stays   fate = iota // and is tried again later
	ready               // to be accepted
	changed             // is to be matched to endpoints anew
	gone                // it has become an event
	drops               // it is deleted
)

func (e *entry) drop(why Refusal) { e.fate, e.why, e.err = drops, why, nil }

// walk is what a page's rows have in common.
type walk struct {
	*Promoter
	// held are those of whose events one stays: so do those behind it.
	held map[owner]bool
	// routes are those that the page's events are matched against: the same for all of a
	// tenant's, so that a change of them sends back every one from some point on.
	routes map[store.TenantKey]*routing.Routes
}

// owner is whose an event of somebody's own is to be, as its row says.
type owner struct {
	tenant            store.TenantKey
	organisation, uid string
}

func (e *entry) owner() owner {
	return owner{e.row.Tenant, e.row.Organisation, e.row.TenantUID}
}

// maxMatches is how often events are matched to endpoints anew before they have to wait.
const maxMatches = 20

// promote accepts the rows of a page. It says how many stay.
func (p *Promoter) promote(ctx context.Context, rows []store.Announced, held map[owner]bool) (left int, failed error) {
	entries := make([]*entry, len(rows))
	for i := range rows {
		entries[i] = &entry{row: &rows[i]}
	}
	todo := entries
	for range maxMatches {
		w := walk{p, held, make(map[store.TenantKey]*routing.Routes)}
		w.accept(ctx, todo)
		todo = nil
		for _, e := range entries {
			if e.fate == changed {
				e.fate = stays
				todo = append(todo, e)
			}
		}
		if len(todo) == 0 {
			break
		}
	}
	for _, e := range todo {
		held[e.owner()] = true
	}
	return p.settle(ctx, entries)
}

// settle deletes what is dropped, and counts.
func (p *Promoter) settle(ctx context.Context, entries []*entry) (left int, failed error) {
	var dropped []store.OutboxKey
	var announce []store.Announcement
	accepted := 0
	for _, e := range entries {
		switch e.fate {
		case drops:
			dropped = append(dropped, e.row.Key)
			if e.why != "" {
				announce = append(announce, p.Announce(e.row, e.why)...)
			}
		case gone:
			accepted++
		default:
			left++
			if !isOverload(e.err) {
				failed = errors.Join(failed, e.err)
			}
		}
	}
	if len(dropped) > 0 {
		if err := p.Store.DeleteOutbox(ctx, dropped, announce...); err != nil {
			return left, errors.Join(failed, err)
		}
	}
	for _, e := range entries {
		if e.why != "" {
			p.Refused(ctx, e.row, e.why)
		}
	}
	p.mu.Lock()
	p.waiting -= accepted + len(dropped)
	p.mu.Unlock()
	p.Added(len(announce))
	return left, failed
}

// accept tries to have entries accepted: a tenant's own together, in their order, and each
// operational one by itself.
func (w *walk) accept(ctx context.Context, entries []*entry) {
	var groups [][]*entry
	groupOf := make(map[store.TenantKey]int)
	for _, e := range entries {
		if e.err = w.prepare(ctx, e); e.err == nil && e.fate == stays {
			e.err = w.take(ctx, e)
		}
		switch {
		case e.fate == stays && e.isOwn():
			w.held[e.owner()] = true
		case e.fate != ready:
		case !e.isOwn():
			groups = append(groups, []*entry{e})
		default:
			at, begun := groupOf[e.accept.Tenant]
			if !begun {
				at = len(groups)
				groupOf[e.accept.Tenant], groups = at, append(groups, nil)
			}
			groups[at] = append(groups[at], e)
		}
	}
	w.submit(ctx, groups)
}

// prepare completes an entry, unless nobody is told of it or it has to stay.
func (w *walk) prepare(ctx context.Context, e *entry) error {
	row := e.row
	routes, err := w.routesOf(ctx, row)
	switch {
	case errors.Is(err, store.ErrNotFound) && e.isOwn():
		e.drop(TenantGone)
		return nil
	case errors.Is(err, store.ErrNotFound):
		e.drop("")
		return nil
	case err != nil:
		return err
	}
	payload := row.Payload
	if !e.isOwn() {
		if payload, err = operational.Payload(w.IDs, row); err != nil {
			w.Log.ErrorContext(ctx, "operational event can't be made", "error", err)
		}
		if payload == nil {
			e.drop("")
			return nil
		}
	}
	e.accept = store.Accept{
		From: row.Key, Tenant: routes.Tenant.Key, RouteVersion: routes.Version,
		UID: row.UID, Type: row.Type, Channels: row.Channels, Tags: row.Tags,
		DeliverAt: row.DeliverAt, PayloadTTL: row.PayloadTTL, Payload: payload,
		Once: row.Once,
	}
	if row.DeliverAt.IsZero() {
		e.accept.Endpoints = routes.Match(row.Type, row.Channels)
	}
	if !e.isOwn() && e.accept.Opens() == 0 {
		e.drop("")
	}
	return nil
}

// take asks for a place for an entry's deliveries, where none before it waits for one.
func (w *walk) take(ctx context.Context, e *entry) error {
	if e.isOwn() && w.held[e.owner()] {
		return nil
	}
	granted, err := w.Quota.Take(ctx, e.accept.Tenant, e.accept.Opens())
	switch {
	case err != nil:
		return err
	case granted:
		e.fate = ready
	case !e.isOwn():
		w.refused.Add(1)
		e.drop("")
	}
	return nil
}

// routesOf returns the routes of the tenant whose event it will be, or store.ErrNotFound.
func (w *walk) routesOf(ctx context.Context, row *store.Announced) (routes *routing.Routes, err error) {
	switch {
	case row.Tenant != 0:
		if routes = w.routes[row.Tenant]; routes != nil {
			return routes, nil
		}
		routes, err = w.Routes.Routes(ctx, row.Tenant)
	case row.Organisation != "":
		routes, err = w.Routes.Tenant(ctx, webhook.OrganisationID(row.Organisation), webhook.TenantID(row.TenantUID))
	case row.Subject.Organisation == "", row.Subject.Organisation == operational.Organisation:
		return nil, store.ErrNotFound
	default:
		routes, err = w.Routes.Tenant(ctx, operational.Organisation, webhook.TenantID(row.Subject.Organisation))
	}
	if err != nil {
		return nil, err
	}
	if first := w.routes[routes.Tenant.Key]; first != nil {
		return first, nil
	}
	w.routes[routes.Tenant.Key] = routes
	return routes, nil
}

// submit has groups committed, all at the same time.
func (w *walk) submit(ctx context.Context, groups [][]*entry) {
	items := make([]*intake.Item, len(groups))
	for i, group := range groups {
		accepts := make([]store.Accept, len(group))
		for j, e := range group {
			accepts[j] = e.accept
		}
		var err error
		if items[i], err = w.Intake.EnterAll(accepts); err != nil {
			w.turnedAway(group, err)
		}
	}
	for i, group := range groups {
		if items[i] == nil {
			continue
		}
		answers, err := w.Intake.AwaitAll(ctx, items[i])
		if err != nil {
			w.turnedAway(group, err)
			continue
		}
		for j, e := range group {
			w.answered(e, answers[j])
		}
	}
}

// turnedAway is for a group of which nothing is stored.
func (w *walk) turnedAway(group []*entry, err error) {
	for _, e := range group {
		w.answered(e, intake.Answer{Err: err})
	}
}

// answered notes what became of an entry.
func (w *walk) answered(e *entry, answer intake.Answer) {
	kind := answer.Verdict.Kind
	stored := kind == store.Accepted || errors.Is(answer.Err, store.ErrCommitUnknown)
	w.Quota.Settle(e.accept.Tenant, e.accept.Opens(), stored)
	if !e.accept.DeliverAt.IsZero() && stored {
		w.Deferred(e.accept.DeliverAt)
	}
	switch {
	case answer.Err != nil:
		e.fate, e.err = stays, answer.Err
		if e.isOwn() {
			w.held[e.owner()] = true
		}
	case kind == store.Accepted:
		e.fate = gone
		if e.isOwn() {
			w.Accepted()
		} else {
			w.accepted.Add(1)
		}
	case kind == store.Gone:
		e.fate = gone
	case kind == store.Replayed: // what it repeats is the event
		w.Repeated()
		e.drop("")
	case kind == store.Rerouted, kind == store.TenantGone:
		e.fate = changed
		w.Routes.Refresh(e.accept.Tenant)
	default: // it never can be
		w.refuse(e, kind)
	}
}

func (w *walk) refuse(e *entry, kind store.VerdictKind) {
	switch {
	case !e.isOwn():
		w.refused.Add(1)
		e.drop("")
	case kind == store.UIDTaken:
		e.drop(UIDTaken)
	case kind == store.Mismatched:
		e.drop(KeyReused)
	default:
		e.drop(TooLarge)
	}
}

// isOverload says that nothing is wrong, but that there is no place at present.
func isOverload(err error) bool {
	var overloaded *intake.OverloadedError
	return errors.As(err, &overloaded) || errors.Is(err, intake.ErrStopped)
}
