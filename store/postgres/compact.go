package postgres

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
)

const (
	// settled is for how long after its end a unit is left alone: what was under way then
	// comes in, and is not written twice.
	settled = 5 * time.Minute
	// compactPart is how many rollups a part of the upkeep looks at.
	compactPart = 2048
)

// CompactRollups does a part of the upkeep that is due at now. Where another node is about
// to do it there is nothing to do.
func (s *Store) CompactRollups(ctx context.Context, now time.Time) (more bool, err error) {
	folded := false
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if mine, err := first(ctx, tx, pgx.RowTo[bool], foldingSQL); err != nil || !mine {
			return err
		}
		return changeRollups(ctx, tx, func(ctx context.Context, f *folding) error {
			if more, err = f.fold(ctx, turnOf(now)); err != nil || more {
				return err
			}
			folded = true
			more, err = f.compact(ctx, now)
			return err
		})
	})
	if err == nil && folded {
		err = errors.Join(s.emptyJournal(ctx, now), s.turnPublished(ctx, now), s.renew(ctx))
	}
	if err != nil {
		return false, err
	}
	return more, nil
}

// compact does the first of these that has something to do.
func (f *folding) compact(ctx context.Context, now time.Time) (bool, error) {
	for _, do := range []func(context.Context, time.Time) (bool, error){
		f.makeHours, f.makeDays, f.dropMinutes, f.dropHours, f.dropDays,
	} {
		if did, err := do(ctx, now); err != nil || did {
			return did, err
		}
	}
	return false, nil
}

// makeHours adds minutes to their hours.
func (f *folding) makeHours(ctx context.Context, now time.Time) (bool, error) {
	end := startOf(store.Hour, now.Add(-settled)) * int64(store.Hour.Length()/store.Minute.Length())
	return f.lengthen(ctx, store.Minute, hoursOf, end, func(to map[unitPlace]*store.Counts, at place, counts *store.Counts) {
		f.addHour(to, at.in(store.Minute, store.Hour), counts)
	})
}

// makeDays adds hours to their days.
func (f *folding) makeDays(ctx context.Context, now time.Time) (bool, error) {
	end := startOf(store.Day, now.Add(-settled)) * int64(store.Day.Length()/store.Hour.Length())
	return f.lengthen(ctx, store.Hour, daysOf, end, func(to map[unitPlace]*store.Counts, at place, counts *store.Counts) {
		addAt(to, unitPlace{store.Day, at.in(store.Hour, store.Day)}, counts)
	})
}

const compactSQL = `SELECT start, tenant, endpoint, type, counts FROM rollup
	WHERE unit = $1 AND (start, tenant, endpoint, type) > ($2, $3, $4, $5) AND start < $6
	ORDER BY start, tenant, endpoint, type LIMIT $7`

// lengthen adds rollups of a unit, behind where a step has come to and before end, to those
// of a longer one.
func (f *folding) lengthen(ctx context.Context, from store.Unit, step int, end int64, add func(map[unitPlace]*store.Counts, place, *store.Counts)) (bool, error) {
	done := f.progress[step]
	if done.start >= end-1 {
		return false, nil
	}
	changes, last, read := make(map[unitPlace]*store.Counts), done, 0
	rows, err := f.Query(ctx, compactSQL, from, done.start, done.tenant, done.endpoint, done.typ, end, compactPart)
	if err != nil {
		return false, err
	}
	var at place
	var stored []byte
	if _, err := pgx.ForEachRow(rows, []any{&at.start, &at.tenant, &at.endpoint, &at.typ, &stored}, func() error {
		last = at
		read++
		counts, err := tally.Decode(stored)
		if err == nil {
			add(changes, at, &counts)
		}
		return tally.UnlessDamaged(err)
	}); err != nil {
		return false, err
	}
	if read < compactPart { // that was all there is before the end
		last = endOf(end - 1)
	}
	f.move(step, last)
	return true, f.add(ctx, changes)
}

func (f *folding) dropMinutes(ctx context.Context, now time.Time) (bool, error) {
	return f.drop(ctx, store.Minute, now, f.progress[hoursOf].start)
}

func (f *folding) dropHours(ctx context.Context, now time.Time) (bool, error) {
	return f.drop(ctx, store.Hour, now, f.progress[daysOf].start)
}

func (f *folding) dropDays(ctx context.Context, now time.Time) (bool, error) {
	return f.drop(ctx, store.Day, now, math.MaxInt64)
}

const (
	dropBoundSQL = `SELECT start, tenant, endpoint, type FROM rollup
		WHERE unit = $1 AND (start, tenant, endpoint, type) > ($2, $3, $4, $5) AND start < $6
		ORDER BY start, tenant, endpoint, type LIMIT 1 OFFSET $7`
	dropSQL = `DELETE FROM rollup WHERE unit = $1
		AND (start, tenant, endpoint, type) > ($2, $3, $4, $5) AND (start, tenant, endpoint, type) <= ($6, $7, $8, $9)`
)

// drop deletes rollups that have been kept for their time, and are before an end. It goes on
// where it came to, so that it does not look at those again that it has deleted.
func (f *folding) drop(ctx context.Context, unit store.Unit, now time.Time, end int64) (bool, error) {
	end = min(end, startOf(unit, now.Add(-unit.Kept())))
	step := dropOf(unit)
	done := f.progress[step]
	if done.start >= end-1 {
		return false, nil
	}
	bound, err := all(ctx, f, func(row pgx.CollectableRow) (at place, err error) {
		return at, row.Scan(&at.start, &at.tenant, &at.endpoint, &at.typ)
	}, dropBoundSQL, unit, done.start, done.tenant, done.endpoint, done.typ, end, compactPart-1)
	if err != nil {
		return false, err
	}
	last := endOf(end - 1)
	if len(bound) > 0 {
		last = bound[0]
	}
	dropped, err := f.Exec(ctx, dropSQL, unit, done.start, done.tenant, done.endpoint, done.typ, last.start, last.tenant, last.endpoint, last.typ)
	if err != nil {
		return false, err
	}
	f.move(step, last)
	return dropped.RowsAffected() > 0, nil
}
