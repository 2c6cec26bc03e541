package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	driversqlite "modernc.org/sqlite"

	"github.com/neohook/neohook/store"
)

// DSN is what sql.Open("sqlite", …) of modernc.org/sqlite is given for a handle on the
// store's file, whose transactions SQLTx takes. It may be opened while the store is.
//
// SQLite lets one transaction write at a time: while one on the handle has written
// something, nothing is stored for anybody else, no event and no outcome, so keep them
// short. They begin at once as ones that write; SetMaxOpenConns, with a low number,
// spares them waiting for each other by trying again and again.
//
// There the program may have tables of its own, of any name that begins with "app_":
// those of the store never will. Its tables, and the numbers in the file's header
// (application_id, user_version), are the store's.
func (s *Store) DSN() string {
	settings := url.Values{
		"mode":    {"rw"},
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "synchronous(FULL)"},
	}
	name := url.URL{Scheme: "file", Path: filePath(s.path), RawQuery: settings.Encode()}
	return name.String()
}

// SQLTx makes of a transaction on a handle of the program's own, see DSN, one that events
// can be published in, beside whatever else it does. It goes on to be the caller's, to
// commit or to roll back.
//
// It is refused, with store.ErrTxRefused and what to do about it, unless its handle is of
// this process and of modernc.org/sqlite, on the store's file, and syncs what it commits:
// another library of SQLite on the same file, in the same process, would corrupt it.
func (s *Store) SQLTx(tx *sql.Tx) store.Tx { return sqlTx{s, tx} }

type sqlTx struct {
	store *Store
	tx    *sql.Tx
}

// Announce puts an announcement into the outbox, as part of the transaction.
func (t sqlTx) Announce(ctx context.Context, made time.Time, a store.Announcement) error {
	if err := t.check(ctx, made); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if _, err := t.tx.ExecContext(ctx, insertOutboxSQL, outboxRow(&a, a.About)...); err != nil {
		return fmt.Errorf("sqlite: outbox: %w", err)
	}
	return nil
}

// check refuses a transaction that can't, or must not, be written to.
func (t sqlTx) check(ctx context.Context, made time.Time) error {
	var mark string
	if err := t.tx.QueryRowContext(ctx, driverMarkSQL).Scan(&mark); err != nil || mark != driverMark {
		if ended := errors.Join(ctx.Err(), endedOf(err)); ended != nil {
			return ended
		}
		return fmt.Errorf("%w: it is of another library than modernc.org/sqlite, and two of them on one file in one process corrupt it: open the handle by sql.Open(\"sqlite\", store.DSN()), and no other on this file (%w)",
			store.ErrTxRefused, err)
	}
	var file string
	var instance int64
	if err := t.tx.QueryRowContext(ctx, mainFileSQL).Scan(&file); err != nil {
		return err
	}
	if !sameFile(file, t.store.path) {
		return fmt.Errorf("%w: its database is %q, and the store's is %s: open the handle by sql.Open(\"sqlite\", store.DSN())",
			store.ErrTxRefused, file, t.store.path)
	}
	var synchronous int
	if err := t.tx.QueryRowContext(ctx, synchronousSQL).Scan(&synchronous); err != nil {
		return err
	}
	const full = 2
	if synchronous < full {
		return fmt.Errorf("%w: its handle has PRAGMA synchronous = %d, by which what was committed can be lost, or the file: set it to FULL, or open the handle by sql.Open(\"sqlite\", store.DSN())",
			store.ErrTxRefused, synchronous)
	}
	if err := t.tx.QueryRowContext(ctx, instanceMadeSQL).Scan(&instance); err != nil {
		return err
	}
	if instance != made.UnixMicro() {
		return fmt.Errorf("%w: it is of another store than the engine's", store.ErrTxRefused)
	}
	return nil
}

const (
	driverMarkSQL   = `SELECT neohook_driver()`
	mainFileSQL     = `SELECT file FROM pragma_database_list WHERE name = 'main'`
	synchronousSQL  = `PRAGMA main.synchronous`
	instanceMadeSQL = `SELECT created_at FROM main.instance`
)

// endedOf returns an error that says that the transaction is over.
func endedOf(err error) error {
	for _, ended := range []error{sql.ErrTxDone, sql.ErrConnDone, driver.ErrBadConn} {
		if errors.Is(err, ended) {
			return err
		}
	}
	return nil
}

// sameFile says whether two paths name one file.
func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// A transaction does not tell its driver. So all connections of the driver have a function
// that none of another has. They get what is registered when they are opened, and the
// caller may open some before the store: hence an init.
const driverMark = "modernc.org/sqlite of this process"

func init() { //nolint:gochecknoinits // see above
	driversqlite.MustRegisterScalarFunction("neohook_driver", 0, func(*driversqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		return driverMark, nil
	})
}
