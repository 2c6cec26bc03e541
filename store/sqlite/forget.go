package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/neohook/neohook/store"
)

const (
	deleteEventsSQL       = `DELETE FROM event WHERE key BETWEEN ? AND ?`
	deleteHistorySQL      = `DELETE FROM history WHERE event BETWEEN ? AND ?`
	deleteAttemptsSQL     = `DELETE FROM attempt WHERE event BETWEEN ? AND ?`
	deletePastAttemptsSQL = `DELETE FROM attempt WHERE event BETWEEN ? AND ? AND started_at <= ?`
	remainingAttemptsSQL  = `SELECT event, min(started_at) FROM attempt WHERE event BETWEEN ? AND ? GROUP BY event`
	deletePayloadsSQL     = `UPDATE event SET payload = NULL WHERE key BETWEEN ? AND ? AND payload IS NOT NULL`
)

// forgetEvents deletes all that is kept of events between which there are no others.
// Nothing of them may be open. It returns how many attempts that were, and the latest
// instants of ends and attempts by tenant.
func (w *writer) forgetEvents(ctx context.Context, events []swept) (attempts int64, ended, began map[store.TenantKey]int64, err error) {
	low, high := events[0].key, events[len(events)-1].key
	for i := range events {
		w.touched.note(eventList, int64(events[i].tenant), events[i].key>>spanBits)
	}
	if ended, err = w.touch(ctx, historyList, events, math.MaxInt64); err != nil {
		return 0, nil, nil, err
	}
	if began, err = w.touch(ctx, attemptList, events, math.MaxInt64); err != nil {
		return 0, nil, nil, err
	}
	if attempts, err = w.exec(ctx, deleteAttemptsSQL, low, high); err != nil {
		return 0, nil, nil, err
	}
	for _, query := range []string{deleteHistorySQL, deleteEventsSQL} {
		if _, err := w.exec(ctx, query, low, high); err != nil {
			return 0, nil, nil, err
		}
	}
	w.gone = max(w.gone, store.EventKey(high+1))
	return attempts, ended, began, nil
}

func (s *sweep) dropEvents(ctx context.Context, events []swept) error {
	attempts, ended, began, err := s.forgetEvents(ctx, events)
	if err != nil {
		return err
	}
	s.swept.Events += len(events)
	s.swept.Attempts += int(attempts)
	for i := range events {
		if err := s.sweptEvent(ctx, events[i].tenant, events[i].acceptedAt); err != nil {
			return err
		}
	}
	for tenant, at := range ended {
		if err := s.sweptEvent(ctx, tenant, at); err != nil {
			return err
		}
	}
	return s.sweptAttempts(ctx, began)
}

// sweptAttempts tells the rollups of attempts that were deleted, by the latest of them.
func (s *sweep) sweptAttempts(ctx context.Context, began map[store.TenantKey]int64) error {
	for tenant, at := range began {
		if err := s.sweptAttempt(ctx, tenant, at); err != nil {
			return err
		}
	}
	return nil
}

func (s *sweep) dropPayloads(ctx context.Context, low, high int64) error {
	dropped, err := s.exec(ctx, deletePayloadsSQL, low, high)
	s.swept.Payloads += int(dropped)
	return err
}

// dropAttempts deletes the attempts of events that began so long ago, and has the others
// looked at in their time.
func (s *sweep) dropAttempts(ctx context.Context, events []swept, kept time.Duration) error {
	low, high, until := events[0].key, events[len(events)-1].key, s.now-kept.Microseconds()
	began, err := s.touch(ctx, attemptList, events, until)
	if err != nil {
		return err
	}
	dropped, err := s.exec(ctx, deletePastAttemptsSQL, low, high, until)
	if err != nil {
		return err
	}
	s.swept.Attempts += int(dropped)
	if err := s.sweptAttempts(ctx, began); err != nil {
		return err
	}
	remaining, err := all(ctx, s.conn, func(r *row) [2]int64 { return [2]int64{r.int(), r.int()} }, remainingAttemptsSQL, low, high)
	if err != nil {
		return err
	}
	for _, one := range remaining {
		if err := s.revisitAt(ctx, one[1]+kept.Microseconds(), one[0]); err != nil {
			return err
		}
	}
	return nil
}
