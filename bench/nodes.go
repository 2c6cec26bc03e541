package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/neohook/neohook/store/postgres/postgrestest"
)

const (
	nodesMost    = 3
	nodesTenants = 300 // each with an endpoint that answers at once, and one that is slow
	nodesWarmUp  = 1000
	// A node of the part with slow receivers makes at most so many attempts at a time, and
	// so at most 1,000 a second, and is so far away from the database, each way.
	nodesInFlight = 100
	nodesWay      = time.Millisecond
)

// nodesOrder is how many servers there are, one time after the other: what slows the
// machine down for a while slows each of them.
var nodesOrder = []int{1, 2, 3, 3, 2, 1}

// nodes measures one, two and three servers on one PostgreSQL, with what each event costs
// by the server's own account. Publishers take turns among the servers, as behind a load
// balancer: with three of them, two events in three are accepted by one that is not to send
// them.
//
// First all are at rest; then come events at a low rate; then as many as the machine takes,
// which is what its processors can do however many servers there are: what is to be seen is
// what an event costs. At last each server is bounded by something else, so that the gain
// is to be seen: receivers take 100 ms to answer, and a server makes 100 attempts at a time.
func nodes(ctx context.Context, s settings) (err error) {
	run := &nodesRun{settings: s}
	defer run.close(ctx)
	if err := run.prepare(ctx); err != nil {
		return err
	}
	if s.nodes > 0 {
		return run.single(ctx)
	}
	for _, part := range []func(context.Context) error{run.rest, run.seldom, run.flood, run.slow} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// nodesRun is a run under way.
type nodesRun struct {
	settings
	folder   string
	database *database
	proxy    *postgrestest.Proxy
	receiver *receiverProcess
	fleet    fleet
	stored   int64 // events so far
}

func (run *nodesRun) prepare(ctx context.Context) (err error) {
	if run.folder, err = os.MkdirTemp("", "neohook-bench-"); err != nil {
		return err
	}
	run.fleet.folder = run.folder
	if run.fleet.binary, err = buildServer(ctx, run.folder); err != nil {
		return err
	}
	settings := []string{"shared_buffers=256MB", "max_wal_size=4GB", "checkpoint_timeout=1h"}
	if run.statements > 0 {
		settings = append(settings, "shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track_planning=on", "pg_stat_statements.track_utility=on")
	}
	if run.database, err = startDatabase(ctx, settings...); err != nil {
		return err
	}
	run.fleet.database = run.database
	if run.statements > 0 {
		if _, err := run.database.stats.Exec(ctx, `CREATE EXTENSION pg_stat_statements`); err != nil {
			return err
		}
	}
	if run.proxy, err = postgrestest.NewProxy(run.database.Cluster); err != nil {
		return err
	}
	if run.receiver, err = startReceiver(ctx); err != nil {
		return err
	}
	return run.makeTenants(ctx)
}

func (run *nodesRun) close(ctx context.Context) {
	run.fleet.stop()
	if run.receiver != nil {
		run.receiver.stop()
	}
	if run.proxy != nil {
		run.proxy.Close()
	}
	if run.database != nil {
		run.database.stop(ctx)
	}
	_ = os.RemoveAll(run.folder)
}

func (run *nodesRun) makeTenants(ctx context.Context) error {
	if err := run.begin(ctx, 1, run.database.Address()); err != nil {
		return err
	}
	a := run.api()
	const workers = 16
	began := time.Now()
	err := flood(workers, nodesTenants, func(number int64) error {
		base := "http://" + run.receiver.address
		if err := a.tenant(ctx, quick(number), base+"/"); err != nil {
			return err
		}
		return a.tenant(ctx, slow(number), base+slowPath)
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d tenants, made in %v\n", 2*nodesTenants, time.Since(began).Round(time.Millisecond))
	return nil
}

func quick(number int64) string { return fmt.Sprint("quick-", number%nodesTenants) }
func slow(number int64) string  { return fmt.Sprint("slow-", number%nodesTenants) }

// begin starts servers in the place of those that are there.
func (run *nodesRun) begin(ctx context.Context, count int, address string, flags ...string) error {
	run.fleet.stop()
	run.fleet.flags = append([]string{"--database", address}, flags...)
	return run.fleet.resize(ctx, count)
}

func (run *nodesRun) api() *api {
	return newAPI(run.fleet.servers[0].token, nodesMost*run.publishers, run.fleet.servers...)
}

// rest is what servers do that nobody asks anything of.
func (run *nodesRun) rest(ctx context.Context) error {
	if err := run.begin(ctx, nodesMost, run.proxy.Address()); err != nil {
		return err
	}
	const settles, length = 11 * time.Second, 30 * time.Second
	if err := pause(ctx, settles); err != nil {
		return err
	}
	if err := run.resetStatements(ctx); err != nil {
		return err
	}
	before, err := run.cost(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, length); err != nil {
		return err
	}
	after, err := run.cost(ctx)
	if err != nil {
		return err
	}
	c, minutes := after.since(before), length.Minutes()
	fmt.Printf("at rest, %d nodes, a minute: %.0f rows written, %.1f KB of log, %.0f transactions that write; a second: %.1f round trips, %.2f %% of a core in the nodes, %.2f %% in the database\n",
		nodesMost, float64(c.rows())/minutes, float64(c.log)/1e3/minutes, float64(c.transactions)/minutes,
		float64(c.trips)/length.Seconds(), 100*c.nodes.Seconds()/length.Seconds(), 100*c.cpu.Seconds()/length.Seconds())
	return run.costliest(ctx, int(length.Seconds()), "a second")
}

// resetStatements has the server count statements anew, and costliest prints them: where
// that is asked for.
func (run *nodesRun) resetStatements(ctx context.Context) error {
	if run.statements == 0 {
		return nil
	}
	_, err := run.database.stats.Exec(ctx, `SELECT pg_stat_statements_reset()`)
	return err
}

func (run *nodesRun) costliest(ctx context.Context, count int, of string) error {
	if run.statements == 0 {
		return nil
	}
	return run.database.costliest(ctx, run.statements, count, of)
}

// seldom is events at a low rate.
func (run *nodesRun) seldom(ctx context.Context) error {
	fmt.Printf("\n%d events/s, one at a time\n", run.rate)
	for count := 1; count <= nodesMost; count++ {
		if err := run.begin(ctx, count, run.proxy.Address()); err != nil {
			return err
		}
		a := run.api()
		if err := run.warmUp(ctx, a, quick); err != nil {
			return err
		}
		before, err := run.cost(ctx)
		if err != nil {
			return err
		}
		took, err := measure(ctx, run.settings, a, run.receiver, func(number int) string { return quick(int64(number)) })
		if err != nil {
			return err
		}
		run.stored += int64(run.latencies)
		after, err := run.cost(ctx)
		if err != nil {
			return err
		}
		c := after.since(before)
		fmt.Printf("%d nodes: publish to answer p50 %v p99 %v; publish to arrival p50 %v p99 %v; an event: %.1f round trips, %.1f transactions, %.0f B of log, CPU %.0f µs in the nodes, %.0f µs in the database\n", count,
			rank(took.answers, 50).Round(10*time.Microsecond), rank(took.answers, 99).Round(10*time.Microsecond), rank(took.arrivals, 50).Round(10*time.Microsecond), rank(took.arrivals, 99).Round(10*time.Microsecond),
			each(c.trips, run.latencies), each(c.transactions, run.latencies), each(c.log, run.latencies), micros(c.nodes, run.latencies), micros(c.cpu, run.latencies))
	}
	return nil
}

func (run *nodesRun) flood(ctx context.Context) error {
	fmt.Printf("\nas fast as the machine can: %d events each by %d publishers, all of them accounted for\n", run.events, nodesMost*run.publishers)
	if err := run.begin(ctx, 1, run.database.Address()); err != nil {
		return err
	}
	return run.compare(ctx, run.events, quick, true)
}

// single is flood for one number of servers, to look into.
func (run *nodesRun) single(ctx context.Context) error {
	if err := run.begin(ctx, run.nodes, run.database.Address()); err != nil {
		return err
	}
	a := run.api()
	if err := run.warmUp(ctx, a, quick); err != nil {
		return err
	}
	if err := run.resetStatements(ctx); err != nil {
		return err
	}
	profiled := make(chan error, 1)
	if run.profile == "" {
		profiled <- nil
	} else {
		const seconds = 5
		go func() { profiled <- run.fleet.servers[0].profile(ctx, seconds, run.profile) }()
	}
	c, err := run.publishAll(ctx, a, run.events, quick, true)
	if err != nil {
		return err
	}
	fmt.Println(costHeader)
	c.print(run.nodes)
	c.printRows()
	if err := run.costliest(ctx, run.events, "an event"); err != nil {
		return err
	}
	return <-profiled
}

func (run *nodesRun) slow(ctx context.Context) error {
	const share = 5
	fmt.Printf("\neach node bounded: receivers that take %v, %d attempts at a time; the database %v away each way; %d events each\n", slowness, nodesInFlight, nodesWay, run.events/share)
	run.proxy.Delay(nodesWay)
	if err := run.begin(ctx, 1, run.proxy.Address(), "--max-in-flight", fmt.Sprint(nodesInFlight)); err != nil {
		return err
	}
	return run.compare(ctx, run.events/share, slow, false)
}

// compare publishes so many events with each number of servers, twice. With rows it waits,
// once for each, until the database tells of all that were written.
func (run *nodesRun) compare(ctx context.Context, events int, tenant func(int64) string, rows bool) error {
	var sums [nodesMost + 1]cost
	fmt.Println(costHeader)
	for nth, count := range nodesOrder {
		if err := run.fleet.resize(ctx, count); err != nil {
			return err
		}
		a := run.api()
		if err := run.warmUp(ctx, a, tenant); err != nil {
			return err
		}
		c, err := run.publishAll(ctx, a, events, tenant, rows && nth < len(nodesOrder)/2)
		if err != nil {
			return err
		}
		c.print(count)
		sums[count].add(c)
	}
	fmt.Println("  both together")
	for count := 1; count <= nodesMost; count++ {
		sums[count].print(count)
		sums[count].printRows()
		sums[count].printBeside(sums[1])
	}
	return nil
}

// warmUp has connections made and statements prepared.
func (run *nodesRun) warmUp(ctx context.Context, a *api, tenant func(int64) string) error {
	_, err := run.publishAll(ctx, a, nodesWarmUp, tenant, false)
	return err
}

// publishAll publishes events as fast as the publishers can, and waits until all of them
// have arrived and are recorded.
func (run *nodesRun) publishAll(ctx context.Context, a *api, events int, tenant func(int64) string, rows bool) (c cost, err error) {
	if _, err := run.receiver.ask("reset"); err != nil {
		return c, err
	}
	before, err := run.cost(ctx)
	if err != nil {
		return c, err
	}
	start := time.Now()
	if err := flood(nodesMost*run.publishers, events, func(number int64) error {
		return a.publish(ctx, tenant(number), makePayload(number, run.payload))
	}); err != nil {
		return c, err
	}
	own := ownCPU()
	if _, err := run.receiver.await(ctx, events); err != nil {
		return c, err
	}
	now, err := run.receiver.settle(ctx, events) // also those that come twice
	if err != nil {
		return c, err
	}
	if now.Altered > 0 || now.Distinct != events {
		return c, fmt.Errorf("%d events arrived of %d, %d altered", now.Distinct, events, now.Altered)
	}
	if err := run.recorded(ctx); err != nil {
		return c, err
	}
	after, err := run.cost(ctx)
	if err != nil {
		return c, err
	}
	c = after.since(before)
	c.events, c.elapsed, c.repeats, c.own = events, time.Unix(0, now.Last).Sub(start), now.Requests-events, own-before.own
	run.stored += int64(events)
	if rows {
		settled, err := run.database.settled(ctx, run.stored)
		if err != nil {
			return c, err
		}
		c.counted = settled.since(before.counters)
	}
	return c, nil
}

// recorded waits until nothing is open.
func (run *nodesRun) recorded(ctx context.Context) error {
	const often, most = 20 * time.Millisecond, 10 * time.Second
	for began := time.Now(); time.Since(began) < most; {
		var open bool
		if err := run.database.stats.QueryRow(ctx, `SELECT EXISTS (SELECT FROM neohook.delivery) OR EXISTS (SELECT FROM neohook.signal)`).Scan(&open); err != nil || !open {
			return err
		}
		if err := pause(ctx, often); err != nil {
			return err
		}
	}
	return fmt.Errorf("deliveries are open %v after all have arrived", most)
}
