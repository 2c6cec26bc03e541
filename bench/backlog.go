package main

import (
	"context"
	"fmt"
	"time"
)

// backlog measures one tenant's latency on an empty store, and beside the waiting
// deliveries of an endpoint that refuses connections: a million with -events 1000000.
func backlog(ctx context.Context, s settings, a *api, srv *server, r *receiverProcess) error {
	if err := a.tenant(ctx, "good", "http://"+r.address+"/ok"); err != nil {
		return err
	}
	nobody, _, err := freePorts()
	if err != nil {
		return err
	}
	if err := a.tenant(ctx, "dead", "http://"+nobody+"/"); err != nil {
		return err
	}
	good := func(int) string { return "good" }
	empty, err := measure(ctx, s, a, r, good)
	if err != nil {
		return err
	}
	report("empty store", empty, empty)

	start := time.Now()
	if err := flood(s.publishers, s.events, func(number int64) error {
		return a.publish(ctx, "dead", makePayload(number, s.payload))
	}); err != nil {
		return err
	}
	fmt.Printf("%d events for a dead endpoint accepted in %v\n", s.events, time.Since(start).Round(time.Second))
	full, err := measure(ctx, s, a, r, good)
	if err != nil {
		return err
	}
	report(fmt.Sprintf("beside %d waiting", s.events), full, empty)
	before, err := srv.cpu()
	if err != nil {
		return err
	}
	const idle = 10 * time.Second
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idle):
	}
	after, err := srv.cpu()
	if err != nil {
		return err
	}
	fmt.Printf("idle then: %.1f %% of a core; peak memory %s\n", 100*float64(after-before)/float64(idle), srv.peak())
	return nil
}
