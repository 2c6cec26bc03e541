package postgres

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// outboxWalk remembers what of the outbox was found, so that only that is looked at again,
// and what could not be seen then. To read the table from its beginning would be to walk
// over all rows that are gone and not cleared away yet: while a transaction of somebody
// else keeps them from it, their number grows with all that is published.
type outboxWalk struct {
	mu sync.Mutex
	// seen is a snapshot, as text, and kept the rows that it shows and that may be there yet.
	seen string
	kept []store.OutboxKey
	// page is the rows behind from, in their order, as far as they were looked for.
	from store.OutboxKey
	page []store.OutboxKey
}

const (
	// noneSeen is a snapshot that shows nothing.
	noneSeen = "1:1:"
	// mostKeys bounds what is remembered.
	mostKeys = 10_000
)

// outboxKeysSQL finds the keys of rows that a snapshot does not show, and those among the
// given ones that are there yet.
const outboxKeysSQL = `SELECT pg_current_snapshot()::text, ARRAY(
	SELECT key FROM (
		SELECT key FROM outbox WHERE txid >= pg_snapshot_xmax($1::text::pg_snapshot)
		UNION SELECT key FROM outbox WHERE txid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
		UNION SELECT key FROM outbox WHERE key = ANY ($2)
	) AS found WHERE key > $3 ORDER BY key LIMIT $4)`

// Outbox lists the rows of the outbox.
func (s *Store) Outbox(ctx context.Context, after store.OutboxKey, limit int) (rows []store.Announced, err error) {
	for {
		keys, err := s.walk.next(ctx, s, after, limit)
		if err != nil || len(keys) == 0 {
			return nil, err
		}
		if rows, err = readAll(ctx, s, scanAnnounced, outboxSQL, keys); err != nil || len(rows) > 0 {
			return rows, err
		}
		after = keys[len(keys)-1] // all these are gone meanwhile
	}
}

// next returns keys behind after, at most limit.
func (w *outboxWalk) next(ctx context.Context, s *Store, after store.OutboxKey, limit int) ([]store.OutboxKey, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, _ := slices.BinarySearch(w.page, after+1)
	if after == 0 || after < w.from || at == len(w.page) {
		if err := w.look(ctx, s, after); err != nil {
			return nil, err
		}
		at = 0
	}
	return slices.Clone(w.page[at:min(at+limit, len(w.page))]), nil
}

// count counts rows up to a limit.
func (w *outboxWalk) count(ctx context.Context, s *Store, limit int) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for after := store.OutboxKey(0); n < limit; after = w.page[len(w.page)-1] {
		if err := w.look(ctx, s, after); err != nil {
			return 0, err
		}
		if n += len(w.page); len(w.page) < mostKeys {
			break
		}
	}
	return min(n, limit), nil
}

// look finds the keys behind after. The mutex is held.
func (w *outboxWalk) look(ctx context.Context, s *Store, after store.OutboxKey) error {
	type found struct {
		seen string
		keys []store.OutboxKey
	}
	got, err := readFirst(ctx, s, func(row pgx.CollectableRow) (got found, err error) {
		return got, row.Scan(&got.seen, &got.keys)
	}, outboxKeysSQL, cmp.Or(w.seen, noneSeen), w.kept, after, mostKeys)
	if err != nil {
		return err
	}
	if after == 0 && len(got.keys) < mostKeys { // that is all there are
		w.seen, w.kept = got.seen, got.keys
	}
	w.from, w.page = after, got.keys
	return nil
}
