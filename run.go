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
// An Engine runs once; only one may run on a SQLite store at a time. On a store that is a
// store.Cluster several share the work.
func (e *Engine) Run(ctx context.Context) error {
	if !e.ran.CompareAndSwap(false, true) {
		return errors.New("neohook: Run was called before: make a new Engine")
	}
	defer e.close()
	if e.node != nil {
		return e.runShared(ctx)
	}
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

// runShared is Run for one of several nodes. Its share of the deliveries goes to the others
// as soon as ctx ends: what is in flight has 5 s then, if there are others.
func (e *Engine) runShared(ctx context.Context) error {
	lasting := context.WithoutCancel(ctx)
	writing, stopWriting := context.WithCancel(lasting)
	defer stopWriting()
	written := make(chan error, 1)
	go func() { written <- e.writer.Run(writing) }()

	joined, leave := context.WithCancel(lasting)
	defer leave()
	left := make(chan struct{})
	go func() {
		defer close(left)
		e.node.run(joined)
	}()
	defer context.AfterFunc(ctx, e.node.loop.Resign)()

	watching, stopWatching := context.WithCancel(lasting)
	defer stopWatching()
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){e.watchFailing, e.footprint.run} {
		loops.Go(func() { loop(watching) })
	}
	loops.Go(func() { e.jobs.Run(ctx) })

	e.lanes.Run(ctx, e.opts.Grace)
	stopWatching()
	loops.Wait()
	e.node.keeping.end()
	e.intake.Close()
	stopWriting()
	err := <-written
	leave() // nothing is in flight, and all outcomes are stored
	<-left
	if err != nil {
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
