package httpapi

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// limited is the part of a list's query that sets the length of a page.
type limited struct {
	Limit opt[int64] `query:"limit" is:"max=250,default=50" doc:"How many items a page may have. 0 only tells whether there are any."`
}

// listOut is a page. Iterator leads to the next one and PrevIterator to the one before,
// both exclusive.
type listOut[T any] struct {
	Data         []T     `json:"data" doc:"The items of the page."`
	Iterator     *string `json:"iterator" eg:"…" doc:"Leads to the next page; null where there is nothing to go on from."`
	PrevIterator string  `json:"prevIterator,omitzero" eg:"-…" doc:"Leads to the page before."`
	Done         bool    `json:"done" doc:"There is nothing further in the direction walked. A filtered page may be short, or empty, before that."`
}

const badIteratorText = "must be an iterator or prevIterator that this list gave"

// badIterator is for an iterator that looks like one and was never given out.
func badIterator(err error) error {
	if !errors.Is(err, webhook.ErrMalformedID) {
		return err
	}
	var bad faults
	bad.add(badIteratorText, "query", "iterator")
	return bad.err()
}

// walk is a page as asked for. A list has one order; an iterator that begins with "-"
// walks against it, and the page is turned round before it is shown.
type walk struct {
	neohook.Page
	// at is the iterator, without its sign.
	at       string
	backward bool
	// peek is a page of no items, which tells only whether there are any.
	peek bool
	// prefix is that of the list's ids, and from and to are the times that it is narrowed
	// to, inclusive; zero for a list that is not by time.
	prefix   string
	from, to time.Time
}

func walkOf(limit opt[int64], iterator opt[string], descending bool) walk {
	at, backward := strings.CutPrefix(iterator.Value, "-")
	w := walk{at: at, backward: backward}
	w.Page = neohook.Page{After: at, Descending: descending != backward, Limit: int(limit.Value)}
	if w.Limit == 0 {
		w.peek, w.Limit = true, 1
	}
	return w
}

// turned is the same walk with its page read against the list's order.
func (w walk) turned() walk {
	w.backward, w.Descending = !w.backward, !w.Descending
	return w
}

// listed shows a page. id is an item's iterator.
//
// A filtered page may be short, or empty, before the list is done: its iterators then
// lead on from the last item that was examined.
func listed[D, W any](w walk, got neohook.List[D], id func(*D) string, show func(*D) W) listOut[W] {
	if w.peek {
		return listOut[W]{Data: []W{}, Done: (got.Done || w.beyond(got.Last)) && len(got.Items) == 0}
	}
	items := got.Items
	if w.backward {
		items = slices.Clone(items)
		slices.Reverse(items)
	}
	out := listOut[W]{Data: make([]W, len(items)), Done: got.Done || w.beyond(got.Last)}
	for i := range items {
		out.Data[i] = show(&items[i])
	}
	var first, last string
	if len(items) > 0 {
		first, last = id(&items[0]), id(&items[len(items)-1])
	}
	if !out.Done && got.Last != "" {
		if w.backward {
			first = got.Last
		} else {
			last = got.Last
		}
	}
	if last != "" {
		out.Iterator = &last
	}
	if first != "" {
		out.PrevIterator = "-" + first
	}
	return out
}

// span is the part of a query that bounds a list by time.
type span struct {
	Before opt[time.Time] `query:"before" doc:"Only what is older than this; the list then goes 90 days back from it." eg:"2026-01-02T15:04:05Z"`
	After  opt[time.Time] `query:"after" doc:"Only what is newer than this; alone, the page holds the oldest items after it, at most 90 days on."`
}

// reach is how far from what it was asked for a list by time goes in one request.
const reach = 90 * 24 * time.Hour

// clockSkew is how far in the future a listed item may lie.
const clockSkew = time.Hour

// resolution is that of stored times.
const resolution = time.Microsecond

// over narrows a walk to the times that were asked for. It goes at most 90 days from
// each of: before, after, the iterator, and the present where none of these is given.
//
// With nothing but after, the page holds the oldest items behind it: the walk is turned.
func (w walk) over(s span, prefix string, now time.Time) walk {
	w.prefix, w.to = prefix, now.Add(clockSkew)
	raise := func(at time.Time) { w.from = later(w.from, at) }
	lower := func(at time.Time) { w.to = earlier(w.to, at) }
	if s.Before.Given {
		lower(s.Before.Value.Add(-1).Truncate(resolution))
		raise(s.Before.Value.Add(-reach))
	}
	if s.After.Given {
		raise(s.After.Value.Truncate(resolution).Add(resolution))
		lower(s.After.Value.Add(reach))
	}
	raw, err := webhook.ParseRawID(prefix, w.at)
	switch {
	case err == nil && w.backward:
		lower(raw.Time().Add(reach))
	case err == nil:
		raise(raw.Time().Add(-reach))
	case s.After.Given && !s.Before.Given:
		return w.turned()
	case !s.After.Given && !s.Before.Given:
		raise(now.Add(-reach))
	}
	return w
}

// outOfStep is how much earlier than its neighbours an item may be dated. Attempts are
// listed as they were recorded and dated by their start; clocks are set back.
const outOfStep = time.Hour

// beyond says that a walk by time that has come to the id last has left what it is
// narrowed to: nothing further will match, however much is there.
func (w walk) beyond(last string) bool {
	raw, err := webhook.ParseRawID(w.prefix, last)
	if err != nil || w.prefix == "" {
		return false
	}
	if w.Descending {
		return raw.Time().Before(w.from.Add(-outOfStep))
	}
	return raw.Time().After(w.to.Add(outOfStep))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
