package neohook

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/neohook/neohook/internal/commit"
	"github.com/neohook/neohook/internal/outage"
	"github.com/neohook/neohook/store"
)

// hearing acts upon signals of other nodes. What concerns the order of deliveries is done in
// the writer's turn, and what takes reading by a goroutine of its own.
type hearing struct {
	n     *node
	bell  chan struct{} // there is work
	quiet chan struct{} // there is something to end, which a commit may take along

	mu sync.Mutex
	// known are signals that were heard and not ended yet.
	known map[store.SignalKey]struct{}
	// acted are those of them that can be ended, and later those to be acted upon by work.
	acted []store.SignalKey
	later []store.Signal
	// paused says that it is to be looked whether everything is.
	paused bool
}

func newHearing(n *node) *hearing {
	return &hearing{n: n, bell: make(chan struct{}, 1), quiet: make(chan struct{}, 1), known: make(map[store.SignalKey]struct{})}
}

// reset is for a node that is none any more: what it had to hear is for others.
func (h *hearing) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.known)
	h.acted, h.later = nil, nil
}

// unheard counts what was heard and not acted upon.
func (h *hearing) unheard() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.known) - len(h.acted)
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// look has it read whether everything is paused.
func (h *hearing) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paused = true
	ring(h.bell)
}

// Acted returns signals to end with a commit.
func (h *hearing) Acted() []store.SignalKey {
	h.mu.Lock()
	defer h.mu.Unlock()
	acted := h.acted
	h.acted = nil
	return acted
}

// Failed takes back those of a commit that was not stored.
func (h *hearing) Failed(acted []store.SignalKey, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acted = append(h.acted, acted...)
	if len(h.acted) > 0 {
		ring(h.bell)
	}
	if errors.Is(err, store.ErrBuried) {
		h.n.loop.Look()
	}
}

// Heard acts upon what a commit has found.
func (h *hearing) Heard(now time.Time, acted []store.SignalKey, heard *store.Heard) {
	h.ended(acted)
	h.hear(now, heard)
}

func (h *hearing) ended(keys []store.SignalKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range keys {
		delete(h.known, key)
	}
}

// hear acts upon signals, in the writer's turn.
func (h *hearing) hear(now time.Time, heard *store.Heard) {
	if len(heard.Signals) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	awaited := false
	for i := range heard.Signals {
		s := heard.Signals[i]
		if _, known := h.known[s.Key]; known {
			continue
		}
		h.known[s.Key] = struct{}{}
		// What comes by the thousand nobody waits for. Others' callers may wait for the rest.
		awaited = awaited || s.Kind != store.SignalFresh && s.Kind != store.SignalWaiting
		if h.act(now, &s) {
			h.acted = append(h.acted, s.Key)
		} else {
			h.later = append(h.later, s)
		}
	}
	if awaited {
		ring(h.bell)
	} else {
		ring(h.quiet)
	}
}

// act does what memory alone must do at once, and says whether that is all.
func (h *hearing) act(now time.Time, s *store.Signal) bool {
	lanes := h.n.lanes
	switch s.Kind {
	case store.SignalFresh:
		lanes.RereadFresh(now, s.Tenant, s.Endpoint, s.Event)
	case store.SignalWaiting:
		lanes.RereadWaiting(now, s.Tenant, s.Endpoint, s.Due)
	case store.SignalEnded:
		lanes.DropOf(now, s.Endpoint, s.Event, s.Send)
	case store.SignalForget:
		lanes.Forget(now, s.Tenant, func(event store.EventKey) bool { return event == s.Event })
		return false
	case store.SignalReview:
		lanes.Review(now, s.Tenant)
		return false
	case store.SignalRoutes:
		h.n.routes.Refresh(s.Tenant) // at once: what else is heard may be for an endpoint that is new
		return false
	case store.SignalPaused:
		h.paused = true
		return false
	case store.SignalJob:
		h.n.jobs.Look()
	case store.SignalNodes:
		h.n.loop.Look()
	default:
		return h.actAnyway(now, s)
	}
	return true
}

// actAnyway is for a kind that is not known: a newer program has posted it. Whatever it
// tells of, all that it may be about is looked at again.
func (h *hearing) actAnyway(now time.Time, s *store.Signal) bool {
	lanes := h.n.lanes
	if s.Tenant != 0 {
		h.n.routes.Refresh(s.Tenant)
	}
	lanes.Review(now, s.Tenant)
	if s.Endpoint != 0 {
		lanes.RereadFresh(now, s.Tenant, s.Endpoint, s.Event)
		lanes.RereadWaiting(now, s.Tenant, s.Endpoint, time.Time{})
	}
	h.paused = true
	h.n.jobs.Look()
	h.n.loop.Look()
	return false
}

// listen hears what others have to say until ctx ends.
func (h *hearing) listen(ctx context.Context) {
	const often = time.Second // however quiet it is
	var away outage.Watch
	for ctx.Err() == nil {
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, often)
		nudged, err := h.n.cluster.Wake(limited)
		cancel()
		if nudged {
			h.n.outbox.Look() // by the keeper, which this was meant for
		}
		if err != nil && ctx.Err() == nil {
			pause(ctx, often-time.Since(began))
		}
		for more := true; more && ctx.Err() == nil; {
			more, err = h.once(ctx)
			news := away.News(err)
			if err != nil && ctx.Err() == nil {
				if news && !errors.Is(err, store.ErrBuried) && !errors.Is(err, commit.ErrStopped) {
					h.n.opts.Logger.WarnContext(ctx, "what other nodes have to say could not be read, trying again", "error", err)
				}
				pause(ctx, often)
			}
		}
	}
}

// once acts upon what there is to hear, and says whether there is more.
func (h *hearing) once(ctx context.Context) (more bool, _ error) {
	heard, err := h.n.cluster.Signals(ctx)
	if err != nil || len(heard.Signals) == 0 {
		return false, err
	}
	err = h.n.writer.Do(ctx, nil, func(context.Context) error {
		h.hear(time.Now(), &heard)
		return nil
	})
	if err != nil {
		return false, err
	}
	if heard.More { // the others are given out once these have ended
		return true, h.end(ctx)
	}
	return false, nil
}

// end ends what was acted upon.
func (h *hearing) end(ctx context.Context) error {
	acted := h.Acted()
	if len(acted) == 0 {
		return nil
	}
	err := h.n.cluster.EndSignals(ctx, acted)
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.acted = append(h.acted, acted...)
		return err
	}
	h.ended(acted)
	return nil
}

// work acts upon what takes its time, and ends what others have left, until ctx ends.
func (h *hearing) work(ctx context.Context) {
	const (
		rest = 250 * time.Millisecond // after a failure
		// soon is how long what was acted upon waits to be ended by a commit: by that of what
		// comes of it, most often.
		soon = 50 * time.Millisecond
	)
	var ripe <-chan time.Time
	var away outage.Watch
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.quiet:
			if ripe == nil {
				ripe = time.After(soon)
			}
			continue
		case <-ripe:
		case <-h.bell:
		}
		ripe = nil
		h.mu.Lock()
		later, paused := h.later, h.paused
		h.later, h.paused = nil, false
		h.mu.Unlock()
		failed := h.workOn(ctx, later)
		if paused {
			failed = errors.Join(failed, h.n.readPaused(ctx))
		}
		h.mu.Lock()
		if failed != nil {
			h.later, h.paused = append(later, h.later...), h.paused || paused
		} else {
			for i := range later {
				h.acted = append(h.acted, later[i].Key)
			}
		}
		h.mu.Unlock()
		failed = errors.Join(failed, h.end(ctx))
		news := away.News(failed)
		if failed != nil && ctx.Err() == nil {
			if news && !errors.Is(failed, store.ErrBuried) {
				h.n.opts.Logger.WarnContext(ctx, "what other nodes have told could not be acted upon, trying again", "error", failed)
			}
			pause(ctx, rest)
			ring(h.bell)
		}
	}
}

// workOn acts upon signals. To do so twice does no harm.
func (h *hearing) workOn(ctx context.Context, signals []store.Signal) error {
	changed := make(map[store.TenantKey]bool)
	gone := make(map[store.TenantKey]bool)
	for i := range signals {
		switch s := &signals[i]; s.Kind {
		case store.SignalRoutes:
			changed[s.Tenant] = true
		case store.SignalForget, store.SignalReview:
			gone[s.Tenant] = true
		case store.SignalPaused:
		default: // of a newer program
			if s.Tenant != 0 {
				changed[s.Tenant], gone[s.Tenant] = true, true
			}
		}
	}
	for tenant := range changed {
		h.n.toldOfChange(ctx, tenant, nil) // the routes are others already
		if err := h.n.failing.Reread(ctx, store.BucketOf(tenant), h.n.cluster.FailingIn); err != nil {
			return err
		}
	}
	for tenant := range gone {
		if err := h.n.cutGone(ctx, tenant); err != nil {
			return err
		}
	}
	return nil
}

// cutGone cuts off the attempts in flight for a tenant whose payloads are gone.
func (n *node) cutGone(ctx context.Context, tenant store.TenantKey) error {
	const patience = time.Second
	events := n.lanes.InFlight(tenant)
	if len(events) == 0 {
		return nil
	}
	payloads, err := n.store.Payloads(ctx, events)
	if err != nil {
		return err
	}
	var gone []store.EventKey
	for i := range payloads {
		if payloads[i].Event == 0 {
			gone = append(gone, events[i])
		}
	}
	return n.lanes.Cut(ctx, tenant, func(event store.EventKey) bool { return slices.Contains(gone, event) }, patience)
}

// readPaused has the lanes act on whether everything is paused.
func (n *node) readPaused(ctx context.Context) error {
	select {
	case n.pausing <- struct{}{}:
		defer func() { <-n.pausing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	instance, err := n.store.Instance(ctx)
	if err == nil && instance.Paused != n.paused.Load() {
		n.pauseHere(ctx, instance.Paused)
	}
	return err
}
