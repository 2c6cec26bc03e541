package main

import (
	"context"
	"fmt"
	"time"
)

// cost is what was used of everything, and in the end what for.
type cost struct {
	counters
	nodes, own time.Duration // processor time of the servers, and of this process
	trips      int64         // through the proxy

	events  int
	elapsed time.Duration
	repeats int
	counted counters // where rows were waited for
}

func (run *nodesRun) cost(ctx context.Context) (c cost, err error) {
	if c.counters, err = run.database.counters(ctx); err != nil {
		return c, err
	}
	c.own, c.trips = ownCPU(), run.proxy.Trips()
	c.nodes, err = run.fleet.cpu()
	return c, err
}

func (c cost) since(before cost) cost {
	return cost{counters: c.counters.since(before.counters), nodes: c.nodes - before.nodes, own: c.own - before.own, trips: c.trips - before.trips}
}

func (c *cost) add(other cost) {
	c.counters, c.counted = c.counters.plus(other.counters), c.counted.plus(other.counted)
	c.nodes, c.own, c.trips = c.nodes+other.nodes, c.own+other.own, c.trips+other.trips
	c.events, c.elapsed, c.repeats = c.events+other.events, c.elapsed+other.elapsed, c.repeats+other.repeats
}

const costHeader = "  nodes  events/s | CPU µs an event:  nodes  database  publishers | log: bytes  records | transactions  syncs | repeated"

// print tells what an event has cost.
func (c cost) print(nodes int) {
	fmt.Printf("  %5d %9.0f |                 %7.1f %9.1f %11.1f | %10.0f %8.1f | %12.3f %6.3f | %8d",
		nodes, perSecond(c.events, c.elapsed), micros(c.nodes, c.events), micros(c.cpu, c.events), micros(c.own, c.events),
		each(c.log, c.events), each(c.records, c.events), each(c.transactions, c.events), each(c.syncs, c.events), c.repeats)
	if c.trips > 0 {
		fmt.Printf(" | %.3f round trips", each(c.trips, c.events))
	}
	fmt.Println()
}

// printRows tells of the rows that were written, where they were waited for.
func (c cost) printRows() {
	if events := int(c.counted.stored); events > 0 {
		fmt.Printf("        rows written: %.2f; inserted %.2f, deleted %.2f, updated %.3f, of these %.0f %% hot\n",
			each(c.counted.rows(), events), each(c.counted.inserted, events), each(c.counted.deleted, events), each(c.counted.updated, events),
			100*float64(c.counted.hot)/float64(max(1, c.counted.updated)))
	}
}

// printBeside tells how it compares with one node.
func (c cost) printBeside(one cost) {
	fmt.Printf("        %.2f of the rate of one; %.2f of the processor time, nodes and database\n",
		perSecond(c.events, c.elapsed)/perSecond(one.events, one.elapsed), float64(c.nodes+c.cpu)/float64(one.nodes+one.cpu))
}

func each(count int64, events int) float64 { return float64(count) / float64(events) }
