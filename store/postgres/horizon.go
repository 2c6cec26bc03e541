package postgres

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// horizon bounds how far back rows are looked for by keys of a sequence, so that those which
// are gone, and which the database can't let go of while somebody's transaction is open, are
// not passed again each time.
type horizon struct {
	mu sync.Mutex
	// settled is a key up to which no further row can appear, and from the key to look
	// from.
	settled, from int64
	// ahead is where settled goes next, once the transactions of drawing have ended; 0 is
	// nowhere.
	ahead   int64
	drawing []string
	// anew counts how often all were to be looked for.
	anew int
}

// again has all looked for that there are.
func (h *horizon) again() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.from = 0
	h.anew++
}

// lowest is the key to look from.
func (h *horizon) lowest() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.from
}

// stride is how many keys are drawn before it is looked whether all up to the last one are
// settled: that many rows that are gone are passed again.
const stride = 256

// look finds rows by their keys of a sequence, which it has to be asked for from some key
// upwards. find returns the lowest that is of interest, 0 where there is none.
func (h *horizon) look(ctx context.Context, q querier, sequence string, find func(from int64) (lowest int64, err error)) error {
	drawn, err := first(ctx, q, scanKey, `SELECT last_value FROM `+sequence)
	if err != nil {
		return err
	}
	h.mu.Lock()
	if drawn < h.settled { // the database is one that has lost what was stored last
		h.settled, h.from, h.ahead = 0, 0, 0
	}
	from, settled, anew, ahead, waiting := h.from, h.settled, h.anew, h.ahead, slices.Clone(h.drawing)
	h.mu.Unlock()
	// What is settled is there when it is looked for: it is judged before.
	switch {
	case ahead != 0:
		waiting, err = all(ctx, q, pgx.RowTo[string], drawingSQL, sequence, waiting)
	case drawn >= settled+stride:
		ahead = drawn
		waiting, err = all(ctx, q, pgx.RowTo[string], drawingSQL, sequence, []string(nil))
	}
	if err != nil {
		return err
	}
	found, err := find(from)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.anew != anew || h.settled != settled {
		return nil // another one was faster
	}
	if h.ahead, h.drawing = ahead, waiting; ahead != 0 && len(waiting) == 0 {
		h.settled, h.ahead, h.drawing = ahead, 0, nil
	}
	if h.from = h.settled; found != 0 {
		h.from = min(found, h.settled)
	}
	return nil
}
