package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
	"github.com/neohook/neohook/store/storetest"
)

func TestTransactionsOfOthers(t *testing.T) {
	const oneWriter = false
	t.Run("pgx", func(t *testing.T) {
		storetest.RunTx(t, oneWriter, func(t *testing.T) (store.Store, func() storetest.OpenTx) {
			s := open(t).(*postgres.Store)
			pool := pgxHandle(t)
			return s, func() storetest.OpenTx {
				tx, err := pool.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return storetest.OpenTx{
					Tx: s.PgxTx(tx), Commit: func() error { return tx.Commit(t.Context()) }, Rollback: func() error { return tx.Rollback(t.Context()) },
				}
			}
		})
	})
	t.Run("database/sql", func(t *testing.T) {
		storetest.RunTx(t, oneWriter, func(t *testing.T) (store.Store, func() storetest.OpenTx) {
			s := open(t).(*postgres.Store)
			db := sqlHandle(t, postgrestest.Address(t))
			return s, func() storetest.OpenTx {
				tx, err := db.BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				return storetest.OpenTx{Tx: s.SQLTx(tx), Commit: tx.Commit, Rollback: tx.Rollback}
			}
		})
	})
}

func pgxHandle(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), postgrestest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func sqlHandle(t testing.TB, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// What else may be wrong with a transaction is told with what to do about it.
func TestTransactionThatCannotTakeAnEventIsRefused(t *testing.T) {
	s := open(t).(*postgres.Store)
	made, err := s.InitInstance(t.Context(), store.Instance{SealedIDSecret: []byte("sealed"), CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	pool := pgxHandle(t)
	do := func(statements string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	user := "shop_of_" + s.Schema()
	do("CREATE ROLE " + user)
	t.Cleanup(func() {
		_, _ = pool.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+user+"; DROP ROLE "+user)
	})
	announce := func(schema string, options pgx.TxOptions, before string) error {
		t.Helper()
		tx, err := pool.BeginTx(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(t.Context()) }()
		if _, err := tx.Exec(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		if err := s.InSchema(schema).PgxTx(tx).Announce(t.Context(), made.CreatedAt, store.Announcement{Type: "a", Channels: []string{"eu"}}); err != nil {
			return err
		}
		return tx.Commit(t.Context())
	}
	own := s.Schema()
	asUser := "SET LOCAL ROLE " + user
	for what, c := range map[string]struct {
		err  error
		says string
	}{
		"no such schema": {announce("nowhere", pgx.TxOptions{}, ""), "begin it on the engine's database"},
		"read-only":      {announce(own, pgx.TxOptions{AccessMode: pgx.ReadOnly}, ""), "begin one that may write"},
		"without rights": {announce(own, pgx.TxOptions{}, asUser), "grant them"},
	} {
		if !errors.Is(c.err, store.ErrTxRefused) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	for _, grant := range []string{
		"GRANT USAGE ON SCHEMA %s TO %s", "GRANT INSERT ON %s.outbox TO %s",
		"GRANT USAGE ON SEQUENCE %s.outbox_key TO %s", "GRANT SELECT (created_at) ON %s.instance TO %s",
	} {
		do(fmt.Sprintf(grant, own, user))
	}
	for _, level := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable} {
		if err := announce(own, pgx.TxOptions{IsoLevel: level}, asUser); err != nil {
			t.Errorf("with these rights, %s: %v", level, err)
		}
	}
	rows, err := s.Outbox(t.Context(), 0, 9)
	if err != nil || len(rows) != 3 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// A transaction of somebody else that writes something keeps all that is deleted after it
// from being cleared away.
func TestReadingTheOutboxDoesNotWalkOverWhatIsGone(t *testing.T) {
	s := open(t).(*postgres.Store)
	made, err := s.InitInstance(t.Context(), store.Instance{SealedIDSecret: []byte("sealed"), CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	pool := pgxHandle(t)
	begin := func() pgx.Tx {
		t.Helper()
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	long := begin()
	defer func() { _ = long.Rollback(t.Context()) }()
	if err := s.PgxTx(long).Announce(t.Context(), made.CreatedAt, store.Announcement{Type: "long"}); err != nil {
		t.Fatal(err)
	}
	var stays store.OutboxKey
	round := func() (blocks int) {
		t.Helper()
		tx := begin()
		for range 200 {
			if err := s.PgxTx(tx).Announce(t.Context(), made.CreatedAt, store.Announcement{Type: "a", Payload: make([]byte, 100)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		var gone []store.OutboxKey
		for after := store.OutboxKey(0); ; {
			rows, err := s.Outbox(t.Context(), after, 64)
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) == 0 {
				break
			}
			for _, row := range rows {
				gone, after = append(gone, row.Key), row.Key
			}
		}
		if stays == 0 {
			stays = gone[0]
		}
		if gone[0] != stays || len(gone) != 201 && len(gone) != 200 {
			t.Fatalf("%d are found, from %d, want 201 from %d", len(gone), gone[0], stays)
		}
		if err := s.DeleteOutbox(t.Context(), gone[1:]); err != nil {
			t.Fatal(err)
		}
		blocks, err := s.BlocksOfOutboxKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return blocks
	}
	for range 3 {
		round()
	}
	first := round()
	for range 30 {
		round()
	}
	last := round()
	t.Logf("%d blocks at first, %d at last", first, last)
	if last > 2*first {
		t.Errorf("the keys take %d blocks to find at first, and %d when more are gone", first, last)
	}
	if err := long.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Outbox(t.Context(), 0, 9)
	if err != nil || len(rows) != 2 || rows[0].Type != "long" || rows[1].Key != stays {
		t.Errorf("in the end %+v, %v", rows, err)
	}
}
