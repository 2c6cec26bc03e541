package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
	"github.com/neohook/neohook/store/storetest"
)

// A release that knows two versions more: the second adds, in steps of both kinds, to
// tables that are written to all the time; the third takes away what the first version uses.
const (
	expandSQL = `-- Works with programs that know version 1.

-- Step: a column of what is in ranges.
ALTER TABLE event ADD COLUMN source text NOT NULL DEFAULT 'unknown';

-- Step: one of what is not.
ALTER TABLE waiting ADD COLUMN note text;

-- Step: an index of the ranges that are made from now on.
CREATE INDEX event_source ON ONLY event (source);

-- Step by statements: that of each range which is there.
SELECT CASE
		WHEN made.indexrelid IS NULL THEN format('CREATE INDEX CONCURRENTLY %I ON %I (source)', ranged.relname || '_source', ranged.relname)
		WHEN NOT made.indisvalid THEN format('DROP INDEX CONCURRENTLY %I', named.relname)
		ELSE format('ALTER INDEX event_source ATTACH PARTITION %I', named.relname)
	END
	FROM pg_inherits JOIN pg_class AS ranged ON ranged.oid = inhrelid
	LEFT JOIN pg_class AS named ON named.relname = ranged.relname || '_source' AND named.relnamespace = ranged.relnamespace
	LEFT JOIN pg_index AS made ON made.indexrelid = named.oid
	WHERE inhparent = 'event'::regclass AND NOT EXISTS (
		SELECT FROM pg_index AS has JOIN pg_inherits AS attached ON attached.inhrelid = has.indexrelid
		WHERE has.indrelid = ranged.oid AND attached.inhparent = 'event_source'::regclass)
	ORDER BY ranged.relname;

-- Step by statements: an index of a table without ranges.
SELECT CASE WHEN indexrelid IS NULL THEN 'CREATE INDEX CONCURRENTLY outbox_type ON outbox (type)' ELSE 'DROP INDEX CONCURRENTLY outbox_type' END
	FROM (VALUES (to_regclass('outbox_type'))) AS named (oid) LEFT JOIN pg_index ON indexrelid = named.oid
	WHERE indisvalid IS NOT TRUE;
`
	contractSQL = `-- Works with programs that know version 2.
ALTER TABLE waiting RENAME COLUMN job TO by_job;
`
)

// release are the migrations of the program, and further ones.
func release(t *testing.T, further ...string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	entries, err := os.ReadDir("migration")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := os.ReadFile("migration/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		files["migration/"+entry.Name()] = &fstest.MapFile{Data: text}
	}
	for _, text := range further {
		text = strings.ReplaceAll(text, "know version 1.", fmt.Sprintf("know version %d.", len(entries)))
		text = strings.ReplaceAll(text, "know version 2.", fmt.Sprintf("know version %d.", len(entries)+1))
		files[fmt.Sprintf("migration/%04d_further.sql", len(files)+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

// upgrade is a schema, and programs that know it in different versions.
type upgrade struct {
	*testing.T
	schema string
	known  int // of the present program
}

func newUpgrade(t *testing.T) *upgrade {
	return &upgrade{t, schemaOf(t.TempDir()), len(release(t))}
}

func (u *upgrade) options() postgres.Options {
	return postgres.Options{Schema: u.schema, MaxConns: 8, Logger: slog.New(slog.NewTextHandler(u.Output(), nil))}
}

// open opens the schema by a program with these migrations.
func (u *upgrade) open(files fstest.MapFS) (*postgres.Store, error) {
	s, err := postgres.OpenKnowing(u.Context(), postgrestest.Address(u), u.options(), files)
	if err == nil {
		u.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

func (u *upgrade) mustOpen(files fstest.MapFS) *postgres.Store {
	u.Helper()
	s, err := u.open(files)
	if err != nil {
		u.Fatal(err)
	}
	return s
}

// never is longer than a test takes.
const never = time.Hour

func (u *upgrade) migrate(files fstest.MapFS) error {
	_, _, err := postgres.MigrateKnowing(u.Context(), postgrestest.Address(u), u.options(), files, never)
	return err
}

func (u *upgrade) must(err error) {
	u.Helper()
	if err != nil {
		u.Fatal(err)
	}
}

// number asks for one.
func number(t *testing.T, conn *pgx.Conn, query string, args ...any) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const (
	rangesOfEventsSQL = `SELECT count(*) FROM pg_inherits WHERE inhparent = 'event'::regclass`
	indexedRangesSQL  = `SELECT count(*) FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid WHERE inhparent = 'event_source'::regclass AND indisvalid`
	validSQL          = `SELECT count(*) FROM pg_index WHERE indexrelid IN ('event_source'::regclass, 'outbox_type'::regclass) AND indisvalid`
)

// expanded holds the schema to what the second version is.
func (u *upgrade) expanded(conn *pgx.Conn) {
	u.Helper()
	if ranges, indexed := number(u.T, conn, rangesOfEventsSQL), number(u.T, conn, indexedRangesSQL); indexed != ranges || ranges == 0 {
		u.Errorf("%d of %d ranges have the index", indexed, ranges)
	}
	if valid := number(u.T, conn, validSQL); valid != 2 {
		u.Errorf("%d of 2 indexes are valid", valid)
	}
}

func TestProgramOfTheVersionBeforeWorksWhileTablesAreMigrated(t *testing.T) {
	postgres.SmallRanges(t, 64)
	u := newUpgrade(t)
	old := u.mustOpen(release(t))
	ownAll(t, old)
	l := newLoad(t, old, 8, 4, true)
	l.commit()
	stop, committed := make(chan struct{}), make(chan int)
	go func() {
		n := 1
		for ; ; n++ {
			select {
			case <-stop:
				committed <- n
				return
			default:
				l.commit()
			}
		}
	}()
	next := release(t, expandSQL)
	err := u.migrate(next)
	close(stop)
	n := <-committed
	u.must(err)
	conn := direct(t, u.schema)
	before := number(t, conn, rangesOfEventsSQL)
	for ; n < 1000 && number(t, conn, rangesOfEventsSQL) < before+3; n++ { // ranges that the old program makes now
		l.commit()
	}
	u.expanded(conn)

	// The new program beside the old one, and one more of the old.
	again := u.mustOpen(release(t))
	further := u.mustOpen(next)
	if _, err := further.Join(t.Context(), store.Member{Name: "new", Delivers: true}); err != nil {
		t.Fatal(err)
	}
	for i, s := range []*postgres.Store{again, further, old} {
		beside := l.beside(i + 1)
		beside.store = s
		for range 40 {
			beside.commit()
			n++
		}
	}
	u.expanded(conn)
	if stored := number(t, conn, `SELECT count(*) FROM event WHERE source = 'unknown'`); stored != n*8 {
		t.Errorf("%d events are stored, want %d", stored, n*8)
	}
	if before, after, err := postgres.Migrate(t.Context(), postgrestest.Address(t), u.options()); err != nil || before != u.known+1 || after != before {
		t.Errorf("the old program migrates from %d to %d, %v: want nothing to be done", before, after, err)
	}
}

// waits is closed when somebody logs that a migration waits.
type waits struct {
	slog.Handler
	once   sync.Once
	closed chan struct{}
	said   string
}

func (w *waits) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn && strings.Contains(r.Message, "waits") {
		w.once.Do(func() {
			r.Attrs(func(a slog.Attr) bool { w.said += a.String() + " "; return true })
			close(w.closed)
		})
	}
	return w.Handler.Handle(ctx, r)
}

func TestMigrationLetsOthersPassWhileItWaits(t *testing.T) {
	u := newUpgrade(t)
	old := u.mustOpen(release(t))
	l := newLoad(t, old, 8, 2, true)
	l.commit()
	foreign := direct(t, u.schema)
	for _, query := range []string{`SET application_name = 'report'`, `BEGIN`, `SELECT count(*) FROM event`} {
		_, err := foreign.Exec(t.Context(), query)
		u.must(err)
	}
	opts := u.options()
	waiting := &waits{Handler: opts.Logger.Handler(), closed: make(chan struct{})}
	opts.Logger = slog.New(waiting)
	migrated := make(chan error, 1)
	go func() {
		_, _, err := postgres.MigrateKnowing(t.Context(), postgrestest.Address(t), opts, release(t, expandSQL), never)
		migrated <- err
	}()
	select {
	case <-waiting.closed:
		if !strings.Contains(waiting.said, "report") {
			t.Errorf("it does not tell who is in its way: %s", waiting.said)
		}
	case err := <-migrated:
		t.Fatalf("it did not wait: %v", err)
	}
	// To read and write the table goes on, though one reads and another wants it for itself.
	for range 20 {
		l.commit()
	}
	if n := number(t, direct(t, u.schema), `SELECT count(*) FROM event`); n != 21*8 {
		t.Errorf("%d events, want %d", n, 21*8)
	}
	select {
	case err := <-migrated:
		t.Fatalf("it did not wait for the transaction: %v", err)
	default:
	}
	_, err := foreign.Exec(t.Context(), `COMMIT`)
	u.must(err)
	u.must(<-migrated)
	u.expanded(direct(t, u.schema))
}

func TestMigrationGoesOnWhereOneWasBrokenOff(t *testing.T) {
	u := newUpgrade(t)
	old := u.mustOpen(release(t))
	l := newLoad(t, old, 8, 2, false)
	l.commit()
	// Who makes an index concurrently waits for a transaction that has written to the table.
	foreign := direct(t, u.schema)
	for _, query := range []string{`BEGIN`, `LOCK TABLE outbox IN ROW EXCLUSIVE MODE`} {
		_, err := foreign.Exec(t.Context(), query)
		u.must(err)
	}
	// Each step is counted, by a statement of its own.
	counted := strings.ReplaceAll(expandSQL, "\nALTER TABLE", "\nINSERT INTO steps VALUES (1);\nALTER TABLE")
	conn := direct(t, u.schema)
	_, err := conn.Exec(t.Context(), `CREATE TABLE steps (n integer)`)
	u.must(err)
	const inTheMidstSQL = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX CONCURRENTLY outbox_type%'`
	migrated := make(chan error, 1)
	go func() { migrated <- u.migrate(release(t, counted)) }()
	for number(t, conn, inTheMidstSQL) == 0 {
		select {
		case err := <-migrated:
			t.Fatalf("it ended: %v", err)
		default:
		}
	}
	if err := <-migrated; err == nil {
		t.Fatal("who was killed says that it has migrated")
	}
	if begun := number(t, conn, `SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('outbox_type') AND NOT indisvalid`); begun != 1 {
		t.Fatal("there is no index that was begun: what is tested did not happen")
	}
	l.commit()
	var older *postgres.OlderSchemaError
	if _, err := u.open(release(t, counted)); !errors.As(err, &older) || older.Found != u.known {
		t.Fatalf("a half of the migration is taken for all: %v", err)
	}
	_, err = foreign.Exec(t.Context(), `COMMIT`)
	u.must(err)
	u.must(u.migrate(release(t, counted)))
	u.expanded(conn)
	if steps := number(t, conn, `SELECT count(*) FROM steps`); steps != 2 {
		t.Errorf("two steps in transactions were made %d times", steps)
	}
	l.commit()
}

func TestManyMigrateAtOnce(t *testing.T) {
	u := newUpgrade(t)
	next := release(t, expandSQL, contractSQL)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			if i%2 == 0 { // a schema that is being made is no older one
				s, err := postgres.OpenKnowing(t.Context(), postgrestest.Address(t), u.options(), next)
				if err != nil {
					t.Error(err)
					return
				}
				_ = s.Close()
				return
			}
			_, after, err := postgres.MigrateKnowing(t.Context(), postgrestest.Address(t), u.options(), next, never)
			if err != nil || after != u.known+2 {
				t.Errorf("version %d, %v", after, err)
			}
		})
	}
	all.Wait()
	conn := direct(t, u.schema)
	if version := number(t, conn, `SELECT version FROM schema_version`); version != u.known+2 {
		t.Errorf("version %d, want %d", version, u.known+2)
	}
	if valid := number(t, conn, validSQL); valid != 2 {
		t.Errorf("%d of 2 indexes are valid", valid)
	}
}

func TestOlderSchemaIsMigratedIfToldTo(t *testing.T) {
	u := newUpgrade(t)
	u.mustOpen(release(t))
	next := release(t, expandSQL)
	_, err := u.open(next)
	var older *postgres.OlderSchemaError
	if !errors.As(err, &older) || older.Found != u.known || older.Known != u.known+1 || !strings.Contains(err.Error(), "run neohook migrate") {
		t.Fatalf("%v, want an OlderSchemaError that says what to do", err)
	}
	opts := u.options()
	opts.Migrate = true
	s, err := postgres.OpenKnowing(t.Context(), postgrestest.Address(t), opts, next)
	u.must(err)
	u.must(s.Close())
	u.must(u.mustOpen(next).Close())
}

func TestContractingWaitsForOlderProgramsToEnd(t *testing.T) {
	u := newUpgrade(t)
	old := u.mustOpen(release(t))
	ownAll(t, old)
	l := newLoad(t, old, 2, 2, false)
	l.commit()
	beating, stop := context.WithCancel(t.Context())
	var beats sync.WaitGroup
	beats.Go(func() {
		for beating.Err() == nil {
			if _, err := old.Beat(beating); err != nil && beating.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	third := release(t, expandSQL, contractSQL)
	err := u.migrate(third)
	stop()
	beats.Wait()
	var refused *postgres.OlderNodesError
	if !errors.As(err, &refused) || refused.Version != u.known+2 || refused.Needs != u.known+1 || len(refused.Nodes) != 1 ||
		!strings.Contains(err.Error(), fmt.Sprintf("bench (knows %d)", u.known)) {
		t.Fatalf("%v, want an OlderNodesError that names the node", err)
	}
	conn := direct(t, u.schema)
	if version, needs := number(t, conn, `SELECT version FROM schema_version`), number(t, conn, `SELECT needs FROM schema_version`); version != u.known+1 || needs != u.known {
		t.Errorf("version %d for programs that know %d: want what works with the old one to be done, and nothing more", version, needs)
	}
	l.commit()
	u.must(old.Leave(t.Context()))
	u.must(u.migrate(third))

	var newer *postgres.NewerSchemaError
	if _, err := old.Join(t.Context(), store.Member{Name: "old"}); !errors.As(err, &newer) {
		t.Errorf("an old program joins: %v", err)
	}
	_, err = u.open(release(t))
	if !errors.As(err, &newer) || newer.Found != u.known+2 || newer.Needs != u.known+1 || newer.Known != u.known {
		t.Errorf("an old program opens the schema: %v", err)
	}
	for _, want := range []string{u.schema, fmt.Sprint("version ", u.known+2), fmt.Sprint("knows ", u.known), "use a newer release"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if err := u.migrate(release(t)); !errors.As(err, &newer) {
		t.Errorf("an old program migrates: %v", err)
	}
	u.must(u.mustOpen(release(t, expandSQL)).Close()) // the one between
}

func TestContractingPassesOverADeadNode(t *testing.T) {
	u := newUpgrade(t)
	old := u.mustOpen(release(t))
	ownAll(t, old)
	l := newLoad(t, old, 2, 2, false)
	l.commit()
	const dead = 10 * time.Millisecond // it never beats
	_, after, err := postgres.MigrateKnowing(t.Context(), postgrestest.Address(t), u.options(), release(t, expandSQL, contractSQL), dead)
	if err != nil || after != u.known+2 {
		t.Fatalf("version %d, %v", after, err)
	}
	if _, err := old.Commit(t.Context(), l.next()); err == nil {
		t.Error("it was not dead, and writes")
	}
	if _, err := old.Beat(t.Context()); !errors.Is(err, store.ErrBuried) {
		t.Errorf("it was not dead, and beats: %v", err)
	}
	if owned := number(t, direct(t, u.schema), `SELECT count(*) FROM bucket WHERE node IS NOT NULL`); owned != 0 {
		t.Errorf("it owns %d buckets", owned)
	}
}

// TestStatementsSurviveNewColumns does what is held against the model while all tables get
// columns: statements that were prepared before give what they gave.
func TestStatementsSurviveNewColumns(t *testing.T) {
	checks := flag.Lookup("rapid.checks").Value
	before := checks.String()
	t.Cleanup(func() { _ = checks.Set(before) })
	if err := checks.Set("5"); err != nil {
		t.Fatal(err)
	}
	conn := direct(t, "public")
	var schema atomic.Value // the latest one
	done := make(chan struct{})
	added := make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-done:
				added <- n
				return
			default:
			}
			if at, _ := schema.Load().(string); at != "" {
				addColumn(t, conn, at, n)
			}
		}
	}()
	storetest.Model(t, func(t *testing.T, folder string) store.Store {
		s := openAt(t, folder)
		schema.Store(schemaOf(folder))
		return s
	})
	close(done)
	if n := <-added; n < 200 {
		t.Errorf("only %d times a table got a column", n)
	}
}

// addColumn adds a column to one of a schema's tables, unless somebody is in its way.
func addColumn(t *testing.T, conn *pgx.Conn, schema string, n int) {
	var table string
	err := conn.QueryRow(t.Context(), `SELECT oid::regclass FROM pg_class WHERE relnamespace = $1::text::regnamespace
		AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY random() LIMIT 1`, schema).Scan(&table)
	if err == nil {
		_, err = conn.Exec(t.Context(), fmt.Sprintf(`SET lock_timeout = '20ms'; ALTER TABLE %s ADD COLUMN added_%d integer NOT NULL DEFAULT %d`, table, n, n))
	}
	var answered *pgconn.PgError
	if err != nil && !(errors.As(err, &answered) && answered.Code == "55P03") {
		t.Error(err)
	}
}
