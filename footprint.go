package neohook

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/neohook/neohook/store"
)

// footprint is how much room the store's data take, measured in the background when
// somebody has asked and it is not known, or not any more.
type footprint struct {
	store store.Measured // nil = it can't tell
	log   *slog.Logger
	bell  chan struct{}

	mu       sync.Mutex
	last     store.Footprint
	measured time.Time
}

func newFootprint(st any, log *slog.Logger) *footprint {
	f := &footprint{log: log, bell: make(chan struct{}, 1)}
	f.store, _ = st.(store.Measured)
	return f
}

// latest returns what was measured last.
func (f *footprint) latest() store.Footprint {
	const often = time.Minute
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.measured.IsZero() || time.Since(f.measured) >= often {
		select {
		case f.bell <- struct{}{}:
		default:
		}
	}
	return f.last
}

// run measures until ctx ends.
func (f *footprint) run(ctx context.Context) {
	for f.store != nil {
		select {
		case <-ctx.Done():
			return
		case <-f.bell:
		}
		measured, err := f.store.Footprint(ctx)
		if err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "the size of the store could not be measured", "error", err)
		}
		f.mu.Lock()
		if f.measured = time.Now(); err == nil {
			f.last = measured
		}
		f.mu.Unlock()
	}
}
