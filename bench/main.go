// Command bench measures a Neohook server from outside, as its users meet it: over HTTP,
// with a token and a fresh idempotency key for each event, to a receiver in a process of
// its own. It accounts for every event: a run in which one is missing, or arrives
// altered, fails.
//
//	go run ./bench                  throughput, then latency at a low rate, beside a bare loop
//	go run ./bench -profile cpu.out a CPU profile of the server during the throughput part
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
)

type settings struct {
	events     int
	publishers int
	endpoints  int
	payload    int
	rate       int
	latencies  int
	profile    string
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
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	receiver, err := startReceiver(ctx)
	if err != nil {
		return err
	}
	defer receiver.stop()
	server, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	api := newAPI(server.address, server.token, s.publishers)
	if err := api.setUp(ctx, receiver.address, s.endpoints); err != nil {
		return err
	}
	if err := bareLoop(ctx, s, receiver); err != nil {
		return err
	}
	if err := throughput(ctx, s, api, server, receiver); err != nil {
		return err
	}
	return latency(ctx, s, api, receiver)
}
