package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

var _ store.Measured = (*Store)(nil)

const (
	// tableSizesSQL counts partitions for what they are of.
	tableSizesSQL = `SELECT coalesce(parent.relname, part.relname)::text, sum(pg_total_relation_size(part.oid))::bigint
		FROM pg_catalog.pg_class AS part JOIN pg_catalog.pg_namespace AS space ON space.oid = part.relnamespace
		LEFT JOIN pg_catalog.pg_inherits ON inhrelid = part.oid LEFT JOIN pg_catalog.pg_class AS parent ON parent.oid = inhparent
		WHERE space.nspname = current_schema() AND part.relkind = 'r' GROUP BY 1`
	maySeeLogSQL = `SELECT has_function_privilege('pg_catalog.pg_ls_waldir()', 'EXECUTE')`
	logSizeSQL   = `SELECT coalesce(sum(size), 0)::bigint FROM pg_catalog.pg_ls_waldir()`
)

// Footprint says how much room the data take: the tables of the schema, and the log of the
// whole server where its user may see that. What is unused is not known.
func (s *Store) Footprint(ctx context.Context) (store.Footprint, error) {
	found := store.Footprint{Tables: make(map[string]int64)}
	err := s.read(ctx, func(ctx context.Context, q querier) error {
		rows, err := q.Query(ctx, tableSizesSQL)
		if err != nil {
			return err
		}
		var table string
		var size *int64
		if _, err := pgx.ForEachRow(rows, []any{&table, &size}, func() error {
			found.Tables[table] += orZero(size) // NULL is dropped since
			found.Total += orZero(size)
			return nil
		}); err != nil {
			return err
		}
		if may, err := first(ctx, q, pgx.RowTo[bool], maySeeLogSQL); err != nil || !may {
			return err
		}
		found.Log, err = first(ctx, q, scanKey, logSizeSQL)
		return err
	})
	return found, err
}
