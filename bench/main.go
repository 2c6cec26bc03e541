// Command bench measures a Neohook server from outside, as its users meet it: over HTTP,
// with a token and a fresh idempotency key for each event, to a receiver in a process of
// its own. It accounts for every event: a run in which one is missing, or arrives
// altered, fails.
//
//	go run ./bench                  throughput, then latency at a low rate, beside a bare loop
//	go run ./bench -profile cpu.out a CPU profile of the server during the throughput part
//	go run ./bench isolation        latency of good receivers beside hundreds and thousands that hang
//	go run ./bench backlog          latency of one tenant beside a million waiting deliveries of another
//	go run ./bench nodes            one, two and three servers on one PostgreSQL, and what an event costs there
//	go run ./bench -minutes 10 retention
//	                                a SQLite store alone, deleting as fast as it inserts
//	go run ./bench -minutes 10 churn
//	                                a PostgreSQL store alone, beside an open transaction of somebody else
//
// It builds and starts the server itself, on loopback and a throw-away folder. Figures of
// one run may be compared with each other; those of two runs, on a machine with other
// work to do, may not.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

type settings struct {
	events     int
	publishers int
	endpoints  int
	payload    int
	rate       int
	latencies  int
	profile    string
	minutes    float64
	statements int
	nodes      int
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == receiveCommand {
		if err := receive(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench receiver:", err)
			os.Exit(1)
		}
		return
	}
	var s settings
	flag.IntVar(&s.events, "events", 50_000, "events of the throughput part")
	flag.IntVar(&s.publishers, "publishers", 64, "concurrent publishers")
	flag.IntVar(&s.endpoints, "endpoints", 1, "endpoints, each hears of every event")
	flag.IntVar(&s.payload, "payload", 1024, "bytes of a payload")
	flag.IntVar(&s.rate, "rate", 50, "events per second of the latency part")
	flag.IntVar(&s.latencies, "latencies", 500, "events of the latency part")
	flag.StringVar(&s.profile, "profile", "", "write a CPU profile of the server's throughput part to this file")
	flag.Float64Var(&s.minutes, "minutes", 1, "length of the retention and churn parts")
	flag.IntVar(&s.statements, "statements", 0, "print so many of the database's costliest statements behind the nodes part, by pg_stat_statements")
	flag.IntVar(&s.nodes, "nodes", 0, "have the nodes part compare nothing and flood so many servers; 0 is all of it")
	flag.Usage = usage
	flag.Parse()
	parts := map[string]func(context.Context, settings, *api, *server, *receiverProcess) error{
		"": standard, "isolation": isolation, "backlog": backlog,
	}
	part, known := parts[flag.Arg(0)]
	work := func(ctx context.Context) error { return run(ctx, s, part) }
	alone := map[string]func(context.Context, settings) error{"nodes": nodes, "retention": retention, "churn": besideForeign}
	if part, is := alone[flag.Arg(0)]; is {
		work, known = func(ctx context.Context) error { return part(ctx, s) }, true
	}
	if !known {
		fmt.Fprintf(os.Stderr, "bench: there is no part %q: leave it out, or name isolation, backlog, nodes, retention or churn (flags come before it)\n", flag.Arg(0))
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := work(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprint(flag.CommandLine.Output(), `usage: bench [flags] [part]

parts:
  (none)     throughput, then latency at a low rate, beside a bare loop
  isolation  latency of good receivers beside hundreds and thousands that hang
  backlog    latency of one tenant beside a million waiting deliveries of another
  nodes      one, two and three servers on one PostgreSQL, and what an event costs there
  retention  a SQLite store alone, deleting as fast as it inserts
  churn      a PostgreSQL store alone, beside an open transaction of somebody else

flags:
`)
	flag.PrintDefaults()
}

func run(ctx context.Context, s settings, part func(context.Context, settings, *api, *server, *receiverProcess) error) error {
	receiver, err := startReceiver(ctx)
	if err != nil {
		return err
	}
	defer receiver.stop()
	folder, err := os.MkdirTemp("", "neohook-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary, err := buildServer(ctx, folder)
	if err != nil {
		return err
	}
	server, err := startServer(ctx, binary, filepath.Join(folder, "data"))
	if err != nil {
		return err
	}
	defer server.stop()
	return part(ctx, s, newAPI(server.token, s.publishers, server), server, receiver)
}

// standard is throughput and latency.
func standard(ctx context.Context, s settings, a *api, srv *server, r *receiverProcess) error {
	urls := make([]string, s.endpoints)
	for i := range urls {
		urls[i] = fmt.Sprintf("http://%s/%d", r.address, i)
	}
	if err := a.tenant(ctx, "bench", urls...); err != nil {
		return err
	}
	if err := bareLoop(ctx, s, r); err != nil {
		return err
	}
	if err := throughput(ctx, s, a, srv, r); err != nil {
		return err
	}
	return latency(ctx, s, a, r)
}
