package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	eventTypeColumns = `key, organisation, event_type.name, description, group_name, feature_flags, deprecated, archived,
		created_at, updated_at, version`
	eventTypeSQL    = `SELECT ` + eventTypeColumns + `, schemas FROM event_type WHERE organisation = $1 AND name = $2`
	namedEventTypes = ` FROM (SELECT DISTINCT unnest($2::text[]) AS name) AS wanted CROSS JOIN LATERAL (
			SELECT * FROM event_type WHERE event_type.organisation = $1 AND event_type.name = wanted.name LIMIT 1) AS event_type`
	eventTypesNamedSQL = `SELECT ` + eventTypeColumns + `, NULL::bytea` + namedEventTypes + ` ORDER BY event_type.name`
	schemasNamedSQL    = `SELECT event_type.name, schemas` + namedEventTypes

	// Instead of the schemas there is their size.
	eventTypesOfAll = `SELECT ` + eventTypeColumns + `, coalesce(octet_length(schemas), 0) FROM event_type
		WHERE (organisation, name) > ($1, $2) AND (organisation, name) < ($1, $3)`
	// behindEveryEventType is behind the end of a walk: no name has a character above "z".
	behindEveryEventType = "\x7f"
)

var (
	eventTypesSQL = ways{
		up:   eventTypesOfAll + ` ORDER BY organisation, name LIMIT $4`,
		down: eventTypesOfAll + ` ORDER BY organisation DESC, name DESC LIMIT $4`,
	}
	activeTypesSQL = ways{
		up:   eventTypesOfAll + ` AND NOT archived ORDER BY organisation, name LIMIT $4`,
		down: eventTypesOfAll + ` AND NOT archived ORDER BY organisation DESC, name DESC LIMIT $4`,
	}
)

func scanEventType(row pgx.CollectableRow) (t store.EventType, err error) {
	var schemas []byte
	t, err = scanEventTypeAnd(row, &schemas)
	t.Schemas = schemas
	return t, err
}

// scanEventTypeAnd reads what there is beside the schemas, and one more column.
func scanEventTypeAnd(row pgx.CollectableRow, last any) (t store.EventType, err error) {
	err = row.Scan(&t.Key, &t.Organisation, &t.Name, &t.Description, &t.Group, &t.FeatureFlags, &t.Deprecated, &t.Archived,
		&t.CreatedAt, &t.UpdatedAt, &t.Version, last)
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	return t, err
}

// EventType returns an event type, or ErrNotFound.
func (s *Store) EventType(ctx context.Context, organisation, name string) (store.EventType, error) {
	return readFirst(ctx, s, scanEventType, eventTypeSQL, organisation, name)
}

// EventTypesNamed returns those of the names that are there, ascending.
func (s *Store) EventTypesNamed(ctx context.Context, organisation string, names []string) ([]store.EventType, error) {
	return readAll(ctx, s, scanEventType, eventTypesNamedSQL, organisation, names)
}

// EventTypes lists an organisation's event types by name.
func (s *Store) EventTypes(ctx context.Context, organisation string, filter store.EventTypeFilter, page store.NamePage) (listed store.ListedTypes, err error) {
	// One instant, as schemas are read behind the types that they are of.
	err = s.snapshot(ctx, func(ctx context.Context, q querier) error {
		if listed, err = listEventTypes(ctx, q, organisation, &filter, page); err != nil || !filter.WithSchemas {
			return err
		}
		return loadSchemas(ctx, q, organisation, listed.Items)
	})
	return listed, err
}

// sizedType is an event type without its schemas, and what they come to.
type sizedType struct {
	store.EventType
	size int
}

func scanSizedType(row pgx.CollectableRow) (t sizedType, err error) {
	t.EventType, err = scanEventTypeAnd(row, &t.size)
	return t, err
}

// listEventTypes is list for items that are known by name, and may be large.
func listEventTypes(ctx context.Context, q querier, organisation string, filter *store.EventTypeFilter, page store.NamePage) (listed store.ListedTypes, _ error) {
	query := eventTypesSQL
	if filter.Active {
		query = activeTypesSQL
	}
	above, below := page.After, behindEveryEventType
	if page.Descending && page.After != "" {
		above, below = "", page.After
	}
	examined, size := 0, 0
	for limit := min(page.Limit, mostExamined) + 1; ; limit = mostExamined - examined + 1 {
		types, err := all(ctx, q, scanSizedType, query.of(store.Page{Descending: page.Descending}), organisation, above, below, limit)
		if err != nil {
			return store.ListedTypes{}, err
		}
		for i := range types {
			t := &types[i]
			if len(listed.Items) >= page.Limit || examined == mostExamined {
				return listed, nil
			}
			examined++
			if filter.Match(&t.EventType) {
				if size += t.size; filter.WithSchemas && len(listed.Items) > 0 && size > store.MostPagePayload {
					return listed, nil
				}
				listed.Items = append(listed.Items, t.EventType)
			}
			listed.Last = t.Name
		}
		if len(types) < limit {
			listed.Done = true
			return listed, nil
		}
		if page.Descending {
			below = listed.Last
		} else {
			above = listed.Last
		}
	}
}

// loadSchemas reads the schemas of what is on a page.
func loadSchemas(ctx context.Context, q querier, organisation string, types []store.EventType) error {
	names := make([]string, len(types))
	for i := range types {
		names[i] = types[i].Name
	}
	rows, err := q.Query(ctx, schemasNamedSQL, organisation, names)
	if err != nil {
		return err
	}
	schemas := make(map[string][]byte, len(types))
	var name string
	var text []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &text}, func() error {
		schemas[name] = text
		text = nil // the next one has memory of its own
		return nil
	})
	for i := range types {
		types[i].Schemas = schemas[types[i].Name]
	}
	return err
}

const (
	insertEventTypeSQL = `INSERT INTO event_type (key, description, group_name, feature_flags, deprecated, archived,
			updated_at, schemas, organisation, name, created_at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1) ON CONFLICT (organisation, name) DO NOTHING`
	updateEventTypeSQL = `UPDATE event_type SET description = $2, group_name = $3, feature_flags = $4, deprecated = $5, archived = $6,
			updated_at = $7, schemas = $8, version = $9
		WHERE key = $1 AND version = $9 - 1`
	eventTypeThereSQL  = `SELECT EXISTS (SELECT FROM event_type WHERE key = $1)`
	deleteEventTypeSQL = `DELETE FROM event_type WHERE organisation = $1 AND name = $2`
)

// PutEventTypes stores types in one transaction. An import has hundreds: they are sent
// together, and each that has changed no row could not be stored.
func (s *Store) PutEventTypes(ctx context.Context, types []store.EventType, once *store.Once) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := claim(ctx, tx, once, 0); err != nil {
			return err
		}
		batch := new(pgx.Batch)
		for i := range types {
			queuePut(batch, &types[i])
		}
		refused, err := firstWithoutEffect(ctx, tx, batch)
		if err != nil || refused < 0 {
			return err
		}
		t := &types[refused]
		if t.Version == 1 {
			return store.ErrConflict
		}
		there, err := first(ctx, tx, pgx.RowTo[bool], eventTypeThereSQL, t.Key)
		switch {
		case err != nil:
			return err
		case there:
			return store.ErrStale
		}
		return store.ErrNotFound
	})
}

func queuePut(batch *pgx.Batch, t *store.EventType) {
	values := []any{
		t.Key, t.Description, t.Group, listOrNull(t.FeatureFlags), t.Deprecated, t.Archived, instant(t.UpdatedAt), listOrNull(t.Schemas),
	}
	if t.Version == 1 {
		batch.Queue(insertEventTypeSQL, append(values, t.Organisation, t.Name, instant(t.CreatedAt))...)
	} else {
		batch.Queue(updateEventTypeSQL, append(values, t.Version)...)
	}
}

// firstWithoutEffect carries statements out, and returns the place of the first that changed
// nothing; -1 is none.
func firstWithoutEffect(ctx context.Context, tx pgx.Tx, batch *pgx.Batch) (int, error) {
	if batch.Len() == 0 {
		return -1, nil
	}
	results := tx.SendBatch(ctx, batch)
	at := -1
	for i := range batch.Len() {
		done, err := results.Exec()
		if err != nil {
			return 0, errors.Join(err, results.Close())
		}
		if at < 0 && done.RowsAffected() == 0 {
			at = i
		}
	}
	return at, results.Close()
}

// DeleteEventType removes a type; its name is free again.
func (s *Store) DeleteEventType(ctx context.Context, organisation, name string) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		deleted, err := tx.Exec(ctx, deleteEventTypeSQL, organisation, name)
		if err == nil && deleted.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		return err
	})
}
