package storetest

import (
	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
)

func (p *pair) typeName() string { return p.pick("a", "b", "b.c", "Z") }

func (p *pair) putEventTypes(rt *rapid.T) {
	p.T = rt
	var types []store.EventType
	for range rapid.IntRange(0, 3).Draw(rt, "types") {
		t := store.EventType{Organisation: p.organisation(), Name: p.typeName(), CreatedAt: p.now}
		stored, err := p.model.EventType(p.Context(), t.Organisation, t.Name)
		if err == nil && !p.chance(10) {
			t = stored
			t.Version = p.version(stored.Version)
		} else {
			t.Key, t.Version = store.EventTypeKey(p.key()), 1
		}
		t.Description, t.UpdatedAt, t.Archived = p.pick("one", "two"), p.now, p.chance(30)
		if t.Version == 1 && err == nil {
			t.Key = store.EventTypeKey(p.key()) // a new one of the same name
		}
		t.FeatureFlags, t.Schemas = nil, nil
		if p.chance(40) {
			t.FeatureFlags = []string{p.pick("x", "y")}
		}
		if p.chance(50) {
			t.Schemas = []byte(p.pick("{}", `{"1":true}`))
		}
		types = append(types, t)
	}
	once := p.once('t')
	_ = p.change("PutEventTypes", func(st store.Store) error { return st.PutEventTypes(p.Context(), types, once) })
}

func (p *pair) deleteEventType(rt *rapid.T) {
	p.T = rt
	organisation, name := p.organisation(), p.typeName()
	_ = p.change("DeleteEventType", func(st store.Store) error { return st.DeleteEventType(p.Context(), organisation, name) })
}

func (p *pair) readEventTypes(rt *rapid.T) {
	p.T = rt
	organisation, name := p.organisation(), p.typeName()
	names := []string{p.typeName(), p.typeName(), "none"}
	read(p, "EventType", func(st store.Store) (store.EventType, error) { return st.EventType(p.Context(), organisation, name) })
	read(p, "EventTypesNamed", func(st store.Store) ([]store.EventType, error) {
		return st.EventTypesNamed(p.Context(), organisation, names)
	})
	filter := store.EventTypeFilter{Active: p.chance(50), WithSchemas: p.chance(50)}
	if p.chance(40) {
		filter.Flags = []string{p.pick("x", "y")}
	}
	page := store.NamePage{After: p.pick("", "", "a", "b", "c"), Descending: p.chance(50), Limit: rapid.IntRange(1, 4).Draw(rt, "limit")}
	read(p, "EventTypes", func(st store.Store) (store.ListedTypes, error) {
		return st.EventTypes(p.Context(), organisation, filter, page)
	})
}
