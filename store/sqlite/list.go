package sqlite

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/neohook/neohook/store"
)

// walk chooses between the two directions of a query, and gives the key to start behind.
func walk(page store.Page, up, down string) (query string, after int64) {
	switch {
	case !page.Descending:
		return up, page.After
	case page.After == 0:
		return down, math.MaxInt64
	}
	return down, page.After
}

// dates are of rows whose keys ascend with a time.
type dates struct {
	keysSQL string // their lowest and highest key
	atSQL   string // key and time of the first one at a key or behind it
}

var (
	acceptance = dates{
		`SELECT (SELECT min(key) FROM event), (SELECT max(key) FROM event)`,
		`SELECT key, accepted_at FROM event WHERE key >= ? ORDER BY key LIMIT 1`,
	}
	beginning = dates{
		`SELECT (SELECT min(key) FROM attempt), (SELECT max(key) FROM attempt)`,
		`SELECT key, started_at FROM attempt WHERE key >= ? ORDER BY key LIMIT 1`,
	}
)

// bounds returns the keys between which a walk has to go that is narrowed to a time: it
// goes on behind after, and up to until, inclusive.
func bounds(ctx context.Context, c *conn, of dates, page store.Page, from, to time.Time) (after, until int64, err error) {
	lowest, highest := int64(1), int64(math.MaxInt64-1)
	if !from.IsZero() {
		if lowest, err = of.from(ctx, c, from.Add(-store.ClockStep)); err != nil {
			return 0, 0, err
		}
	}
	if !to.IsZero() {
		behind, err := of.from(ctx, c, to.Add(store.ClockStep+time.Microsecond))
		if err != nil {
			return 0, 0, err
		}
		highest = behind - 1
	}
	if page.Descending {
		_, after = walk(page, "", "")
		return min(after, highest+1), lowest, nil
	}
	return max(page.After, lowest-1), highest, nil
}

// from returns a key with the rows below it dated before an instant, and the others not, as
// far as clocks ran evenly. It halves the keys until it is found.
func (of dates) from(ctx context.Context, c *conn, at time.Time) (int64, error) {
	type pair struct{ key, value int64 }
	scan := func(r *row) pair { return pair{r.int(), r.int()} }
	keys, err := first(ctx, c, scan, of.keysSQL)
	if err != nil {
		return 0, err
	}
	from, behind := keys.key, keys.value+1
	for from < behind {
		middle := from + (behind-from)/2
		found, err := first(ctx, c, scan, of.atSQL, middle)
		switch {
		case errors.Is(err, store.ErrNotFound): // they are gone
			behind = middle
		case err != nil:
			return 0, err
		case found.value < micros(at):
			from = found.key + 1
		default:
			behind = middle
		}
	}
	return behind, nil
}

// mostExamined bounds what one page of a filtered list reads.
const mostExamined = 1000

// listing is what a filtered list needs to know of its items.
type listing[T any] struct {
	scan  func(*row) T
	match func(*T) bool
	place func(*T) (key int64, at time.Time)
}

// list examines rows until it has limit items, has read as many as it may, or the query
// ends.
func list[T any](ctx context.Context, c *conn, limit int, of listing[T], query string, args ...any) (store.Listed[T], error) {
	var page store.Listed[T]
	for r, err := range c.rows(ctx, query, args...) {
		if err != nil {
			return store.Listed[T]{}, err
		}
		if len(page.Items) >= limit || page.Examined == mostExamined {
			return page, nil
		}
		page.Examined++
		item := of.scan(r)
		if r.err != nil {
			return store.Listed[T]{}, r.err
		}
		page.Last, page.LastAt = of.place(&item)
		if of.match(&item) {
			page.Items = append(page.Items, item)
		}
	}
	page.Done = true
	return page, nil
}
