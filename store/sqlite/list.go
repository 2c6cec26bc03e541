package sqlite

import (
	"context"
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
	examined := 0
	for r, err := range c.rows(ctx, query, args...) {
		if err != nil {
			return store.Listed[T]{}, err
		}
		if len(page.Items) >= limit || examined == mostExamined {
			return page, nil
		}
		examined++
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
