package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neohook/neohook/store/internal/migration"
)

// DefaultSchema is where the tables are unless Options says otherwise.
const DefaultSchema = "neohook"

// Options say how a database is used. The zero value works.
type Options struct {
	// Schema holds the tables: a lower-case letter and up to 62 more of a-z 0-9 _; "" is
	// DefaultSchema.
	Schema string
	// MaxConns bounds the connections, 4 or more; 0 is 16. "pool_max_conns" in the address
	// does the same.
	MaxConns int
	// Migrate has Open migrate a schema of an older version, as the function Migrate does.
	Migrate bool
	// Logger is told what migrating waits for; nil discards it.
	Logger *slog.Logger
}

var schemaName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

const (
	minConns     = 4
	defaultConns = 16
	// connecting is how long it may take to connect, unless "connect_timeout" in the address
	// says otherwise.
	connecting = 5 * time.Second
)

func (o Options) withDefaults() (Options, error) {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if !schemaName.MatchString(o.Schema) {
		return o, fmt.Errorf("postgres: schema %q must be a lower-case letter and up to 62 more of a-z 0-9 _", o.Schema)
	}
	if o.MaxConns != 0 && o.MaxConns < minConns {
		return o, fmt.Errorf("postgres: MaxConns is %d, and must be %d or more, or 0 for %d", o.MaxConns, minConns, defaultConns)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Open connects to a database, "postgres://user@host/name" or another form that libpq
// takes, and makes its schema if it has none. A schema of an older version is refused with
// an *OlderSchemaError unless Options say that it is to be migrated; where somebody else
// migrates it, that is waited for. One of a newer version is taken where it works with this
// program, and else refused with a *NewerSchemaError. So is a server before 14, and a
// database in another encoding than UTF8.
func Open(ctx context.Context, address string, opts Options) (*Store, error) {
	return openKnowing(ctx, address, opts, migrations)
}

func openKnowing(ctx context.Context, address string, opts Options, files fs.FS) (*Store, error) {
	s, err := connect(ctx, address, opts, files)
	if err != nil {
		return nil, err
	}
	if err := s.checkSchema(ctx, opts.Migrate); err != nil {
		return nil, errors.Join(s.denied(ctx, err), s.Close())
	}
	return s, nil
}

// planning keeps to the plans that are right for large tables. All that is asked for on the
// way of an event is found by an index. While a table is small, reading all of it is
// cheaper, or is thought to be, and a plan that was made then stays for a while when it has
// grown. And it is made once, for any values: for arrays of a few keys the server would find
// a plan of their own cheaper each time, which took ten times as long to make as to carry
// out. Compiling statements costs more than it brings where each finds a few rows.
const planning = `SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_sort = off; SET enable_incremental_sort = off; SET jit = off; SET plan_cache_mode = force_generic_plan`

func connect(ctx context.Context, address string, opts Options, files fs.FS) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	known, err := migration.Read(files)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("postgres: address: %w", err) // pgx leaves the password out
	}
	switch {
	case opts.MaxConns != 0:
		config.MaxConns = int32(opts.MaxConns) //nolint:gosec // a number of connections
	case config.MaxConns < minConns:
		config.MaxConns = defaultConns
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "neohook"
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connecting
	}
	if config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = refuseStandby // another host of the address may be the primary
	}
	if config.PingTimeout == 0 {
		config.PingTimeout = connecting
	}
	s := &Store{schema: opts.Schema, migrations: known, presumedDead: presumedDead, log: opts.Logger}
	// A process that is held up in a transaction must not hold up others for long. And
	// statement_timeout would end the wait for a standby, with an answer as if it had come.
	settings := "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '10s'; " + planning + "; SET search_path TO " + pgx.Identifier{opts.Schema}.Sanitize()
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		return introduce(ctx, conn, settings)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	s.waker = newWaker(config.ConnConfig.Copy(), opts.Schema)
	if err := s.checkServer(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// refuseStandby is for new connections, also after a failover.
func refuseStandby(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, `SELECT pg_is_in_recovery()`).ReadAll()
	if err != nil {
		return err
	}
	if string(results[0].Rows[0][0]) == "t" {
		return errors.New("the server is a standby, which takes no changes: give the primary's address")
	}
	return nil
}

// checkServer connects, and refuses a server that is too old, whose commits could be lost, or
// that would take texts for something else than UTF-8.
func (s *Store) checkServer(ctx context.Context) error {
	const oldest = 14_00_00
	type settings struct {
		version                    int
		commit, encoding, database string
	}
	got, err := readFirst(ctx, s, func(row pgx.CollectableRow) (got settings, err error) {
		return got, row.Scan(&got.version, &got.commit, &got.encoding, &got.database)
	}, `SELECT current_setting('server_version_num')::int, current_setting('synchronous_commit'), current_setting('server_encoding'), current_database()`)
	unconnected, is := errors.AsType[*connectError](err)
	switch {
	case is:
		return unconnected
	case err != nil:
		return fmt.Errorf("postgres: connect: %w", err)
	case got.version < oldest:
		return fmt.Errorf("postgres: the server is version %d, and must be %d or newer", got.version/10000, oldest/10000)
	case got.commit == "off":
		return errors.New("postgres: synchronous_commit is off, by which what was acknowledged can be lost: set it to on for this user or database")
	case got.encoding != "UTF8":
		return fmt.Errorf("postgres: database %s has the encoding %s, and must have UTF8: make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
			got.database, got.encoding)
	}
	return nil
}
