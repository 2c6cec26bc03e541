package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// sweepKind says what is looked for.
type sweepKind int64

const (
	sweepPayloads sweepKind = iota + 1
	sweepAttempts
	sweepEvents
	sweepDirectory
)

const (
	// sweepPage is how many events are looked at in a step, which takes less than a
	// millisecond.
	sweepPage = 64
	// sweepAgain is after how long it is looked at the latest whether something is due: other
	// times may be set by then, or the clock.
	sweepAgain = 12 * time.Hour
)

// sweep is one Sweep, inside its transaction.
type sweep struct {
	*writer
	now      int64
	defaults webhook.Retention
	swept    store.Swept

	kept  map[store.TenantKey]webhook.Retention
	lanes map[store.TenantKey][]openLane
}

// Sweep lets go of what has had its time at now.
//
// It goes through the events in the order of their keys, once for each kind of time and
// for each tenant that has its own, and remembers how far it came: what is passed over
// is not looked at again, unless something happens to it (see revisit). So it costs as much
// as it deletes, and no index by time is needed.
func (s *Store) Sweep(ctx context.Context, now time.Time, defaults webhook.Retention, budget time.Duration) (store.Swept, error) {
	begun := time.Now()
	var done store.Swept
	err := s.write(ctx, func(ctx context.Context, w *writer) error {
		one := &sweep{
			writer: w, now: micros(now), defaults: defaults,
			kept: make(map[store.TenantKey]webhook.Retention), lanes: make(map[store.TenantKey][]openLane),
		}
		more, err := one.run(ctx, now, func() bool { return time.Since(begun) >= budget })
		if err != nil {
			return err
		}
		done, done.More = one.swept, more
		if !more {
			done.Next, err = first(ctx, w.conn, (*row).timeOrZero, nextSweepSQL)
		}
		return err
	})
	if err != nil {
		return store.Swept{}, err
	}
	return done, nil
}

// nextSweepSQL finds when the next place is to be looked at, or event.
const nextSweepSQL = `SELECT min(at) FROM (SELECT min(look_at) AS at FROM sweep UNION ALL SELECT min(at) FROM revisit)`

// run does what is due until the time is over, and says whether there may be more.
func (s *sweep) run(ctx context.Context, now time.Time, over func() bool) (more bool, err error) {
	const some = 100 // rows that are as quick to delete as a page of events
	const spareSpans = 16
	for _, step := range []func(context.Context) (bool, error){
		func(ctx context.Context) (bool, error) { return s.sweepOnce(ctx, now, some) },
		func(ctx context.Context) (bool, error) { return s.sweepLedger(ctx, now) },
		func(ctx context.Context) (bool, error) { return s.tidy(ctx, spareSpans) },
		s.revisits,
		s.next,
		func(ctx context.Context) (bool, error) { return s.tidy(ctx, 0) },
	} {
		for more := true; more; {
			if more, err = step(ctx); err != nil {
				return false, err
			}
			if more && over() {
				return true, nil
			}
		}
	}
	return false, nil
}

// spot is how far a kind of sweep has come, for one tenant or for all that share it.
type spot struct {
	tenant store.TenantKey
	kind   sweepKind
	event  int64
}

const (
	nextPlaceSQL = `SELECT tenant, kind, event FROM sweep WHERE look_at <= ? ORDER BY look_at LIMIT 1`
	movePlaceSQL = `UPDATE sweep SET event = ?3, look_at = ?4 WHERE tenant = ?1 AND kind = ?2`
)

// next does a step at the place that has waited longest, and says whether there was one.
func (s *sweep) next(ctx context.Context) (bool, error) {
	at, err := first(ctx, s.conn, func(r *row) spot {
		return spot{store.TenantKey(r.int()), sweepKind(r.int()), r.int()}
	}, nextPlaceSQL, s.now)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var lookAt int64
	if at.kind == sweepDirectory {
		lookAt, err = s.directoryStep(ctx, &at)
	} else {
		lookAt, err = s.step(ctx, &at)
		s.passed = max(s.passed, store.EventKey(at.event))
	}
	if err != nil {
		return false, err
	}
	_, err = s.exec(ctx, movePlaceSQL, int64(at.tenant), int64(at.kind), at.event, lookAt)
	return true, err
}

// step looks at the next events of a place and lets go of what is due of them. It moves
// the place and returns when to look at it again.
func (s *sweep) step(ctx context.Context, at *spot) (lookAt int64, err error) {
	kept, err := s.keptOf(ctx, at.tenant)
	if err != nil {
		return 0, err
	}
	period, again := kept.Events.Microseconds(), s.now+sweepAgain.Microseconds()
	switch at.kind {
	case sweepPayloads:
		period = kept.Payloads.Microseconds()
	case sweepAttempts:
		period = kept.Attempts.Microseconds()
	}
	if at.kind != sweepEvents && period >= kept.Events.Microseconds() {
		return again, nil // they go with the event
	}
	events, err := s.events(ctx, at.tenant, at.event, sweepPage)
	if err != nil || len(events) == 0 {
		return min(again, s.now+period), err
	}
	page := sweptPage{sweep: s, at: at, period: period}
	if lookAt, err = page.look(ctx, events); err != nil {
		return 0, err
	}
	return lookAt, page.drop(ctx, kept)
}

const keptSQL = `SELECT payloads_kept, attempts_kept, events_kept FROM tenant WHERE key = ?`

// keptOf returns the times of a tenant, those of deleted ones too; 0 is the defaults.
func (s *sweep) keptOf(ctx context.Context, tenant store.TenantKey) (webhook.Retention, error) {
	if kept, known := s.kept[tenant]; known {
		return kept, nil
	}
	own, err := first(ctx, s.conn, func(r *row) webhook.Retention {
		return webhook.Retention{Payloads: r.duration(), Attempts: r.duration(), Events: r.duration()}
	}, keptSQL, int64(tenant))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return own, err
	}
	s.kept[tenant] = own.WithDefaults(s.defaults)
	return s.kept[tenant], nil
}
