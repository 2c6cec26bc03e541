package postgrestest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Main is for TestMain: it lets the tests run with a server, which is started when the first
// of them asks for its Address, and is ended behind them.
func Main(m *testing.M) int {
	shared.main = true
	defer shared.end()
	return m.Run()
}

// shared is the server of all tests of a package.
var shared server

type server struct {
	main    bool // Main runs
	start   sync.Once
	folder  *folder
	address string
	missing error // why there is none
}

// begin starts the server, unless one is given.
func (s *server) begin(ctx context.Context) {
	if s.address = os.Getenv(addressVariable); s.address != "" {
		return
	}
	if s.folder, s.missing = newFolder(); s.missing != nil {
		return
	}
	// Tests crash the server's clients and not its machine: nothing needs to reach the disk.
	cluster, err := NewCluster(ctx, filepath.Join(s.folder.path, "cluster"), "fsync=off", "max_connections=200")
	if s.missing = err; err == nil {
		s.address = cluster.Address()
	}
}

func (s *server) end() {
	if s.folder != nil {
		_ = s.folder.remove()
	}
}

// Address returns where the server is. Without one the test is left out and says why; in
// CI it fails.
func Address(t testing.TB) string {
	t.Helper()
	if !shared.main {
		t.Fatal("postgrestest.Main is not the package's TestMain")
	}
	shared.start.Do(func() { shared.begin(t.Context()) })
	need(t, shared.missing)
	return shared.address
}

// need leaves a test out for which there is no server.
func need(t testing.TB, missing error) {
	t.Helper()
	switch {
	case missing == nil:
	case os.Getenv("CI") != "" || !errors.Is(missing, ErrNoServer):
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
}

// Own starts a server for one test, which may end it and start it again. Without the
// programs the test is left out and says why; in CI it fails.
func Own(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	folder, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := folder.remove(); err != nil {
			t.Log(err)
		}
	})
	cluster, err := NewCluster(t.Context(), filepath.Join(folder.path, "cluster"), settings...)
	need(t, err)
	return cluster
}
