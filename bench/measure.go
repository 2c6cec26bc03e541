package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// flood calls send for each number below count, from several goroutines.
func flood(workers, count int, send func(number int64) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for failed.Load() == nil {
				number := next.Add(1)
				if number > int64(count) {
					return
				}
				if err := send(number); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// bareLoop posts the same payloads to the receiver with net/http alone, signed: what
// sending costs without a store, an API or anything promised.
func bareLoop(ctx context.Context, s settings, r *receiverProcess) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: s.publishers}, Timeout: 30 * time.Second}
	key, err := signature.Parse(signature.Generate())
	if err != nil {
		return err
	}
	if _, err := r.ask("reset"); err != nil {
		return err
	}
	id := string(webhook.NewEventID())
	start, before := time.Now(), ownCPU()
	err = flood(s.publishers, s.events, func(number int64) error {
		body := makePayload(number, s.payload)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.address, bytes.NewReader(body))
		if err != nil {
			return err
		}
		now := time.Now()
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Webhook-Id", id)
		request.Header.Set("Webhook-Timestamp", fmt.Sprint(now.Unix()))
		request.Header.Set("Webhook-Signature", signature.Sign([]signature.Key{key}, id, now, body))
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return err
	})
	if err != nil {
		return err
	}
	elapsed, cpu := time.Since(start), ownCPU()-before
	fmt.Printf("bare loop    %8.0f requests/s   %5.1f µs CPU of the sender a request\n",
		perSecond(s.events, elapsed), micros(cpu, s.events))
	return nil
}

// throughput publishes as fast as the publishers can and waits for the last arrival.
func throughput(ctx context.Context, s settings, a *api, srv *server, r *receiverProcess) error {
	if _, err := r.ask("reset"); err != nil {
		return err
	}
	profiled := make(chan error, 1)
	if s.profile == "" {
		profiled <- nil
	} else {
		const seconds = 5
		go func() { profiled <- srv.profile(ctx, seconds, s.profile) }()
	}
	cpuBefore, err := srv.cpu()
	if err != nil {
		return err
	}
	start, own := time.Now(), ownCPU()
	if err := flood(s.publishers, s.events, func(number int64) error {
		return a.publish(ctx, "bench", makePayload(number, s.payload))
	}); err != nil {
		return err
	}
	acknowledged, own := time.Since(start), ownCPU()-own
	now, err := r.await(ctx, s.events)
	if err != nil {
		return err
	}
	delivered := time.Unix(0, now.Last).Sub(start)
	cpuAfter, err := srv.cpu()
	if err != nil {
		return err
	}
	if now, err = r.settle(ctx, s.events*s.endpoints); err != nil {
		return err
	}
	if now.Altered > 0 || now.Distinct != s.events {
		return fmt.Errorf("%d events arrived of %d, %d altered", now.Distinct, s.events, now.Altered)
	}
	fmt.Printf("acknowledged %8.0f events/s     %5.1f µs CPU of the publishers an event\n",
		perSecond(s.events, acknowledged), micros(own, s.events))
	fmt.Printf("delivered    %8.0f events/s     %5.1f µs CPU of the server an event\n",
		perSecond(s.events, delivered), micros(cpuAfter-cpuBefore, s.events))
	fmt.Printf("accounted    %8d of %d, %d repeated, 0 altered; server's peak memory %s\n",
		now.Distinct, s.events, now.Requests-s.events*s.endpoints, srv.peak())
	return <-profiled
}

// latency publishes at a low rate and reports how long events take from the start of
// their publishing to their arrival.
func latency(ctx context.Context, s settings, a *api, r *receiverProcess) error {
	took, err := measure(ctx, s, a, r, func(int) string { return "bench" })
	if err != nil {
		return err
	}
	fmt.Printf("at %d/s      publish to answer p50 %v p99 %v; publish to arrival p50 %v p99 %v\n", s.rate,
		rank(took.answers, 50), rank(took.answers, 99), rank(took.arrivals, 50), rank(took.arrivals, 99))
	return nil
}

// timings are sorted.
type timings struct {
	answers, arrivals []time.Duration
}

// measure publishes s.latencies events, s.rate a second, each for the tenant that its
// number gives, and waits for all of them.
func measure(ctx context.Context, s settings, a *api, r *receiverProcess, tenant func(number int) string) (took timings, err error) {
	if _, err := r.ask("reset"); err != nil {
		return took, err
	}
	ticks := time.NewTicker(time.Second / time.Duration(s.rate))
	defer ticks.Stop()
	for number := range s.latencies {
		select {
		case <-ctx.Done():
			return took, ctx.Err()
		case <-ticks.C:
		}
		start := time.Now()
		if err := a.publish(ctx, tenant(number), makePayload(int64(number), s.payload)); err != nil {
			return took, err
		}
		took.answers = append(took.answers, time.Since(start))
	}
	if _, err := r.await(ctx, s.latencies); err != nil {
		return took, err
	}
	now, err := r.ask("took")
	if err != nil {
		return took, err
	}
	for _, nanoseconds := range now.Took {
		took.arrivals = append(took.arrivals, time.Duration(nanoseconds))
	}
	slices.Sort(took.answers)
	slices.Sort(took.arrivals)
	return took, nil
}

func rank[T any](sorted []T, percent int) T { return sorted[(len(sorted)-1)*percent/100] }

func perSecond(count int, elapsed time.Duration) float64 { return float64(count) / elapsed.Seconds() }

func micros(cpu time.Duration, count int) float64 {
	return float64(cpu.Microseconds()) / float64(count)
}
