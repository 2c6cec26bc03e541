package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
)

// What transactions count is first written down in a journal, a row for each transaction,
// by as many nodes as there are: to add it to the rollups at once would have them wait for
// each other. Folding takes whole rows out of the journal and adds them to the rollups in
// one transaction, so each number is in one place only. One transaction folds at a time.

const (
	// foldingSQL lets one transaction fold, and says whether it is this one.
	foldingSQL = `SELECT pg_try_advisory_xact_lock(hashtextextended('neohook rollups ' || current_schema(), 0))`

	journalSQL       = `SELECT number, entries FROM rollup_journal WHERE turn <> $1 ORDER BY number`
	deleteJournalSQL = `DELETE FROM rollup_journal WHERE number = ANY ($1)`
)

// everyTurn is none: all others than it are all.
const everyTurn = math.MinInt64

// mostFolded bounds how many places are folded together.
const mostFolded = 1 << 12

// errEnough ends a walk.
var errEnough = errors.New("enough")

// journalRows gives each row of the journal, but for those of one turn, to each, until that
// returns errEnough or another error.
func journalRows(ctx context.Context, q querier, but int64, each func(number int64, entries []byte) error) error {
	rows, err := q.Query(ctx, journalSQL, but)
	if err != nil {
		return err
	}
	var number int64
	var entries []byte
	_, err = pgx.ForEachRow(rows, []any{&number, &entries}, func() error { return each(number, entries) })
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// walkEntries gives each entry of a row to each, which returns what is behind its counts.
func walkEntries(entries []byte, each func(at countedAt, counts []byte) (rest []byte, err error)) error {
	for len(entries) > 0 {
		at, counts, err := nextCountedAt(entries)
		if err != nil {
			return err
		}
		if entries, err = each(at, counts); err != nil {
			return err
		}
	}
	return nil
}

func readable(entries []byte) bool {
	return walkEntries(entries, func(_ countedAt, counts []byte) ([]byte, error) {
		return tally.Add(counts, new(store.Counts))
	}) == nil
}

// folding is a transaction that changes rollups, alone.
type folding struct {
	pgx.Tx
	progress
	numbers map[store.TenantKey]map[string]int32 // of types
	moved   [allSteps + 1]bool                   // progress that is to be written
}

// fold adds rows of the journal to the rollups, but for those of one turn. More says that
// there may be others. A row that is damaged stays, to tell readers, until a recount.
func (f *folding) fold(ctx context.Context, but int64) (more bool, err error) {
	sums := make(map[countedAt]*store.Counts)
	var order []countedAt
	var folded []int64
	err = journalRows(ctx, f, but, func(number int64, entries []byte) error {
		if !readable(entries) {
			return nil
		}
		if len(sums) >= mostFolded {
			more = true
			return errEnough
		}
		folded = append(folded, number)
		return walkEntries(entries, func(at countedAt, counts []byte) ([]byte, error) {
			if sums[at] == nil {
				sums[at] = new(store.Counts)
				order = append(order, at)
			}
			return tally.Add(counts, sums[at])
		})
	})
	if err != nil || len(folded) == 0 {
		return false, err
	}
	if err := f.numberTypes(ctx, order); err != nil {
		return false, err
	}
	changes := make(map[unitPlace]*store.Counts)
	for _, at := range order {
		f.addMinute(changes, place{at.minute, at.tenant, at.endpoint, f.numbers[at.tenant][at.eventType]}, sums[at])
	}
	if err := f.add(ctx, changes); err != nil {
		return false, err
	}
	_, err = f.Exec(ctx, deleteJournalSQL, folded)
	return more, err
}

const (
	typesOfManySQL = `SELECT tenant, type, number FROM rollup_type WHERE tenant = ANY ($1)`
	insertTypesSQL = `INSERT INTO rollup_type (tenant, type, number) SELECT * FROM unnest($1::bigint[], $2::text[], $3::integer[])`
)

// numberTypes sees to it that the first types of each tenant have their numbers.
func (f *folding) numberTypes(ctx context.Context, counted []countedAt) error {
	var unknown []store.TenantKey
	for _, at := range counted {
		if f.numbers[at.tenant] == nil {
			f.numbers[at.tenant] = make(map[string]int32)
			unknown = append(unknown, at.tenant)
		}
	}
	rows, err := f.Query(ctx, typesOfManySQL, unknown)
	if err != nil {
		return err
	}
	var tenant store.TenantKey
	var name string
	var number int32
	if _, err := pgx.ForEachRow(rows, []any{&tenant, &name, &number}, func() error {
		f.numbers[tenant][name] = number
		return nil
	}); err != nil {
		return err
	}
	var fresh []numberedType
	for _, at := range counted {
		of := f.numbers[at.tenant]
		if _, known := of[at.eventType]; known || len(of) >= store.MaxTypes {
			continue
		}
		of[at.eventType] = int32(len(of) + 1) //nolint:gosec // at most MaxTypes
		fresh = append(fresh, numberedType{at.tenant, at.eventType, of[at.eventType]})
	}
	return insertTypes(ctx, f, fresh)
}

// numberedType is a row of rollup_type.
type numberedType struct {
	tenant store.TenantKey
	name   string
	number int32
}

func insertTypes(ctx context.Context, tx pgx.Tx, types []numberedType) error {
	if len(types) == 0 {
		return nil
	}
	var tenants []int64
	var names []string
	var numbers []int32
	for _, t := range types {
		tenants, names, numbers = append(tenants, int64(t.tenant)), append(names, t.name), append(numbers, t.number)
	}
	_, err := tx.Exec(ctx, insertTypesSQL, tenants, names, numbers)
	return err
}

// addMinute adds counts to the rollup of a minute, and to those of what was made of it
// already.
func (f *folding) addMinute(to map[unitPlace]*store.Counts, at place, counts *store.Counts) {
	addAt(to, unitPlace{store.Minute, at}, counts)
	if at.compare(f.progress[hoursOf]) <= 0 {
		f.addHour(to, at.in(store.Minute, store.Hour), counts)
	}
}

// addHour is addMinute for an hour.
func (f *folding) addHour(to map[unitPlace]*store.Counts, at place, counts *store.Counts) {
	addAt(to, unitPlace{store.Hour, at}, counts)
	if at.compare(f.progress[daysOf]) <= 0 {
		addAt(to, unitPlace{store.Day, at.in(store.Hour, store.Day)}, counts)
	}
}

func addAt(to map[unitPlace]*store.Counts, at unitPlace, counts *store.Counts) {
	if to[at] == nil {
		to[at] = new(store.Counts)
	}
	to[at].Add(counts)
}

// keys are those of rollups, as columns.
type keys struct {
	units     []int16
	starts    []int64
	tenants   []int64
	endpoints []int64
	types     []int32
}

func (k *keys) append(at unitPlace) {
	k.units, k.starts = append(k.units, int16(at.unit)), append(k.starts, at.start)
	k.tenants, k.endpoints, k.types = append(k.tenants, int64(at.tenant)), append(k.endpoints, int64(at.endpoint)), append(k.types, at.typ)
}

const (
	rollupKeys = `unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[])`
	rollupsSQL = `SELECT asked.place - 1, counts
		FROM ` + rollupKeys + ` WITH ORDINALITY AS asked (unit, start, tenant, endpoint, type, place)
		JOIN rollup USING (unit, start, tenant, endpoint, type)`
	putRollupsSQL = `INSERT INTO rollup (unit, start, tenant, endpoint, type, counts)
		SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::bytea[])
		ON CONFLICT (unit, start, tenant, endpoint, type) DO UPDATE SET counts = excluded.counts`
	deleteRollupsSQL = `DELETE FROM rollup USING ` + rollupKeys + ` AS gone (unit, start, tenant, endpoint, type)
		WHERE rollup.unit = gone.unit AND rollup.start = gone.start AND rollup.tenant = gone.tenant
			AND rollup.endpoint = gone.endpoint AND rollup.type = gone.type`
)

// add adds to rollups.
func (f *folding) add(ctx context.Context, changes map[unitPlace]*store.Counts) error {
	places := make([]unitPlace, 0, len(changes))
	var asked keys
	for at := range changes {
		places = append(places, at)
	}
	slices.SortFunc(places, unitPlace.compare)
	for _, at := range places {
		asked.append(at)
	}
	rows, err := f.Query(ctx, rollupsSQL, asked.units, asked.starts, asked.tenants, asked.endpoints, asked.types)
	if err != nil {
		return err
	}
	var nth int
	var stored []byte
	if _, err := pgx.ForEachRow(rows, []any{&nth, &stored}, func() error {
		before, err := tally.Decode(stored)
		if err != nil {
			delete(changes, places[nth]) // it is left as it is
			return tally.UnlessDamaged(err)
		}
		changes[places[nth]].Add(&before)
		return nil
	}); err != nil {
		return err
	}
	return f.put(ctx, changes)
}

// put replaces rollups. One that comes to nothing is deleted.
func (f *folding) put(ctx context.Context, sums map[unitPlace]*store.Counts) error {
	places := make([]unitPlace, 0, len(sums))
	for at := range sums {
		places = append(places, at)
	}
	slices.SortFunc(places, unitPlace.compare)
	var some, none keys
	var counts [][]byte
	for _, at := range places {
		if *sums[at] == (store.Counts{}) {
			none.append(at)
			continue
		}
		some.append(at)
		counts = append(counts, tally.Append(nil, sums[at]))
		f.unlessDropped(at)
	}
	if len(counts) > 0 {
		if _, err := f.Exec(ctx, putRollupsSQL, some.units, some.starts, some.tenants, some.endpoints, some.types, counts); err != nil {
			return err
		}
	}
	if len(none.units) == 0 {
		return nil
	}
	_, err := f.Exec(ctx, deleteRollupsSQL, none.units, none.starts, none.tenants, none.endpoints, none.types)
	return err
}

// unlessDropped sees to it that a rollup that is written where those beyond their time have
// been deleted will be, too.
func (f *folding) unlessDropped(at unitPlace) {
	step := dropOf(at.unit)
	if at.compare(unitPlace{at.unit, f.progress[step]}) <= 0 {
		f.move(step, endOf(at.start-1))
	}
}

// move changes how far a step has come.
func (f *folding) move(step int, to place) { f.progress[step], f.moved[step] = to, true }

const advanceSQL = `UPDATE rollup_progress SET start = $2, tenant = $3, endpoint = $4, type = $5 WHERE step = $1`

func (f *folding) saveProgress(ctx context.Context) error {
	for step, moved := range f.moved {
		if !moved {
			continue
		}
		to := f.progress[step]
		if _, err := f.Exec(ctx, advanceSQL, step, to.start, to.tenant, to.endpoint, to.typ); err != nil {
			return err
		}
	}
	return nil
}

// changeRollups lets do change rollups in a transaction that holds the right to.
func changeRollups(ctx context.Context, tx pgx.Tx, do func(context.Context, *folding) error) (err error) {
	f := &folding{Tx: tx, numbers: make(map[store.TenantKey]map[string]int32)}
	if f.progress, err = readProgress(ctx, tx); err != nil {
		return err
	}
	if err := do(ctx, f); err != nil {
		return err
	}
	return f.saveProgress(ctx)
}

// emptyJournal gives back the room of the parts of the journal that nothing is left in and
// whose turn it is not. Deleted rows are kept for the oldest transaction of all, whosever
// that is; a part that is emptied has none. It waits for nobody for long.
func (s *Store) emptyJournal(ctx context.Context, now time.Time) error {
	const worthIt = 1 << 17
	for part := range int64(journalParts) {
		if part == partOf(turnOf(now)) {
			continue
		}
		table := fmt.Sprintf("rollup_journal_%d", part)
		size, err := readFirst(ctx, s, scanKey, `SELECT pg_relation_size($1::text::regclass)`, table)
		if err != nil {
			return err
		}
		if size < worthIt {
			continue
		}
		err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '50ms'; LOCK TABLE ONLY `+table+` IN ACCESS EXCLUSIVE MODE`); err != nil {
				return err
			}
			if left, err := first(ctx, tx, pgx.RowTo[bool], `SELECT EXISTS (SELECT 1 FROM `+table+`)`); err != nil || left {
				return err
			}
			_, err := tx.Exec(ctx, `TRUNCATE `+table)
			return err
		})
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == lockNotAvailable {
			continue // it will be tried again
		}
		if err != nil {
			return err
		}
	}
	return nil
}
