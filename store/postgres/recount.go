package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
	"github.com/neohook/neohook/webhook"
)

// Recount counts all anew. It sees history and what was counted of it as of one instant;
// what is stored meanwhile is in the journal, and is added later. So it holds nobody up but
// those who fold. It looks at ctx, unlike other writers: it may take minutes.
func (s *Store) Recount(ctx context.Context, now time.Time) (found store.Recounted, err error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return found, err
	}
	defer conn.Release()
	// The lock is the connection's and taken before the transaction begins: what that sees
	// must be no older.
	if err := exec(ctx, conn, lockFoldingSQL); err != nil {
		return found, translate(err)
	}
	defer func() {
		if failed := exec(context.WithoutCancel(ctx), conn, unlockFoldingSQL); failed != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // which lets go of it
		}
	}()
	leave, err := s.member.enterSession(ctx, conn.Conn())
	if err != nil {
		return found, translate(err)
	}
	defer leave()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return found, translate(err)
	}
	err = changeRollups(ctx, tx, func(ctx context.Context, f *folding) error {
		rc := &recount{folding: f, now: now, sums: make(map[unitPlace]*store.Counts)}
		err := rc.run(ctx)
		found = rc.found
		return err
	})
	if err != nil {
		return store.Recounted{}, errors.Join(translate(err), rollback(context.WithoutCancel(ctx), tx))
	}
	if err := commitFault(tx.Commit(ctx)); err != nil {
		s.doubts.add(sessionOf(conn.Conn().PgConn()))
		return store.Recounted{}, err
	}
	return found, nil
}

const (
	lockFoldingSQL   = `SELECT pg_advisory_lock(hashtextextended('neohook rollups ' || current_schema(), 0))`
	unlockFoldingSQL = `SELECT pg_advisory_unlock(hashtextextended('neohook rollups ' || current_schema(), 0))`
)

// recount is one under way. It adds up in memory, and in a table what is too much for it.
type recount struct {
	*folding
	now   time.Time
	whole latest
	sums  map[unitPlace]*store.Counts
	found store.Recounted

	forgotten []numberedType
}

func (rc *recount) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		rc.clear, rc.dropDamaged, rc.settle, rc.loadTypes, rc.countHistory, rc.saveTypes, rc.spill, rc.judge, rc.clear,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// recountPart is how many rollups are looked at together.
const recountPart = 4096

const (
	clearRecountSQL = `DELETE FROM rollup_recount`
	allRollupsSQL   = `SELECT unit, start, tenant, endpoint, type, counts FROM rollup`
)

func (rc *recount) clear(ctx context.Context) error {
	_, err := rc.Exec(ctx, clearRecountSQL)
	return err
}

// dropDamaged deletes what can't be read: it is counted anew.
func (rc *recount) dropDamaged(ctx context.Context) error {
	var damaged []int64
	if err := journalRows(ctx, rc, everyTurn, func(number int64, entries []byte) error {
		if !readable(entries) {
			damaged = append(damaged, number)
		}
		return nil
	}); err != nil {
		return err
	}
	if _, err := rc.Exec(ctx, deleteJournalSQL, damaged); err != nil {
		return err
	}
	none := make(map[unitPlace]*store.Counts)
	rows, err := rc.Query(ctx, allRollupsSQL)
	if err != nil {
		return err
	}
	var at unitPlace
	var stored []byte
	if _, err := pgx.ForEachRow(rows, []any{&at.unit, &at.start, &at.tenant, &at.endpoint, &at.typ, &stored}, func() error {
		if _, err := tally.Decode(stored); err != nil {
			none[at] = new(store.Counts)
		}
		return nil
	}); err != nil {
		return err
	}
	return rc.put(ctx, none)
}

// settle empties the journal, and brings the rollups to where they should be by now.
func (rc *recount) settle(ctx context.Context) (err error) {
	for more := true; more; {
		if more, err = rc.fold(ctx, everyTurn); err != nil {
			return err
		}
	}
	for more := true; more; {
		if more, err = rc.compact(ctx, rc.now); err != nil {
			return err
		}
	}
	rc.whole, err = loadWhole(ctx, rc)
	return err
}

// What is counted, each with its event's tenant, type and acceptance.
const (
	everyEventSQL    = `SELECT tenant, type, accepted_at FROM event`
	everyDeliverySQL = `SELECT tenant, type, accepted_at, endpoint
		FROM (SELECT endpoint, event FROM delivery UNION ALL SELECT endpoint, event FROM waiting) AS open JOIN event ON event.key = open.event`
	everyEndingSQL  = `SELECT tenant, type, accepted_at, endpoint, state, ended_at, recovered_at FROM history JOIN event ON event.key = history.event`
	everyAttemptSQL = `SELECT tenant, event.type, accepted_at, endpoint, succeeded, status_code, timed_out, attempt.trigger, started_at, duration
		FROM attempt JOIN event ON event.key = attempt.event`
)

// recounted is a row of a query above.
type recounted struct {
	tenant     store.TenantKey
	eventType  string
	acceptedAt time.Time
	endpoint   store.EndpointKey

	state       webhook.State
	endedAt     time.Time
	recoveredAt *time.Time

	attempt  store.Attempt
	duration int64
}

func (rc *recount) countHistory(ctx context.Context) error {
	var r recounted
	event := []any{&r.tenant, &r.eventType, &r.acceptedAt}
	delivery := append(slices.Clip(event), &r.endpoint)
	a := &r.attempt
	for _, part := range []struct {
		cursor, query string
		into          []any
		count         func()
	}{
		{`counted_events`, everyEventSQL, event, func() {
			rc.found.Events++
			rc.at(r.acceptedAt, 0, &r, func(c *store.Counts) { c[store.EventsAccepted]++ })
		}},
		{`counted_deliveries`, everyDeliverySQL, delivery, func() {
			rc.at(r.acceptedAt, r.endpoint, &r, func(c *store.Counts) { c[store.DeliveriesMade]++ })
		}},
		{`counted_endings`, everyEndingSQL, append(slices.Clip(delivery), &r.state, &r.endedAt, &r.recoveredAt), func() { rc.countEnded(&r) }},
		{`counted_attempts`, everyAttemptSQL, append(slices.Clip(delivery), &a.Succeeded, &a.StatusCode, &a.TimedOut, &a.Trigger, &a.StartedAt, &r.duration), func() {
			rc.found.Attempts++
			a.Duration = micros(r.duration)
			rc.at(a.StartedAt, r.endpoint, &r, func(c *store.Counts) { c.AddAttempt(a, 1) })
		}},
	} {
		if err := rc.countRows(ctx, part.cursor, part.query, part.into, &r, part.count); err != nil {
			return err
		}
	}
	return nil
}

func (rc *recount) countEnded(r *recounted) {
	rc.at(r.acceptedAt, r.endpoint, r, func(c *store.Counts) { c[store.DeliveriesMade]++ })
	rc.at(r.endedAt, r.endpoint, r, func(c *store.Counts) { c.AddEnding(r.state, 1) })
	if r.recoveredAt != nil {
		rc.at(*r.recoveredAt, r.endpoint, r, func(c *store.Counts) { c[store.Recovered]++ })
	}
}

// countRows gives each row of a query to count. What is too much for the memory is put away
// in between.
func (rc *recount) countRows(ctx context.Context, cursor, query string, into []any, r *recounted, count func()) error {
	return rc.parts(ctx, cursor, query, func(rows pgx.Rows) error {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		r.acceptedAt = r.acceptedAt.UTC()
		count()
		return nil
	}, func(ctx context.Context) error {
		const most = 1 << 16
		if len(rc.sums) < most {
			return nil
		}
		return rc.spill(ctx)
	})
}

// parts gives the rows of a query, of which there is one by the name of its cursor, to each, and calls between behind some thousand.
func (rc *recount) parts(ctx context.Context, cursor, query string, each func(pgx.Rows) error, between func(context.Context) error) error {
	if _, err := rc.Exec(ctx, `DECLARE `+cursor+` NO SCROLL CURSOR FOR `+query); err != nil {
		return err
	}
	for read := recountPart; read == recountPart; {
		read = 0
		rows, err := rc.Query(ctx, fmt.Sprintf(`FETCH %d FROM %s`, recountPart, cursor))
		if err != nil {
			return err
		}
		for rows.Next() {
			read++
			if err := each(rows); err != nil {
				rows.Close()
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if err := between(ctx); err != nil {
			return err
		}
	}
	_, err := rc.Exec(ctx, `CLOSE `+cursor)
	return err
}

// at counts something at an instant, in each unit where it has its place.
func (rc *recount) at(at time.Time, endpoint store.EndpointKey, r *recounted, count func(*store.Counts)) {
	minute := place{startOf(store.Minute, at), r.tenant, endpoint, rc.typeNumber(r.tenant, r.eventType)}
	inHours, inDays := rc.progress[hoursOf], rc.progress[daysOf]
	if rc.kept(store.Minute, minute) || minute.compare(inHours) > 0 {
		count(rc.sum(store.Minute, minute))
	}
	if minute.compare(inHours) > 0 {
		return
	}
	hour := minute.in(store.Minute, store.Hour)
	if rc.kept(store.Hour, hour) || hour.compare(inDays) > 0 {
		count(rc.sum(store.Hour, hour))
	}
	if day := hour.in(store.Hour, store.Day); hour.compare(inDays) <= 0 && rc.kept(store.Day, day) {
		count(rc.sum(store.Day, day))
	}
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

const allTypesSQL = `SELECT tenant, type, number FROM rollup_type`

func (rc *recount) loadTypes(ctx context.Context) error {
	rows, err := rc.Query(ctx, allTypesSQL)
	if err != nil {
		return err
	}
	clear(rc.numbers)
	var tenant store.TenantKey
	var name string
	var number int32
	_, err = pgx.ForEachRow(rows, []any{&tenant, &name, &number}, func() error {
		if rc.numbers[tenant] == nil {
			rc.numbers[tenant] = make(map[string]int32)
		}
		rc.numbers[tenant][name] = number
		return nil
	})
	return err
}

// typeNumber is that of a type, which is given one where it has been forgotten.
func (rc *recount) typeNumber(tenant store.TenantKey, name string) int32 {
	of := rc.numbers[tenant]
	if of == nil {
		of = make(map[string]int32)
		rc.numbers[tenant] = of
	}
	number, known := of[name]
	if !known && len(of) < store.MaxTypes {
		number = int32(len(of) + 1) //nolint:gosec // at most MaxTypes
		of[name] = number
		rc.forgotten = append(rc.forgotten, numberedType{tenant, name, number})
	}
	return number
}

func (rc *recount) saveTypes(ctx context.Context) error {
	return insertTypes(ctx, rc, rc.forgotten)
}

const spillSQL = `INSERT INTO rollup_recount (unit, start, tenant, endpoint, type, counts)
	SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::bytea[])`

// spill moves the sums from memory to the table, where one place may be many times.
func (rc *recount) spill(ctx context.Context) error {
	var places keys
	var counts [][]byte
	for at, sum := range rc.sums {
		places.append(at)
		counts = append(counts, tally.Append(nil, sum))
	}
	clear(rc.sums)
	_, err := rc.Exec(ctx, spillSQL, places.units, places.starts, places.tenants, places.endpoints, places.types, counts)
	return err
}

const judgeSQL = `SELECT unit, start, tenant, endpoint, type, rollup.counts, counted.counts
	FROM rollup FULL JOIN (
		SELECT unit, start, tenant, endpoint, type, array_agg(counts) AS counts
		FROM rollup_recount GROUP BY unit, start, tenant, endpoint, type
	) AS counted USING (unit, start, tenant, endpoint, type)`

// judge holds rollups to what was counted, and puts those right that are not.
func (rc *recount) judge(ctx context.Context) error {
	right := make(map[unitPlace]*store.Counts)
	return rc.parts(ctx, `judged`, judgeSQL, func(rows pgx.Rows) error {
		var at unitPlace
		var stored []byte
		var parts [][]byte
		if err := rows.Scan(&at.unit, &at.start, &at.tenant, &at.endpoint, &at.typ, &stored, &parts); err != nil {
			return err
		}
		rc.found.Rollups++
		var is, counted store.Counts
		if stored != nil {
			if _, err := tally.Add(stored, &is); err != nil {
				return err
			}
		}
		for _, part := range parts {
			if _, err := tally.Add(part, &counted); err != nil {
				return err
			}
		}
		if should := rc.should(at, &is, &counted); should != is {
			rc.wrong(at.unit, &is, &should)
			right[at] = &should
		}
		return nil
	}, func(ctx context.Context) error {
		err := rc.put(ctx, right)
		clear(right)
		return err
	})
}

// should is what was counted, and where history is not whole what is stored.
func (rc *recount) should(at unitPlace, is, counted *store.Counts) store.Counts {
	whole, start, should := rc.whole[at.tenant], timeOf(at.unit, at.start), *counted
	for what := range should {
		since := whole.events
		if store.Count(what).OfAttempts() { //nolint:gosec // there are some fifty
			since = whole.attempts
		}
		if start.Before(since) {
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
