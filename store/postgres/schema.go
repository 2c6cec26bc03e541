package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The migrations, one file a version, in the form of package migration.
//
//go:embed migration/*.sql
var migrations embed.FS

// NewerSchemaError says that the schema was made by a newer release, which this program does
// not work beside.
type NewerSchemaError struct {
	Schema string
	Found  int // its version
	Needs  int // the version that programs must know to work with it
	Known  int // the newest version that this program knows
}

// Error names the versions and what to do.
func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("postgres: schema %s has version %d, for programs that know version %d or newer, and this program knows %d: use a newer release",
		e.Schema, e.Found, e.Needs, e.Known)
}

// OlderSchemaError says that the schema has to be migrated first.
type OlderSchemaError struct {
	Schema       string
	Found, Known int
}

// Error names the versions and what to do.
func (e *OlderSchemaError) Error() string {
	return fmt.Sprintf("postgres: schema %s has version %d, and this program needs %d: run neohook migrate of this release, or serve with --migrate",
		e.Schema, e.Found, e.Known)
}

// OlderNodesError says that the schema can't be migrated further while programs run that
// would not work with it.
type OlderNodesError struct {
	Schema  string
	Version int      // to which it was to be migrated
	Needs   int      // the version that programs must know to work with that
	Nodes   []string // those that know less, as "name (knows 1)"
}

// Error names the nodes and what to do.
func (e *OlderNodesError) Error() string {
	return fmt.Sprintf("postgres: schema %s can't have version %d while servers run that do not know version %d: %s; "+
		"replace them by a release that knows it, or end them, and migrate again",
		e.Schema, e.Version, e.Needs, strings.Join(e.Nodes, ", "))
}

// known is the newest version of the schema that the program knows.
func (s *Store) known() int { return len(s.migrations) }

// schemaState is how far a schema has come.
type schemaState struct {
	version int // 0 is none, or one that is being made
	needs   int // the version that programs must know to work with it
	steps   int // how many of those to the next version have been made
}

const (
	hasVersionSQL = `SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'schema_version')`
	versionSQL    = `SELECT version, needs, steps FROM schema_version`
)

func (s *Store) schemaState(ctx context.Context, q querier) (state schemaState, err error) {
	has, err := first(ctx, q, pgx.RowTo[bool], hasVersionSQL, s.schema)
	if err != nil || !has {
		return state, err
	}
	return readSchemaState(ctx, q)
}

// readSchemaState is schemaState of a schema that is there.
func readSchemaState(ctx context.Context, q querier) (schemaState, error) {
	return first(ctx, q, func(row pgx.CollectableRow) (state schemaState, err error) {
		return state, row.Scan(&state.version, &state.needs, &state.steps)
	}, versionSQL)
}

// newer returns an error unless the program works with a schema that stands so, or with
// what is to become of it.
func (s *Store) newer(state schemaState) error {
	if state.needs > s.known() {
		return &NewerSchemaError{Schema: s.schema, Found: state.version, Needs: state.needs, Known: s.known()}
	}
	return nil
}

// checkSchema makes the schema if there is none, or migrates it where that is asked for, and
// refuses one that the program does not work with.
func (s *Store) checkSchema(ctx context.Context, migrates bool) error {
	var state schemaState
	err := s.read(ctx, func(ctx context.Context, q querier) (err error) {
		state, err = s.schemaState(ctx, q)
		return err
	})
	if err != nil || state.version >= s.known() {
		return errors.Join(err, s.newer(state))
	}
	// Somebody may be about to make it, or to migrate it: that is waited for.
	return s.migrating(ctx, func(m *migrator) error {
		state, err := s.schemaState(ctx, m.conn)
		if err == nil && (state.version == 0 || migrates) {
			_, state.version, err = m.migrate(ctx)
		}
		if err == nil {
			err = s.newer(state)
		}
		if err == nil && state.version < s.known() {
			err = &OlderSchemaError{s.schema, state.version, s.known()}
		}
		return err
	})
}
