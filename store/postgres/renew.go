package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Through some tables much comes and goes, and at any time there is little in them. What is
// gone stays there for as long as anybody's transaction is open, and is passed by whoever
// looks for what is there: even by its key, where that comes and goes. So a table of them
// that has grown is written anew, with what is in it.
//
// Who sees the database as it was before then finds nothing in it. These are tables that
// nobody misses: who restores a backup without signals begins anew, and an endpoint fails
// from its next failure on.
var renewedTables = []struct {
	name  string
	grown int64 // bytes
}{
	{"signal", 1 << 20},
	{"failing", 1 << 17},
}

const (
	// mostRenewed is how many rows are written anew. Others wait for it.
	mostRenewed = 2000
	// An eighth of a table is written anew at most.
	sparse = 8
)

// renew writes the tables anew that have grown, unless somebody is in the way.
func (s *Store) renew(ctx context.Context) error {
	for _, of := range renewedTables {
		size, err := readFirst(ctx, s, scanKey, `SELECT pg_relation_size($1::text::regclass)`, of.name)
		if err != nil {
			return err
		}
		if size < of.grown {
			continue
		}
		err = elsewhere(s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error { return renewTable(ctx, tx, of.name, size) }))
		if err != nil && !errors.Is(err, errElsewhere) {
			return err
		}
	}
	return nil
}

func renewTable(ctx context.Context, tx pgx.Tx, name string, size int64) error {
	// What is in it is counted before others have to wait.
	few, err := first(ctx, tx, pgx.RowTo[bool], `SELECT count(*) <= $1 AND coalesce(sum(pg_column_size(alive)), 0) * $2 <= $3
		FROM (SELECT alive FROM `+name+` AS alive LIMIT $1 + 1) AS counted`, mostRenewed, sparse, size)
	if err != nil || !few {
		return err
	}
	if err := queries(ctx, tx, `SET LOCAL lock_timeout = '50ms'`, `LOCK TABLE `+name+` IN ACCESS EXCLUSIVE MODE`); err != nil {
		return err
	}
	alive, err := first(ctx, tx, pgx.RowTo[string], `SELECT coalesce(array_agg(alive), '{}')::text FROM `+name+` AS alive`)
	if err != nil {
		return err
	}
	if err := queries(ctx, tx, `TRUNCATE `+name); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+name+` SELECT * FROM unnest($1::text::`+name+`[])`, alive)
	return err
}
