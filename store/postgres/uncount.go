package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	typeOfEventSQL = `SELECT type FROM event WHERE key = $1`
	endingsSQL     = `SELECT endpoint, state, ended_at, recovered_at FROM history WHERE event = $1`
	// madeSQL is what of an attempt is counted.
	madeSQL = `SELECT endpoint, trigger, succeeded, status_code, timed_out, started_at, duration FROM attempt WHERE event = $1`
)

// uncount takes an event that is about to be deleted, and of which nothing is open, out of
// what was counted.
func (c *counted) uncount(ctx context.Context, tx pgx.Tx, ev *swept) error {
	eventType, err := first(ctx, tx, pgx.RowTo[string], typeOfEventSQL, ev.key)
	if err != nil {
		return err
	}
	c.counts(ev.acceptedAt, ev.tenant, 0, eventType)[store.EventsAccepted]--
	rows, err := tx.Query(ctx, endingsSQL, ev.key)
	if err != nil {
		return err
	}
	var endpoint store.EndpointKey
	var state webhook.State
	var endedAt time.Time
	var recoveredAt *time.Time
	if _, err := pgx.ForEachRow(rows, []any{&endpoint, &state, &endedAt, &recoveredAt}, func() error {
		c.counts(ev.acceptedAt, ev.tenant, endpoint, eventType)[store.DeliveriesMade]--
		c.counts(endedAt, ev.tenant, endpoint, eventType).AddEnding(state, -1)
		if recoveredAt != nil {
			c.counts(*recoveredAt, ev.tenant, endpoint, eventType)[store.Recovered]--
		}
		return nil
	}); err != nil {
		return err
	}
	if rows, err = tx.Query(ctx, madeSQL, ev.key); err != nil {
		return err
	}
	var a store.Attempt
	var duration int64
	_, err = pgx.ForEachRow(rows, []any{&endpoint, &a.Trigger, &a.Succeeded, &a.StatusCode, &a.TimedOut, &a.StartedAt, &duration}, func() error {
		a.Duration = micros(duration)
		c.counts(a.StartedAt, ev.tenant, endpoint, eventType).AddAttempt(&a, -1)
		return nil
	})
	return err
}

const (
	// deleteTenantRollupsSQL steps from one start of a unit to the next, past all other
	// tenants.
	deleteTenantRollupsSQL = `WITH RECURSIVE at (start) AS (
			SELECT min(start) FROM rollup WHERE unit = $1
			UNION ALL
			SELECT (SELECT min(start) FROM rollup WHERE unit = $1 AND rollup.start > at.start) FROM at WHERE at.start IS NOT NULL
		)
		DELETE FROM rollup WHERE (unit, start, tenant, endpoint, type) IN (
			SELECT unit, found.start, tenant, endpoint, type FROM at CROSS JOIN LATERAL (
				SELECT unit, rollup.start, tenant, endpoint, type FROM rollup WHERE unit = $1 AND rollup.start = at.start AND tenant = $2 OFFSET 0) AS found
			LIMIT $3)`
	deleteTypesSQL      = `DELETE FROM rollup_type WHERE tenant = $1`
	deleteWholeSinceSQL = `DELETE FROM whole_since WHERE tenant = $1`
)

// forgetRollups deletes some of what was counted of a tenant of which nothing else is left,
// and says whether there may be more. It returns errElsewhere while another transaction
// folds.
func forgetRollups(ctx context.Context, tx pgx.Tx, tenant store.TenantKey) (more bool, err error) {
	if mine, err := first(ctx, tx, pgx.RowTo[bool], foldingSQL); err != nil || !mine {
		if err == nil {
			err = errElsewhere
		}
		return false, err
	}
	err = changeRollups(ctx, tx, func(ctx context.Context, f *folding) error {
		more, err = f.fold(ctx, everyTurn) // as some of it may be the tenant's
		return err
	})
	if err != nil || more {
		return more, err
	}
	const some = 5000
	for _, unit := range []store.Unit{store.Minute, store.Hour, store.Day} {
		deleted, err := tx.Exec(ctx, deleteTenantRollupsSQL, unit, tenant, some)
		if err != nil || deleted.RowsAffected() == some {
			return true, err
		}
	}
	for _, query := range []string{deleteTypesSQL, deleteWholeSinceSQL} {
		if _, err := tx.Exec(ctx, query, tenant); err != nil {
			return false, err
		}
	}
	return false, nil
}
