package neohook

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/store"
)

// Run accepts and delivers events until ctx ends. Then it begins no further attempt,
// lets those in flight go on for Options.Grace, cuts off the rest (they do not count, and
// are made again by the next Run on the store), writes what is to be written, and
// returns nil. Events are accepted until the last attempt has ended.
//
// It returns an error if it can't begin, and if outcomes could not be stored at the end.
// An Engine runs once; only one may run on a SQLite store at a time.
func (e *Engine) Run(ctx context.Context) error {
	if !e.ran.CompareAndSwap(false, true) {
		return errors.New("neohook: Run was called before: make a new Engine")
	}
	defer e.close()
	if err := e.recover(ctx); ctx.Err() != nil {
		return nil // told to end before it began
	} else if err != nil {
		return fmt.Errorf("neohook: %w", err)
	}
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriting()
	written := make(chan error, 1)
	go func() { written <- e.writer.Run(writing) }()

	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){e.watchFailing, e.deferred.Run, e.outbox.Run, e.keepCounts, e.keeper.Run, e.footprint.run} {
		loops.Go(func() { loop(watching) })
	}
	loops.Go(func() { e.jobs.Run(ctx) })

	e.lanes.Run(ctx, e.opts.Grace)
	stopWatching()
	loops.Wait()
	e.intake.Close()
	stopWriting()
	if err := <-written; err != nil {
		return fmt.Errorf("neohook: %w", err)
	}
	return nil
}

// recover reads what an earlier Run has left.
func (e *Engine) recover(ctx context.Context) error {
	if err := e.failing.Load(ctx, e.store); err != nil {
		return fmt.Errorf("reading which endpoints fail: %w", err)
	}
	if err := e.lanes.Recover(ctx); err != nil {
		return fmt.Errorf("reading the backlog: %w", err)
	}
	return nil
}

// close turns publishers away and lets go of what New has made.
func (e *Engine) close() {
	e.intake.Close()
	e.feed.Close()
	for _, item := range e.intake.Take(e.intake.Len(), 1<<62) {
		item.Done(store.Verdict{}, intake.ErrStopped)
	}
	for _, closer := range e.closers {
		if err := closer.Close(); err != nil {
			e.opts.Logger.Warn("closing the adapter", "error", err)
		}
	}
}

// Health returns nil if the store answers.
func (e *Engine) Health(ctx context.Context) error {
	if _, err := e.store.Instance(ctx); err != nil {
		return fmt.Errorf("neohook: store: %w", err)
	}
	return nil
}
