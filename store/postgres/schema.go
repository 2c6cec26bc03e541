package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// The migrations, one file a version, in order.
//
//go:embed migration/*.sql
var migrations embed.FS

// NewerSchemaError says that the schema was made by a newer version of Neohook.
type NewerSchemaError struct {
	Schema       string
	Found, Known int
}

// Error names the versions.
func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("postgres: schema %s has version %d, and this program knows versions up to %d: use the newer program", e.Schema, e.Found, e.Known)
}

// OlderSchemaError says that the schema has to be migrated first.
type OlderSchemaError struct {
	Schema       string
	Found, Known int
}

// Error names the versions and what to do.
func (e *OlderSchemaError) Error() string {
	return fmt.Sprintf("postgres: schema %s has version %d, and this program needs %d: run neohook migrate", e.Schema, e.Found, e.Known)
}

// Migrate brings the schema of a database up to date, or makes it, and returns the
// versions before and after. Several may call it at once.
func Migrate(ctx context.Context, address string, opts Options) (before, after int, err error) {
	s, err := connect(ctx, address, opts)
	if err != nil {
		return 0, 0, err
	}
	before, after, err = s.migrate(ctx)
	return before, after, errors.Join(err, s.Close())
}

func known() ([]string, error) { return fs.Glob(migrations, "migration/*.sql") }

// checkSchema makes the schema if there is none, and refuses one of another version.
func (s *Store) checkSchema(ctx context.Context) error {
	files, err := known()
	if err != nil {
		return err
	}
	version, err := s.schemaVersion(ctx)
	if err == nil && version == 0 {
		_, version, err = s.migrate(ctx)
	}
	switch {
	case err != nil:
		return err
	case version > len(files):
		return &NewerSchemaError{s.schema, version, len(files)}
	case version < len(files):
		return &OlderSchemaError{s.schema, version, len(files)}
	}
	return nil
}

const (
	hasVersionSQL = `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'schema_version')`
	versionSQL    = `SELECT version FROM schema_version`
	// migrating is what those who migrate take turns by.
	migratingSQL   = `SELECT pg_advisory_xact_lock(hashtextextended('neohook migrate ' || $1, 0))`
	makeVersionSQL = `CREATE TABLE schema_version (one boolean PRIMARY KEY CHECK (one), version integer NOT NULL);
		INSERT INTO schema_version VALUES (true, 0)`
	setVersionSQL = `UPDATE schema_version SET version = $1`
)

// schemaVersion is 0 where there is no schema.
func (s *Store) schemaVersion(ctx context.Context) (version int, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		has, err := first(ctx, q, pgx.RowTo[bool], hasVersionSQL, s.schema)
		if err != nil || !has {
			return err
		}
		version, err = first(ctx, q, pgx.RowTo[int], versionSQL)
		return err
	})
	return version, err
}

// migrate takes the schema to the newest version, all steps in one transaction.
func (s *Store) migrate(ctx context.Context) (before, after int, err error) {
	files, err := known()
	if err != nil {
		return 0, 0, err
	}
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, migratingSQL, s.schema); err != nil {
			return err
		}
		if before, err = s.schemaVersion(ctx); err != nil {
			return err
		}
		if before == 0 {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{s.schema}.Sanitize()+";"+makeVersionSQL); err != nil {
				return err
			}
		}
		if before > len(files) {
			return &NewerSchemaError{s.schema, before, len(files)}
		}
		for at := before; at < len(files); at++ {
			script, err := migrations.ReadFile(files[at])
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(script)); err != nil {
				return fmt.Errorf("%s: %w", files[at], err)
			}
		}
		after = len(files)
		_, err := tx.Exec(ctx, setVersionSQL, after)
		return err
	})
	return before, after, err
}
