package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
)

// in is the place in a longer unit.
func (p place) in(from, to store.Unit) place {
	p.start = floorDiv(p.start, int64(to.Length()/from.Length()))
	return p
}

// startOf is the number of the unit that an instant is in.
func startOf(unit store.Unit, at time.Time) int64 {
	return floorDiv(micros(at), unit.Length().Microseconds())
}

func timeOf(unit store.Unit, start int64) time.Time {
	return time.UnixMicro(start * unit.Length().Microseconds()).UTC()
}

const (
	rollupSQL       = `SELECT counts FROM rollup WHERE unit = ? AND start = ? AND tenant = ? AND endpoint = ? AND type = ?`
	putRollupSQL    = `INSERT OR REPLACE INTO rollup (unit, start, tenant, endpoint, type, counts) VALUES (?, ?, ?, ?, ?, ?)`
	deleteRollupSQL = `DELETE FROM rollup WHERE unit = ? AND start = ? AND tenant = ? AND endpoint = ? AND type = ?`
)

// addMinute adds counts, as they are stored, to the rollup of a minute, and to those of
// what was made of it already.
func (w *writer) addMinute(ctx context.Context, at place, counts []byte) error {
	if err := w.addTo(ctx, store.Minute, at, counts); err != nil || at.compare(w.rollups.inHours) > 0 {
		return err
	}
	return w.addHour(ctx, at.in(store.Minute, store.Hour), counts)
}

// addHour is addMinute for an hour.
func (w *writer) addHour(ctx context.Context, at place, counts []byte) error {
	if err := w.addTo(ctx, store.Hour, at, counts); err != nil || at.compare(w.rollups.inDays) > 0 {
		return err
	}
	return w.addTo(ctx, store.Day, at.in(store.Hour, store.Day), counts)
}

// addTo adds to one rollup. One that comes to nothing is deleted.
func (w *writer) addTo(ctx context.Context, unit store.Unit, at place, counts []byte) error {
	var sum store.Counts
	before, err := first(ctx, w.conn, (*row).blob, rollupSQL, int64(unit), at.start, int64(at.tenant), int64(at.endpoint), at.typ)
	if err == nil {
		sum, err = tally.Decode(before)
	} else if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	if err == nil {
		_, err = tally.Add(counts, &sum)
	}
	if err != nil {
		return tally.UnlessDamaged(err)
	}
	return w.putRollup(ctx, unit, at, &sum)
}

func (w *writer) putRollup(ctx context.Context, unit store.Unit, at place, counts *store.Counts) error {
	if *counts == (store.Counts{}) {
		_, err := w.exec(ctx, deleteRollupSQL, int64(unit), at.start, int64(at.tenant), int64(at.endpoint), at.typ)
		return err
	}
	w.scratch = tally.Append(w.scratch[:0], counts)
	_, err := w.exec(ctx, putRollupSQL, int64(unit), at.start, int64(at.tenant), int64(at.endpoint), at.typ, w.scratch)
	return err
}

// The rollups of one owner are at as many places as there are starts: each is looked up.
const (
	stepsSQL = `WITH RECURSIVE step (start) AS (
			SELECT ?2 WHERE ?2 < ?3
			UNION ALL
			SELECT start + 1 FROM step WHERE start + 1 < ?3
		)
		SELECT rollup.start, tenant, endpoint, type, counts
		FROM step CROSS JOIN rollup ON unit = ?1 AND rollup.start = step.start AND tenant = ?4`
	sumsOfTenantSQL   = stepsSQL
	sumsOfEndpointSQL = stepsSQL + ` AND endpoint = ?5`

	firstStartSQL = `SELECT start FROM rollup WHERE unit = ? ORDER BY start LIMIT 1`
	lastStartSQL  = `SELECT start FROM rollup WHERE unit = ? ORDER BY start DESC LIMIT 1`
)

// summing is a reading of sums under way.
type summing struct {
	*conn
	store.SumQuery
	typ  int64 // the number of Type
	sums map[sumPlace]*store.Counts
}

// sumPlace tells apart what the query asks to tell apart.
type sumPlace struct{ start, typ int64 }

// Sums returns what was counted, by start, then type.
func (s *Store) Sums(ctx context.Context, query store.SumQuery) (sums []store.Sum, err error) {
	err = s.snapshot(ctx, func(ctx context.Context, c *conn) error {
		q := &summing{conn: c, SumQuery: query, sums: make(map[sumPlace]*store.Counts)}
		names, err := q.names(ctx)
		if err != nil || (query.Type != "" && q.typ == 0) {
			return err
		}
		if err := q.read(ctx); err != nil {
			return err
		}
		sums = q.list(names)
		return nil
	})
	return sums, err
}

// names returns the types by their numbers, and sets that of the type asked for.
func (q *summing) names(ctx context.Context) (map[int64]string, error) {
	names := make(map[int64]string)
	for r, err := range q.rows(ctx, typesOfSQL, int64(q.Tenant)) {
		if err != nil {
			return nil, err
		}
		name, number := r.text(), r.int()
		names[number] = name
		if name == q.Type {
			q.typ = number
		}
	}
	return names, nil
}

// read adds up what is stored under the unit, what is under a shorter one only, and what
// is in the journal.
func (q *summing) read(ctx context.Context) error {
	p, err := readProgress(ctx, q.conn)
	if err != nil {
		return err
	}
	if err := q.readUnit(ctx, q.Unit, nowhere); err != nil {
		return err
	}
	if q.Unit == store.Day {
		if err := q.readUnit(ctx, store.Hour, p.at[daysOf]); err != nil {
			return err
		}
	}
	if q.Unit != store.Minute {
		if err := q.readUnit(ctx, store.Minute, p.at[hoursOf]); err != nil {
			return err
		}
	}
	from, to := startOf(store.Minute, q.From), startOf(store.Minute, q.To)
	return walkJournal(ctx, q.conn, p, func(_ int64, at place, counts []byte) ([]byte, error) {
		if at.start < from || at.start >= to || !q.matches(at) {
			return tally.Skip(counts)
		}
		return tally.Add(counts, q.at(at.in(store.Minute, q.Unit)))
	})
}

func (q *summing) matches(at place) bool {
	return at.tenant == q.Tenant && (q.Endpoint == 0 || at.endpoint == q.Endpoint) && (q.typ == 0 || at.typ == q.typ)
}

// readUnit adds the rollups of a unit that are behind a place.
func (q *summing) readUnit(ctx context.Context, unit store.Unit, after place) error {
	least, err := first(ctx, q.conn, (*row).int, firstStartSQL, int64(unit))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	most, err := first(ctx, q.conn, (*row).int, lastStartSQL, int64(unit))
	if err != nil {
		return err
	}
	query, args := sumsOfTenantSQL, []any{
		int64(unit), max(startOf(unit, q.From), after.start, least), min(startOf(unit, q.To), most+1), int64(q.Tenant),
	}
	if q.Endpoint != 0 {
		query, args = sumsOfEndpointSQL, append(args, int64(q.Endpoint))
	}
	for r, err := range q.rows(ctx, query, args...) {
		if err != nil {
			return err
		}
		at, counts := scanPlace(r), r.blob()
		if at.compare(after) <= 0 || !q.matches(at) {
			continue
		}
		stored, err := tally.Decode(counts)
		if err != nil {
			return err
		}
		q.at(at.in(unit, q.Unit)).Add(&stored)
	}
	return nil
}

// at is the sum that a place of the query's unit belongs to.
func (q *summing) at(at place) *store.Counts {
	var where sumPlace
	if q.Each {
		where.start = at.start
	}
	if q.ByType {
		where.typ = at.typ
	}
	if q.sums[where] == nil {
		q.sums[where] = new(store.Counts)
	}
	return q.sums[where]
}

func (q *summing) list(names map[int64]string) (sums []store.Sum) {
	for where, counts := range q.sums {
		if *counts == (store.Counts{}) {
			continue
		}
		sum := store.Sum{Type: names[where.typ], Counts: *counts}
		if q.Each {
			sum.Start = timeOf(q.Unit, where.start)
		}
		sums = append(sums, sum)
	}
	slices.SortFunc(sums, func(a, b store.Sum) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Type, b.Type))
	})
	return sums
}
