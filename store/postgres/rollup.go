package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
)

// place is what a rollup is for: a unit's start, in units since 1970, and whose it is.
type place struct {
	start    int64
	tenant   store.TenantKey
	endpoint store.EndpointKey // 0 for the tenant's events
	typ      int32             // see rollup_type; 0 is all types that have no number
}

// unitPlace is the key of a rollup.
type unitPlace struct {
	unit store.Unit
	place
}

// nowhere is before all places.
var nowhere = place{start: math.MinInt64}

// endOf is behind all places of a start.
func endOf(start int64) place { return place{start, math.MaxInt64, math.MaxInt64, math.MaxInt32} }

// compare orders places as the rollups are.
func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.start, q.start), cmp.Compare(p.tenant, q.tenant),
		cmp.Compare(p.endpoint, q.endpoint), cmp.Compare(p.typ, q.typ))
}

func (p unitPlace) compare(q unitPlace) int {
	return cmp.Or(cmp.Compare(p.unit, q.unit), p.place.compare(q.place))
}

// in is the place in a longer unit.
func (p place) in(from, to store.Unit) place {
	p.start = floorDiv(p.start, int64(to.Length()/from.Length()))
	return p
}

// startOf is the number of the unit that an instant is in, since 1970.
func startOf(unit store.Unit, at time.Time) int64 {
	return floorDiv(instant(at).UnixMicro(), unit.Length().Microseconds())
}

func timeOf(unit store.Unit, start int64) time.Time {
	return time.UnixMicro(start * unit.Length().Microseconds()).UTC()
}

// floorDiv rounds down, before 1970 too.
func floorDiv(a, b int64) int64 {
	quotient := a / b
	if a%b < 0 {
		quotient--
	}
	return quotient
}

// The steps of which progress is kept.
const (
	hoursOf     = 1 // from minutes into hours
	daysOf      = 2 // from hours into days
	dropMinutes = 3
	dropHours   = 4
	dropDays    = 5
	allSteps    = 5
)

func dropOf(unit store.Unit) int { return int(unit) - int(store.Minute) + dropMinutes }

// progress is how far each step has come.
type progress [allSteps + 1]place

const progressSQL = `SELECT step, start, tenant, endpoint, type FROM rollup_progress`

func readProgress(ctx context.Context, q querier) (p progress, err error) {
	rows, err := q.Query(ctx, progressSQL)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	for rows.Next() {
		var step int
		var at place
		if err := rows.Scan(&step, &at.start, &at.tenant, &at.endpoint, &at.typ); err != nil {
			return p, err
		}
		p[step] = at
	}
	return p, rows.Err()
}

// The rollups of one owner are at as many places as there are starts: each is looked up.
// OFFSET 0 keeps them from being joined in another way.
const (
	sumsSQL = `SELECT step.start, endpoint, type, counts FROM generate_series($2::bigint, $3::bigint - 1) AS step (start)
		CROSS JOIN LATERAL (SELECT endpoint, type, counts FROM rollup WHERE unit = $1 AND rollup.start = step.start AND tenant = $4`
	sumsOfTenantSQL   = sumsSQL + ` OFFSET 0) AS found`
	sumsOfEndpointSQL = sumsSQL + ` AND endpoint = $5 OFFSET 0) AS found`

	startsSQL  = `SELECT (SELECT min(start) FROM rollup WHERE unit = $1 AND start >= $2), (SELECT max(start) FROM rollup WHERE unit = $1)`
	typesOfSQL = `SELECT type, number FROM rollup_type WHERE tenant = $1`

	// lockJournalSQL keeps parts of the journal from being emptied, which would change what
	// the snapshot shows that is taken behind it.
	lockJournalSQL = `LOCK TABLE rollup_journal IN ACCESS SHARE MODE`
)

// summing is a reading of sums under way.
type summing struct {
	querier
	store.SumQuery
	numbers map[string]int32
	types   []string // by number; "" is all others
	sums    map[sumPlace]*store.Counts
}

// sumPlace tells apart what the query asks to tell apart.
type sumPlace struct {
	start int64
	typ   string
}

// Sums returns what was counted, by start, then type.
func (s *Store) Sums(ctx context.Context, query store.SumQuery) (sums []store.Sum, err error) {
	err = s.snapshot(ctx, func(ctx context.Context, q querier) error {
		if err := exec(ctx, q, lockJournalSQL); err != nil {
			return err
		}
		reading := &summing{querier: q, SumQuery: query, sums: make(map[sumPlace]*store.Counts)}
		if err := reading.read(ctx); err != nil {
			return err
		}
		sums = reading.list()
		return nil
	})
	return sums, err
}

// exec is for a statement of a querier that returns no rows.
func exec(ctx context.Context, q querier, query string, args ...any) error {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

// loadTypes reads the tenant's types.
func (q *summing) loadTypes(ctx context.Context) error {
	q.numbers, q.types = make(map[string]int32), []string{""}
	rows, err := q.Query(ctx, typesOfSQL, q.Tenant)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var number int32
		if err := rows.Scan(&name, &number); err != nil {
			return err
		}
		q.numbers[name] = number
		for int(number) >= len(q.types) {
			q.types = append(q.types, "")
		}
		q.types[number] = name
	}
	return rows.Err()
}

// read adds up what is stored under the unit, what is under a shorter one only, and what
// is in the journal.
func (q *summing) read(ctx context.Context) error {
	if err := q.loadTypes(ctx); err != nil {
		return err
	}
	p, err := readProgress(ctx, q)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		unit  store.Unit
		after place
	}{{store.Day, nowhere}, {store.Hour, p[daysOf]}, {store.Minute, p[hoursOf]}} {
		if part.unit > q.Unit {
			continue
		}
		if part.unit == q.Unit {
			part.after = nowhere
		}
		if err := q.readUnit(ctx, part.unit, part.after, p[dropOf(part.unit)]); err != nil {
			return err
		}
	}
	return q.readJournal(ctx)
}

// readUnit adds the rollups of a unit that are behind a place.
func (q *summing) readUnit(ctx context.Context, unit store.Unit, after, dropped place) error {
	var least, most *int64
	if err := scanOne(ctx, q, startsSQL, []any{unit, dropped.start}, &least, &most); err != nil || least == nil || most == nil {
		return err
	}
	query, args := sumsOfTenantSQL, []any{
		unit, max(startOf(unit, q.From), after.start, *least), min(startOf(unit, q.To), *most+1), q.Tenant,
	}
	if q.Endpoint != 0 {
		query, args = sumsOfEndpointSQL, append(args, q.Endpoint)
	}
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		at := place{tenant: q.Tenant}
		var counts []byte
		if err := rows.Scan(&at.start, &at.endpoint, &at.typ, &counts); err != nil {
			return err
		}
		if at.compare(after) <= 0 || int(at.typ) >= len(q.types) {
			continue
		}
		if name := q.types[at.typ]; q.Type == "" || q.Type == name {
			stored, err := tally.Decode(counts)
			if err != nil {
				return err
			}
			q.at(at.in(unit, q.Unit).start, name).Add(&stored)
		}
	}
	return rows.Err()
}

// readJournal adds what is not in the rollups yet. Types that are new in it are counted
// apart as they will be when it is folded.
func (q *summing) readJournal(ctx context.Context) error {
	from, to := startOf(store.Minute, q.From), startOf(store.Minute, q.To)
	var damaged error
	err := journalRows(ctx, q, everyTurn, func(_ int64, entries []byte) error {
		err := walkEntries(entries, func(at countedAt, counts []byte) ([]byte, error) {
			if at.tenant != q.Tenant {
				return tally.Skip(counts)
			}
			name := q.countedAs(at.eventType)
			if at.minute < from || at.minute >= to || q.Endpoint != 0 && at.endpoint != q.Endpoint || q.Type != "" && q.Type != name {
				return tally.Skip(counts)
			}
			return tally.Add(counts, q.at(place{start: at.minute}.in(store.Minute, q.Unit).start, name))
		})
		damaged = cmp.Or(damaged, err)
		return nil
	})
	return cmp.Or(err, damaged)
}

// countedAs is the type that one is counted as.
func (q *summing) countedAs(name string) string {
	if q.numbers[name] == 0 {
		if len(q.numbers) >= store.MaxTypes {
			return ""
		}
		q.numbers[name] = int32(len(q.numbers) + 1) //nolint:gosec // at most MaxTypes
	}
	return name
}

// at is the sum that a start of the query's unit belongs to.
func (q *summing) at(start int64, typ string) *store.Counts {
	var where sumPlace
	if q.Each {
		where.start = start
	}
	if q.ByType {
		where.typ = typ
	}
	if q.sums[where] == nil {
		q.sums[where] = new(store.Counts)
	}
	return q.sums[where]
}

func (q *summing) list() (sums []store.Sum) {
	for where, counts := range q.sums {
		if *counts == (store.Counts{}) {
			continue
		}
		sum := store.Sum{Type: where.typ, Counts: *counts}
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

// scanOne reads the one row of a statement.
func scanOne(ctx context.Context, q querier, query string, args []any, into ...any) error {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	_, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, row.Scan(into...) })
	return err
}
