package postgrestest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Main is for TestMain: it lets the tests run with a server, and ends the one that it has
// started.
func Main(m *testing.M) int {
	address = os.Getenv(addressVariable)
	if address != "" {
		return m.Run()
	}
	folder, err := os.MkdirTemp("", "neohook-postgres-")
	if err != nil {
		missing = err
		return m.Run()
	}
	defer func() { _ = os.RemoveAll(folder) }()
	// The server's user must get to its own folder, through this one.
	if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // what is in it is closed
		missing = err
		return m.Run()
	}
	// Tests crash the server's clients and not its machine: nothing needs to reach the disk.
	cluster, err := NewCluster(context.Background(), filepath.Join(folder, "cluster"), "fsync=off", "max_connections=200")
	if err != nil {
		missing = err
		return m.Run()
	}
	defer func() { _ = cluster.Stop(true) }()
	address = cluster.Address()
	return m.Run()
}

var (
	address string
	missing error // why there is no address
)

// Address returns where the server is. Without one the test is left out and says why; in
// CI it fails.
func Address(t testing.TB) string {
	t.Helper()
	switch {
	case address != "":
	case missing == nil:
		t.Fatal("postgrestest.Main is not the package's TestMain")
	case os.Getenv("CI") != "" || !errors.Is(missing, ErrNoServer):
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
	return address
}

// Own starts a server for one test, which may end it and start it again. Without the
// programs the test is left out and says why; in CI it fails.
func Own(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	folder, err := os.MkdirTemp("", "neohook-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // what is in it is closed
		t.Fatal(err)
	}
	cluster, err := NewCluster(t.Context(), filepath.Join(folder, "cluster"), settings...)
	switch {
	case errors.Is(err, ErrNoServer) && os.Getenv("CI") == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(true); err != nil {
			t.Log(err)
		}
	})
	return cluster
}
