package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// A list is a walk through an index that begins with the list's owner and ends with the key.
// Its condition compares rows, (owner, key) > ($1, above) AND (owner, key) < ($1, below), and
// it is ordered by both. It does not say owner = $1: then the order would be that of the key
// alone, which the primary key has too, and where PostgreSQL thinks that an owner has many
// rows it goes through everybody's until it has found enough.

// between are the keys that a walk has to go through, both exclusive.
type between struct{ above, below int64 }

func (b between) walk(page store.Page) between {
	switch {
	case !page.Descending:
		b.above = max(b.above, page.After)
	case page.After != 0:
		b.below = min(b.below, page.After)
	}
	return b
}

// behind is what is left of a walk once it has come to a key.
func (b between) behind(key int64, descending bool) between {
	if descending {
		b.below = key
	} else {
		b.above = key
	}
	return b
}

// everything are the keys that there can be.
var everything = between{0, math.MaxInt64}

// ways are the two directions of a query.
type ways struct{ up, down string }

func (w ways) of(page store.Page) string {
	if page.Descending {
		return w.down
	}
	return w.up
}

// readPage reads a list that has no filter. Behind args the query takes the keys that it is
// between, and its limit.
func readPage[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], query ways, page store.Page, args ...any) ([]T, error) {
	keys := everything.walk(page)
	return readAll(ctx, s, scan, query.of(page), append(args, keys.above, keys.below, page.Limit)...)
}

// mostExamined bounds what one page of a filtered list looks at.
const mostExamined = 1000

// part is what was read of a list at a time: some rows, and the key up to which they are all
// that there were. A row that is of nothing any more is passed over.
type part[T any] struct {
	items []T
	last  int64
	more  bool // there may be, behind last
}

// listing is what a filtered list needs to know of its items.
type listing[T any] struct {
	// read reads up to limit of the rows between keys.
	read  func(ctx context.Context, keys between, limit int) (part[T], error)
	match func(*T) bool
	place func(*T) (key int64, at time.Time)
}

// list looks at rows until it has as many as a page holds and knows whether there is another
// one, or has looked at as many as it may. It reads one more than the page may hold at first,
// as mostly these match, and then more at a time.
func list[T any](ctx context.Context, page store.Page, keys between, of listing[T]) (store.Listed[T], error) {
	var listed store.Listed[T]
	for limit := min(page.Limit, mostExamined) + 1; ; limit = min(4*limit, mostExamined-listed.Examined+1) {
		got, err := of.read(ctx, keys, limit)
		if err != nil {
			return store.Listed[T]{}, err
		}
		for i := range got.items {
			if len(listed.Items) >= page.Limit || listed.Examined == mostExamined {
				return listed, nil
			}
			listed.Examined++
			listed.Last, listed.LastAt = of.place(&got.items[i])
			if of.match(&got.items[i]) {
				listed.Items = append(listed.Items, got.items[i])
			}
		}
		if !got.more {
			listed.Done = true
			return listed, nil
		}
		keys = keys.behind(got.last, page.Descending)
	}
}

// plain reads the parts of a list from one query, which takes, behind args, the keys that it
// is between, and its limit.
func plain[T any](q querier, scan pgx.RowToFunc[T], query string, place func(*T) (int64, time.Time), args ...any) func(context.Context, between, int) (part[T], error) {
	return func(ctx context.Context, keys between, limit int) (got part[T], err error) {
		got.items, err = all(ctx, q, scan, query, append(args[:len(args):len(args)], keys.above, keys.below, limit)...)
		if n := len(got.items); n > 0 {
			got.last, _ = place(&got.items[n-1])
			got.more = n == limit
		}
		return got, err
	}
}

// dates find the keys of a time, of rows whose keys ascend with it.
type dates struct {
	// fromSQL returns a key with the rows below it dated before an instant, which is its
	// first argument, and the others not, as far as clocks ran evenly.
	fromSQL string
	args    []any // behind the instant
}

// search makes the statement of dates. Its queries return a key and its date, as found and
// dated: of the first row, of the last one, and of the first from probe.key on.
//
// It guesses by the dates at both ends, which where events come evenly takes a few tries,
// and every second time it halves the keys, which takes no more than fifty or so. Each try
// is a look into every range where keys are not in order with those of events.
func search(first, last, from string) string {
	return `WITH RECURSIVE search (try, low, low_at, high, high_at) AS (
			SELECT 0, first.found, first.dated, last.found + 1, last.dated FROM (` + first + `) AS first, (` + last + `) AS last
			UNION ALL
			SELECT try + 1,
				CASE WHEN dated < $1 THEN found + 1 ELSE low END, CASE WHEN dated < $1 THEN dated ELSE low_at END,
				CASE WHEN dated < $1 THEN high ELSE key END, CASE WHEN dated < $1 THEN high_at ELSE coalesce(dated, high_at) END
			FROM search
			CROSS JOIN LATERAL (SELECT low + CASE
				WHEN try % 2 = 1 OR low_at >= high_at THEN (high - low) / 2
				WHEN $1 <= low_at THEN 0
				WHEN $1 >= high_at THEN high - low - 1
				ELSE least(high - low - 1, trunc((high - low) * extract(epoch FROM $1 - low_at) / extract(epoch FROM high_at - low_at))::bigint)
				END AS key) AS probe
			LEFT JOIN LATERAL (` + from + `) AS found ON true
			WHERE low < high
		)
		SELECT coalesce(min(high), 1) FROM search`
}

// between returns the keys of what lies in a time, give or take store.ClockStep.
func (d dates) between(ctx context.Context, q querier, from, to time.Time) (between, error) {
	keys := everything
	find := func(at time.Time) (int64, error) {
		return first(ctx, q, scanKey, d.fromSQL, append([]any{instant(at)}, d.args...)...)
	}
	if !from.IsZero() {
		lowest, err := find(from.Add(-store.ClockStep))
		if err != nil {
			return keys, err
		}
		keys.above = lowest - 1
	}
	if !to.IsZero() {
		behind, err := find(to.Add(store.ClockStep + time.Microsecond))
		if err != nil {
			return keys, err
		}
		keys.below = behind
	}
	return keys, nil
}
