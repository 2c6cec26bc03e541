package sqlite

import (
	"context"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// swept is what the sweep needs to know of an event.
type swept struct {
	key        int64
	tenant     store.TenantKey
	acceptedAt int64
	deliverAt  int64 // 0 is none
	payloadTTL int64 // 0 is none
	payload    bool
}

const (
	sweptColumns     = `SELECT event.key, event.tenant, accepted_at, deliver_at, payload_ttl, payload IS NOT NULL FROM `
	sweptEventSQL    = sweptColumns + `event WHERE key = ?`
	sweptEventsSQL   = sweptColumns + `event WHERE key >= ? ORDER BY key LIMIT ?`
	sweptOfTenantSQL = sweptColumns + `event_span CROSS JOIN strip
		CROSS JOIN event ON event.strip = (event_span.span << 6) + strip.nth AND event.tenant = event_span.tenant
		WHERE event_span.tenant = ?3 AND event_span.span >= ?1 >> 13 AND event.key >= ?1
		ORDER BY event_span.span, strip.nth, event.key LIMIT ?2`
)

func scanSwept(r *row) swept {
	return swept{
		key: r.int(), tenant: store.TenantKey(r.int()), acceptedAt: r.int(),
		deliverAt: r.int(), payloadTTL: r.int(), payload: r.bool(),
	}
}

// events returns up to limit events from a key on.
func (s *sweep) events(ctx context.Context, tenant store.TenantKey, from int64, limit int) ([]swept, error) {
	if tenant == 0 {
		return all(ctx, s.conn, scanSwept, sweptEventsSQL, from, int64(limit))
	}
	return all(ctx, s.conn, scanSwept, sweptOfTenantSQL, from, int64(limit), int64(tenant))
}

// sweptPage is some events at a place, one after another, and which of them are due.
type sweptPage struct {
	*sweep
	at     *spot
	period int64
	open   map[int64]struct{} // those with open sends

	// due are those to let go of, in runs without any other event in between.
	due [][]swept
	// broken: the next one begins a run.
	broken bool
	// wrong are events before this key: one behind them is due, so where one of them is not,
	// the clock was wrong when it was accepted.
	wrong  int64
	probed bool
}

// look goes through events until one that is not due yet. It moves the place behind those
// that it has looked at, and returns when to look again, 0 for at once.
func (p *sweptPage) look(ctx context.Context, events []swept) (lookAt int64, err error) {
	if p.open, err = p.openOf(ctx, events[0].key, events[len(events)-1].key); err != nil {
		return 0, err
	}
	for i := range events {
		ev := &events[i]
		p.at.event = ev.key
		if lookAt, err = p.lookAt(ctx, ev); err != nil || lookAt != 0 {
			return lookAt, err
		}
		p.at.event++
	}
	return 0, nil
}

// lookAt takes an event into a run or passes it over. It returns when to look again where
// nothing further is due before then, else 0.
func (p *sweptPage) lookAt(ctx context.Context, ev *swept) (again int64, err error) {
	if p.at.tenant == 0 {
		if apart, err := p.isApart(ctx, ev.tenant); err != nil || apart {
			p.broken = true
			return 0, err
		}
	}
	if dueAt := ev.acceptedAt + p.period; dueAt > p.now {
		p.broken = true
		if wrong, err := p.clockWasWrong(ctx, ev, dueAt); err != nil || !wrong {
			return min(dueAt, p.now+sweepAgain.Microseconds()), err
		}
		return 0, p.revisitAt(ctx, dueAt, ev.key)
	}
	concerned, err := p.concerns(ctx, ev)
	if concerned {
		p.take(ev)
	} else {
		p.broken = true
	}
	return 0, err
}

// take puts an event at the end of the last run, or begins one. The place of a single tenant
// has others' events between its own.
func (p *sweptPage) take(ev *swept) {
	if last := len(p.due) - 1; !p.broken && last >= 0 {
		run := p.due[last]
		if p.at.tenant == 0 || run[len(run)-1].key+1 == ev.key {
			p.due[last] = append(run, *ev)
			return
		}
	}
	p.due, p.broken = append(p.due, []swept{*ev}), false
}

// clockWasWrong says whether an event that is not due stands before one that is. It is
// looked for once in a page, and where the event is not due for long.
func (p *sweptPage) clockWasWrong(ctx context.Context, ev *swept, dueAt int64) (_ bool, err error) {
	if ev.key >= p.wrong && !p.probed && dueAt > p.now+sweepAgain.Microseconds() {
		p.probed = true
		p.wrong, err = p.probe(ctx, ev.key)
	}
	return ev.key < p.wrong, err
}

// concerns says whether there is something to do at an event that is due.
func (p *sweptPage) concerns(ctx context.Context, ev *swept) (bool, error) {
	kind := p.at.kind
	if kind == sweepAttempts {
		return true, nil
	}
	if kind == sweepPayloads && (ev.payloadTTL != 0 || !ev.payload) {
		return false, nil // it has its own time, or is gone
	}
	unfinished, err := p.unfinished(ctx, ev, p.open)
	if err != nil || !unfinished || kind == sweepPayloads {
		return err == nil && !unfinished, err
	}
	kept, err := p.keptOf(ctx, ev.tenant)
	if err != nil {
		return false, err
	}
	return false, p.dropAttempts(ctx, []swept{*ev}, kept.Attempts) // which wait for nothing
}

// probe looks for an event that is due behind one that is not by far: then the clock was
// wrong in between. It returns the key of one, or 0. It looks at events at growing
// distances, so that it misses one for no longer than the clock was wrong.
func (p *sweptPage) probe(ctx context.Context, from int64) (int64, error) {
	for distance := int64(1); distance > 0; distance *= 2 {
		events, err := p.events(ctx, p.at.tenant, from+distance, 1)
		if err != nil || len(events) == 0 {
			return 0, err
		}
		if events[0].acceptedAt+p.period <= p.now {
			return events[0].key, nil
		}
		distance = events[0].key - from
	}
	return 0, nil
}

// drop lets go of what is due.
func (p *sweptPage) drop(ctx context.Context, kept webhook.Retention) (err error) {
	for _, run := range p.due {
		switch p.at.kind {
		case sweepPayloads:
			err = p.dropPayloads(ctx, run[0].key, run[len(run)-1].key)
		case sweepAttempts:
			err = p.dropAttempts(ctx, run, kept.Attempts)
		case sweepEvents:
			err = p.dropEvents(ctx, run)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
