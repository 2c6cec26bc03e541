package bucket

import (
	"sync/atomic"
	"time"
)

// Lease says whether a node may begin anything. The zero value says no. It is safe for
// concurrent use.
type Lease struct {
	began atomic.Pointer[Instant] // of the last beat that succeeded
}

// Holds says whether an attempt may begin now.
func (l *Lease) Holds(now Instant) bool { return l.left(now) > 0 }

// left is for how long it holds if nothing comes.
func (l *Lease) left(now Instant) time.Duration {
	began := l.began.Load()
	if began == nil {
		return 0
	}
	return trust - (now.Long - began.Long)
}

// renew counts from the moment before a beat was sent.
func (l *Lease) renew(began Instant) { l.began.Store(&began) }

func (l *Lease) void() { l.began.Store(nil) }
