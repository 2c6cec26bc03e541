package sqlite

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
)

// settled is for how long after its end a unit is left alone: what was under way then
// comes in, and is not written twice.
const settled = 5 * time.Minute

// CompactRollups does a part of the upkeep that is due at now.
func (s *Store) CompactRollups(ctx context.Context, now time.Time) (more bool, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		more, err = w.compact(ctx, now)
		return err
	})
	if err != nil {
		return false, err
	}
	return more, nil
}

// compact does the first of these that has something to do.
func (w *writer) compact(ctx context.Context, now time.Time) (bool, error) {
	if _, err := w.loadRollups(ctx); err != nil {
		return false, err
	}
	for _, do := range []func(context.Context, time.Time) (bool, error){
		w.foldOld, w.makeHours, w.makeDays, w.dropMinutes, w.dropHours, w.dropDays,
	} {
		if did, err := do(ctx, now); err != nil || did {
			return did, err
		}
	}
	return false, nil
}

// foldOld folds a generation that is over, and that no transaction comes to fold.
func (w *writer) foldOld(ctx context.Context, now time.Time) (bool, error) {
	r := w.rollups
	if len(r.folding) == 0 && (r.rows == 0 || r.minute == minuteOf(micros(now))) {
		return false, nil
	}
	if len(r.folding) == 0 {
		if err := w.closeGeneration(ctx); err != nil {
			return false, err
		}
	}
	return true, w.fold(ctx, w.generation.part)
}

const compactSQL = `SELECT start, tenant, endpoint, type, counts FROM rollup
	WHERE unit = ?1 AND (start, tenant, endpoint, type) > (?2, ?3, ?4, ?5) AND start < ?6
	ORDER BY start, tenant, endpoint, type LIMIT ?7`

// makeHours adds minutes to their hours.
func (w *writer) makeHours(ctx context.Context, now time.Time) (bool, error) {
	end := startOf(store.Hour, now.Add(-settled)) * int64(store.Hour.Length()/store.Minute.Length())
	return w.lengthen(ctx, store.Minute, store.Hour, &w.rollups.inHours, hoursOf, end, w.addHour)
}

// makeDays adds hours to their days.
func (w *writer) makeDays(ctx context.Context, now time.Time) (bool, error) {
	end := startOf(store.Day, now.Add(-settled)) * int64(store.Day.Length()/store.Hour.Length())
	return w.lengthen(ctx, store.Hour, store.Day, &w.rollups.inDays, daysOf, end, func(ctx context.Context, at place, counts []byte) error {
		return w.addTo(ctx, store.Day, at, counts)
	})
}

// lengthen adds rollups of a unit, behind done and before end, to those of a longer one,
// and moves done.
func (w *writer) lengthen(ctx context.Context, from, to store.Unit, done *place, step, end int64, add func(context.Context, place, []byte) error) (bool, error) {
	if done.start >= end-1 {
		return false, nil
	}
	sums, last, read := make(map[place][]byte), *done, 0
	for r, err := range w.rows(ctx, compactSQL, int64(from), done.start, int64(done.tenant), int64(done.endpoint), done.typ, end, int64(w.generation.part)) {
		if err != nil {
			return false, err
		}
		last = scanPlace(r)
		read++
		if err := tally.UnlessDamaged(addAt(sums, last.in(from, to), r.blob())); err != nil {
			return false, err
		}
	}
	if read < w.generation.part { // that was all there is before the end
		last = place{end - 1, math.MaxInt64, math.MaxInt64, math.MaxInt64}
	}
	for _, sum := range inOrder(sums) {
		if err := add(ctx, sum.place, sum.counts); err != nil {
			return false, err
		}
	}
	*done = last
	return true, w.advance(ctx, step, last, 0)
}

func (w *writer) dropMinutes(ctx context.Context, now time.Time) (bool, error) {
	return w.drop(ctx, store.Minute, now, w.rollups.inHours.start)
}

func (w *writer) dropHours(ctx context.Context, now time.Time) (bool, error) {
	return w.drop(ctx, store.Hour, now, w.rollups.inDays.start)
}

func (w *writer) dropDays(ctx context.Context, now time.Time) (bool, error) {
	return w.drop(ctx, store.Day, now, math.MaxInt64)
}

const (
	dropBoundSQL = `SELECT start, tenant, endpoint, type FROM rollup WHERE unit = ? AND start < ?
		ORDER BY start, tenant, endpoint, type LIMIT 1 OFFSET ?`
	dropSQL   = `DELETE FROM rollup WHERE unit = ? AND start < ?`
	dropUpSQL = `DELETE FROM rollup WHERE unit = ?1 AND start <= ?2 AND (start, tenant, endpoint, type) <= (?2, ?3, ?4, ?5)`
)

// drop deletes rollups that have been kept for their time, and are before an end.
func (w *writer) drop(ctx context.Context, unit store.Unit, now time.Time, end int64) (bool, error) {
	end = min(end, startOf(unit, now.Add(-unit.Kept())))
	last, err := first(ctx, w.conn, scanPlace, dropBoundSQL, int64(unit), end, int64(w.generation.part-1))
	var dropped int64
	switch {
	case errors.Is(err, store.ErrNotFound):
		dropped, err = w.exec(ctx, dropSQL, int64(unit), end)
	case err == nil:
		dropped, err = w.exec(ctx, dropUpSQL, int64(unit), last.start, int64(last.tenant), int64(last.endpoint), last.typ)
	}
	return dropped > 0, err
}
