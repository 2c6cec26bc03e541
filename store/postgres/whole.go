package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
)

// To delete rows one by one leaves as many to be cleared away, which nothing does while a
// transaction of somebody else is open, and room that nothing comes to fill, as keys ascend.
// So what has had its time goes by whole ranges of keys: partitions are emptied, what stays
// of them is put back, and those of which nothing stays are dropped. Only where most stays,
// or what a range holds was accepted over too long a time to wait for the last of it, are
// rows deleted one by one.

const (
	// grace is how long the first of a range waits for the last one, and graceLocked how
	// long it does where nobody gets the partition for itself: less than store.MostLate.
	grace       = 18 * time.Hour
	graceLocked = 22 * time.Hour
	// mostStaying is how many events may stay of a range that is emptied.
	mostStaying = 10_000
	// settling is how long it takes at most until what has drawn a key is stored, or never
	// will be.
	settling = time.Hour
)

// whole is a range whose events all have had one kind of time, but for those that stay.
type whole struct {
	kind      sweepKind
	low, high int64
	now       time.Time
	period    time.Duration
	apart     []int64
	late      time.Time // when it can't be waited any more for who has it locked

	payloads, attempts, events int
}

// rangeNotes is what a handle remembers of ranges, until it is closed.
type rangeNotes struct {
	mu       sync.Mutex
	oneByOne map[rangeOf]struct{}
	newest   map[int64]time.Time
}

// rangeOf is a range, by its first key, for a kind of sweep.
type rangeOf struct {
	kind sweepKind
	low  int64
}

// isOneByOne says that what is in a range has to be deleted one by one.
func (n *rangeNotes) isOneByOne(of rangeOf) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, is := n.oneByOne[of]
	return is
}

func (n *rangeNotes) goOneByOne(of rangeOf) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.oneByOne == nil {
		n.oneByOne = make(map[rangeOf]struct{})
	}
	n.oneByOne[of] = struct{}{}
}

// newestIn returns when the newest event of a range was accepted, to which no more come.
func (n *rangeNotes) newestIn(ctx context.Context, q querier, low, high int64) (time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if newest, known := n.newest[low]; known {
		return newest, nil
	}
	newest, err := first(ctx, q, pgx.RowTo[time.Time], newestInSQL, low, high)
	if err != nil {
		return newest, err
	}
	if n.newest == nil {
		n.newest = make(map[int64]time.Time)
	}
	n.newest[low] = newest
	return newest, nil
}

// tableOf is the one whose ranges a kind of sweep goes by.
func (kind sweepKind) table() string {
	return [...]string{sweepPayloads: "payload", sweepAttempts: "attempt", sweepEvents: "event"}[kind]
}

const (
	rangeAtSQL  = `SELECT low, high FROM key_range WHERE of = $1 AND high > $2 ORDER BY low LIMIT 1`
	behindSQL   = `SELECT accepted_at FROM event WHERE key >= $1 ORDER BY key LIMIT 1`
	firstInSQL  = `SELECT accepted_at FROM event WHERE key >= $1 AND key < $2 AND tenant <> ALL ($3) ORDER BY key LIMIT 1`
	newestInSQL = `SELECT max(accepted_at) FROM event WHERE key >= $1 AND key < $2`
)

// wholeRange looks whether the range that a place is in can go as a whole. It returns when
// to look again where it is worth waiting for; zero says that it is not.
func (s *sweep) wholeRange(ctx context.Context, at *spot, period time.Duration) (lookAt time.Time, err error) {
	var low, high int64
	err = scanOne(ctx, s, rangeAtSQL, []any{at.kind.table(), at.event}, &low, &high)
	if errors.Is(err, pgx.ErrNoRows) {
		return lookAt, nil
	}
	if err != nil {
		return lookAt, err
	}
	if at.event < low { // what was there is gone
		at.event, at.moved = low, true
	}
	notes := &s.store.rangeNotes
	if notes.isOneByOne(rangeOf{at.kind, low}) {
		return lookAt, nil
	}
	apart := make([]int64, 0, len(s.apart))
	for tenant := range s.apart {
		apart = append(apart, int64(tenant))
	}
	var oldest time.Time // nearly: clocks are not always right
	for _, q := range []struct {
		query  string
		args   []any
		behind time.Duration
	}{{behindSQL, []any{high}, settling}, {firstInSQL, []any{at.event, high, apart}, period}} {
		err := scanOne(ctx, s, q.query, q.args, &oldest)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && oldest.Add(q.behind).After(s.now) {
			return lookAt, nil // it may still be written to, or there is nothing due in it
		}
		if err != nil {
			return lookAt, err
		}
	}
	newest, err := notes.newestIn(ctx, s, low, high)
	if err != nil {
		return lookAt, err
	}
	due, late := newest.Add(period), oldest.Add(period).Add(grace)
	switch {
	case !due.After(s.now):
		if !s.mustRaise(high - 1) {
			s.whole = &whole{kind: at.kind, low: low, high: high, now: s.now, period: period, apart: apart, late: oldest.Add(period).Add(graceLocked)}
		}
		return lookAt, nil
	case s.now.Before(late):
		return soonest(soonest(due, late), s.now.Add(sweepAgain)), nil
	}
	return lookAt, nil
}

// elsewhere tells that a lock was not to be had.
func elsewhere(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == lockNotAvailable {
		return errElsewhere
	}
	return err
}

// isGone says that a partition was dropped, with the rest of its range or by another node.
func isGone(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == undefinedTable
}

// What stays of a range, by the event's key, each with when it is to be looked at again;
// never by its own tenant's places.
const (
	eventsStaySQL = `SELECT key, CASE WHEN tenant = ANY ($4) THEN NULL ELSE accepted_at + $5 * interval '1 microsecond' END
		FROM event WHERE key >= $1 AND key < $2 AND (accepted_at > $3 OR tenant = ANY ($4)) LIMIT $6`
	payloadsStaySQL = `SELECT key, CASE WHEN tenant = ANY ($4) OR payload_ttl IS NOT NULL THEN NULL ELSE accepted_at + $5 * interval '1 microsecond' END
		FROM event WHERE key >= $1 AND key < $2 AND (tenant = ANY ($4)
			OR CASE WHEN payload_ttl IS NULL THEN accepted_at > $3 ELSE accepted_at + (payload_ttl - $5) * interval '1 microsecond' > $3 END) LIMIT $6`
	attemptsStaySQL = `SELECT event, CASE WHEN endpoint IN (SELECT key FROM endpoint WHERE tenant = ANY ($4)) THEN NULL
			ELSE min(started_at) + $5 * interval '1 microsecond' END
		FROM attempt WHERE event >= $1 AND event < $2 AND (started_at > $3 OR endpoint IN (SELECT key FROM endpoint WHERE tenant = ANY ($4)))
		GROUP BY event, endpoint LIMIT $6`

	// openInSQL is what has to stay since something is open of it, or has been a moment ago.
	openInSQL = `SELECT event FROM delivery WHERE event >= $1 AND event < $2
		UNION SELECT event FROM waiting WHERE event >= $1 AND event < $2
		UNION SELECT event FROM send WHERE event >= $1 AND event < $2
		UNION SELECT event FROM deferred WHERE event >= $1 AND event < $2
		UNION SELECT event FROM revisit WHERE event >= $1 AND event < $2 LIMIT $3`
	touchedInSQL = `SELECT DISTINCT event FROM revisit WHERE event >= $1 AND event < $2 LIMIT $3`
)

// dropWhole empties a range. What stays is found out before, and once more what may have
// come since when nobody else has the range any more, so that it is held for moments only.
func (s *Store) dropWhole(ctx context.Context, w *whole) error {
	stay, err := s.staying(ctx, w)
	if err != nil {
		return err
	}
	if len(stay) > mostStaying {
		s.rangeNotes.goOneByOne(rangeOf{w.kind, w.low})
		return nil
	}
	last, err := s.latestIn(ctx, w)
	if err != nil {
		return err
	}
	if w.kind == sweepEvents {
		if err := s.freeUIDs(ctx, w, stay); err != nil {
			return err
		}
	}
	err = elsewhere(s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error { return w.drop(ctx, tx, stay, last) }))
	if errors.Is(err, errElsewhere) && !w.late.After(w.now) {
		s.rangeNotes.goOneByOne(rangeOf{w.kind, w.low})
		w.payloads, w.attempts, w.events = 0, 0, 0
		return nil
	}
	return err
}

// staying is by event; the instant is NULL where it need not be looked at again.
func (s *Store) staying(ctx context.Context, w *whole) (map[int64]*time.Time, error) {
	stay := make(map[int64]*time.Time)
	query := [...]string{sweepPayloads: payloadsStaySQL, sweepAttempts: attemptsStaySQL, sweepEvents: eventsStaySQL}[w.kind]
	return stay, s.read(ctx, func(ctx context.Context, q querier) error {
		rows, err := q.Query(ctx, query, w.low, w.high, w.now.Add(-w.period), w.apart, w.period.Microseconds(), mostStaying+1)
		if err != nil {
			return err
		}
		var event int64
		var at *time.Time
		_, err = pgx.ForEachRow(rows, []any{&event, &at}, func() error {
			if before, is := stay[event]; !is || at != nil && (before == nil || at.Before(*before)) {
				stay[event] = at
			}
			return nil
		})
		return err
	})
}

const (
	newestEventsSQL = `SELECT tenant, count(*), max(accepted_at) FROM event WHERE key >= $1 AND key < $2 GROUP BY tenant`
	newestEndsSQL   = `SELECT tenant, sum(n)::bigint, max(at) FROM (SELECT endpoint, count(*) AS n, max(greatest(ended_at, recovered_at)) AS at
			FROM history WHERE event >= $1 AND event < $2 GROUP BY endpoint) AS ended JOIN endpoint ON key = endpoint GROUP BY tenant`
	newestAttemptsSQL = `SELECT tenant, sum(n)::bigint, max(at) FROM (SELECT endpoint, count(*) AS n, max(started_at) AS at
			FROM attempt WHERE event >= $1 AND event < $2 GROUP BY endpoint) AS began JOIN endpoint ON key = endpoint GROUP BY tenant`
	countPayloadsSQL = `SELECT count(*) FROM payload WHERE event >= $1 AND event < $2`
)

// latestIn returns the latest instants of what is in a range, and counts it.
func (s *Store) latestIn(ctx context.Context, w *whole) (latest, error) {
	found := make(latest)
	if w.kind == sweepPayloads {
		count, err := readFirst(ctx, s, scanKey, countPayloadsSQL, w.low, w.high)
		w.payloads = int(count)
		return found, err
	}
	return found, s.read(ctx, func(ctx context.Context, q querier) error {
		var tenant store.TenantKey
		var n int
		var at time.Time
		for query, note := range map[string]func(){
			newestEventsSQL:   func() { w.events += n; found.note(tenant, time.Time{}, at) },
			newestEndsSQL:     func() { found.note(tenant, time.Time{}, at) },
			newestAttemptsSQL: func() { w.attempts += n; found.note(tenant, at, time.Time{}) },
		} {
			if w.kind == sweepAttempts && query != newestAttemptsSQL {
				continue
			}
			rows, err := q.Query(ctx, query, w.low, w.high)
			if err != nil {
				return err
			}
			if _, err := pgx.ForEachRow(rows, []any{&tenant, &n, &at}, func() error { note(); return nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	uidsInSQL   = `SELECT key FROM event WHERE key >= $1 AND key < $2 AND uid IS NOT NULL ORDER BY key LIMIT $3`
	giveUIDsSQL = `INSERT INTO event_uid (tenant, uid, event) SELECT tenant, uid, key FROM event WHERE key = ANY ($1) AND uid IS NOT NULL ON CONFLICT DO NOTHING`
)

// freeUIDs lets go of the UIDs of what does not stay, some thousand at a time.
func (s *Store) freeUIDs(ctx context.Context, w *whole, stay map[int64]*time.Time) error {
	const some = 5000
	for from := w.low; ; {
		var named []int64
		if err := s.transact(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
			if named, err = all(ctx, tx, scanKey, uidsInSQL, from, w.high, some); err != nil || len(named) == 0 {
				return err
			}
			var free []int64
			for _, key := range named {
				if _, stays := stay[key]; !stays {
					free = append(free, key)
				}
			}
			_, err = tx.Exec(ctx, deleteUIDsSQL, free)
			return err
		}); err != nil {
			return err
		}
		if len(named) < some {
			return nil
		}
		from = named[len(named)-1] + 1
	}
}

const moveWholeSQL = `UPDATE sweep SET event = greatest(event, $2) WHERE tenant = 0 AND kind = $1 AND ttl = 0`

// drop empties the partitions of a range, for itself.
func (w *whole) drop(ctx context.Context, tx pgx.Tx, stay map[int64]*time.Time, last latest) error {
	if mine, err := first(ctx, tx, pgx.RowTo[bool], sweepingSQL); err != nil || !mine {
		if err == nil {
			err = errElsewhere
		}
		return err
	}
	if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '100ms'`); err != nil {
		return err
	}
	partitions, err := w.partitions(ctx, tx)
	if err != nil {
		return err
	}
	for _, p := range partitions {
		if _, err := tx.Exec(ctx, `LOCK TABLE `+p.name+` IN ACCESS EXCLUSIVE MODE`); err != nil {
			return err
		}
	}
	query := openInSQL
	if w.kind == sweepAttempts {
		query = touchedInSQL
	}
	touched, err := all(ctx, tx, scanKey, query, w.low, w.high, mostStaying+1)
	if err != nil {
		return err
	}
	keys := make([]int64, 0, len(stay)+len(touched))
	again := make([]revisit, 0, len(keys))
	for _, key := range touched {
		again = append(again, revisit{w.now, key})
		if _, is := stay[key]; !is {
			keys = append(keys, key)
		}
	}
	for key, at := range stay {
		keys = append(keys, key)
		if at != nil {
			again = append(again, revisit{*at, key})
		}
	}
	for _, p := range partitions {
		if err := p.empty(ctx, tx, keys); err != nil {
			return err
		}
	}
	if w.kind == sweepEvents {
		if _, err := tx.Exec(ctx, giveUIDsSQL, keys); err != nil {
			return err
		}
	}
	if err := last.save(ctx, tx); err != nil {
		return err
	}
	if err := (&sweep{Tx: tx}).revisitAt(ctx, again); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, moveWholeSQL, w.kind, w.high)
	return err
}

// partition is that of a range in one table.
type partition struct{ name, key string }

func partitionOf(table string, low int64) partition {
	p := partition{name: fmt.Sprintf("%s_from_%d", table, low), key: "event"}
	if table == "event" {
		p.key = "key"
	}
	return p
}

const sameRangesSQL = `SELECT of FROM key_range WHERE low = $1 AND high = $2 AND of = ANY ($3) ORDER BY of`

// partitions are those that go with the range.
func (w *whole) partitions(ctx context.Context, tx pgx.Tx) ([]partition, error) {
	tables := []string{w.kind.table()}
	if w.kind == sweepEvents {
		tables = []string{"event", "payload", "history", "attempt"}
	}
	return all(ctx, tx, func(row pgx.CollectableRow) (partition, error) {
		var table string
		err := row.Scan(&table)
		return partitionOf(table, w.low), err
	}, sameRangesSQL, w.low, w.high, tables)
}

// empty leaves in a partition only what is of some events.
func (p partition) empty(ctx context.Context, tx pgx.Tx, stay []int64) error {
	if len(stay) == 0 {
		_, err := tx.Exec(ctx, `TRUNCATE `+p.name)
		return err
	}
	for _, query := range []string{
		`CREATE TABLE staying (LIKE ` + p.name + `)`,
		`INSERT INTO staying SELECT * FROM ` + p.name + ` WHERE ` + p.key + ` = ANY ($1)`,
		`TRUNCATE ` + p.name,
		`INSERT INTO ` + p.name + ` SELECT * FROM staying`,
		`DROP TABLE staying`,
	} {
		var args []any
		if query[len(query)-1] == ')' && query[0] == 'I' {
			args = append(args, stay)
		}
		if _, err := tx.Exec(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

const (
	// passedRangesSQL is the ranges that the sweep has passed, by what goes by itself.
	passedRangesSQL = `SELECT of, low, high FROM key_range JOIN sweep ON tenant = 0 AND ttl = 0 AND event >= high
		AND (of = 'event' AND kind = 3 OR of = 'payload' AND kind = 1) ORDER BY low`
	deleteRangesSQL = `DELETE FROM key_range WHERE low = $1 AND high = $2 AND of = ANY ($3)`
)

// dropEmpty drops the partitions in which nothing is left, of ranges that were passed.
func (s *Store) dropEmpty(ctx context.Context) error {
	type passed struct {
		table     string
		low, high int64
	}
	ranges, err := readAll(ctx, s, func(row pgx.CollectableRow) (p passed, err error) {
		return p, row.Scan(&p.table, &p.low, &p.high)
	}, passedRangesSQL)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		name := partitionOf(r.table, r.low).name
		left, err := readFirst(ctx, s, pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM `+name+`)`)
		if isGone(err) || left {
			continue
		}
		if err != nil {
			return err
		}
		w := &whole{kind: sweepPayloads, low: r.low, high: r.high}
		if r.table == "event" {
			w.kind = sweepEvents
		}
		if err := elsewhere(s.transact(ctx, w.dropEmpty)); err != nil {
			return err
		}
	}
	return nil
}

// dropEmpty drops the partitions of a range, if there is still nothing in them. It has all
// that is divided for itself, for a moment.
func (w *whole) dropEmpty(ctx context.Context, tx pgx.Tx) error {
	for _, query := range []string{rangingSQL, `SET LOCAL lock_timeout = '100ms'`} {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	partitions, err := w.partitions(ctx, tx)
	if err != nil || len(partitions) == 0 {
		return err
	}
	for _, p := range partitions {
		if _, err := tx.Exec(ctx, `LOCK TABLE `+p.name+` IN ACCESS EXCLUSIVE MODE`); err != nil {
			return err
		}
	}
	left, err := first(ctx, tx, pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM `+partitionOf(w.kind.table(), w.low).name+`)`)
	if err != nil || left {
		return err
	}
	tables := []string{"payload"}
	if w.kind == sweepEvents {
		tables = []string{"event", "payload", "history", "attempt"}
	}
	for _, p := range partitions {
		if _, err := tx.Exec(ctx, `DROP TABLE `+p.name); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, deleteRangesSQL, w.low, w.high, tables)
	return err
}
