// Package outbox accepts the events that were announced: what is stored in the outbox with
// its cause becomes an event like any other, and leaves the outbox in the same transaction.
//
// An event of somebody's own stays in the outbox until its tenant has room for it. An
// operational event, which nobody has handed over and nobody waits for, is dropped and
// counted instead, so that a flood of them is bounded by the quota of who is to be told.
package outbox

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/quota"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
)

// Most is how many events may wait in the outbox before nothing more is announced. What is
// judged already comes on top, some thousand at most.
const Most = 100_000

// page is how many are accepted at a time: few beside a full batch of live events.
const page = 64

// rest is the pause after a pass that has left something behind.
const rest = time.Second

// Parts are what a Promoter works with.
type Parts struct {
	Store  store.Outbox
	Intake *intake.Queue
	Routes *routing.Table
	Quota  *quota.Quota
	IDs    *ident.Codec
	// Ready says that events may be accepted now.
	Ready func() bool
	// Deferred is told of events that come due later.
	Deferred func(time.Time)
	Log      *slog.Logger
}

// Promoter accepts what is announced. Make one with New and Run it once; its other methods
// are safe for concurrent use.
type Promoter struct {
	Parts
	bell chan struct{}

	waiting           atomic.Int64
	accepted, refused atomic.Uint64
}

// New returns a Promoter.
func New(parts Parts) *Promoter { return &Promoter{Parts: parts, bell: make(chan struct{}, 1)} }

// Load finds out how much waits.
func (p *Promoter) Load(ctx context.Context) error {
	count, err := p.Store.CountOutbox(ctx, Most)
	p.waiting.Store(int64(count))
	return err
}

// Added says that n announcements were stored, or may have been.
func (p *Promoter) Added(n int) {
	if n == 0 {
		return
	}
	p.waiting.Add(int64(n))
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// Full says that nothing more is to be announced.
func (p *Promoter) Full() bool { return p.waiting.Load() >= Most }

// Stats are what has become of announced events.
type Stats struct {
	Waiting  int    // in the outbox, as far as is known
	Accepted uint64 // as events
	Refused  uint64 // dropped, as they can't be accepted or are beyond a quota
}

// Stats returns the present numbers.
func (p *Promoter) Stats() Stats {
	return Stats{Waiting: int(max(0, p.waiting.Load())), Accepted: p.accepted.Load(), Refused: p.refused.Load()}
}

// Run accepts events until ctx ends.
func (p *Promoter) Run(ctx context.Context) {
	for ctx.Err() == nil {
		left, err := p.pass(ctx)
		if err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "announced events could not be accepted, trying again", "error", err)
		}
		var again <-chan time.Time
		bell := p.bell
		if left || err != nil {
			again, bell = time.After(rest), nil
		}
		select {
		case <-ctx.Done():
		case <-again:
		case <-bell:
		}
	}
}

// pass goes through the outbox once, and says whether it has left something there that is
// to be accepted later. So an event that can't be accepted now holds up no other.
func (p *Promoter) pass(ctx context.Context) (left bool, failed error) {
	for after := store.OutboxKey(0); ctx.Err() == nil; {
		if !p.Ready() {
			return true, nil
		}
		rows, err := p.Store.Outbox(ctx, after, page)
		if err != nil {
			return true, err
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].Key
		some, err := p.promote(ctx, rows)
		left = left || some
		failed = cmp.Or(failed, err)
	}
	if left || failed != nil || p.waiting.Load() == 0 {
		return left, failed
	}
	return false, p.Load(ctx) // what was told of was not all stored
}
