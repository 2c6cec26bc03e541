package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// retention writes events with their outcomes to a SQLite store as fast as it takes them,
// and deletes them as fast when they have had their time, which passes quickly here: a
// batch is some seconds of it. It prints the rate beside that of the same run without
// deletions, and how large the files are, which must not grow once the time is full.
func retention(ctx context.Context, s settings) error {
	const baseline = 30 * time.Second
	alone, err := churn(ctx, s, baseline, nil)
	if err != nil {
		return err
	}
	fmt.Printf("without retention: %.0f events/s\n", alone)
	kept := webhook.Retention{Payloads: webhook.MinRetention, Attempts: webhook.MinRetention, Events: webhook.MinRetention}
	beside, err := churn(ctx, s, time.Duration(s.minutes*float64(time.Minute)), &kept)
	if err != nil {
		return err
	}
	fmt.Printf("with retention: %.0f events/s, %.2f of the rate without\n", beside, beside/alone)
	return nil
}

// churn writes for a time and returns how many events a second it has stored.
func churn(ctx context.Context, s settings, length time.Duration, kept *webhook.Retention) (rate float64, err error) {
	folder, err := os.MkdirTemp("", "neohook-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	file := filepath.Join(folder, "neohook.db")
	st, err := sqlite.Open(ctx, file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	w := &churner{st: st, settings: s, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if err := w.prepare(ctx); err != nil {
		return 0, err
	}
	start := time.Now()
	for told := start; time.Since(start) < length; {
		if err := w.write(ctx); err != nil {
			return 0, err
		}
		if kept != nil {
			if err := w.sweep(ctx, *kept); err != nil {
				return 0, err
			}
			if now := time.Now(); now.Sub(told) >= length/20 {
				told = now
				fmt.Printf("%5.0f s: %8d stored, %8d deleted, database %5.1f MB, log %5.1f MB\n",
					now.Sub(start).Seconds(), w.stored, w.deleted, megabytes(file), megabytes(file+"-wal"))
			}
		}
	}
	return float64(w.stored) / time.Since(start).Seconds(), nil
}

func megabytes(file string) float64 {
	const mega = 1e6
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return float64(info.Size()) / mega
}

// churner writes batches as an engine does that is fully busy.
type churner struct {
	settings
	st       *sqlite.Store
	now      time.Time
	tenant   store.TenantKey
	endpoint store.EndpointKey
	version  int64
	open     []store.EventKey

	stored, deleted int
}

func (w *churner) prepare(ctx context.Context) error {
	key, err := w.st.NewKey(ctx)
	if err != nil {
		return err
	}
	w.tenant = store.TenantKey(key)
	if err := w.st.InsertTenant(ctx, store.Tenant{Key: w.tenant, Organisation: "org_bench", Name: "bench", CreatedAt: w.now, UpdatedAt: w.now, Version: 1}, nil); err != nil {
		return err
	}
	if key, err = w.st.NewKey(ctx); err != nil {
		return err
	}
	w.endpoint = store.EndpointKey(key)
	err = w.st.InsertEndpoint(ctx, store.Endpoint{
		Key: w.endpoint, Tenant: w.tenant, URL: "https://bench.example/", Method: webhook.DefaultMethod, CreatedAt: w.now, UpdatedAt: w.now, Version: 1,
	}, nil)
	if err != nil {
		return err
	}
	routes, err := w.st.Routes(ctx, w.tenant)
	w.version = routes.Version
	return err
}

// write stores a batch of events with the outcomes of the batch before.
func (w *churner) write(ctx context.Context) error {
	const (
		events = 128
		// passes is how much time a batch is: a day is 2,880 of them, 370,000 events.
		passes = 30 * time.Second
	)
	w.now = w.now.Add(passes)
	batch := store.Batch{Now: w.now}
	payload := make([]byte, w.payload)
	for range events {
		batch.Accepts = append(batch.Accepts, store.Accept{
			Tenant: w.tenant, RouteVersion: w.version, Endpoints: []store.EndpointKey{w.endpoint}, Type: "bench.event", Payload: payload,
		})
	}
	for _, event := range w.open {
		batch.Outcomes = append(batch.Outcomes, store.Outcome{
			Tenant: w.tenant, Endpoint: w.endpoint, Event: event, EventType: "bench.event", State: webhook.Succeeded,
			Attempt: &store.Attempt{Number: 1, URL: "https://bench.example/", Succeeded: true, StatusCode: 204, StartedAt: w.now, Duration: 2 * time.Millisecond},
		})
	}
	verdicts, err := w.st.Commit(ctx, &batch)
	if err != nil {
		return err
	}
	w.open = w.open[:0]
	for _, verdict := range verdicts {
		if verdict.Kind != store.Accepted {
			return fmt.Errorf("an event was not accepted: verdict %d", verdict.Kind)
		}
		w.open = append(w.open, verdict.Event)
	}
	w.stored += events
	return nil
}

// sweep lets go of what is due.
func (w *churner) sweep(ctx context.Context, kept webhook.Retention) error {
	const budget = 5 * time.Millisecond
	for {
		swept, err := w.st.Sweep(ctx, w.now, kept, budget)
		if err != nil {
			return err
		}
		w.deleted += swept.Events
		if !swept.More {
			return nil
		}
	}
}
