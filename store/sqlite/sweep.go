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

// swept is what the sweep needs to know of an event.
type swept struct {
	key        int64
	tenant     store.TenantKey
	acceptedAt int64
	deliverAt  int64 // 0 is none
	payloadTTL int64 // 0 is none
	payload    bool
}

const (
	sweptColumns     = `SELECT event.key, event.tenant, accepted_at, deliver_at, payload_ttl, payload IS NOT NULL FROM `
	sweptEventSQL    = sweptColumns + `event WHERE key = ?`
	sweptEventsSQL   = sweptColumns + `event WHERE key >= ? ORDER BY key LIMIT ?`
	sweptOfTenantSQL = sweptColumns + `event_span CROSS JOIN strip
		CROSS JOIN event ON event.strip = (event_span.span << 6) + strip.nth AND event.tenant = event_span.tenant
		WHERE event_span.tenant = ?3 AND event_span.span >= ?1 >> 13 AND event.key >= ?1
		ORDER BY event_span.span, strip.nth, event.key LIMIT ?2`
)

func scanSwept(r *row) swept {
	return swept{
		key: r.int(), tenant: store.TenantKey(r.int()), acceptedAt: r.int(),
		deliverAt: r.int(), payloadTTL: r.int(), payload: r.bool(),
	}
}

// events returns up to limit events from a key on.
func (s *sweep) events(ctx context.Context, tenant store.TenantKey, from int64, limit int) ([]swept, error) {
	if tenant == 0 {
		return all(ctx, s.conn, scanSwept, sweptEventsSQL, from, int64(limit))
	}
	return all(ctx, s.conn, scanSwept, sweptOfTenantSQL, from, int64(limit), int64(tenant))
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
	due, lookAt, err := s.due(ctx, at, events, period)
	if err != nil {
		return 0, err
	}
	return lookAt, s.drop(ctx, at, due, kept)
}

// due returns which of the events are, in runs of those without any other in between. It
// moves the place behind those that were looked at.
func (s *sweep) due(ctx context.Context, at *spot, events []swept, period int64) (runs [][]swept, lookAt int64, err error) {
	open, err := s.openOf(ctx, events[0].key, events[len(events)-1].key)
	if err != nil {
		return nil, 0, err
	}
	through, probed := int64(0), false
	var run []swept
	for i := range events {
		ev := &events[i]
		apart := false
		if at.tenant == 0 {
			if apart, err = s.isApart(ctx, ev.tenant); err != nil {
				return nil, 0, err
			}
		}
		dueAt := ev.acceptedAt + period
		if !apart && dueAt > s.now && ev.key >= through {
			again := s.now + sweepAgain.Microseconds()
			if dueAt > again && !probed {
				probed = true
				if through, err = s.probe(ctx, at, ev.key, period); err != nil {
					return nil, 0, err
				}
			}
			if ev.key >= through {
				at.event = ev.key
				return append(runs, run), min(again, dueAt), nil
			}
		}
		at.event = ev.key + 1
		is := !apart && dueAt <= s.now
		if !apart && !is { // the clock was wrong when it was accepted
			err = s.revisitAt(ctx, dueAt, ev.key)
		} else if is {
			is, err = s.concerns(ctx, at.kind, ev, open)
		}
		switch {
		case err != nil:
			return nil, 0, err
		case !is:
			runs, run = append(runs, run), nil
		case len(run) > 0 && at.tenant != 0 && ev.key != run[len(run)-1].key+1:
			runs, run = append(runs, run), []swept{*ev}
		default:
			run = append(run, *ev)
		}
	}
	return append(runs, run), 0, nil
}

// concerns says whether a kind of sweep has something to do at an event that is due.
func (s *sweep) concerns(ctx context.Context, kind sweepKind, ev *swept, open map[int64]struct{}) (bool, error) {
	if kind == sweepAttempts {
		return true, nil
	}
	if kind == sweepPayloads && (ev.payloadTTL != 0 || !ev.payload) {
		return false, nil // it has its own time, or is gone
	}
	unfinished, err := s.unfinished(ctx, ev, open)
	if err != nil || !unfinished || kind == sweepPayloads {
		return err == nil && !unfinished, err
	}
	kept, err := s.keptOf(ctx, ev.tenant)
	if err != nil {
		return false, err
	}
	return false, s.dropAttempts(ctx, []swept{*ev}, kept.Attempts) // which wait for nothing
}

// probe looks for an event that is due behind one that is not by far: then the clock was
// wrong in between. It returns the key of one, or 0. It looks at events at growing
// distances, so that it misses one for no longer than the clock was wrong.
func (s *sweep) probe(ctx context.Context, at *spot, from, period int64) (int64, error) {
	for distance := int64(1); distance > 0; distance *= 2 {
		events, err := s.events(ctx, at.tenant, from+distance, 1)
		if err != nil || len(events) == 0 {
			return 0, err
		}
		if events[0].acceptedAt+period <= s.now {
			return events[0].key, nil
		}
		distance = events[0].key - from
	}
	return 0, nil
}

// drop lets go of what is due of events.
func (s *sweep) drop(ctx context.Context, at *spot, runs [][]swept, kept webhook.Retention) (err error) {
	for _, run := range runs {
		if len(run) == 0 {
			continue
		}
		low, high := run[0].key, run[len(run)-1].key
		switch at.kind {
		case sweepPayloads:
			err = s.dropPayloads(ctx, low, high)
		case sweepAttempts:
			err = s.dropAttempts(ctx, run, kept.Attempts)
		case sweepEvents:
			err = s.dropEvents(ctx, run)
		}
		if err != nil {
			return err
		}
	}
	return nil
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

// openLane is an endpoint with open deliveries, and the lowest event among them.
type openLane struct {
	endpoint store.EndpointKey
	lowest   int64
}

const (
	openLanesSQL = `SELECT key, (SELECT min(event) FROM delivery WHERE endpoint = endpoint.key) FROM endpoint WHERE tenant = ?1 AND deleted_at IS NULL
		UNION ALL
		SELECT key, (SELECT min(event) FROM delivery WHERE endpoint = endpoint.key) FROM endpoint WHERE tenant = ?1 AND deleted_at IS NOT NULL`
	openSendsSQL = `SELECT DISTINCT event FROM send WHERE event BETWEEN ? AND ?`
)

// openOf returns those events in a range that have open sends.
func (s *sweep) openOf(ctx context.Context, low, high int64) (map[int64]struct{}, error) {
	var open map[int64]struct{}
	for r, err := range s.rows(ctx, openSendsSQL, low, high) {
		if err != nil {
			return nil, err
		}
		if open == nil {
			open = make(map[int64]struct{})
		}
		open[r.int()] = struct{}{}
	}
	return open, nil
}

// unfinished says that there is still something to do for an event: that it has an open
// send, is deferred, or has an open delivery. Those are not indexed by event; but a
// tenant's endpoints are few, and one look at each tells of all events below the lowest.
func (s *sweep) unfinished(ctx context.Context, ev *swept, open map[int64]struct{}) (bool, error) {
	if _, is := open[ev.key]; is {
		return true, nil
	}
	if ev.deliverAt != 0 {
		if deferred, err := s.has(ctx, deferredSQL, ev.deliverAt, ev.key); err != nil || deferred {
			return deferred, err
		}
	}
	lanes, err := s.lanesOf(ctx, ev.tenant)
	if err != nil {
		return false, err
	}
	for _, lane := range lanes {
		if lane.lowest > ev.key {
			continue
		}
		if is, err := s.has(ctx, triedSQL, int64(lane.endpoint), ev.key); err != nil || is {
			return is, err
		}
	}
	return false, nil
}

// lanesOf returns the endpoints of a tenant that have open deliveries, deleted ones
// included.
func (s *sweep) lanesOf(ctx context.Context, tenant store.TenantKey) ([]openLane, error) {
	if lanes, known := s.lanes[tenant]; known {
		return lanes, nil
	}
	lanes, err := s.openLanes(ctx, tenant)
	s.lanes[tenant] = lanes
	return lanes, err
}

func (w *writer) openLanes(ctx context.Context, tenant store.TenantKey) (lanes []openLane, err error) {
	for r, err := range w.rows(ctx, openLanesSQL, int64(tenant)) {
		if err != nil {
			return nil, err
		}
		if lane := (openLane{store.EndpointKey(r.int()), r.int()}); lane.lowest != 0 {
			lanes = append(lanes, lane)
		}
	}
	return lanes, nil
}
