// Package outbox accepts the events that were announced: what is stored in the outbox with
// its cause becomes an event like any other, and leaves the outbox in the same transaction.
//
// There are two kinds. An event of somebody's own brings its payload, and was handed over
// within a transaction: it stays in the outbox until its tenant has room for it, and those
// of a tenant are accepted in their order. An operational event, which nobody has handed
// over and nobody waits for, is dropped and counted instead, so that a flood of them is
// bounded by the quota of who is to be told.
package outbox

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/outage"
	"github.com/neohook/neohook/internal/quota"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
)

// Most is how many events may wait in the outbox before nothing more is announced. What is
// judged already comes on top, some thousand at most, and what is announced in
// transactions that are not committed yet.
const Most = 100_000

// page is how many are accepted at a time: few beside a full batch of live events.
const page = 64

// rest is the pause after a pass that has left something behind, and how often the outbox is
// looked at once somebody may put something into it unheard.
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
	// Accepted is told of an event of somebody's own that is accepted, and Repeated of one
	// that was accepted before.
	Accepted, Repeated func()
	// Elsewhere, if not nil, tells the Promoter that runs on another node that there may be
	// something.
	Elsewhere func()
	// Announce returns what is to be announced of one that can't be accepted, and Refused is
	// told of it when it is out of the outbox.
	Announce func(*store.Announced, Refusal) []store.Announcement
	Refused  func(context.Context, *store.Announced, Refusal)
	Log      *slog.Logger
}

// Refusal is why an event of somebody's own can't be accepted.
type Refusal string

// The refusals.
const (
	TenantGone Refusal = "tenant_deleted"
	UIDTaken   Refusal = "uid_taken"
	KeyReused  Refusal = "key_reused"
	TooLarge   Refusal = "too_large"
)

// Promoter accepts what is announced. Make one with New and Run it once; its other methods
// are safe for concurrent use.
type Promoter struct {
	Parts
	bell     chan struct{}
	expected atomic.Bool

	mu      sync.Mutex
	waiting int
	during  int       // announced during the pass that is under way
	running bool      // and so what waits is known
	counted time.Time // when it was, while not running

	accepted, refused atomic.Uint64
}

// New returns a Promoter.
func New(parts Parts) *Promoter { return &Promoter{Parts: parts, bell: make(chan struct{}, 1)} }

// Load finds out how much waits.
func (p *Promoter) Load(ctx context.Context) error {
	count, err := p.Store.CountOutbox(ctx, Most)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting, p.counted = count, time.Now()
	return nil
}

// Added says that n announcements were stored, or may have been.
func (p *Promoter) Added(n int) {
	if n == 0 {
		return
	}
	p.mu.Lock()
	p.waiting += n
	p.during += n
	running := p.running
	p.mu.Unlock()
	if !running && p.Elsewhere != nil {
		p.Elsewhere()
	}
	p.Look()
}

// Look has the outbox looked at soon.
func (p *Promoter) Look() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// Expect says that announcements may be stored from now on of which nobody tells.
func (p *Promoter) Expect() {
	if !p.expected.Swap(true) {
		p.Look() // for a shorter wait
	}
}

// Full says that nothing more is to be announced.
func (p *Promoter) Full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting >= Most
}

// HasRoom says whether an event of somebody's own may be announced. Where it is not this
// Promoter that runs, it counts, once a second at most.
func (p *Promoter) HasRoom(ctx context.Context) (bool, error) {
	p.mu.Lock()
	known := p.running || time.Since(p.counted) < rest
	p.mu.Unlock()
	if !known {
		if err := p.Load(ctx); err != nil {
			return false, err
		}
	}
	return !p.Full(), nil
}

// Stats are what has become of announced events.
type Stats struct {
	Waiting  int    // in the outbox, as far as is known
	Accepted uint64 // operational events
	Refused  uint64 // operational events dropped, as they can't be accepted or are beyond a quota
}

// Stats returns the present numbers.
func (p *Promoter) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Waiting: max(0, p.waiting), Accepted: p.accepted.Load(), Refused: p.refused.Load()}
}

// Run accepts events until ctx ends.
func (p *Promoter) Run(ctx context.Context) {
	p.setRunning(true)
	defer p.setRunning(false)
	var away outage.Watch
	for ctx.Err() == nil {
		left, err := p.pass(ctx)
		if news := away.News(err); news && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "announced events could not be accepted, trying again", "error", err)
		}
		var again <-chan time.Time
		if p.expected.Load() || left > 0 || err != nil {
			again = time.After(rest)
		}
		bell := p.bell
		if left > page || err != nil {
			bell = nil // to go through them costs too much for each one that comes
		}
		select {
		case <-ctx.Done():
		case <-again:
		case <-bell:
		}
	}
}

func (p *Promoter) setRunning(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.counted = is, time.Time{}
}

// pass goes through the outbox once, and says how many it has left there that are to be
// accepted later. So an event that can't be accepted now holds up no other tenant's.
//
// It ends at the key that was the last when it began: a transaction may put rows behind
// it, in the order of keys, and be committed before a later row is announced, which must
// not be accepted first.
func (p *Promoter) pass(ctx context.Context) (left int, _ error) {
	p.mu.Lock()
	p.during = 0
	p.mu.Unlock()
	last, err := p.Store.LastOutbox(ctx)
	if err != nil {
		return 0, err
	}
	held := make(map[owner]bool)
	for after := store.OutboxKey(0); after < last; {
		if err := ctx.Err(); err != nil {
			return left, err
		}
		if !p.Ready() {
			return max(left, 1), nil
		}
		rows, err := p.Store.Outbox(ctx, after, page)
		if err != nil {
			return left, err
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].Key
		for rows[len(rows)-1].Key > last {
			if rows = rows[:len(rows)-1]; len(rows) == 0 {
				break
			}
		}
		some, err := p.promote(ctx, rows, held)
		left += some
		if err != nil {
			return left, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = left + p.during
	return left, nil
}
