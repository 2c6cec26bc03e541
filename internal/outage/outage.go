// Package outage keeps logs short while the database is away: what all who need it find out
// again and again is one matter.
package outage

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/neohook/neohook/store"
)

// Watch is one asker's view of the database. The zero value is ready, and safe for
// concurrent use.
type Watch struct{ away atomic.Bool }

// News says whether an error is worth a line in the log: not where it is nil, or says
// once more that the database is away, or does not answer in time. Without an error the database is there again.
func (w *Watch) News(err error) bool {
	switch {
	case err == nil:
		if w.away.Load() { // sparing others the write
			w.away.Store(false)
		}
		return false
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return !w.away.Swap(true)
	}
	return true
}
