package bucket

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/neohook/neohook/internal/outage"
	"github.com/neohook/neohook/store"
)

// Cluster is what a Loop needs of a store.Cluster.
type Cluster interface {
	Join(ctx context.Context, member store.Member) (store.NodeKey, error)
	Leave(ctx context.Context) error
	Beat(ctx context.Context) (store.View, error)
	Claim(ctx context.Context, buckets []store.Bucket) ([]store.Bucket, error)
	Release(ctx context.Context, buckets []store.Bucket) error
	Bury(ctx context.Context, node store.NodeKey, beat int64) error
}

// Engine is told what it may send for. Gained, Losing and Buried are called one at a time;
// Suspended and Seen may come meanwhile.
type Engine interface {
	// Gained says that the node owns buckets from now on. The engine lets go of what it holds
	// of them in memory, such as routes, reads anew what is stored, and sends. Where that
	// fails it returns an error, and Gained is called again. ctx ends with the Loop, and when
	// the node was buried.
	Gained(ctx context.Context, buckets []store.Bucket) error
	// Losing says that buckets will be somebody else's once it has returned. No attempt for
	// them begins any more; those in flight may end, and their outcomes be stored, until ctx
	// ends; then they are cut off, uncounted. It returns when nothing is in flight.
	Losing(ctx context.Context, buckets []store.Bucket)
	// Buried says that others have taken all buckets. It cuts off everything in flight,
	// uncounted, and returns when nothing is.
	Buried()
	// Suspended says that nothing may begin, and that what is in flight is to be cut off,
	// uncounted; or that this is over. It is so at first. It may come late: who begins an
	// attempt asks Holds.
	Suspended(suspended bool)
	// Seen hands on how the cluster stands, about every three seconds. It must be quick.
	Seen(view *store.View)
}

// Loop keeps a node among the others. Make one with New and Run it once. Its methods are
// safe for concurrent use.
type Loop struct {
	store  Cluster
	engine Engine
	log    *slog.Logger
	began  time.Time
	clock  clock

	mu   sync.Mutex
	seat *Seat

	look chan struct{} // beat at once
	next chan struct{} // there may be something to do
	told chan struct{} // the lease has changed

	beating, acting outage.Watch
	silent          time.Time // when the first beat failed of those since the last good one; of beat

	lost func() // ends what is being done for a node that was buried
}

// New returns a Loop that is no node yet.
func New(st Cluster, engine Engine, member store.Member, log *slog.Logger) *Loop {
	return &Loop{
		store: st, engine: engine, log: log, began: time.Now(), seat: NewSeat(member),
		look: make(chan struct{}, 1), next: make(chan struct{}, 1), told: make(chan struct{}, 1),
	}
}

// Holds says whether an attempt may begin now. It costs next to nothing.
func (l *Loop) Holds() bool { return l.seat.Lease.Holds(l.now()) }

// now is the present by both clocks of the machine.
func (l *Loop) now() Instant {
	now := time.Now()
	return l.clock.read(now.Sub(l.began), now.Round(0).Sub(l.began.Round(0)))
}

// Look says that something may have changed: another node has said so, or a write has
// returned store.ErrBuried.
func (l *Loop) Look() { ring(l.look) }

// Resign gives all buckets to the others, if any of them delivers, each once the engine has
// ended what it does for it; and claims none from then on. It does not wait for that.
func (l *Loop) Resign() {
	l.mu.Lock()
	l.seat.Resign()
	l.mu.Unlock()
	l.Look()
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Run keeps the node until ctx ends. Then it leaves, which gives away what it still owns
// at once: so nothing may be in flight by then, and all outcomes be stored.
func (l *Loop) Run(ctx context.Context) {
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){l.beat, l.act, l.guard} {
		loops.Go(func() { loop(ctx) })
	}
	loops.Wait()
	l.seat.Lease.void()
	// The others would find out, but later.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), interval)
	defer cancel()
	if err := l.store.Leave(ctx); err != nil {
		l.log.WarnContext(ctx, "node could not leave, others will take over when it is missed", "error", err)
	}
}

// beat tells the others that the node lives, and looks at them.
func (l *Loop) beat(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		l.mu.Lock()
		b, is := l.seat.Beat(l.now())
		l.mu.Unlock()
		wait := interval
		if is && l.beaten(ctx, b) != nil {
			wait = retry
		}
		timer := time.NewTimer(time.Until(began.Add(wait)))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.look:
		}
		timer.Stop()
	}
}

// beaten carries out one beat.
func (l *Loop) beaten(ctx context.Context, b Beat) error {
	limited, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	view, err := l.store.Beat(limited)
	now := l.now()
	if err == nil {
		l.engine.Seen(&view)
	}
	if ctx.Err() == nil && l.beating.News(err) {
		l.log.WarnContext(ctx, "node could not tell the others that it lives", "error", err)
	}
	switch {
	case err != nil && l.silent.IsZero():
		l.silent = time.Now()
	case err == nil && !l.silent.IsZero():
		l.log.InfoContext(ctx, "node has told the others that it lives again", "silent_for", time.Since(l.silent))
		l.silent = time.Time{}
	}
	l.mu.Lock()
	l.seat.Beaten(b, view, err, now)
	l.changed()
	l.mu.Unlock()
	return err
}

// changed tells the loops that the seat has. The mutex is held.
func (l *Loop) changed() {
	if l.seat.buried && l.lost != nil {
		l.lost()
	}
	if l.seat.Hurries() {
		ring(l.look)
	}
	ring(l.next)
	ring(l.told)
}

// act does what is to be done, one thing after another.
func (l *Loop) act(ctx context.Context) {
	for ctx.Err() == nil {
		doing, lost := context.WithCancel(ctx)
		l.mu.Lock()
		a := l.seat.Next()
		l.lost = lost
		l.mu.Unlock()
		if a.Kind == Nothing {
			lost()
			select {
			case <-ctx.Done():
			case <-l.next:
			}
			continue
		}
		r := l.carry(doing, a)
		lost()
		l.mu.Lock()
		l.seat.Done(a, r)
		l.changed()
		l.mu.Unlock()
		if news := l.acting.News(r.Err); r.Err == nil || ctx.Err() != nil {
			continue
		} else if news {
			l.log.WarnContext(ctx, "node could not do what is next", "what", a.Kind.String(), "buckets", len(a.Buckets), "error", r.Err)
		}
		rest(ctx)
	}
}

func rest(ctx context.Context) {
	timer := time.NewTimer(retry)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// carry carries an action out.
func (l *Loop) carry(ctx context.Context, a Action) (r Result) {
	limited, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	switch a.Kind {
	case Join:
		if r.Node, r.Err = l.store.Join(limited, a.Member); r.Err == nil {
			l.log.InfoContext(ctx, "node has joined", "node", r.Node, "name", a.Member.Name)
		}
	case Bury:
		if r.Err = l.store.Bury(limited, a.Node, a.Beat); r.Err == nil {
			l.log.WarnContext(ctx, "node has not been heard of for long, its tenants are taken over", "node", a.Node, "name", a.Member.Name)
		}
	case Claim:
		r.Claims, r.Err = l.store.Claim(limited, a.Buckets)
	case Release:
		r.Err = l.store.Release(limited, a.Buckets)
	case Gain:
		r.Err = l.engine.Gained(ctx, a.Buckets)
	case Lose:
		l.engine.Losing(limited, a.Buckets)
	case Drop:
		l.log.WarnContext(ctx, "others have taken over the node's tenants, it begins anew")
		l.engine.Buried()
	}
	return r
}

// guard tells the engine when the lease ends, and when it is there again.
func (l *Loop) guard(ctx context.Context) {
	suspended := true
	for ctx.Err() == nil {
		left := l.seat.Lease.left(l.now())
		if was := suspended; was != (left <= 0) {
			suspended = !was
			l.engine.Suspended(suspended)
		}
		wait := glance
		if left > 0 {
			wait = min(left, glance)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.told:
		}
		timer.Stop()
	}
}
