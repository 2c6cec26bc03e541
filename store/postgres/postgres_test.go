package postgres_test

import (
	"fmt"
	"hash/fnv"
	"os"
	"testing"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
	"github.com/neohook/neohook/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// openAt returns the store whose schema is named after a folder.
func openAt(t *testing.T, folder string) store.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgrestest.Address(t), postgres.Options{Schema: schemaOf(folder), MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// schemaOf names a schema after a folder.
func schemaOf(folder string) string {
	name := fnv.New64a()
	_, _ = name.Write([]byte(folder))
	return fmt.Sprintf("test_%x", name.Sum64())
}

func open(t *testing.T) store.Store { return openAt(t, t.TempDir()) }

func TestContract(t *testing.T) { storetest.Run(t, open) }

func TestDurability(t *testing.T) { storetest.RunDurable(t, openAt) }

func TestModel(t *testing.T) { storetest.Model(t, openAt) }
