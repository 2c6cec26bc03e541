package batch

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/neohook/neohook/webhook"
)

// The defaults of Options.Limit.
const (
	DefaultDeliverLimit = 50 // of Deliver and Event
	DefaultVerifyLimit  = 10
)

// Options of a batch. The zero value is the default.
type Options struct {
	// Limit bounds how many run at once; 0 is 50, and 10 for Verify. Negative is no bound
	// but the batch itself.
	Limit int
	// Progress, where it is set, is told of each that is done, in the order in which they
	// end and by one at a time. The batch waits for it.
	Progress func(Progress)
}

// Progress is how far a batch has come.
type Progress struct {
	// Done of Total have ended, this one included.
	Done, Total int
	// Index is the place of this one in what was given.
	Index int
	// Result is what came of it.
	Result webhook.Result
}

// run calls work for each index below total, at most the limit at once, and returns when
// all have ended.
func (o *Options) run(total, defaultLimit int, work func(index int) webhook.Result) {
	limit := cmp.Or(o.Limit, defaultLimit)
	if limit < 0 {
		limit = total
	}
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		mu   sync.Mutex
		done int // under mu
	)
	for range min(limit, total) {
		wg.Go(func() {
			for index := int(next.Add(1)) - 1; index < total; index = int(next.Add(1)) - 1 {
				result := work(index)
				if o.Progress == nil {
					continue
				}
				mu.Lock()
				done++
				o.Progress(Progress{Done: done, Total: total, Index: index, Result: result})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
