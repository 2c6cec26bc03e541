package memstore

import (
	"context"
	"slices"

	"github.com/neohook/neohook/store"
)

func cleanEventType(t *store.EventType, schemas bool) store.EventType {
	cleaned := *t
	cleaned.FeatureFlags, cleaned.Schemas = list(t.FeatureFlags), nil
	if schemas {
		cleaned.Schemas = blob(t.Schemas)
	}
	cleaned.CreatedAt, cleaned.UpdatedAt = instant(t.CreatedAt), instant(t.UpdatedAt)
	return cleaned
}

func (db *state) eventType(organisation, name string) (*store.EventType, error) {
	for _, t := range db.eventTypes {
		if t.Organisation == organisation && t.Name == name {
			return t, nil
		}
	}
	return nil, store.ErrNotFound
}

// PutEventTypes stores types together.
func (s *Store) PutEventTypes(ctx context.Context, types []store.EventType, once *store.Once) error {
	return s.write(ctx, "PutEventTypes", func(db *state) error {
		if err := db.replayed(once, onceNow(once)); err != nil {
			return err
		}
		before := make(map[store.EventTypeKey]*store.EventType, len(db.eventTypes))
		for key, t := range db.eventTypes {
			before[key] = t
		}
		for i := range types {
			if err := db.putEventType(&types[i]); err != nil {
				db.eventTypes = before
				return err
			}
		}
		db.claimChange(once, 0)
		return nil
	})
}

func (db *state) putEventType(t *store.EventType) error {
	put := cleanEventType(t, true)
	if t.Version == 1 {
		if _, err := db.eventType(t.Organisation, t.Name); err == nil {
			return store.ErrConflict
		}
		db.eventTypes[t.Key] = &put
		return nil
	}
	stored := db.eventTypes[t.Key]
	switch {
	case stored == nil:
		return store.ErrNotFound
	case stored.Version != t.Version-1:
		return store.ErrStale
	}
	put.Organisation, put.Name, put.CreatedAt = stored.Organisation, stored.Name, stored.CreatedAt
	db.eventTypes[t.Key] = &put
	return nil
}

// DeleteEventType removes a type; its name is free again.
func (s *Store) DeleteEventType(ctx context.Context, organisation, name string) error {
	return s.write(ctx, "DeleteEventType", func(db *state) error {
		t, err := db.eventType(organisation, name)
		if err == nil {
			delete(db.eventTypes, t.Key)
		}
		return err
	})
}

// EventType returns an event type, or ErrNotFound.
func (s *Store) EventType(ctx context.Context, organisation, name string) (store.EventType, error) {
	return get(ctx, s, "EventType", func(db *state) (store.EventType, error) {
		t, err := db.eventType(organisation, name)
		if err != nil {
			return store.EventType{}, err
		}
		return cleanEventType(t, true), nil
	})
}

// EventTypesNamed returns those of the names that are there, ascending.
func (s *Store) EventTypesNamed(ctx context.Context, organisation string, names []string) ([]store.EventType, error) {
	return get(ctx, s, "EventTypesNamed", func(db *state) (found []store.EventType, _ error) {
		for _, t := range db.typesOf(organisation) {
			if slices.Contains(names, t.Name) {
				found = append(found, cleanEventType(t, false))
			}
		}
		return found, nil
	})
}

// typesOf returns an organisation's types, by name.
func (db *state) typesOf(organisation string) (types []*store.EventType) {
	byName := make(map[string]*store.EventType)
	for _, t := range db.eventTypes {
		if t.Organisation == organisation {
			byName[t.Name] = t
		}
	}
	for _, name := range sorted(byName) {
		types = append(types, byName[name])
	}
	return types
}

// EventTypes lists an organisation's event types by name.
func (s *Store) EventTypes(ctx context.Context, organisation string, filter store.EventTypeFilter, page store.NamePage) (store.ListedTypes, error) {
	return get(ctx, s, "EventTypes", func(db *state) (listed store.ListedTypes, _ error) {
		types := db.typesOf(organisation)
		if page.Descending {
			slices.Reverse(types)
		}
		examined, size := 0, 0
		for _, t := range types {
			switch {
			case filter.Active && t.Archived:
				continue // they are in an index of their own
			case page.After != "" && (!page.Descending && t.Name <= page.After || page.Descending && t.Name >= page.After):
				continue
			case examined == mostExamined || len(listed.Items) >= page.Limit:
				return listed, nil
			}
			examined++
			if filter.Match(t) {
				found := cleanEventType(t, filter.WithSchemas)
				if size += len(found.Schemas); len(listed.Items) > 0 && size > store.MostPagePayload {
					return listed, nil
				}
				listed.Items = append(listed.Items, found)
			}
			listed.Last = t.Name
		}
		listed.Done = true
		return listed, nil
	})
}
