package sqlite

import (
	"context"
	"errors"

	"github.com/neohook/neohook/store"
)

const (
	eventTypeColumns = `key, organisation, name, description, group_name, feature_flags, deprecated, archived,
		created_at, updated_at, version`
	eventTypeSQL = `SELECT ` + eventTypeColumns + `, schemas FROM event_type WHERE organisation = ? AND name = ?`
	// eventTypesNamedSQL reads the types whose names a JSON array lists.
	eventTypesNamedSQL = `SELECT ` + eventTypeColumns + ` FROM event_type
		WHERE organisation = ?1 AND name IN (SELECT wanted.value FROM json_each(?2) AS wanted) ORDER BY name`
)

// The lists. Nothing is behind the end of a walk: no name has a character above "z".
const (
	eventTypesUp         = `SELECT ` + eventTypeColumns + `, iif(?3, schemas, NULL) FROM event_type WHERE organisation = ?1 AND name > ?2`
	eventTypesDown       = `SELECT ` + eventTypeColumns + `, iif(?3, schemas, NULL) FROM event_type WHERE organisation = ?1 AND name < ?2`
	eventTypesUpSQL      = eventTypesUp + ` ORDER BY name`
	eventTypesDownSQL    = eventTypesDown + ` ORDER BY name DESC`
	activeTypesUpSQL     = eventTypesUp + ` AND NOT archived ORDER BY name`
	activeTypesDownSQL   = eventTypesDown + ` AND NOT archived ORDER BY name DESC`
	behindEveryEventType = "\x7f"
)

func scanEventType(r *row) store.EventType {
	return store.EventType{
		Key: store.EventTypeKey(r.int()), Organisation: r.text(), Name: r.text(), Description: r.text(),
		Group: r.text(), FeatureFlags: r.strings(), Deprecated: r.bool(), Archived: r.bool(),
		CreatedAt: r.time(), UpdatedAt: r.time(), Version: r.int(),
	}
}

func scanEventTypeWithSchemas(r *row) store.EventType {
	t := scanEventType(r)
	t.Schemas = r.blob()
	return t
}

// EventType returns an event type, or ErrNotFound.
func (s *Store) EventType(ctx context.Context, organisation, name string) (store.EventType, error) {
	return readFirst(ctx, s, scanEventTypeWithSchemas, eventTypeSQL, organisation, name)
}

// EventTypesNamed returns those of the names that are there, ascending.
func (s *Store) EventTypesNamed(ctx context.Context, organisation string, names []string) ([]store.EventType, error) {
	return readAll(ctx, s, scanEventType, eventTypesNamedSQL, organisation, encode(names))
}

// EventTypes lists an organisation's event types by name.
func (s *Store) EventTypes(ctx context.Context, organisation string, filter store.EventTypeFilter, page store.NamePage) (listed store.ListedTypes, err error) {
	query, after := eventTypesUpSQL, page.After
	switch {
	case page.Descending && filter.Active:
		query = activeTypesDownSQL
	case page.Descending:
		query = eventTypesDownSQL
	case filter.Active:
		query = activeTypesUpSQL
	}
	if page.Descending && after == "" {
		after = behindEveryEventType
	}
	err = s.read(ctx, func(ctx context.Context, c *conn) (err error) {
		listed, err = listEventTypes(ctx, c, &filter, page.Limit, query, organisation, after, integer(filter.WithSchemas))
		return err
	})
	return listed, err
}

// listEventTypes is list for items that are known by name and may be large.
func listEventTypes(ctx context.Context, c *conn, filter *store.EventTypeFilter, limit int, query string, args ...any) (page store.ListedTypes, _ error) {
	examined, size := 0, 0
	for r, err := range c.rows(ctx, query, args...) {
		if err != nil {
			return store.ListedTypes{}, err
		}
		if len(page.Items) >= limit || examined == mostExamined {
			return page, nil
		}
		examined++
		t := scanEventTypeWithSchemas(r)
		if r.err != nil {
			return store.ListedTypes{}, r.err
		}
		if filter.Match(&t) {
			if size += len(t.Schemas); len(page.Items) > 0 && size > store.MostPagePayload {
				return page, nil
			}
			page.Items = append(page.Items, t)
		}
		page.Last = t.Name
	}
	page.Done = true
	return page, nil
}

const (
	insertEventTypeSQL = `INSERT INTO event_type (key, description, group_name, feature_flags, deprecated, archived,
			updated_at, schemas, organisation, name, created_at, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`
	updateEventTypeSQL = `UPDATE event_type SET description = ?2, group_name = ?3, feature_flags = ?4, deprecated = ?5, archived = ?6,
			updated_at = ?7, schemas = ?8, version = ?9
		WHERE key = ?1`
	eventTypeNamedSQL   = `SELECT key FROM event_type WHERE organisation = ? AND name = ?`
	eventTypeVersionSQL = `SELECT version FROM event_type WHERE key = ?`
	deleteEventTypeSQL  = `DELETE FROM event_type WHERE organisation = ? AND name = ?`
)

// PutEventTypes stores types in one transaction.
func (s *Store) PutEventTypes(ctx context.Context, types []store.EventType, once *store.Once) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := w.claim(ctx, once, 0); err != nil {
			return err
		}
		for i := range types {
			if err := w.putEventType(ctx, &types[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writer) putEventType(ctx context.Context, t *store.EventType) error {
	values := []any{
		int64(t.Key), t.Description, textOrNull(t.Group), listOrNull(t.FeatureFlags), integer(t.Deprecated),
		integer(t.Archived), micros(t.UpdatedAt), blobOrNull(t.Schemas),
	}
	if t.Version == 1 {
		_, err := first(ctx, w.conn, (*row).int, eventTypeNamedSQL, t.Organisation, t.Name)
		switch {
		case err == nil:
			return store.ErrConflict
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		_, err = w.exec(ctx, insertEventTypeSQL, append(values, t.Organisation, t.Name, micros(t.CreatedAt))...)
		return err
	}
	stored, err := first(ctx, w.conn, (*row).int, eventTypeVersionSQL, int64(t.Key))
	switch {
	case err != nil:
		return err
	case stored != t.Version-1:
		return store.ErrStale
	}
	_, err = w.exec(ctx, updateEventTypeSQL, append(values, t.Version)...)
	return err
}

// DeleteEventType removes a type; its name is free again.
func (s *Store) DeleteEventType(ctx context.Context, organisation, name string) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		deleted, err := w.exec(ctx, deleteEventTypeSQL, organisation, name)
		if err == nil && deleted == 0 {
			return store.ErrNotFound
		}
		return err
	})
}
