package sqlite_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/store/storetest"
)

func TestTransactionsOfOthers(t *testing.T) {
	const oneWriter = true
	storetest.RunTx(t, oneWriter, func(t *testing.T) (store.Store, func() storetest.OpenTx) {
		s := openNew(t)
		db := handle(t, s.DSN())
		return s, func() storetest.OpenTx {
			tx := begin(t, db)
			return storetest.OpenTx{Tx: s.SQLTx(tx), Commit: tx.Commit, Rollback: tx.Rollback}
		}
	})
}

// handle opens a handle, closed when the test ends.
func handle(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func begin(t testing.TB, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// otherLibrary is a driver as any that is not ours: it knows no function of ours.
type otherLibrary struct{}

var errNoFunction = errors.New("SQL logic error: no such function: neohook_driver (1)")

func (otherLibrary) Open(string) (driver.Conn, error)    { return otherLibrary{}, nil }
func (otherLibrary) Prepare(string) (driver.Stmt, error) { return nil, errNoFunction }
func (otherLibrary) Begin() (driver.Tx, error)           { return otherLibrary{}, nil }
func (otherLibrary) Close() error                        { return nil }
func (otherLibrary) Commit() error                       { return nil }
func (otherLibrary) Rollback() error                     { return nil }

func TestTransactionThatCannotTakeAnEventIsRefused(t *testing.T) {
	s := openNew(t)
	made, err := s.InitInstance(t.Context(), store.Instance{SealedIDSecret: []byte("sealed"), CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	sql.Register("other library", otherLibrary{})
	another, err := sql.Open("other library", "")
	if err != nil {
		t.Fatal(err)
	}
	defer another.Close()
	second := openNew(t)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path(t, s), link); err != nil {
		t.Fatal(err)
	}
	announce := func(db *sql.DB) error {
		tx := begin(t, db)
		defer func() { _ = tx.Rollback() }()
		if err := s.SQLTx(tx).Announce(t.Context(), made.CreatedAt, store.Announcement{Type: "a"}); err != nil {
			return err
		}
		return tx.Commit()
	}
	for what, c := range map[string]struct {
		db   *sql.DB
		says string // "" is not refused
	}{
		"another library":         {another, "another library"},
		"another file":            {handle(t, second.DSN()), "its database is"},
		"no file":                 {handle(t, ":memory:"), `its database is ""`},
		"synchronous is NORMAL":   {handle(t, path(t, s)+"?_pragma=secure_delete(ON)&_pragma=synchronous(NORMAL)"), "synchronous = 1"},
		"synchronous is OFF":      {handle(t, path(t, s)+"?_pragma=secure_delete(ON)&_pragma=synchronous(OFF)"), "synchronous = 0"},
		"nothing is overwritten":  {handle(t, path(t, s)), "secure_delete = OFF"},
		"synchronous is EXTRA":    {handle(t, path(t, s)+"?_pragma=secure_delete(ON)&_pragma=synchronous(EXTRA)"), ""},
		"by its name":             {handle(t, path(t, s)+"?_pragma=secure_delete(ON)"), ""},
		"by another of its names": {handle(t, link+"?_pragma=secure_delete(ON)"), ""},
	} {
		err := announce(c.db)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.says != "" && (!errors.Is(err, store.ErrTxRefused) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "store.DSN()")):
			t.Errorf("%s: %v", what, err)
		}
	}
	tx := begin(t, handle(t, s.DSN()))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.SQLTx(tx).Announce(t.Context(), made.CreatedAt, store.Announcement{Type: "a"}); !errors.Is(err, sql.ErrTxDone) {
		t.Errorf("a transaction that was committed: %v", err)
	}
	if rows, err := s.CountOutbox(t.Context(), 9); err != nil || rows != 3 {
		t.Errorf("%d rows were written, %v", rows, err)
	}
}

// path is where a store's file is.
func path(t *testing.T, s *sqlite.Store) string {
	t.Helper()
	name, err := url.Parse(s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	return name.Path
}
