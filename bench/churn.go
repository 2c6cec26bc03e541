package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
	"github.com/neohook/neohook/webhook"
)

const (
	churnWriters = 4
	churnTenants = 8
	churnBatch   = 128
	// churnKeeps is after how long events go. The sweep is told a time that far ahead of the
	// least that can be set.
	churnKeeps = 4 * time.Minute
)

// besideForeign writes events with their outcomes to a PostgreSQL store of its own as fast
// as that takes them, and lets go of them minutes later, while somebody's transaction is
// open all the time: the server may clear nothing away that was deleted since. Each minute
// it prints the rate, what the walks cost that an engine makes all the time, and the sizes
// and dead rows of the tables by the server's own account.
func besideForeign(ctx context.Context, s settings) (err error) {
	folder, err := os.MkdirTemp("", "neohook-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // the server runs as another user
		return err
	}
	cluster, err := postgrestest.NewCluster(ctx, filepath.Join(folder, "postgres"), "shared_buffers=256MB", "max_wal_size=2GB")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(false)) }()
	st, err := postgres.Open(ctx, cluster.Address(), postgres.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	c := &churnRun{settings: s, st: st}
	if c.stats, err = pgx.Connect(ctx, cluster.Address()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stats.Close(context.WithoutCancel(ctx))) }()
	if err := c.prepare(ctx); err != nil {
		return err
	}
	foreign, err := holdOpen(ctx, cluster.Address())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, foreign.Close(context.WithoutCancel(ctx))) }()
	return c.run(ctx)
}

// holdOpen begins a transaction that sees the database as it is now, and has a number of
// its own as if it had written.
func holdOpen(ctx context.Context, address string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current()")
	return conn, err
}

// churnRun is a run under way.
type churnRun struct {
	settings
	st        *postgres.Store
	stats     *pgx.Conn
	tenants   []store.TenantKey
	endpoints []store.EndpointKey
	versions  []int64

	stored, swept atomic.Int64
}

func (c *churnRun) prepare(ctx context.Context) error {
	now := time.Now()
	if _, err := c.st.Join(ctx, store.Member{Name: "bench", Delivers: true}); err != nil {
		return err
	}
	buckets := make([]store.Bucket, store.BucketCount) // else all would be told to their owners
	for i := range buckets {
		buckets[i] = store.Bucket(i) //nolint:gosec // there are a thousand
	}
	if _, err := c.st.Claim(ctx, buckets); err != nil {
		return err
	}
	for range churnTenants {
		keys := [2]int64{}
		for i := range keys {
			key, err := c.st.NewKey(ctx)
			if err != nil {
				return err
			}
			keys[i] = key
		}
		tenant, endpoint := store.TenantKey(keys[0]), store.EndpointKey(keys[1])
		if err := c.st.InsertTenant(ctx, store.Tenant{Key: tenant, Organisation: "org_bench", Name: "bench", CreatedAt: now, UpdatedAt: now, Version: 1}, nil); err != nil {
			return err
		}
		if err := c.st.InsertEndpoint(ctx, store.Endpoint{
			Key: endpoint, Tenant: tenant, URL: "https://bench.example/", Method: webhook.DefaultMethod, CreatedAt: now, UpdatedAt: now, Version: 1,
		}, nil); err != nil {
			return err
		}
		routes, err := c.st.Routes(ctx, tenant)
		if err != nil {
			return err
		}
		c.tenants, c.endpoints, c.versions = append(c.tenants, tenant), append(c.endpoints, endpoint), append(c.versions, routes.Version)
	}
	return nil
}

// run keeps all busy for the time of the settings.
func (c *churnRun) run(ctx context.Context) error {
	length := time.Duration(c.minutes * float64(time.Minute))
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	failed := make(chan error, churnWriters+3)
	var busy sync.WaitGroup
	start := func(name string, work func(context.Context) error) {
		busy.Go(func() {
			if err := work(ctx); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("%s: %w", name, err)
				cancel()
			}
		})
	}
	for range churnWriters {
		start("write", c.write)
	}
	start("sweep", c.sweep)
	start("compact", c.compact)
	start("measure", c.tell)
	busy.Wait()
	close(failed)
	if err := <-failed; err != nil {
		return err
	}
	return c.print(context.WithoutCancel(ctx), length, c.stored.Load())
}

// churned is a delivery that is open, of the tenant at a place.
type churned struct {
	of    int
	event store.EventKey
	tried int
}

// write commits batches, each with the outcomes of the one before. One delivery in ten
// fails at first, and one event in ten is published under a key.
func (c *churnRun) write(ctx context.Context) error {
	payload := make([]byte, c.payload)
	var open []churned
	for n := 0; ctx.Err() == nil; n++ {
		now := time.Now()
		batch := store.Batch{Now: now}
		for i := range churnBatch {
			of := (n + i) % churnTenants
			accept := store.Accept{
				Tenant: c.tenants[of], RouteVersion: c.versions[of], Endpoints: []store.EndpointKey{c.endpoints[of]}, Type: "bench.event", Payload: payload,
			}
			if i%10 == 0 {
				accept.Once = &store.Once{TTL: churnKeeps}
				binary.BigEndian.PutUint64(accept.Once.Hash[:], rand.Uint64()) //nolint:gosec // chance will do
			}
			batch.Accepts = append(batch.Accepts, accept)
		}
		var next []churned
		for i, d := range open {
			o := store.Outcome{
				Tenant: c.tenants[d.of], Endpoint: c.endpoints[d.of], Event: d.event, EventType: "bench.event", Tried: d.tried, State: webhook.Succeeded,
				Attempt: &store.Attempt{Number: d.tried + 1, URL: "https://bench.example/", Succeeded: true, StatusCode: 204, StartedAt: now, Duration: 2 * time.Millisecond},
			}
			if d.tried == 0 && i%10 == 0 {
				o.State, o.RetryAt = webhook.Waiting, now.Add(time.Second)
				o.Attempt.Succeeded, o.Attempt.StatusCode = false, 500
				next = append(next, churned{d.of, d.event, 1})
			}
			batch.Outcomes = append(batch.Outcomes, o)
		}
		verdicts, err := c.st.Commit(ctx, &batch)
		if err != nil {
			return err
		}
		for i, verdict := range verdicts {
			if verdict.Kind != store.Accepted {
				return fmt.Errorf("an event was not accepted: verdict %d", verdict.Kind)
			}
			next = append(next, churned{(n + i) % churnTenants, verdict.Event, 0})
		}
		open = next
		c.stored.Add(churnBatch)
	}
	return nil
}

func every(ctx context.Context, length time.Duration, do func() error) error {
	for tick := time.NewTicker(length); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
		if err := do(); err != nil {
			tick.Stop()
			return err
		}
	}
}

func (c *churnRun) sweep(ctx context.Context) error {
	kept := webhook.Retention{Payloads: webhook.MinRetention, Attempts: webhook.MinRetention, Events: webhook.MinRetention}
	return every(ctx, time.Second, func() error {
		for more := true; more && ctx.Err() == nil; {
			swept, err := c.st.Sweep(ctx, time.Now().Add(webhook.MinRetention-churnKeeps), kept, 5*time.Millisecond)
			if err != nil {
				return err
			}
			c.swept.Add(int64(swept.Events))
			more = swept.More
		}
		return nil
	})
}

func (c *churnRun) compact(ctx context.Context) error {
	return every(ctx, 10*time.Second, func() (err error) {
		for more := true; more && err == nil; {
			more, err = c.st.CompactRollups(ctx, time.Now())
		}
		return err
	})
}

// tell prints how it stands, each minute.
func (c *churnRun) tell(ctx context.Context) error {
	begun, before := time.Now(), int64(0)
	return every(ctx, time.Minute, func() error {
		stored := c.stored.Load()
		err := c.print(ctx, time.Since(begun), stored-before)
		before = stored
		return err
	})
}

func (c *churnRun) print(ctx context.Context, after time.Duration, stored int64) error {
	fmt.Printf("%4.0f s: %d events stored since, %d in all, %d swept\n", after.Seconds(), stored, c.stored.Load(), c.swept.Load())
	if err := c.printWalks(ctx); err != nil {
		return err
	}
	return c.printTables(ctx)
}

// printWalks prints the least of some tries of each: others are busy.
func (c *churnRun) printWalks(ctx context.Context) error {
	day := store.Day.Start(time.Now())
	for _, walk := range []struct {
		name string
		do   func() error
	}{
		{"lanes", func() error { _, err := c.st.Lanes(ctx, 0, 100); return err }},
		{"fresh", func() error { _, err := c.st.Fresh(ctx, c.endpoints[0], 0, 100); return err }},
		{"waiting", func() error { _, err := c.st.Waiting(ctx, c.endpoints[0], store.Moment{}, 100); return err }},
		{"due", func() error { _, _, err := c.st.Due(ctx, time.Now(), 100); return err }},
		{"outbox", func() error { _, err := c.st.Outbox(ctx, 0, 100); return err }},
		{"sums", func() error {
			_, err := c.st.Sums(ctx, store.SumQuery{Tenant: c.tenants[0], Unit: store.Hour, From: day, To: day.Add(48 * time.Hour)})
			return err
		}},
	} {
		const tries = 20
		least := time.Hour
		for range tries {
			begun := time.Now()
			if err := walk.do(); err != nil {
				return err
			}
			least = min(least, time.Since(begun))
		}
		fmt.Printf("      %s %.2f ms", walk.name, float64(least.Microseconds())/1e3)
	}
	fmt.Println()
	return nil
}

const churnTablesSQL = `SELECT coalesce(parent.relname, part.relname)::text, count(*), sum(pg_relation_size(part.oid))::bigint, sum(pg_indexes_size(part.oid))::bigint,
		coalesce(sum(n_live_tup), 0)::bigint, coalesce(sum(n_dead_tup), 0)::bigint
	FROM pg_class AS part JOIN pg_namespace AS space ON space.oid = relnamespace LEFT JOIN pg_stat_user_tables ON relid = part.oid
	LEFT JOIN pg_inherits ON inhrelid = part.oid LEFT JOIN pg_class AS parent ON parent.oid = inhparent
	WHERE space.nspname = 'neohook' AND part.relkind = 'r' GROUP BY 1`

// churnTable is a table with all its partitions.
type churnTable struct {
	name                                 string
	parts, size, indexes, live, deadRows int64
}

func (c *churnRun) printTables(ctx context.Context) error {
	rows, err := c.stats.Query(ctx, churnTablesSQL)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t churnTable, err error) {
		return t, row.Scan(&t.name, &t.parts, &t.size, &t.indexes, &t.live, &t.deadRows)
	})
	if err != nil {
		return err
	}
	slices.SortFunc(tables, func(a, b churnTable) int { return cmp.Compare(b.size+b.indexes, a.size+a.indexes) })
	for _, t := range tables {
		const worthTelling = 1 << 18
		if t.size+t.indexes >= worthTelling || t.deadRows > 1000 {
			fmt.Printf("      %-16s %3d parts %8.1f MB %8.1f MB of indexes %9d live %9d dead\n",
				t.name, t.parts, float64(t.size)/1e6, float64(t.indexes)/1e6, t.live, t.deadRows)
		}
	}
	return nil
}
