package shop

import (
	"fmt"
	"hash/fnv"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
)

func init() { //nolint:gochecknoinits // beside the others, of a file of its own
	openers["postgres"] = openPostgres
	environment = func(t testing.TB) []string {
		t.Helper()
		return []string{"NEOHOOK_TEST_POSTGRES=" + postgrestest.Address(t)}
	}
}

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// openPostgres has the engine's tables in one schema, and the shop's in another.
func openPostgres(t testing.TB, folder string) *shop {
	t.Helper()
	address := postgrestest.Address(t)
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(folder))
	schema := fmt.Sprintf("shop_%x", hash.Sum64())
	s, err := postgres.Open(t.Context(), address, postgres.Options{Schema: schema, MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["search_path"] = schema + "_own"
	db := stdlib.OpenDB(*config)
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA IF NOT EXISTS "+schema+"_own"); err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(16)
	return &shop{store: s, db: db, tx: s.SQLTx}
}
