package neohook

import (
	"context"
	"sync"
	"time"

	"github.com/neohook/neohook/internal/outage"
	"github.com/neohook/neohook/store"
)

// keeperBucket is owned by the node that does what one must do for all.
const keeperBucket = store.Bucket(0)

// keeping is the work that one node does for all: deferred events, the outbox, what is
// counted, and what has had its time. The zero value does none.
type keeping struct {
	mu     sync.Mutex
	cancel context.CancelFunc // nil while it is not done
	ended  bool               // and never will be again
	loops  sync.WaitGroup
}

// keepers are the loops of that work.
func (e *Engine) keepers() []func(context.Context) {
	return []func(context.Context){e.deferred.Run, e.outbox.Run, e.keepCounts, e.keeper.RunShared, e.notice}
}

// begin has it done until pause.
func (k *keeping) begin(ctx context.Context, e *Engine) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil || k.ended {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k.cancel = cancel
	for _, loop := range e.keepers() {
		k.loops.Go(func() { loop(ctx) })
	}
}

// end is pause for good.
func (k *keeping) end() {
	k.mu.Lock()
	k.ended = true
	k.mu.Unlock()
	k.pause()
}

// pause returns when nothing of it is done any more.
func (k *keeping) pause() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel == nil {
		return
	}
	k.cancel()
	k.loops.Wait()
	k.cancel = nil
}

func (k *keeping) is() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cancel != nil
}

// notice looks for what other nodes have stored for the keeper to do.
func (e *Engine) notice(ctx context.Context) {
	const (
		often  = time.Second
		seldom = 5 * time.Second // less than neohook.MinDeferral before a deferred event is due
		rarely = 10 * time.Minute
	)
	began := time.Now()
	for last := began; ctx.Err() == nil; pause(ctx, often) {
		now := time.Now()
		e.keeper.Notice()
		if now == began || now.Truncate(seldom) != last.Truncate(seldom) {
			e.deferred.Note(now)
		}
		if now.Truncate(rarely) != last.Truncate(rarely) {
			e.keeper.Look()
		}
		last = now
	}
}

// look looks at what the keeper has done, where that is another node, until ctx ends.
func (n *node) look(ctx context.Context) {
	const often = 500 * time.Millisecond
	var away outage.Watch
	for ; ctx.Err() == nil; pause(ctx, often) {
		if n.keeping.is() {
			continue
		}
		if err := n.keeper.Check(ctx); ctx.Err() == nil && away.News(err) {
			n.opts.Logger.WarnContext(ctx, "it could not be read what other nodes have expunged, trying again", "error", err)
		}
		if n.outbox.Stats().Waiting > 0 {
			_ = n.outbox.Load(ctx) // else again
		}
	}
}
