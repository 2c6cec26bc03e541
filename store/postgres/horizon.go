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
	// nowhere. A drawing of nil is all that draw.
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

// look finds rows by their keys of a sequence, in one round trip. find queues what is asked
// for from some key upwards; once that is answered, lowest is to be the lowest key that is
// of interest, 0 where there is none. It may be called again.
func (h *horizon) look(ctx context.Context, q querier, sequence string, find func(batch *pgx.Batch, from int64, lowest *int64)) error {
	for {
		h.mu.Lock()
		was := horizon{settled: h.settled, from: h.from, ahead: h.ahead, drawing: slices.Clone(h.drawing), anew: h.anew}
		h.mu.Unlock()
		var drawn, lowest int64
		var drawing []string
		batch := new(pgx.Batch)
		batch.Queue(`SELECT last_value FROM ` + sequence).QueryRow(func(row pgx.Row) error { return row.Scan(&drawn) })
		if was.ahead != 0 { // what is settled is there when it is looked for: it is judged before
			batch.Queue(drawingSQL, sequence, was.drawing).Query(func(rows pgx.Rows) (err error) {
				drawing, err = pgx.AppendRows(drawing, rows, pgx.RowTo[string])
				return err
			})
		}
		find(batch, was.from, &lowest)
		if err := q.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		if h.judge(&was, drawn, drawing, lowest) {
			return nil
		}
	}
}

// judge moves the bound by what was found. It says that it is false to have looked from
// there.
func (h *horizon) judge(was *horizon, drawn int64, drawing []string, lowest int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case drawn < h.settled: // the database is one that has lost what was stored last
		h.settled, h.from, h.ahead, h.drawing = 0, 0, 0, nil
		return false
	case h.anew != was.anew || h.settled != was.settled:
		return true // another one was faster
	case was.ahead != 0 && len(drawing) == 0:
		h.settled, h.ahead, h.drawing = was.ahead, 0, nil
	case was.ahead != 0:
		h.ahead, h.drawing = was.ahead, drawing
	case drawn >= h.settled+stride:
		h.ahead, h.drawing = drawn, nil // by whom, it is asked with the next look
	}
	if h.from = h.settled; lowest != 0 {
		h.from = min(lowest, h.settled)
	}
	return true
}
