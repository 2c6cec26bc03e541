package sqlite

import (
	"context"
	"errors"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	passedSQL  = `SELECT max(event) FROM sweep WHERE kind < 4`
	revisitSQL = `INSERT OR IGNORE INTO revisit (at, event) VALUES (?, ?)`
)

// loadPassed reads how far the sweep has come, at most.
func (w *writer) loadPassed(ctx context.Context) error {
	passed, err := first(ctx, w.conn, (*row).int, passedSQL)
	w.passed = max(w.passed, store.EventKey(passed))
	return err
}

// revisit has an event looked at again that the sweep may have passed. It is called where
// something ends that has kept an event, and where something is added to one. For an event
// that is not old it costs nothing.
func (w *writer) revisit(ctx context.Context, event store.EventKey) error {
	if event >= w.passed {
		return nil
	}
	return w.revisitAt(ctx, 0, int64(event))
}

func (w *writer) revisitAt(ctx context.Context, at, event int64) error {
	_, err := w.exec(ctx, revisitSQL, at, event)
	return err
}

const eventThereSQL = `SELECT 1 FROM event WHERE key = ?`

// isThere says whether an event is there to be written about. One may be deleted while its
// last attempt is in flight.
func (w *writer) isThere(ctx context.Context, event store.EventKey) (bool, error) {
	if event >= w.gone {
		return true, nil
	}
	return w.has(ctx, eventThereSQL, int64(event))
}

const (
	insertSweepSQL = `INSERT OR IGNORE INTO sweep (tenant, kind, event, look_at) VALUES (?1, 1, 1, 0), (?1, 2, 1, 0), (?1, 3, 1, 0)`
	resetSweepSQL  = `UPDATE sweep SET look_at = 0 WHERE tenant = ?`
	deleteSweepSQL = `DELETE FROM sweep WHERE tenant = ?`
	apartSQL       = `SELECT tenant FROM sweep WHERE tenant > 0 AND kind = 3`
)

// sweepApart gives a tenant that gets times of its own, or other ones, its own place in the
// sweep. It begins at the first of its events, as those before may have been passed over.
func (w *writer) sweepApart(ctx context.Context, tenant store.TenantKey, before, after webhook.Retention) error {
	if before == after {
		return nil
	}
	w.apart = nil
	if _, err := w.exec(ctx, insertSweepSQL, int64(tenant)); err != nil {
		return err
	}
	_, err := w.exec(ctx, resetSweepSQL, int64(tenant))
	return err
}

// isApart says whether a tenant has its own place in the sweep.
func (w *writer) isApart(ctx context.Context, tenant store.TenantKey) (bool, error) {
	if w.apart == nil {
		apart := make(map[store.TenantKey]struct{})
		for r, err := range w.rows(ctx, apartSQL) {
			if err != nil {
				return false, err
			}
			apart[store.TenantKey(r.int())] = struct{}{}
		}
		w.apart = apart
	}
	_, is := w.apart[tenant]
	return is, nil
}

const (
	revisitsSQL      = `SELECT at, event FROM revisit WHERE at <= ? ORDER BY at, event LIMIT ?`
	deleteRevisitSQL = `DELETE FROM revisit WHERE at = ? AND event = ?`
)

// revisits looks at events that are to be looked at apart, and says whether there may be
// more of them.
func (s *sweep) revisits(ctx context.Context) (bool, error) {
	due, err := all(ctx, s.conn, func(r *row) [2]int64 { return [2]int64{r.int(), r.int()} }, revisitsSQL, s.now, int64(sweepPage))
	if err != nil {
		return false, err
	}
	for _, one := range due {
		if _, err := s.exec(ctx, deleteRevisitSQL, one[0], one[1]); err != nil {
			return false, err
		}
		if err := s.lookAgain(ctx, one[1]); err != nil {
			return false, err
		}
	}
	return len(due) == sweepPage, nil
}

const sweepPlaceSQL = `SELECT event FROM sweep WHERE tenant = ? AND kind = ?`

// lookAgain lets go of what is due of an event, and sees to it that it is looked at when
// more will be that the sweep in order has passed.
func (s *sweep) lookAgain(ctx context.Context, key int64) error {
	ev, err := first(ctx, s.conn, scanSwept, sweptEventSQL, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	kept, err := s.keptOf(ctx, ev.tenant)
	if err != nil {
		return err
	}
	open, err := s.openOf(ctx, key, key)
	if err != nil {
		return err
	}
	unfinished, err := s.unfinished(ctx, &ev, open)
	if err != nil {
		return err
	}
	if !unfinished && ev.acceptedAt+kept.Events.Microseconds() <= s.now {
		return s.dropEvents(ctx, []swept{ev})
	}
	if unfinished || kept.Attempts < kept.Events { // else they go with the event
		if err := s.dropAttempts(ctx, []swept{ev}, kept.Attempts); err != nil {
			return err
		}
	}
	if unfinished {
		return nil // its end brings it back
	}
	payloadDue := ev.acceptedAt + kept.Payloads.Microseconds()
	if ev.payloadTTL != 0 {
		payloadDue = ev.acceptedAt + ev.payloadTTL
	}
	if ev.payload && payloadDue <= s.now {
		ev.payload = false
		if err := s.dropPayloads(ctx, key, key); err != nil {
			return err
		}
	}
	if ev.payload {
		if err := s.comeBack(ctx, &ev, sweepPayloads, payloadDue); err != nil {
			return err
		}
	}
	return s.comeBack(ctx, &ev, sweepEvents, ev.acceptedAt+kept.Events.Microseconds())
}

// comeBack has an event looked at again at an instant, unless the sweep in order will.
func (s *sweep) comeBack(ctx context.Context, ev *swept, kind sweepKind, at int64) error {
	if kind != sweepPayloads || ev.payloadTTL == 0 {
		whose := store.TenantKey(0)
		if apart, err := s.isApart(ctx, ev.tenant); err != nil {
			return err
		} else if apart {
			whose = ev.tenant
		}
		place, err := first(ctx, s.conn, (*row).int, sweepPlaceSQL, int64(whose), int64(kind))
		if err != nil || ev.key >= place {
			return err
		}
	}
	return s.revisitAt(ctx, at, ev.key)
}
