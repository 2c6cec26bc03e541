package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/store/storetest"
)

// openAt opens the store in a folder; the test closes it.
func openAt(t testing.TB, folder string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(folder, "neohook.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openNew opens an empty store, closed when the test ends.
func openNew(t testing.TB) *sqlite.Store {
	t.Helper()
	s := openAt(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openNew(t) })
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, folder string) store.Store { return openAt(t, folder) })
}

func TestModel(t *testing.T) {
	storetest.Model(t, func(t *testing.T, folder string) store.Store { return openSmall(t, folder, 3) })
}
