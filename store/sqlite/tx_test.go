package sqlite_test

import (
	"database/sql"
	"testing"

	"github.com/neohook/neohook/store"
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
