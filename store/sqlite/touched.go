package sqlite

import (
	"cmp"
	"context"
	"slices"

	"github.com/neohook/neohook/store"
)

// spanned is one of the lists by owner that are in spans.
type spanned int

const (
	eventList spanned = iota
	historyList
	attemptList
	lists
)

var listSQL = [lists]struct {
	// touched is the owners and spans of what is kept of a range of events, with the latest
	// of its instants up to ?3, and an event that it is of.
	touched string
	owners  string // who has any between two strips
	drop    string
}{
	eventList: {
		owners: `SELECT DISTINCT tenant FROM event WHERE strip BETWEEN ? AND ?`,
		drop:   `DELETE FROM event_span WHERE tenant = ? AND span = ?`,
	},
	historyList: {
		touched: `SELECT endpoint, event >> 13, max(max(ended_at, ifnull(recovered_at, 0))), max(event) FROM history
			WHERE event BETWEEN ?1 AND ?2 AND ?3 GROUP BY 1, 2`,
		owners: `SELECT DISTINCT endpoint FROM history WHERE strip BETWEEN ? AND ?`,
		drop:   `DELETE FROM history_span WHERE endpoint = ? AND span = ?`,
	},
	attemptList: {
		touched: `SELECT endpoint, key >> 13, max(started_at), max(event) FROM attempt
			WHERE event BETWEEN ?1 AND ?2 AND started_at <= ?3 GROUP BY 1, 2`,
		owners: `SELECT DISTINCT endpoint FROM attempt WHERE strip BETWEEN ? AND ?`,
		drop:   `DELETE FROM attempt_span WHERE endpoint = ? AND span = ?`,
	},
}

// touched holds the owners of whose part of a span something was deleted, so that the parts
// that are empty can be forgotten: not at once, but some thousand deletions at a time. What
// is lost of it, by a crash, is an empty part that a walk has to look at.
type touched [lists]map[int64]map[int64]struct{}

// mostTouched bounds the spans of a list that are remembered while nobody sweeps.
const mostTouched = 1 << 12

func (t *touched) note(of spanned, owner, span int64) {
	if t[of] == nil || len(t[of]) >= mostTouched {
		t[of] = make(map[int64]map[int64]struct{})
	}
	if t[of][span] == nil {
		t[of][span] = make(map[int64]struct{})
	}
	t[of][span][owner] = struct{}{}
}

// touch is called before something is deleted that is kept of events, up to an instant. It
// returns the latest instant of it, by tenant.
func (w *writer) touch(ctx context.Context, of spanned, events []swept, until int64) (map[store.TenantKey]int64, error) {
	var latest map[store.TenantKey]int64
	for r, err := range w.rows(ctx, listSQL[of].touched, events[0].key, events[len(events)-1].key, until) {
		if err != nil {
			return nil, err
		}
		w.touched.note(of, r.int(), r.int())
		at, event := r.int(), r.int()
		i, _ := slices.BinarySearchFunc(events, event, func(ev swept, key int64) int { return cmp.Compare(ev.key, key) })
		if latest == nil {
			latest = make(map[store.TenantKey]int64)
		}
		latest[events[i].tenant] = max(latest[events[i].tenant], at)
	}
	return latest, nil
}

// tidy forgets the empty parts of a span, where more than spare spans are to be looked at. It
// says whether it did.
func (w *writer) tidy(ctx context.Context, spare int) (bool, error) {
	known := [lists]*spans{&w.eventSpans, &w.historySpans, &w.attemptSpans}
	for of, spans := range w.touched {
		if len(spans) <= spare {
			continue
		}
		for span, owners := range spans {
			const strips = 1 << (spanBits - stripBits)
			for r, err := range w.rows(ctx, listSQL[of].owners, span*strips, span*strips+strips-1) {
				if err != nil {
					return false, err
				}
				delete(owners, r.int())
			}
			for owner := range owners {
				if _, err := w.exec(ctx, listSQL[of].drop, owner, span); err != nil {
					return false, err
				}
				delete(known[of].known, ownedSpan{owner, span})
			}
			delete(spans, span)
			return true, nil
		}
	}
	return false, nil
}
