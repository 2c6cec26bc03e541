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
		"_pragma": {"busy_timeout(10000)", "synchronous(FULL)", "secure_delete(ON)"},
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
	if err := t.check(ctx); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	args := append(outboxRow(&a, a.About), made.UnixMicro())
	result, err := t.tx.ExecContext(ctx, insertForeignSQL, args...)
	if err != nil {
		return fmt.Errorf("sqlite: outbox: %w", err)
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		return fmt.Errorf("sqlite: %w: it is of another store than the engine's", errors.Join(store.ErrTxRefused, err))
	}
	return nil
}

// check refuses a transaction that can't, or must not, be written to.
func (t sqlTx) check(ctx context.Context) error {
	var (
		library, file             string
		synchronous, secureDelete int
	)
	err := t.tx.QueryRowContext(ctx, settingsSQL).Scan(&library, &file, &synchronous, &secureDelete)
	const full = 2
	var wrong string
	switch {
	case err != nil && (ctx.Err() != nil || isOver(err)):
		return err
	case err != nil || library != driverMark:
		wrong = "it is of another library than modernc.org/sqlite of this process, and two on one file can corrupt it"
	case !sameFile(file, t.store.path):
		wrong = fmt.Sprintf("its database is %q and not %s", file, t.store.path)
	case synchronous < full:
		wrong = fmt.Sprintf("its handle has PRAGMA synchronous = %d, by which what was committed can be lost, or all of the file", synchronous)
	case secureDelete == 0:
		wrong = "its handle has PRAGMA secure_delete = OFF, by which copies of what it publishes are left in the file when they are expunged"
	default:
		return nil
	}
	refused := fmt.Errorf("%w: %s: use one handle on the file, from sql.Open(\"sqlite\", store.DSN())", store.ErrTxRefused, wrong)
	if err != nil {
		refused = fmt.Errorf("%w (%w)", refused, err)
	}
	return refused
}

// settingsSQL says what a transaction's connection is, insertForeignSQL inserts a row only
// where the instance is the one expected.
const (
	settingsSQL = `SELECT neohook_driver(), (SELECT file FROM pragma_database_list WHERE name = 'main'),
		(SELECT synchronous FROM pragma_synchronous), (SELECT secure_delete FROM pragma_secure_delete)`
	insertForeignSQL = `INSERT INTO main.outbox (` + outboxColumns + `)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM main.instance WHERE created_at = ?`
)

// isOver says of an error that there is no transaction any more.
func isOver(err error) bool {
	return errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn)
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
