package postgrestest

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// Standby starts a standby of a cluster, for one test. It has everything that the cluster
// has told anybody to be stored once the cluster waits for it: synchronous_standby_names
// is then "standby".
func (c *Cluster) Standby(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	standby := &Cluster{Folder: c.Folder + "-standby", bin: c.bin, name: "standby"}
	if err := standby.prepare(); err != nil {
		t.Fatal(err)
	}
	copies := standby.command(t.Context(), "pg_basebackup", "--host="+c.Folder, "--username=neohook", "--pgdata="+standby.data(),
		"--checkpoint=fast", "--wal-method=stream", "--no-sync", "--write-recovery-conf",
		"--dbname=host="+c.Folder+" user=neohook application_name="+standby.name)
	if output, err := copies.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, output)
	}
	if err := standby.Start(t.Context(), settings...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop(true) })
	return standby
}

// Promote makes a standby a server that takes changes, and waits until it does.
func (c *Cluster) Promote(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	promote := c.command(ctx, "pg_ctl", "promote", "--wait", "--pgdata="+filepath.Join(c.Folder, "data"))
	if output, err := promote.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_ctl promote: %w\n%s", err, output)
	}
	return nil
}

// Query answers a query that has one value, by psql.
func (c *Cluster) Query(ctx context.Context, query string) (string, error) {
	ask := c.command(ctx, "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--host="+c.Folder, "--username=neohook", "--command="+query, "postgres")
	output, err := ask.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w\n%s", err, output)
	}
	return string(output[:max(0, len(output)-1)]), nil
}
