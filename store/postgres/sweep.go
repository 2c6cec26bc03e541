package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// sweepKind says what is looked for.
type sweepKind int16

const (
	sweepPayloads sweepKind = iota + 1
	sweepAttempts
	sweepEvents
	sweepDirectory
	sweepTTLs
)

const (
	// sweepPage is how many events are looked at in a step.
	sweepPage = 500
	// sweepAgain is after how long it is looked at the latest whether something is due: other
	// times may be set by then, or the clock.
	sweepAgain = 12 * time.Hour
	// sweepElsewhere is when to look again where another node is sweeping, or somebody reads
	// so long that nothing can be dropped.
	sweepElsewhere = time.Minute
)

// sweep is one transaction of a Sweep.
type sweep struct {
	pgx.Tx
	store    *Store
	now      time.Time
	defaults webhook.Retention
	over     func() bool
	swept    store.Swept
	latest   latest

	spots  []*spot
	passed int64 // sweep_passed
	kept   map[store.TenantKey]webhook.Retention
	apart  map[store.TenantKey]struct{}

	// What only another transaction can do ends this one.
	raise int64  // a mark that is to be passed first
	whole *whole // what is to be dropped
}

// errElsewhere says that another transaction is in the way.
var errElsewhere = errors.New("postgres: another transaction is in the way")

// Sweep lets go of what has had its time at now.
//
// It goes through the events in the order of their keys, once for each kind of time and
// for each tenant that has its own, and remembers how far it came: what is passed over
// is not looked at again, unless something happens to it (see queueRevisits). What is in a
// range of which all has had its time goes with the range, and what is in one of which all
// will have soon waits for that (see whole).
func (s *Store) Sweep(ctx context.Context, now time.Time, defaults webhook.Retention, budget time.Duration) (store.Swept, error) {
	begun := time.Now()
	over := func() bool { return time.Since(begun) >= budget }
	var swept store.Swept
	for {
		one, more, err := s.sweepPart(ctx, instant(now), defaults, over)
		if errors.Is(err, errElsewhere) {
			swept.More, swept.Next = false, now.Add(sweepElsewhere)
			return swept, nil
		}
		if err != nil {
			return store.Swept{}, err
		}
		swept.Payloads += one.Payloads
		swept.Attempts += one.Attempts
		swept.Events += one.Events
		if !more {
			swept.More, swept.Next = false, one.Next
			return swept, nil
		}
		if over() {
			swept.More = true
			return swept, nil
		}
	}
}

// sweepPart does what one transaction can do, and then what only another one can. It says
// whether there may be more.
func (s *Store) sweepPart(ctx context.Context, now time.Time, defaults webhook.Retention, over func() bool) (swept store.Swept, more bool, err error) {
	var one *sweep
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		one = &sweep{
			Tx: tx, store: s, now: now, defaults: defaults, over: over, latest: make(latest),
			kept: make(map[store.TenantKey]webhook.Retention),
		}
		more, err = one.run(ctx)
		return err
	})
	switch {
	case err != nil:
		return swept, false, err
	case one.raise > 0:
		err = s.raisePassed(ctx, one.raise)
	case one.whole != nil:
		err = s.dropWhole(ctx, one.whole)
		one.swept.Payloads += one.whole.payloads
		one.swept.Attempts += one.whole.attempts
		one.swept.Events += one.whole.events
	case !more:
		for _, drop := range []func() error{
			func() error { return s.dropEmpty(ctx) }, func() error { return s.dropSpent(ctx) },
		} {
			if failed := drop(); failed != nil && !errors.Is(failed, errElsewhere) { // which is tried again in time
				err = failed
			}
		}
	}
	return one.swept, more, err
}

// sweepingSQL lets one transaction sweep.
const sweepingSQL = `SELECT pg_try_advisory_xact_lock(hashtextextended('neohook sweep ' || current_schema(), 0))`

// run does what is due until the time is over, and says whether there may be more.
func (s *sweep) run(ctx context.Context) (more bool, err error) {
	if mine, err := first(ctx, s, pgx.RowTo[bool], sweepingSQL); err != nil || !mine {
		if err == nil {
			err = errElsewhere
		}
		return false, err
	}
	if err := s.load(ctx); err != nil {
		return false, err
	}
	for _, step := range []func(context.Context) (bool, error){s.sweepOnce, s.revisits, s.next} {
		for more := true; more; {
			if more, err = step(ctx); err != nil {
				return false, err
			}
			if s.raise > 0 || s.whole != nil || more && s.over() {
				return true, s.save(ctx)
			}
		}
	}
	return false, s.save(ctx)
}

// sweepOnce deletes some of what was kept to know repeats, and says whether there may be
// more.
func (s *sweep) sweepOnce(ctx context.Context) (more bool, err error) {
	const some = 1000
	var deleted int64
	var last time.Time
	if err := scanOne(ctx, s, sweepOnceSQL, []any{s.now, some, s.store.onceFloor.from()}, &deleted, &last); err != nil {
		return false, err
	}
	s.store.onceFloor.raise(last)
	return deleted == some, nil
}

// spot is how far a kind of sweep has come, for one tenant or for all that share it.
type spot struct {
	tenant store.TenantKey
	kind   sweepKind
	ttl    int64 // in microseconds
	event  int64
	lookAt time.Time
	moved  bool
}

const (
	spotsSQL  = `SELECT tenant, kind, ttl, event, look_at FROM sweep ORDER BY look_at, tenant, kind, ttl`
	moveSQL   = `UPDATE sweep SET event = $4, look_at = $5 WHERE tenant = $1 AND kind = $2 AND ttl = $3`
	passedSQL = `SELECT coalesce(max(event), 0) FROM sweep_passed`
	// nextRevisitSQL is bounded by what was deleted before, which may have to be kept for
	// somebody's transaction.
	nextRevisitSQL = `SELECT min(at) FROM revisit WHERE at >= $1`
)

func (s *sweep) load(ctx context.Context) (err error) {
	s.spots, err = all(ctx, s, func(row pgx.CollectableRow) (*spot, error) {
		at := new(spot)
		err := row.Scan(&at.tenant, &at.kind, &at.ttl, &at.event, &at.lookAt)
		return at, err
	}, spotsSQL)
	if err != nil {
		return err
	}
	s.apart = make(map[store.TenantKey]struct{})
	for _, at := range s.spots {
		if at.tenant != 0 {
			s.apart[at.tenant] = struct{}{}
		}
	}
	s.passed, err = first(ctx, s, scanKey, passedSQL)
	return err
}

// save writes how far the sweep has come, and what that means for what was counted.
func (s *sweep) save(ctx context.Context) error {
	for _, at := range s.spots {
		if at.moved {
			if _, err := s.Exec(ctx, moveSQL, at.tenant, at.kind, at.ttl, at.event, instant(at.lookAt)); err != nil {
				return err
			}
		}
		if s.swept.Next.IsZero() || at.lookAt.Before(s.swept.Next) {
			s.swept.Next = at.lookAt.UTC()
		}
	}
	var revisit *time.Time
	if err := scanOne(ctx, s, nextRevisitSQL, []any{s.store.revisits.from()}, &revisit); err != nil {
		return err
	}
	if revisit != nil && revisit.Before(s.swept.Next) {
		s.swept.Next = revisit.UTC()
	}
	return s.latest.save(ctx, s)
}

// next does a step at the place that has waited longest, and says whether there was one.
func (s *sweep) next(ctx context.Context) (bool, error) {
	var at *spot
	for _, spot := range s.spots {
		if !spot.lookAt.After(s.now) && (at == nil || spot.lookAt.Before(at.lookAt)) {
			at = spot
		}
	}
	if at == nil {
		return false, nil
	}
	var lookAt time.Time
	var err error
	switch at.kind {
	case sweepDirectory:
		lookAt, err = s.directoryStep(ctx, at)
	case sweepTTLs:
		lookAt, err = s.findTTLs(ctx)
	default:
		lookAt, err = s.step(ctx, at)
	}
	if err != nil || s.raise > 0 || s.whole != nil {
		return false, err
	}
	at.lookAt, at.moved = lookAt, true
	return true, nil
}

// soon has a place looked at again at once, behind those that wait as long.
func (s *sweep) soon(at *spot) time.Time { return at.lookAt }

// swept is what the sweep needs to know of an event.
type swept struct {
	key        int64
	tenant     store.TenantKey
	acceptedAt time.Time
	payloadTTL int64 // 0 is none
	payload    bool
}

const (
	// Whether there is a payload is looked up for each: nothing may be joined as a whole.
	sweptColumns = `SELECT key, tenant, accepted_at, coalesce(payload_ttl, 0),
		coalesce((SELECT true FROM payload WHERE payload.event = event.key), false) FROM event `
	sweptEventSQL    = sweptColumns + `WHERE key = $1 FOR UPDATE`
	sweptEventsSQL   = sweptColumns + `WHERE key >= $1 ORDER BY key LIMIT $2`
	sweptOfTenantSQL = sweptColumns + `WHERE key >= $1 AND tenant = $3 ORDER BY key LIMIT $2`
	sweptOfTTLSQL    = sweptColumns + `WHERE key >= $1 AND payload_ttl = $3 ORDER BY key LIMIT $2`
)

func scanSwept(row pgx.CollectableRow) (ev swept, err error) {
	err = row.Scan(&ev.key, &ev.tenant, &ev.acceptedAt, &ev.payloadTTL, &ev.payload)
	ev.acceptedAt = ev.acceptedAt.UTC()
	return ev, err
}

// events returns up to limit events of a place from a key on.
func (s *sweep) events(ctx context.Context, at *spot, from int64, limit int) ([]swept, error) {
	switch {
	case at.ttl != 0:
		return all(ctx, s, scanSwept, sweptOfTTLSQL, from, limit, at.ttl)
	case at.tenant != 0:
		return all(ctx, s, scanSwept, sweptOfTenantSQL, from, limit, at.tenant)
	}
	return all(ctx, s, scanSwept, sweptEventsSQL, from, limit)
}

// step looks at the next events of a place and lets go of what is due of them. It moves
// the place and returns when to look at it again.
func (s *sweep) step(ctx context.Context, at *spot) (lookAt time.Time, err error) {
	kept, err := s.keptOf(ctx, at.tenant)
	if err != nil {
		return lookAt, err
	}
	period, again := kept.Events, s.now.Add(sweepAgain)
	switch {
	case at.ttl != 0:
		period = micros(at.ttl)
	case at.kind == sweepPayloads:
		period = kept.Payloads
	case at.kind == sweepAttempts:
		period = kept.Attempts
	}
	if at.kind != sweepEvents && at.ttl == 0 && period >= kept.Events {
		return again, nil // they go with the event
	}
	if at.tenant == 0 && at.ttl == 0 {
		if lookAt, err := s.wholeRange(ctx, at, period); err != nil || s.raise > 0 || s.whole != nil || !lookAt.IsZero() {
			return lookAt, err
		}
	}
	events, err := s.events(ctx, at, at.event, sweepPage)
	if err != nil || len(events) == 0 {
		return soonest(again, s.now.Add(period)), err
	}
	if s.mustRaise(events[len(events)-1].key) {
		return lookAt, nil
	}
	due, lookAt, err := s.due(ctx, at, events, period)
	if err != nil {
		return lookAt, err
	}
	return lookAt, s.drop(ctx, at, due, kept)
}

func soonest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// mustRaise says that a key is to be marked as passed before its event is looked at.
func (s *sweep) mustRaise(key int64) bool {
	const block = 4096
	if key >= s.passed {
		s.raise = (key/block + 1) * block
	}
	return s.raise > 0
}

// due returns which of the events are. It moves the place behind those that were looked at.
func (s *sweep) due(ctx context.Context, at *spot, events []swept, period time.Duration) (due []swept, lookAt time.Time, err error) {
	through, probed := int64(0), false
	var wrong []revisit
	for i := range events {
		ev := &events[i]
		apart := false
		if at.tenant == 0 && at.ttl == 0 {
			_, apart = s.apart[ev.tenant]
		}
		dueAt := ev.acceptedAt.Add(period)
		is := !apart && !dueAt.After(s.now)
		if !apart && !is && ev.key >= through {
			again := s.now.Add(sweepAgain)
			if dueAt.After(again) && !probed {
				probed = true
				if through, err = s.probe(ctx, at, ev.key, period); err != nil {
					return nil, lookAt, err
				}
			}
			if ev.key >= through {
				at.event = ev.key
				return due, soonest(again, dueAt), s.revisitAt(ctx, wrong)
			}
		}
		at.event = ev.key + 1
		switch {
		case is:
			due = append(due, *ev)
		case !apart: // the clock was wrong when it was accepted
			wrong = append(wrong, revisit{dueAt, ev.key})
		}
	}
	return due, s.soon(at), s.revisitAt(ctx, wrong)
}

// probe looks for an event that is due behind one that is not by far: then the clock was
// wrong in between. It returns the key of one, or 0. It looks at events at growing
// distances, so that it misses one for no longer than the clock was wrong.
func (s *sweep) probe(ctx context.Context, at *spot, from int64, period time.Duration) (int64, error) {
	for distance := int64(1); distance > 0; distance *= 2 {
		events, err := s.events(ctx, at, from+distance, 1)
		if err != nil || len(events) == 0 {
			return 0, err
		}
		if !events[0].acceptedAt.Add(period).After(s.now) {
			return events[0].key, nil
		}
		distance = events[0].key - from
	}
	return 0, nil
}

// drop lets go of what is due of events.
func (s *sweep) drop(ctx context.Context, at *spot, due []swept, kept webhook.Retention) error {
	if at.kind == sweepAttempts {
		return s.dropAttempts(ctx, due, kept.Attempts)
	}
	if at.kind == sweepPayloads {
		due = slices.DeleteFunc(due, func(ev swept) bool {
			return !ev.payload || at.ttl == 0 && ev.payloadTTL != 0 // gone, or it has its own time
		})
	}
	ended, open, err := s.finished(ctx, due)
	if err != nil {
		return err
	}
	if at.kind == sweepPayloads {
		return s.dropPayloads(ctx, ended)
	}
	for _, ev := range open { // whose attempts wait for nothing
		kept, err := s.keptOf(ctx, ev.tenant)
		if err == nil {
			err = s.dropAttempts(ctx, []swept{ev}, kept.Attempts)
		}
		if err != nil {
			return err
		}
	}
	return s.dropEvents(ctx, ended)
}

const keptSQL = `SELECT payloads_kept, attempts_kept, events_kept FROM tenant WHERE key = $1`

// keptOf returns the times of a tenant, those of deleted ones too; 0 is the defaults.
func (s *sweep) keptOf(ctx context.Context, tenant store.TenantKey) (webhook.Retention, error) {
	if kept, known := s.kept[tenant]; known {
		return kept, nil
	}
	var own webhook.Retention
	if tenant != 0 {
		var payloads, attempts, events int64
		err := scanOne(ctx, s, keptSQL, []any{tenant}, &payloads, &attempts, &events)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return own, err
		}
		own = webhook.Retention{Payloads: micros(payloads), Attempts: micros(attempts), Events: micros(events)}
	}
	s.kept[tenant] = own.WithDefaults(s.defaults)
	return s.kept[tenant], nil
}

const (
	// lockFinishedSQL keeps those waiting who would open something of an event: they share
	// its row.
	lockFinishedSQL = `SELECT key FROM event WHERE key = ANY ($1) ORDER BY key FOR UPDATE`
	openEventsSQL   = `SELECT event FROM delivery WHERE event = ANY ($1)
		UNION SELECT event FROM waiting WHERE event = ANY ($1)
		UNION SELECT event FROM send WHERE event = ANY ($1)
		UNION SELECT event FROM deferred WHERE event = ANY ($1)`
)

// finished tells the events apart of which something is open: a delivery, a send, or that
// it waits for its time. The others stay finished until the transaction ends.
func (s *sweep) finished(ctx context.Context, events []swept) (ended, open []swept, err error) {
	if len(events) == 0 {
		return nil, nil, nil
	}
	keys := keysOf(events)
	if _, err := s.Exec(ctx, lockFinishedSQL, keys); err != nil {
		return nil, nil, err
	}
	found, err := all(ctx, s, scanKey, openEventsSQL, keys)
	if err != nil {
		return nil, nil, err
	}
	is := make(map[int64]bool, len(found))
	for _, key := range found {
		is[key] = true
	}
	for _, ev := range events {
		if is[ev.key] {
			open = append(open, ev)
		} else {
			ended = append(ended, ev)
		}
	}
	return ended, open, nil
}

func keysOf(events []swept) []int64 {
	keys := make([]int64, len(events))
	for i := range events {
		keys[i] = events[i].key
	}
	return keys
}

const (
	insertSpotsSQL = `INSERT INTO sweep (tenant, kind, ttl, event, look_at) SELECT $1, kind, 0, 1, to_timestamp(0) FROM generate_series(1, 3) AS kind
		ON CONFLICT (tenant, kind, ttl) DO UPDATE SET look_at = excluded.look_at`
	changedKeptSQL = `SELECT (payloads_kept, attempts_kept, events_kept) IS DISTINCT FROM ($2::bigint, $3::bigint, $4::bigint) FROM tenant WHERE key = $1`
	deleteSpotsSQL = `DELETE FROM sweep WHERE tenant = $1`
)

// sweepApart is called before a tenant gets its times, by a change or with its first
// version. One that has times of its own, or gets other ones, has its own places in the
// sweep. They begin at the first of its events, as those before may have been passed over.
func sweepApart(ctx context.Context, tx pgx.Tx, tenant store.TenantKey, kept webhook.Retention) error {
	changed, err := first(ctx, tx, pgx.RowTo[bool], changedKeptSQL, tenant, kept.Payloads.Microseconds(), kept.Attempts.Microseconds(), kept.Events.Microseconds())
	if errors.Is(err, pgx.ErrNoRows) {
		changed, err = kept != webhook.Retention{}, nil
	}
	if err != nil || !changed {
		return err
	}
	_, err = tx.Exec(ctx, insertSpotsSQL, tenant)
	return err
}

const (
	// ttlsSQL steps from one time to the next, past all events that have it.
	ttlsSQL = `WITH RECURSIVE own (ttl) AS (
			SELECT min(payload_ttl) FROM event WHERE payload_ttl IS NOT NULL
			UNION ALL
			SELECT (SELECT min(payload_ttl) FROM event WHERE payload_ttl > own.ttl) FROM own WHERE own.ttl IS NOT NULL
		)
		SELECT ttl FROM own WHERE ttl IS NOT NULL`
	insertTTLSQL = `INSERT INTO sweep (tenant, kind, ttl, event, look_at) VALUES (0, 1, $1, 1, to_timestamp(0)) ON CONFLICT DO NOTHING`
)

// findTTLs finds out which times of their own payloads have.
func (s *sweep) findTTLs(ctx context.Context) (lookAt time.Time, err error) {
	ttls, err := all(ctx, s, scanKey, ttlsSQL)
	if err != nil {
		return lookAt, err
	}
	for _, ttl := range ttls {
		if slices.ContainsFunc(s.spots, func(at *spot) bool { return at.ttl == ttl }) {
			continue
		}
		if _, err := s.Exec(ctx, insertTTLSQL, ttl); err != nil {
			return lookAt, err
		}
		s.spots = append(s.spots, &spot{kind: sweepPayloads, ttl: ttl, event: 1})
	}
	return s.now.Add(sweepAgain), nil
}

const (
	// A transaction that has read the mark has the table locked for reading.
	lockPassedSQL  = `SET LOCAL lock_timeout = '1s'; LOCK TABLE sweep_passed IN ACCESS EXCLUSIVE MODE`
	raisePassedSQL = `UPDATE sweep_passed SET event = greatest(event, $1)`
	// As many have been left there as marks were raised since somebody's transaction began,
	// and every commit passes them.
	passedGrownSQL = `SELECT pg_relation_size('sweep_passed') > 65536`
)

// raisePassed marks events below a key as passed. When it returns, all who have looked at
// the mark before have ended; all others see the new one.
func (s *Store) raisePassed(ctx context.Context, to int64) error {
	return elsewhere(s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockPassedSQL); err != nil {
			return err
		}
		raised, err := tx.Exec(ctx, raisePassedSQL, to)
		if err != nil {
			return err
		}
		grown, err := first(ctx, tx, pgx.RowTo[bool], passedGrownSQL)
		if err != nil || !grown && raised.RowsAffected() == 1 {
			return err
		}
		mark, err := first(ctx, tx, scanKey, passedSQL)
		if err != nil {
			return err
		}
		if err := queries(ctx, tx, `TRUNCATE sweep_passed`); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO sweep_passed VALUES ($1)`, max(mark, to))
		return err
	}))
}
