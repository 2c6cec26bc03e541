package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Migrate brings the schema of a database up to date, or makes it, and returns the
// versions before and after. Stores of programs that the schema works with go on meanwhile,
// and none of their writes waits for it for more than a moment. It does wait for
// transactions of others that are in its way, until ctx ends.
//
// Several may call it at once: one does it, the others wait. One that is broken off anywhere
// leaves what it has done, and the next goes on there.
//
// A schema of a newer release is left as it is, and no error where the program works with
// it. Errors are *NewerSchemaError where it does not, and *OlderNodesError while
// nodes live that would not work with what is to come; what comes before that was done.
func Migrate(ctx context.Context, address string, opts Options) (before, after int, err error) {
	s, err := connect(ctx, address, opts, migrations)
	if err != nil {
		return 0, 0, err
	}
	return s.migrateAndClose(ctx)
}

func (s *Store) migrateAndClose(ctx context.Context) (before, after int, err error) {
	err = s.migrating(ctx, func(m *migrator) (err error) {
		before, after, err = m.migrate(ctx)
		return err
	})
	return before, after, errors.Join(s.denied(ctx, err), s.Close())
}

// migrator migrates on a connection of its own. Nobody else migrates meanwhile.
type migrator struct {
	store *Store
	conn  *pgx.Conn
	log   *slog.Logger
}

const (
	// migratingSQL is what those who migrate take turns by. It is not waited for by a
	// statement: that would see the database as of its beginning, and who makes an index
	// concurrently waits until nobody does.
	migratingSQL = `SELECT pg_try_advisory_lock(hashtextextended('neohook migrate ' || $1, 0))`
	// Plans as PostgreSQL makes them, for what goes through whole tables.
	unplannedSQL = `RESET ALL; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '10s'; SET search_path TO `
)

// migrating lets do migrate, once nobody else does.
func (s *Store) migrating(ctx context.Context, do func(*migrator) error) error {
	pooled, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // which lets go of its lock however it ends
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, unplannedSQL+pgx.Identifier{s.schema}.Sanitize()); err != nil {
		return translateOn(ctx, conn, err)
	}
	m := &migrator{s, conn, s.log}
	const often = 100 * time.Millisecond
	for told := false; ; told = true {
		turn, err := first(ctx, conn, pgx.RowTo[bool], migratingSQL, s.schema)
		if err != nil {
			return translateOn(ctx, conn, err)
		}
		if turn {
			return translateOn(ctx, conn, do(m))
		}
		if !told {
			m.log.InfoContext(ctx, "the schema is being migrated by another program, waiting for it", "schema", s.schema)
		}
		if !pauseFor(ctx, often) {
			return fmt.Errorf("postgres: waiting for who migrates schema %s: %w", s.schema, ctx.Err())
		}
	}
}

func pauseFor(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

const (
	hasSchemaSQL   = `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`
	makeVersionSQL = `CREATE TABLE IF NOT EXISTS schema_version (
			one     boolean PRIMARY KEY CHECK (one),
			version integer NOT NULL,
			needs   integer NOT NULL, -- the version that programs must know to work with it
			steps   integer NOT NULL  -- of those to the next version, that have been made
		);
		INSERT INTO schema_version VALUES (true, 0, 1, 0) ON CONFLICT DO NOTHING`
	setVersionSQL = `UPDATE schema_version SET version = $1, steps = $2`
)

// migrate takes the schema to the newest version that the program knows.
func (m *migrator) migrate(ctx context.Context) (before, after int, err error) {
	state, err := m.store.schemaState(ctx, m.conn)
	if err == nil {
		err = m.store.newer(state)
	}
	before = state.version
	if err == nil && before == 0 {
		err = m.transact(ctx, "schema_version", func(tx pgx.Tx) error {
			// IF NOT EXISTS would need the right to make one, also where there is one.
			has, err := first(ctx, tx, pgx.RowTo[bool], hasSchemaSQL, m.store.schema)
			if err == nil && !has {
				_, err = tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{m.store.schema}.Sanitize())
			}
			if err == nil {
				_, err = tx.Exec(ctx, makeVersionSQL)
			}
			return err
		})
		if err == nil {
			state, err = readSchemaState(ctx, m.conn)
		}
	}
	for err == nil && state.version < m.store.known() {
		state, err = m.next(ctx, state)
	}
	return before, state.version, err
}

// next takes the schema to the next version, from the step that it has come to.
func (m *migrator) next(ctx context.Context, state schemaState) (schemaState, error) {
	next := &m.store.migrations[state.version]
	if next.Needs > state.needs {
		if err := m.raise(ctx, next); err != nil {
			return state, err
		}
		state.needs = next.Needs
	}
	for state.version < next.Version {
		step := &next.Steps[state.steps]
		what := fmt.Sprintf("%s, step %d of %d", next.File, state.steps+1, len(next.Steps))
		if step.Asks {
			if err := m.ask(ctx, what, step.Text); err != nil {
				return state, err
			}
		}
		then := state
		if then.steps++; then.steps == len(next.Steps) {
			then.version, then.steps = next.Version, 0
		}
		err := m.transact(ctx, what, func(tx pgx.Tx) error {
			if !step.Asks {
				if _, err := tx.Exec(ctx, step.Text); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, setVersionSQL, then.version, then.steps)
			return err
		})
		if err != nil {
			return state, err
		}
		state = then
	}
	m.log.InfoContext(ctx, "the schema has a new version", "schema", m.store.schema, "version", state.version)
	return state, nil
}

// briefly is for how long a step stands in line for a lock. All who want one on the same
// table stand behind it meanwhile, and also while others hold what it wants.
const briefly = `SET LOCAL lock_timeout = '50ms'`

// transact makes one transaction, again and again while others are in its way.
func (m *migrator) transact(ctx context.Context, what string, do func(pgx.Tx) error) error {
	for tries := 1; ; tries++ {
		err := pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, briefly); err != nil {
				return err
			}
			return do(tx)
		})
		if err == nil {
			return nil
		}
		if !m.again(ctx, what, err, tries) {
			return fmt.Errorf("postgres: %s: %w", what, err)
		}
	}
}

// ask carries out the statements that a query gives, until it gives none.
func (m *migrator) ask(ctx context.Context, what, query string) error {
	var before []string
	var failed error // what a statement was about is gone, which happens to ranges
	for tries := 1; ; {
		statements, err := all(ctx, m.conn, pgx.RowTo[string], query)
		switch {
		case err != nil:
			return fmt.Errorf("postgres: %s: %w", what, err)
		case len(statements) == 0:
			return nil
		case slices.Equal(statements, before):
			return errors.Join(fmt.Errorf("postgres: %s comes to no end: it asks again for %s", what, statements[0]), failed)
		}
		before = statements
		for _, statement := range statements {
			if err = m.alone(ctx, statement); err != nil {
				break
			}
		}
		switch {
		case err == nil:
			tries = 1
		case m.again(ctx, what, err, tries):
			tries++
			before = nil // it may have done a part of it
		case hasCode(err, undefinedTable):
			failed = err
		default:
			return fmt.Errorf("postgres: %s: %w", what, err)
		}
	}
}

// alone carries out a statement outside of a transaction. What is concurrent waits for
// others, and nobody who writes waits for it.
func (m *migrator) alone(ctx context.Context, statement string) error {
	timeout := `SET lock_timeout = '50ms'`
	if strings.Contains(statement, " CONCURRENTLY ") {
		timeout = `SET lock_timeout = 0`
	}
	for _, query := range []string{timeout, statement, `SET lock_timeout = 0`} {
		if _, err := m.conn.Exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

const inTheWaySQL = `SELECT DISTINCT format('process %s (%s)', pid, COALESCE(NULLIF(application_name, ''), backend_type, 'unknown'))
	FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN pg_stat_activity USING (pid)
	WHERE granted AND relnamespace = $1::text::regnamespace AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND pid <> pg_backend_pid() AND COALESCE(xact_start < clock_timestamp() - interval '200 milliseconds', true)
	ORDER BY 1 LIMIT 10`

func hasCode(err error, codes ...string) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && slices.Contains(codes, answered.Code)
}

// again says of an error whether it may pass, and waits a little before the next try.
func (m *migrator) again(ctx context.Context, what string, err error, tries int) bool {
	if ctx.Err() != nil || !hasCode(err, lockNotAvailable, deadlockDetected, serializationFailure) {
		return false
	}
	const seldom, soon = 30, 3
	if tries%seldom == soon {
		ways, _ := all(ctx, m.conn, pgx.RowTo[string], inTheWaySQL, pgx.Identifier{m.store.schema}.Sanitize()) // without it, it is told all the same
		m.log.WarnContext(ctx, "a migration waits for a lock, and lets others pass", "step", what, "tries", tries, "in_the_way", ways)
	}
	const shortest, longest = 20 * time.Millisecond, time.Second
	pause := min(shortest<<min(tries, 8), longest)
	return pauseFor(ctx, pause/2+rand.N(pause/2)) //nolint:gosec // chance will do
}
