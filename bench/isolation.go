package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// isolation measures good receivers beside others that are as good, beside a hundred that
// hang until their timeout, and beside two thousand more, at the same rate of events. All
// share the receiver's host and port; half of the first hundred share a tenant with a
// good endpoint, which is measured too.
func isolation(ctx context.Context, s settings, a *api, srv *server, r *receiverProcess) error {
	const good, mixed, hanging, more = 100, 50, 50, 2000
	for i := range good {
		if err := a.tenant(ctx, fmt.Sprint("good-", i), "http://"+r.address+"/ok"); err != nil {
			return err
		}
	}
	var others []string
	for i := range hanging + mixed {
		uid := fmt.Sprint("other-", i)
		if err := a.tenant(ctx, uid, "http://"+r.address+otherPath); err != nil {
			return err
		}
		others = append(others, uid)
	}
	stop := pester(ctx, s, a, others)
	alone, err := measure(ctx, s, a, r, func(number int) string { return fmt.Sprint("good-", number%good) })
	if failed := stop(); err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	report("beside 100 good ones", alone, alone)

	var bad []string
	for i := range mixed {
		uid := fmt.Sprint("mixed-", i)
		if err := a.tenant(ctx, uid, "http://"+r.address+"/ok", "http://"+r.address+hangPath); err != nil {
			return err
		}
	}
	for i := range hanging {
		uid := fmt.Sprint("bad-", i)
		if err := a.tenant(ctx, uid, "http://"+r.address+hangPath); err != nil {
			return err
		}
		bad = append(bad, uid)
	}
	beside := func(name string) error {
		stop := pester(ctx, s, a, bad)
		took, err := measure(ctx, s, a, r, func(number int) string {
			if number%3 == 0 {
				return fmt.Sprint("mixed-", number%mixed)
			}
			return fmt.Sprint("good-", number%good)
		})
		if failed := stop(); err == nil {
			err = failed
		}
		if err != nil {
			return err
		}
		report(name, took, alone)
		return nil
	}
	if err := beside("beside 100 that hang"); err != nil {
		return err
	}
	for i := range more {
		uid := fmt.Sprint("worse-", i)
		if err := a.tenant(ctx, uid, "http://"+r.address+hangPath); err != nil {
			return err
		}
		bad = append(bad, uid)
	}
	if err := beside("beside 2,100 that hang"); err != nil {
		return err
	}
	fmt.Printf("server's peak memory %s\n", srv.peak())
	return nil
}

// pester publishes to tenants, one after the other, four times as fast as what is
// measured, until it is stopped.
func pester(ctx context.Context, s settings, a *api, tenants []string) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	var failed error
	all.Go(func() {
		ticks := time.NewTicker(time.Second / time.Duration(4*s.rate))
		defer ticks.Stop()
		for number := 0; ; number++ {
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
			err := a.publish(ctx, tenants[number%len(tenants)], makePayload(int64(number), s.payload))
			if err != nil && ctx.Err() == nil {
				failed = err
				return
			}
		}
	})
	return func() error {
		cancel()
		all.Wait()
		return failed
	}
}

// report prints times from publish to arrival, and their ratios to those of another run.
func report(name string, took, to timings) {
	p50, p99 := rank(took.arrivals, 50), rank(took.arrivals, 99)
	fmt.Printf("%-24s publish to arrival p50 %v (%.2fx) p99 %v (%.2fx)\n", name,
		p50.Round(10*time.Microsecond), float64(p50)/float64(rank(to.arrivals, 50)),
		p99.Round(10*time.Microsecond), float64(p99)/float64(rank(to.arrivals, 99)))
}
