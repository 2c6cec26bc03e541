package commit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/store"
)

// ErrStopped is returned by Do once Run has ended, or is about to. Nothing is stored.
var ErrStopped = errors.New("stopped")

// mostWaiting changes have a place in line; whoever comes later waits for one.
const mostWaiting = 64

// change is something else than a batch that the writer is to store.
type change struct {
	do        func(context.Context) error
	concerned []store.Lane

	taken atomic.Bool // by the writer, or back by who waits for it
	done  chan struct{}
	err   error
}

// Do runs what stores anything else that the lanes must know of, between two batches, and
// returns its error. It tells the lanes itself, before it returns: so what they are told
// keeps the order of what was stored. It must be quick, as publishers wait meanwhile, and
// is given a context that does not end.
//
// Where do returns store.ErrCommitUnknown, the lanes of concerned are read again.
//
// Changes are made one after another, each after a batch where one is waiting, in the
// order in which they came. Do waits for its turn until ctx ends, also before Run, and
// then nothing was done; once do has begun it is waited for.
func (w *Writer) Do(ctx context.Context, concerned []store.Lane, do func(context.Context) error) error {
	c := &change{do: do, concerned: concerned, done: make(chan struct{})}
	select {
	case w.changes <- c:
	case <-w.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-c.done:
		return c.err
	case <-w.stopped:
		if c.taken.CompareAndSwap(false, true) {
			return ErrStopped
		}
	case <-ctx.Done():
		if c.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
	}
	<-c.done // it is being made: a moment, and the answer is known
	return c.err
}

// changeNext makes the change that is first in line, if there is one. It comes behind a
// batch that was stored: no outcome is in doubt then, whose delivery the change might end.
func (w *Writer) changeNext(ctx context.Context) {
	for {
		c := w.next
		w.next = nil
		if c == nil {
			select {
			case c = <-w.changes:
			default:
				return
			}
		}
		if c.taken.CompareAndSwap(false, true) {
			w.make(context.WithoutCancel(ctx), c)
			return
		}
	}
}

func (w *Writer) make(ctx context.Context, c *change) {
	defer close(c.done)
	if c.err = c.do(ctx); errors.Is(c.err, store.ErrCommitUnknown) {
		w.lanes.Reread(time.Now(), c.concerned)
	}
}
