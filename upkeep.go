package neohook

import (
	"context"
	"time"

	"github.com/neohook/neohook/internal/outage"
	"github.com/neohook/neohook/store"
)

const (
	// countsUpkeep is how often the upkeep of what is counted is looked after. A store that
	// folds its journal then only has this much of it to add up for a reader.
	countsUpkeep = 10 * time.Second
	// countsRest is between two parts of it, each of a few milliseconds: most of the time
	// is for what is published and recorded.
	countsRest = 50 * time.Millisecond
)

// keepCounts looks after what the store has counted, until ctx ends; not where nothing is
// counted. It goes by a clock that does not jump: by a wrong one, what was counted would
// be beyond its time.
func (e *Engine) keepCounts(ctx context.Context) {
	began, commits := time.Now(), uint64(0)
	due, more := true, true // what an earlier Run has left
	_, shared := e.store.(store.Cluster)
	var away outage.Watch
	for rest(ctx, more) {
		if newest := e.tally.commits.Load(); newest != commits || shared { // other nodes count too
			commits, due = newest, true
		}
		if !due {
			continue
		}
		var err error
		more, err = e.store.CompactRollups(ctx, began.Add(time.Since(began)))
		due = more || err != nil
		if ctx.Err() == nil && away.News(err) {
			e.opts.Logger.WarnContext(ctx, "upkeep of what is counted failed, it will be tried again", "error", err)
		}
	}
}

// rest waits for the time of the next part. It returns false when ctx has ended.
func rest(ctx context.Context, more bool) bool {
	wait := countsUpkeep
	if more {
		wait = countsRest
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}
