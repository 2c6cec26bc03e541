package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store/postgres/postgrestest"
)

// database is a throw-away PostgreSQL server, which writes to the disk what it commits.
type database struct {
	*postgrestest.Cluster
	folder string
	stats  *pgx.Conn
}

func startDatabase(ctx context.Context, settings ...string) (d *database, err error) {
	d = new(database)
	defer func() {
		if err != nil {
			d.stop(ctx)
		}
	}()
	if d.folder, err = os.MkdirTemp("", "neohook-bench-"); err != nil {
		return d, err
	}
	if err := os.Chmod(d.folder, 0o755); err != nil { //nolint:gosec // the server runs as another user
		return d, err
	}
	if d.Cluster, err = postgrestest.NewCluster(ctx, filepath.Join(d.folder, "postgres"), settings...); err != nil {
		return d, err
	}
	d.stats, err = pgx.Connect(ctx, d.Address())
	return d, err
}

func (d *database) stop(ctx context.Context) {
	if d.stats != nil {
		_ = d.stats.Close(context.WithoutCancel(ctx))
	}
	if d.Cluster != nil {
		_ = d.Stop(true)
	}
	_ = os.RemoveAll(d.folder)
}

// counters are what the server says of itself, and the kernel of it.
type counters struct {
	inserted, updated, hot, deleted int64 // rows; hot ones are among the updated
	log, records                    int64 // bytes and records of its log
	syncs                           int64 // of the log to the disk
	transactions                    int64 // that wrote something
	stored, ended                   int64 // rows of events and of history among the inserted
	cpu                             time.Duration
}

const (
	// What is written to the log and how many transactions there were is exact. Rows are
	// counted by each connection, and told with some delay.
	countersSQL = `SELECT tup_inserted, tup_updated, tup_deleted, pg_current_wal_insert_lsn() - '0/0', wal_records,
			pg_snapshot_xmax(pg_current_snapshot())::text::bigint, hot, stored, ended
		FROM pg_stat_database, pg_stat_wal, (
			SELECT coalesce(sum(n_tup_hot_upd), 0)::bigint AS hot,
				coalesce(sum(n_tup_ins) FILTER (WHERE relname LIKE 'event\_from\_%'), 0)::bigint AS stored,
				coalesce(sum(n_tup_ins) FILTER (WHERE relname LIKE 'history\_from\_%'), 0)::bigint AS ended
			FROM pg_stat_user_tables) AS tables
		WHERE datname = current_database()`
	syncsSQL   = `SELECT wal_sync FROM pg_stat_wal`
	syncs18SQL = `SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal'`
)

func (d *database) counters(ctx context.Context) (c counters, err error) {
	if c.cpu, err = familyCPU(d.Pid()); err != nil {
		return c, err
	}
	if err := d.stats.QueryRow(ctx, countersSQL).Scan(&c.inserted, &c.updated, &c.deleted, &c.log, &c.records,
		&c.transactions, &c.hot, &c.stored, &c.ended); err != nil {
		return c, fmt.Errorf("the database's counters: %w", err)
	}
	query := syncsSQL
	if d.stats.PgConn().ParameterStatus("server_version") >= "18" {
		query = syncs18SQL
	}
	return c, d.stats.QueryRow(ctx, query).Scan(&c.syncs)
}

// settled returns counters once they tell of all rows that were stored: each connection
// tells of its own, ten seconds after it was used at the latest.
func (d *database) settled(ctx context.Context, events int64) (c counters, err error) {
	const often, most = 100 * time.Millisecond, 12 * time.Second
	for began := time.Now(); ; {
		if c, err = d.counters(ctx); err != nil || c.stored >= events && c.ended >= events {
			return c, err
		}
		if time.Since(began) > most {
			return c, fmt.Errorf("the database tells of %d events and %d outcomes stored, want %d", c.stored, c.ended, events)
		}
		if err := pause(ctx, often); err != nil {
			return c, err
		}
	}
}

func (c counters) since(before counters) counters {
	return counters{
		inserted: c.inserted - before.inserted, updated: c.updated - before.updated, hot: c.hot - before.hot, deleted: c.deleted - before.deleted,
		log: c.log - before.log, records: c.records - before.records, syncs: c.syncs - before.syncs,
		transactions: c.transactions - before.transactions, stored: c.stored - before.stored, ended: c.ended - before.ended, cpu: c.cpu - before.cpu,
	}
}

func (c counters) plus(other counters) counters { return c.since(counters{}.since(other)) }

func (c counters) rows() int64 { return c.inserted + c.updated + c.deleted }

func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
		return nil
	}
}

// costliest prints the statements that took the most of the server's time, where it counts
// them.
func (d *database) costliest(ctx context.Context, most, count int, of string) error {
	rows, err := d.stats.Query(ctx, `SELECT left(regexp_replace(query, '\s+', ' ', 'g'), 110), calls, total_exec_time + total_plan_time, total_plan_time, rows
		FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
		ORDER BY total_exec_time + total_plan_time DESC LIMIT $1`, most)
	if err != nil {
		return err
	}
	var query string
	var calls, returned int64
	var took, planned float64
	_, err = pgx.ForEachRow(rows, []any{&query, &calls, &took, &planned, &returned}, func() error {
		fmt.Printf("  %6.2f µs %s  %8d calls of %8.1f µs, planned in %8.1f  %8d rows  %s\n", took*1000/float64(count), of, calls, took*1000/float64(max(1, calls)), planned*1000/float64(max(1, calls)), returned, query)
		return nil
	})
	return err
}
