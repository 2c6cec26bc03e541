package sqsadapter

import (
	"context"
	"sync"
)

// users are the operations in flight.
type users struct {
	ended chan struct{} // closed when the last one after close is done

	mu     sync.Mutex
	closed bool
	last   int
	cancel map[int]context.CancelCauseFunc
}

// enter counts an operation in and returns its context, which close may end. The caller
// calls leave, also after an error.
func (u *users) enter(ctx context.Context) (_ context.Context, leave func(), _ error) {
	ctx, cancel := context.WithCancelCause(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return ctx, func() { cancel(nil) }, errClosed
	}
	if u.cancel == nil {
		u.cancel = make(map[int]context.CancelCauseFunc)
	}
	u.last++
	number := u.last
	u.cancel[number] = cancel
	return ctx, func() { cancel(nil); u.leave(number) }, nil
}

func (u *users) leave(number int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.cancel, number)
	if u.closed && len(u.cancel) == 0 {
		close(u.ended)
	}
}

// close lets nobody in any more and, if cut, ends the contexts of those inside.
func (u *users) close(cut bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		u.closed = true
		if len(u.cancel) == 0 {
			close(u.ended)
		}
	}
	if cut {
		for _, cancel := range u.cancel {
			cancel(errClosed)
		}
	}
}

// state tells how many are inside, and whether the door is closed.
func (u *users) state() (inside int, closed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.cancel), u.closed
}
