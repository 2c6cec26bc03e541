package storetest

import (
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
)

func (p *pair) announcement() *store.Announcement {
	a := store.Announcement{Type: p.pick("a", "b"), TenantUID: p.uid(), Payload: []byte(p.pick("", "x"))}
	if once := p.once('e'); once != nil {
		a.Once = &store.Once{Hash: once.Hash, Body: once.Body, TTL: once.TTL}
	}
	return &a
}

func (p *pair) announcements() (made []store.Announcement) {
	for range rapid.IntRange(0, 2).Draw(p.T, "announcements") {
		made = append(made, *p.announcement())
	}
	return made
}

// someAnnounced are rows of the tested store's outbox, or of those that it had.
func (p *pair) someAnnounced() (some []store.Announced) {
	for _, key := range slices.Sorted(maps.Keys(p.rows)) {
		if key != 0 && rapid.IntRange(0, 99).Draw(p.T, fmt.Sprint("row ", key)) < 5 {
			some = append(some, store.Announced{Key: key})
		}
	}
	return some
}

func (p *pair) promote(rt *rapid.T) {
	p.T = rt
	due, _, err := p.tested.Due(p.Context(), p.now, 3)
	agree(p, "Due", 0, 0, err, nil)
	var tested, model []store.Promotion
	for _, ev := range due {
		promotion := store.Promotion{Event: ev.Event, Tenant: ev.Tenant, DueAt: ev.DueAt, RouteVersion: -1}
		if routes, err := p.tested.Routes(p.Context(), ev.Tenant); err == nil && !p.chance(10) {
			promotion.RouteVersion = routes.Version
			for _, ep := range routes.Endpoints {
				if p.chance(60) {
					promotion.Endpoints = append(promotion.Endpoints, ep.Key)
				}
			}
		}
		tested = append(tested, promotion)
		if promotion.RouteVersion >= 0 {
			routes, err := p.model.Routes(p.Context(), ev.Tenant)
			agree(p, "Routes", 0, 0, nil, err)
			promotion.RouteVersion = routes.Version
		}
		promotion.Event = p.events[promotion.Event]
		model = append(model, promotion)
	}
	got, gotErr := p.tested.Promote(p.Context(), p.now, tested)
	want, wantErr := p.model.Promote(p.Context(), p.now, model)
	agree(p, "Promote", got, want, gotErr, wantErr)
}

func (p *pair) cancelEvent(rt *rapid.T) {
	p.T = rt
	tenant, event, announce := p.tenant().Key, p.event(), p.announcements()
	if ev, ok := p.ownerOf(event); ok && p.chance(80) {
		tenant = ev
	}
	_ = p.change("CancelEvent", func(st store.Store) error {
		return st.CancelEvent(p.Context(), tenant, p.own(st, event), p.now, announce...)
	})
}

// ownerOf finds an event's tenant.
func (p *pair) ownerOf(event store.EventKey) (store.TenantKey, bool) {
	for _, t := range p.tenants {
		if _, err := p.model.Event(p.Context(), t.Key, p.events[event]); err == nil {
			return t.Key, true
		}
	}
	return 0, false
}

func (p *pair) deleteOutbox(rt *rapid.T) {
	p.T = rt
	var tested, model []store.OutboxKey
	for _, row := range p.someAnnounced() {
		tested = append(tested, row.Key)
		model = append(model, p.rows[row.Key])
	}
	agree(p, "DeleteOutbox", 0, 0, p.tested.DeleteOutbox(p.Context(), tested), p.model.DeleteOutbox(p.Context(), model))
}

// compareOutbox pairs the rows: the first with the first, and so on.
func (p *pair) compareOutbox() {
	got, gotErr := p.tested.Outbox(p.Context(), 0, 1000)
	want, wantErr := p.model.Outbox(p.Context(), 0, 1000)
	for i := range got {
		if i < len(want) {
			p.rows[got[i].Key] = want[i].Key
		}
	}
	agree(p, "Outbox", got, want, gotErr, wantErr)
}

func (p *pair) compareDeferred() {
	read(p, "Due", func(st store.Store) ([]store.DeferredEvent, error) {
		due, _, err := st.Due(p.Context(), p.now, 3)
		return due, err
	})
	for _, t := range p.tenants {
		read(p, "CountOpen", func(st store.Store) (int, error) { return st.CountOpen(p.Context(), t.Key, 20) })
	}
}
