package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// Each deletion tells the latest instant of what it has deleted, by event.
const (
	deleteAttemptsSQL = `WITH gone AS (DELETE FROM attempt WHERE event = ANY ($1) RETURNING event, started_at)
		SELECT event, count(*), max(started_at) FROM gone GROUP BY event`
	deletePastAttemptsSQL = `WITH gone AS (DELETE FROM attempt WHERE event = ANY ($1) AND started_at <= $2 RETURNING event, started_at)
		SELECT event, count(*), max(started_at) FROM gone GROUP BY event`
	remainingAttemptsSQL = `SELECT min(started_at), event FROM attempt WHERE event = ANY ($1) GROUP BY event`
	deleteHistorySQL     = `WITH gone AS (DELETE FROM history WHERE event = ANY ($1) RETURNING event, greatest(ended_at, recovered_at) AS at)
		SELECT event, count(*), max(at) FROM gone GROUP BY event`
	deleteUIDsSQL = `DELETE FROM event_uid USING event
		WHERE event.key = ANY ($1) AND event_uid.tenant = event.tenant AND event_uid.uid = event.uid AND event_uid.event = event.key`
	deletePayloadsSQL = `DELETE FROM payload WHERE event = ANY ($1)`
	deleteEventsSQL   = `DELETE FROM event WHERE key = ANY ($1)`
)

// gone is what was deleted of an event.
type gone struct {
	event  int64
	count  int
	latest time.Time
}

func scanGone(row pgx.CollectableRow) (g gone, err error) {
	return g, row.Scan(&g.event, &g.count, &g.latest)
}

// forgetEvents deletes all that is kept of events of which nothing is open. It returns what
// attempts and ends of deliveries that were.
func forgetEvents(ctx context.Context, tx pgx.Tx, keys []int64) (attempts, ends []gone, err error) {
	if attempts, err = all(ctx, tx, scanGone, deleteAttemptsSQL, keys); err != nil {
		return nil, nil, err
	}
	if ends, err = all(ctx, tx, scanGone, deleteHistorySQL, keys); err != nil {
		return nil, nil, err
	}
	for _, query := range []string{deleteUIDsSQL, deletePayloadsSQL, deleteEventsSQL} {
		if _, err := tx.Exec(ctx, query, keys); err != nil {
			return nil, nil, err
		}
	}
	return attempts, ends, nil
}

func (s *sweep) dropEvents(ctx context.Context, events []swept) error {
	if len(events) == 0 {
		return nil
	}
	attempts, ends, err := forgetEvents(ctx, s, keysOf(events))
	if err != nil {
		return err
	}
	owners := ownersOf(events)
	for i := range events {
		s.latest.note(events[i].tenant, time.Time{}, events[i].acceptedAt)
	}
	for _, end := range ends {
		s.latest.note(owners[end.event], time.Time{}, end.latest)
	}
	s.noteAttempts(attempts, owners)
	s.swept.Events += len(events)
	return nil
}

func ownersOf(events []swept) map[int64]store.TenantKey {
	owners := make(map[int64]store.TenantKey, len(events))
	for i := range events {
		owners[events[i].key] = events[i].tenant
	}
	return owners
}

func (s *sweep) noteAttempts(attempts []gone, owners map[int64]store.TenantKey) {
	for _, some := range attempts {
		s.latest.note(owners[some.event], some.latest, time.Time{})
		s.swept.Attempts += some.count
	}
}

func (s *sweep) dropPayloads(ctx context.Context, events []swept) error {
	if len(events) == 0 {
		return nil
	}
	dropped, err := s.Exec(ctx, deletePayloadsSQL, keysOf(events))
	s.swept.Payloads += int(dropped.RowsAffected())
	return err
}

// dropAttempts deletes the attempts of events that began so long ago, and has the others
// looked at in their time.
func (s *sweep) dropAttempts(ctx context.Context, events []swept, kept time.Duration) error {
	if len(events) == 0 {
		return nil
	}
	keys := keysOf(events)
	attempts, err := all(ctx, s, scanGone, deletePastAttemptsSQL, keys, s.now.Add(-kept))
	if err != nil {
		return err
	}
	s.noteAttempts(attempts, ownersOf(events))
	remaining, err := all(ctx, s, func(row pgx.CollectableRow) (r revisit, err error) {
		return r, row.Scan(&r.at, &r.event)
	}, remainingAttemptsSQL, keys)
	if err != nil {
		return err
	}
	for i := range remaining {
		remaining[i].at = remaining[i].at.Add(kept)
	}
	return s.revisitAt(ctx, remaining)
}
