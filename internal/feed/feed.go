// Package feed keeps the latest outcomes of the tenants that somebody watches.
//
// It is a matter of memory alone: whoever writes outcomes never waits for a reader, and
// nothing is kept of a tenant that nobody watches. A reader that is too slow for what a
// ring holds, or comes back too late, is told that it has missed some.
package feed

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/store"
)

// Errors of Open and Read.
var (
	// ErrFull is returned where as many watch as may.
	ErrFull = errors.New("too many watch")
	// ErrClosed is returned once the Feed is.
	ErrClosed = errors.New("closed")
)

// Limits bound a Feed. The zero value is the defaults.
type Limits struct {
	Entries int           // kept of a tenant; 0 = 1024
	Readers int           // over all tenants; 0 = 256
	PerRing int           // readers of one tenant; 0 = 8
	Linger  time.Duration // how long a ring is kept for readers to come back; 0 = 1 min
}

// Entry is an outcome that was recorded.
type Entry struct {
	// Number ascends, with gaps.
	Number  uint64
	Outcome store.Outcome // without the answer
	// AcceptedAt is when the event was; zero is not known.
	AcceptedAt time.Time
}

// Feed is safe for concurrent use.
type Feed struct {
	limits Limits
	// watched is the number of rings: where it is 0 there is nothing to do.
	watched atomic.Int32

	mu      sync.Mutex
	number  uint64 // of the latest entry
	rings   map[store.TenantKey]*ring
	readers int
	closed  bool
}

// ring is the latest entries of a tenant.
type ring struct {
	entries []Entry // a circle, once it is full
	oldest  int
	// since is a number that everything later than it was kept, but for what was pushed out.
	since   uint64
	changed chan struct{} // closed when there is more
	readers int
	idle    *time.Timer // nil while there are readers
}

// New returns an empty Feed.
func New(limits Limits) *Feed {
	if limits == (Limits{}) {
		limits = Limits{Entries: 1024, Readers: 256, PerRing: 8, Linger: time.Minute}
	}
	return &Feed{limits: limits, rings: make(map[store.TenantKey]*ring)}
}

// Add takes in what was recorded, in its order. It does not wait.
func (f *Feed) Add(recorded []outcome.Done) {
	if f.watched.Load() == 0 || len(recorded) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var told []*ring
	for i := range recorded {
		f.number++
		r := f.rings[recorded[i].Outcome.Tenant]
		if r == nil {
			continue
		}
		r.add(f.number, &recorded[i], f.limits.Entries)
		if len(told) == 0 || told[len(told)-1] != r {
			told = append(told, r)
		}
	}
	for _, r := range told {
		r.tell()
	}
}

func (r *ring) add(number uint64, done *outcome.Done, most int) {
	entry := Entry{Number: number, Outcome: done.Outcome}
	if a := done.Outcome.Attempt; a != nil {
		bare := *a
		bare.Response = nil
		entry.Outcome.Attempt = &bare
	}
	if payload := done.Delivery.Payload; payload != nil {
		entry.AcceptedAt = payload.AcceptedAt
	}
	if len(r.entries) < most {
		r.entries = append(r.entries, entry)
		return
	}
	r.since = r.entries[r.oldest].Number
	r.entries[r.oldest] = entry
	r.oldest = (r.oldest + 1) % len(r.entries)
}

// tell wakes the readers.
func (r *ring) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Close wakes the readers for good.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for tenant, r := range f.rings {
		r.tell()
		f.drop(tenant, r)
	}
}

func (f *Feed) drop(tenant store.TenantKey, r *ring) {
	if r.idle != nil {
		r.idle.Stop()
	}
	delete(f.rings, tenant)
	f.watched.Store(int32(len(f.rings))) //nolint:gosec // bounded by Readers
}

// Reader reads the entries of a tenant. It is for one goroutine.
type Reader struct {
	feed   *Feed
	ring   *ring
	tenant store.TenantKey
	after  uint64
}

// Open lets somebody watch a tenant from now on, or from behind an entry that was read
// before. It must be closed.
func (f *Feed) Open(tenant store.TenantKey, after uint64) (*Reader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rings[tenant]
	switch {
	case f.closed:
		return nil, ErrClosed
	case f.readers == f.limits.Readers, r != nil && r.readers == f.limits.PerRing:
		return nil, ErrFull
	case r == nil && len(f.rings) >= 2*f.limits.Readers:
		return nil, ErrFull // so many were left a moment ago
	case r == nil:
		r = &ring{since: f.number, changed: make(chan struct{})}
		f.rings[tenant] = r
		f.watched.Store(int32(len(f.rings))) //nolint:gosec // bounded by Readers
	}
	if r.idle != nil {
		r.idle.Stop()
		r.idle = nil
	}
	r.readers++
	f.readers++
	if after == 0 {
		after = f.number
	}
	return &Reader{feed: f, ring: r, tenant: tenant, after: after}, nil
}

// Read waits for entries and returns them, oldest first. Missed says that there were
// others before them which are not kept. The error is that of ctx, or ErrClosed.
func (r *Reader) Read(ctx context.Context) (entries []Entry, missed bool, err error) {
	for {
		r.feed.mu.Lock()
		closed, changed := r.feed.closed, r.ring.changed
		if r.after < r.ring.since || r.after > r.feed.number {
			missed, r.after = true, r.ring.since
		}
		for i := range r.ring.entries {
			entry := &r.ring.entries[(r.ring.oldest+i)%len(r.ring.entries)]
			if entry.Number > r.after {
				entries = append(entries, *entry)
			}
		}
		r.feed.mu.Unlock()
		switch {
		case len(entries) > 0:
			r.after = entries[len(entries)-1].Number
			return entries, missed, nil
		case missed:
			return nil, true, nil
		case closed:
			return nil, false, ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// Close ends the watching. The ring is kept a while, for the reader to come back.
func (r *Reader) Close() {
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers--
	if r.ring.readers--; r.ring.readers > 0 || f.closed {
		return
	}
	ring, tenant := r.ring, r.tenant
	var idle *time.Timer
	idle = time.AfterFunc(f.limits.Linger, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if ring.idle == idle && f.rings[tenant] == ring {
			f.drop(tenant, ring)
		}
	})
	ring.idle = idle
}
