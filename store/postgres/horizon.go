package postgres

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// horizon bounds how far back signals are looked for, so that those which were ended, and
// which the database can't let go of while somebody's transaction is open, are not passed
// again each time.
type horizon struct {
	mu sync.Mutex
	// settled is a key up to which no further signal can appear, and from the key to look
	// from.
	settled, from store.SignalKey
	// ahead is where settled goes next, once the transactions of drawing have ended; 0 is
	// nowhere.
	ahead   store.SignalKey
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
func (h *horizon) lowest() store.SignalKey {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.from
}

// stride is how many keys are drawn before it is looked whether all up to the last one are
// settled: that many signals that were ended are passed again.
const stride = 256

const drawnSQL = `SELECT last_value FROM signal_key`

// look finds signals by their keys, which it has to be asked for from some key upwards.
// find returns the lowest that is of interest, 0 where there is none.
func (h *horizon) look(ctx context.Context, q querier, find func(from store.SignalKey) (lowest store.SignalKey, err error)) error {
	drawn, err := first(ctx, q, pgx.RowTo[store.SignalKey], drawnSQL)
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
		waiting, err = all(ctx, q, pgx.RowTo[string], drawingSQL, "signal_key", waiting)
	case drawn >= settled+stride:
		ahead = drawn
		waiting, err = all(ctx, q, pgx.RowTo[string], drawingSQL, "signal_key", []string(nil))
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
