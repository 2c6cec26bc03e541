package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	// revisitSQL writes only events that a sweep has passed, or is about to, which are none
	// on an ordinary day.
	revisitSQL = `INSERT INTO revisit (at, event)
		SELECT DISTINCT $1::timestamptz, event FROM unnest($2::bigint[]) AS touched (event)
		WHERE event < (SELECT event FROM sweep_passed)
		ON CONFLICT DO NOTHING`
	revisitAtSQL     = `INSERT INTO revisit (at, event) SELECT * FROM unnest($1::timestamptz[], $2::bigint[]) ON CONFLICT DO NOTHING`
	revisitsSQL      = `SELECT at, event FROM revisit WHERE at <= $1 AND at >= $3 ORDER BY at, event LIMIT $2`
	deleteRevisitSQL = `DELETE FROM revisit WHERE at = $1 AND event = $2`
)

// queueRevisits has events looked at again that a sweep has passed. Every transaction calls
// it that stores an attempt or ends something that was open, as its last statement before
// the counts: a sweep that raises its mark waits for those who have looked at it.
func queueRevisits(batch *pgx.Batch, now time.Time, events []store.EventKey) {
	if len(events) > 0 {
		batch.Queue(revisitSQL, instant(now), events)
	}
}

// revisit is an event to look at again, from an instant on.
type revisit struct {
	at    time.Time
	event int64
}

func (s *sweep) revisitAt(ctx context.Context, some []revisit) error {
	if len(some) == 0 {
		return nil
	}
	at, events := make([]time.Time, len(some)), make([]int64, len(some))
	for i := range some {
		at[i], events[i] = some[i].at, some[i].event
	}
	_, err := s.Exec(ctx, revisitAtSQL, at, events)
	return err
}

// revisits looks at events that are to be looked at apart, and says whether there may be
// more of them.
func (s *sweep) revisits(ctx context.Context) (bool, error) {
	const some = 64
	due, err := all(ctx, s, func(row pgx.CollectableRow) (r revisit, err error) {
		return r, row.Scan(&r.at, &r.event)
	}, revisitsSQL, s.now, some, s.store.revisits.from())
	if err != nil {
		return false, err
	}
	left := s.now
	if len(due) == some {
		left = due[some-1].at
	}
	for _, one := range due {
		if _, err := s.Exec(ctx, deleteRevisitSQL, one.at, one.event); err != nil {
			return false, err
		}
		if err := s.lookAgain(ctx, one.event); err != nil {
			return false, err
		}
	}
	s.store.revisits.raise(left)
	return len(due) == some, nil
}

// lookAgain lets go of what is due of an event, and sees to it that it is looked at when
// more will be that the sweep in order has passed.
func (s *sweep) lookAgain(ctx context.Context, key int64) error {
	ev, err := first(ctx, s, scanSwept, sweptEventSQL, key)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	kept, err := s.keptOf(ctx, ev.tenant)
	if err != nil {
		return err
	}
	ended, _, err := s.finished(ctx, []swept{ev})
	if err != nil {
		return err
	}
	eventDue := ev.acceptedAt.Add(kept.Events)
	if len(ended) > 0 && !eventDue.After(s.now) {
		return s.dropEvents(ctx, ended)
	}
	if len(ended) == 0 || kept.Attempts < kept.Events { // else they go with the event
		if err := s.dropAttempts(ctx, []swept{ev}, kept.Attempts); err != nil {
			return err
		}
	}
	if len(ended) == 0 {
		return nil // its end brings it back
	}
	payloadDue := ev.acceptedAt.Add(kept.Payloads)
	if ev.payloadTTL != 0 {
		payloadDue = ev.acceptedAt.Add(micros(ev.payloadTTL))
	}
	if ev.payload && !payloadDue.After(s.now) {
		ev.payload = false
		if err := s.dropPayloads(ctx, ended); err != nil {
			return err
		}
	}
	var later []revisit
	if ev.payload && s.isBehind(&ev, sweepPayloads) {
		later = append(later, revisit{payloadDue, key})
	}
	if s.isBehind(&ev, sweepEvents) {
		later = append(later, revisit{eventDue, key})
	}
	return s.revisitAt(ctx, later)
}

// isBehind says that the sweep in order has passed an event.
func (s *sweep) isBehind(ev *swept, kind sweepKind) bool {
	var whose spot
	if whose.kind = kind; kind == sweepPayloads && ev.payloadTTL != 0 {
		whose.ttl = ev.payloadTTL
	} else if _, apart := s.apart[ev.tenant]; apart {
		whose.tenant = ev.tenant
	}
	for _, at := range s.spots {
		if at.tenant == whose.tenant && at.kind == whose.kind && at.ttl == whose.ttl {
			return ev.key < at.event
		}
	}
	return false // no place yet: it begins at the first event
}
