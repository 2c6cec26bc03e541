package sqlite

import (
	"context"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	typeOfEventSQL    = `SELECT type FROM event WHERE key = ?`
	endingsSQL        = `SELECT endpoint, state, ended_at, recovered_at FROM history WHERE event = ?`
	countedAttemptSQL = `SELECT endpoint, trigger, succeeded, status_code, code, timed_out, started_at, duration FROM attempt WHERE event = ?`
)

// uncount takes an event that is about to be deleted, and of which nothing is open, out of
// what was counted.
func (w *writer) uncount(ctx context.Context, ev *swept) error {
	typ, err := first(ctx, w.conn, (*row).text, typeOfEventSQL, ev.key)
	if err != nil {
		return err
	}
	counts := func(at int64, endpoint store.EndpointKey) (*store.Counts, error) {
		return w.counts(ctx, at, ev.tenant, endpoint, typ)
	}
	accepted, err := counts(ev.acceptedAt, 0)
	if err != nil {
		return err
	}
	accepted[store.EventsAccepted]--
	if err := w.uncountDeliveries(ctx, ev, counts); err != nil {
		return err
	}
	for r, err := range w.rows(ctx, countedAttemptSQL, ev.key) {
		if err != nil {
			return err
		}
		endpoint := store.EndpointKey(r.int())
		a := store.Attempt{
			Trigger: webhook.Trigger(r.int()), Succeeded: r.bool(), StatusCode: int(r.int()), Code: webhook.FaultCode(r.text()), //nolint:gosec // a Trigger was stored
			TimedOut: r.bool(), StartedAt: r.time(), Duration: r.duration(),
		}
		made, err := counts(micros(a.StartedAt), endpoint)
		if err != nil {
			return err
		}
		made.AddAttempt(&a, -1)
	}
	return nil
}

func (w *writer) uncountDeliveries(ctx context.Context, ev *swept, counts func(int64, store.EndpointKey) (*store.Counts, error)) error {
	for r, err := range w.rows(ctx, endingsSQL, ev.key) {
		if err != nil {
			return err
		}
		endpoint, state, endedAt, recoveredAt := store.EndpointKey(r.int()), webhook.State(r.int()), r.int(), r.int() //nolint:gosec // a State was stored
		made, err := counts(ev.acceptedAt, endpoint)
		if err != nil {
			return err
		}
		made[store.DeliveriesMade]--
		ended, err := counts(endedAt, endpoint)
		if err != nil {
			return err
		}
		ended.AddEnding(state, -1)
		if recoveredAt == 0 {
			continue
		}
		recovered, err := counts(recoveredAt, endpoint)
		if err != nil {
			return err
		}
		recovered[store.Recovered]--
	}
	return nil
}

// deleteRollupsSQL steps from one start of a unit to the next, past all other tenants.
const deleteRollupsSQL = `WITH RECURSIVE at (start) AS (
		SELECT min(start) FROM rollup WHERE unit = ?1
		UNION ALL
		SELECT (SELECT min(start) FROM rollup WHERE unit = ?1 AND start > at.start) FROM at WHERE at.start IS NOT NULL
	)
	DELETE FROM rollup WHERE (unit, start, tenant, endpoint, type) IN (
		SELECT unit, rollup.start, tenant, endpoint, type FROM at CROSS JOIN rollup ON rollup.unit = ?1 AND rollup.start = at.start AND rollup.tenant = ?2
		LIMIT ?3)`

// forgetRollups deletes some of what was counted of a tenant of which nothing else is left,
// and says whether there may be more.
func (w *writer) forgetRollups(ctx context.Context, tenant store.TenantKey, most int64) (more bool, err error) {
	if more, err := w.foldTenant(ctx, tenant); err != nil || more {
		return more, err
	}
	for _, unit := range []store.Unit{store.Minute, store.Hour, store.Day} {
		deleted, err := w.exec(ctx, deleteRollupsSQL, int64(unit), int64(tenant), most)
		if err != nil || deleted == most {
			return true, err
		}
	}
	w.types, w.whole = nil, nil
	for _, query := range []string{deleteTypesSQL, deleteWholeSinceSQL} {
		if _, err := w.exec(ctx, query, int64(tenant)); err != nil {
			return false, err
		}
	}
	return false, nil
}

// foldTenant sees to it that nothing of a tenant is in the journal any more, part by part.
func (w *writer) foldTenant(ctx context.Context, tenant store.TenantKey) (more bool, err error) {
	if err := w.saveCounts(ctx); err != nil {
		return false, err
	}
	r, err := w.loadRollups(ctx)
	if err != nil {
		return false, err
	}
	grows, folds := false, false
	for at := range r.open {
		grows = grows || at.tenant == tenant
	}
	for _, item := range r.folding {
		folds = folds || item.tenant == tenant
	}
	if !grows && !folds {
		return false, nil
	}
	if len(r.folding) == 0 {
		if err := w.closeGeneration(ctx); err != nil {
			return false, err
		}
	}
	return true, w.fold(ctx, w.generation.part)
}
