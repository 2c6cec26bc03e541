package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
	"github.com/neohook/neohook/webhook"
)

// Recount counts all anew. It is one transaction, so that history stands still meanwhile,
// and it looks at ctx, unlike others: it may take minutes.
func (s *Store) Recount(ctx context.Context, now time.Time) (found store.Recounted, err error) {
	err = s.write(ctx, func(inside context.Context, w *writer) error {
		rc := &recount{writer: w, now: now, sums: make(map[unitPlace]*store.Counts), check: ctx.Err}
		found, err = rc.run(inside)
		return err
	})
	if err != nil {
		return store.Recounted{}, err
	}
	return found, nil
}

// recount is one under way. It adds up in memory, and in a table what is too much for it.
type recount struct {
	*writer
	now   time.Time
	check func() error // the caller's patience
	sums  map[unitPlace]*store.Counts
	seen  int // rows of history
	found store.Recounted
}

// unitPlace is the key of a rollup.
type unitPlace struct {
	unit store.Unit
	place
}

func (p unitPlace) compare(q unitPlace) int {
	return cmp.Or(cmp.Compare(p.unit, q.unit), p.place.compare(q.place))
}

func (rc *recount) run(ctx context.Context) (store.Recounted, error) {
	for _, step := range []func(context.Context) error{
		rc.dropDamaged, rc.settle, rc.countHistory, rc.spill, rc.judgeStored, rc.judgeMissing,
	} {
		if err := step(ctx); err != nil {
			return store.Recounted{}, err
		}
	}
	_, err := rc.exec(ctx, clearRecountSQL)
	return rc.found, err
}

const (
	rollupsSQL = `SELECT unit, start, tenant, endpoint, type, counts FROM rollup
		WHERE (unit, start, tenant, endpoint, type) > (?1, ?2, ?3, ?4, ?5)
		ORDER BY unit, start, tenant, endpoint, type LIMIT ?6`
	deleteJournalRowSQL = `DELETE FROM rollup_journal WHERE number = ?`
)

// recountPart is how many rollups are looked at together.
const recountPart = 4096

// dropDamaged deletes what can't be read: it is counted anew.
func (rc *recount) dropDamaged(ctx context.Context) error {
	var damaged []int64
	for r, err := range rc.rows(ctx, journalSQL) {
		if err != nil {
			return err
		}
		if number, entries := r.int(), r.blob(); !readable(entries) {
			damaged = append(damaged, number)
		}
	}
	for _, number := range damaged {
		if _, err := rc.exec(ctx, deleteJournalRowSQL, number); err != nil {
			return err
		}
	}
	rc.rollups = nil // it may hold what the journal holds no more
	return rc.walk(ctx, rollupsSQL, func(r *row, at unitPlace) (bool, error) {
		_, err := tally.Decode(r.blob())
		return err != nil, nil
	}, func(ctx context.Context, at unitPlace) error {
		return rc.putRollup(ctx, at.unit, at.place, new(store.Counts))
	})
}

func readable(entries []byte) bool {
	for len(entries) > 0 {
		_, counts, err := nextPlace(entries)
		if err != nil {
			return false
		}
		if entries, err = tally.Add(counts, new(store.Counts)); err != nil {
			return false
		}
	}
	return true
}

// walk gives each rollup that query finds to look, part by part, and those that it chooses
// to change.
func (rc *recount) walk(ctx context.Context, query string, look func(*row, unitPlace) (bool, error), change func(context.Context, unitPlace) error) error {
	last := unitPlace{0, nowhere}
	for read := recountPart; read == recountPart; {
		read = 0
		if err := rc.check(); err != nil {
			return err
		}
		var chosen []unitPlace
		for r, err := range rc.rows(ctx, query, int64(last.unit), last.start, int64(last.tenant), int64(last.endpoint), last.typ, int64(recountPart)) {
			if err != nil {
				return err
			}
			read++
			last = unitPlace{store.Unit(r.int()), scanPlace(r)} //nolint:gosec // a Unit was stored
			choose, err := look(r, last)
			if err != nil {
				return err
			}
			if choose {
				chosen = append(chosen, last)
			}
		}
		for _, at := range chosen {
			if err := change(ctx, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle empties the journal, and brings the rollups to where they should be by now.
func (rc *recount) settle(ctx context.Context) error {
	r, err := rc.loadRollups(ctx)
	if err != nil {
		return err
	}
	if err := rc.closeGeneration(ctx); err != nil {
		return err
	}
	if err := rc.fold(ctx, len(r.folding)); err != nil {
		return err
	}
	for more := true; more; {
		if err := rc.check(); err != nil {
			return err
		}
		if more, err = rc.compact(ctx, rc.now); err != nil {
			return err
		}
	}
	return rc.loadWhole(ctx)
}

// What is counted, each with its event's tenant, type and acceptance.
const (
	everyEventSQL    = `SELECT 0, tenant, type, accepted_at FROM event`
	everyDeliverySQL = `SELECT endpoint, tenant, type, accepted_at
		FROM delivery CROSS JOIN event ON event.key = delivery.event`
	everyEndingSQL = `SELECT endpoint, tenant, type, accepted_at, state, ended_at, recovered_at
		FROM history CROSS JOIN event ON event.key = history.event`
	everyAttemptSQL = `SELECT endpoint, tenant, event.type, accepted_at,
			succeeded, status_code, timed_out, attempt.trigger, started_at, duration
		FROM attempt CROSS JOIN event ON event.key = attempt.event`
)

func (rc *recount) countHistory(ctx context.Context) error {
	for _, part := range []struct {
		query string
		count func(context.Context, *row) error
	}{
		{everyEventSQL, rc.countEvent}, {everyDeliverySQL, rc.countDelivery}, {everyEndingSQL, rc.countEnded}, {everyAttemptSQL, rc.countMade},
	} {
		for r, err := range rc.rows(ctx, part.query) {
			if err != nil {
				return err
			}
			if err := part.count(ctx, r); err != nil {
				return err
			}
			if err := rc.rest(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest is called behind each row.
func (rc *recount) rest(ctx context.Context) error {
	const most = 1 << 16
	if len(rc.sums) >= most {
		if err := rc.spill(ctx); err != nil {
			return err
		}
	}
	if rc.seen++; rc.seen%recountPart == 0 {
		return rc.check()
	}
	return nil
}

// scanCounted reads what the rows of all queries above begin with: of which endpoint, and
// what event.
func scanCounted(r *row) (store.EndpointKey, countedEvent) {
	return store.EndpointKey(r.int()), countedEvent{tenant: store.TenantKey(r.int()), eventType: r.text(), acceptedAt: r.int()}
}

func (rc *recount) countEvent(ctx context.Context, r *row) error {
	_, event := scanCounted(r)
	rc.found.Events++
	return rc.add(ctx, event.acceptedAt, 0, event, func(c *store.Counts) { c[store.EventsAccepted]++ })
}

func (rc *recount) countDelivery(ctx context.Context, r *row) error {
	endpoint, event := scanCounted(r)
	return rc.add(ctx, event.acceptedAt, endpoint, event, func(c *store.Counts) { c[store.DeliveriesMade]++ })
}

func (rc *recount) countEnded(ctx context.Context, r *row) error {
	endpoint, event := scanCounted(r)
	if err := rc.add(ctx, event.acceptedAt, endpoint, event, func(c *store.Counts) { c[store.DeliveriesMade]++ }); err != nil {
		return err
	}
	state := webhook.State(r.int()) //nolint:gosec // a State was stored
	if err := rc.add(ctx, r.int(), endpoint, event, func(c *store.Counts) { c.AddEnding(state, 1) }); err != nil {
		return err
	}
	recovered, is := r.next().(int64)
	if !is {
		return nil
	}
	return rc.add(ctx, recovered, endpoint, event, func(c *store.Counts) { c[store.Recovered]++ })
}

func (rc *recount) countMade(ctx context.Context, r *row) error {
	endpoint, event := scanCounted(r)
	attempt := store.Attempt{Succeeded: r.bool(), StatusCode: int(r.int()), TimedOut: r.bool(), Trigger: webhook.Trigger(r.int())} //nolint:gosec // a Trigger was stored
	startedAt := r.int()
	attempt.Duration = r.duration()
	rc.found.Attempts++
	return rc.add(ctx, startedAt, endpoint, event, func(c *store.Counts) { c.AddAttempt(&attempt, 1) })
}

// add counts something at an instant, in each unit where it has its place.
func (rc *recount) add(ctx context.Context, at int64, endpoint store.EndpointKey, event countedEvent, count func(*store.Counts)) error {
	typ, err := rc.typeNumber(ctx, event.tenant, event.eventType)
	if err != nil {
		return err
	}
	minute := place{start: minuteOf(at), tenant: event.tenant, endpoint: endpoint, typ: typ}
	if rc.kept(store.Minute, minute) || minute.compare(rc.rollups.inHours) > 0 {
		count(rc.sum(store.Minute, minute))
	}
	if minute.compare(rc.rollups.inHours) > 0 {
		return nil
	}
	hour := minute.in(store.Minute, store.Hour)
	if rc.kept(store.Hour, hour) || hour.compare(rc.rollups.inDays) > 0 {
		count(rc.sum(store.Hour, hour))
	}
	if day := hour.in(store.Hour, store.Day); hour.compare(rc.rollups.inDays) <= 0 && rc.kept(store.Day, day) {
		count(rc.sum(store.Day, day))
	}
	return nil
}

func (rc *recount) kept(unit store.Unit, at place) bool {
	return at.start >= startOf(unit, rc.now.Add(-unit.Kept()))
}

func (rc *recount) sum(unit store.Unit, at place) *store.Counts {
	where := unitPlace{unit, at}
	if rc.sums[where] == nil {
		rc.sums[where] = new(store.Counts)
	}
	return rc.sums[where]
}

const (
	recountedSQL    = `SELECT counts FROM rollup_recount WHERE unit = ? AND start = ? AND tenant = ? AND endpoint = ? AND type = ?`
	putRecountedSQL = `INSERT OR REPLACE INTO rollup_recount (unit, start, tenant, endpoint, type, counts) VALUES (?, ?, ?, ?, ?, ?)`
	clearRecountSQL = `DELETE FROM rollup_recount`
)

// spill moves the sums from memory to the table.
func (rc *recount) spill(ctx context.Context) error {
	places := make([]unitPlace, 0, len(rc.sums))
	for at := range rc.sums {
		places = append(places, at)
	}
	slices.SortFunc(places, unitPlace.compare)
	for _, at := range places {
		sum := rc.sums[at]
		before, err := first(ctx, rc.conn, (*row).blob, recountedSQL, int64(at.unit), at.start, int64(at.tenant), int64(at.endpoint), at.typ)
		if err == nil {
			_, err = tally.Add(before, sum)
		} else if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		if err != nil {
			return err
		}
		rc.scratch = tally.Append(rc.scratch[:0], sum)
		if _, err := rc.exec(ctx, putRecountedSQL, int64(at.unit), at.start, int64(at.tenant), int64(at.endpoint), at.typ, rc.scratch); err != nil {
			return err
		}
	}
	clear(rc.sums)
	return nil
}

const (
	judgeStoredSQL = `SELECT unit, start, tenant, endpoint, type, counts,
			(SELECT counts FROM rollup_recount AS right WHERE right.unit = rollup.unit AND right.start = rollup.start
				AND right.tenant = rollup.tenant AND right.endpoint = rollup.endpoint AND right.type = rollup.type)
		FROM rollup WHERE (unit, start, tenant, endpoint, type) > (?1, ?2, ?3, ?4, ?5)
		ORDER BY unit, start, tenant, endpoint, type LIMIT ?6`
	judgeMissingSQL = `SELECT unit, start, tenant, endpoint, type, NULL, counts
		FROM rollup_recount AS right WHERE (unit, start, tenant, endpoint, type) > (?1, ?2, ?3, ?4, ?5)
			AND NOT EXISTS (SELECT 1 FROM rollup WHERE right.unit = rollup.unit AND right.start = rollup.start
				AND right.tenant = rollup.tenant AND right.endpoint = rollup.endpoint AND right.type = rollup.type)
		ORDER BY unit, start, tenant, endpoint, type LIMIT ?6`
)

func (rc *recount) judgeStored(ctx context.Context) error { return rc.judge(ctx, judgeStoredSQL) }

func (rc *recount) judgeMissing(ctx context.Context) error { return rc.judge(ctx, judgeMissingSQL) }

// judge holds rollups to what was counted, and puts those right that are not.
func (rc *recount) judge(ctx context.Context, query string) error {
	right := make(map[unitPlace]store.Counts)
	return rc.walk(ctx, query, func(r *row, at unitPlace) (bool, error) {
		rc.found.Rollups++
		var is, counted store.Counts
		for _, into := range []*store.Counts{&is, &counted} {
			if blob := r.blob(); blob != nil {
				if _, err := tally.Add(blob, into); err != nil {
					return false, err
				}
			}
		}
		should := rc.should(at, &is, &counted)
		if should != is {
			rc.wrong(at.unit, &is, &should)
			right[at] = should
		}
		return should != is, nil
	}, func(ctx context.Context, at unitPlace) error {
		counts := right[at]
		delete(right, at)
		return rc.putRollup(ctx, at.unit, at.place, &counts)
	})
}

// should is what was counted, and where history is not whole what is stored.
func (rc *recount) should(at unitPlace, is, counted *store.Counts) store.Counts {
	whole := rc.whole[at.tenant]
	start := at.start * at.unit.Length().Microseconds()
	should := *counted
	for what := range should {
		since := whole.events
		if store.Count(what).OfAttempts() { //nolint:gosec // there are some fifty
			since = whole.attempts
		}
		if start < since {
			should[what] = is[what]
		}
	}
	return should
}

func (rc *recount) wrong(unit store.Unit, is, should *store.Counts) {
	rc.found.Wrong++
	if rc.found.Off == nil {
		rc.found.Off = make(map[store.Unit]store.Counts)
	}
	off := rc.found.Off[unit]
	for what := range off {
		off[what] += should[what] - is[what]
	}
	rc.found.Off[unit] = off
}
