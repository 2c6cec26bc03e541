package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// The directory keeps what is deleted as long as something refers to it.
const (
	nextDepartedSQL = `SELECT least(
		(SELECT tenant FROM endpoint WHERE deleted_at IS NOT NULL AND tenant > $1 ORDER BY tenant LIMIT 1),
		(SELECT key FROM tenant WHERE deleted_at IS NOT NULL AND key > $1 ORDER BY key LIMIT 1))`
	deleteDepartedSQL = `DELETE FROM endpoint WHERE key IN (SELECT key FROM endpoint
		WHERE tenant = $1 AND deleted_at IS NOT NULL
			AND NOT EXISTS (SELECT FROM delivery WHERE delivery.endpoint = endpoint.key)
			AND NOT EXISTS (SELECT FROM waiting WHERE waiting.endpoint = endpoint.key)
			AND NOT EXISTS (SELECT FROM send WHERE send.endpoint = endpoint.key)
			AND NOT EXISTS (SELECT FROM history WHERE history.endpoint = endpoint.key)
			AND NOT EXISTS (SELECT FROM attempt WHERE attempt.endpoint = endpoint.key)
		LIMIT $2)`
	// tenantStaysSQL is true where there is something left of a tenant.
	tenantStaysSQL = `SELECT EXISTS (SELECT FROM tenant WHERE key = $1 AND deleted_at IS NULL)
		OR EXISTS (SELECT FROM endpoint WHERE tenant = $1 AND deleted_at IS NOT NULL)
		OR EXISTS (SELECT FROM event WHERE tenant = $1)
		OR EXISTS (SELECT FROM expunge WHERE tenant = $1)`
	purgeTenantSQL = `DELETE FROM tenant WHERE key = $1`
)

// directoryStep deletes some of a deleted tenant's or deleted endpoints' rows that nothing
// refers to any more. It returns when to look again.
func (s *sweep) directoryStep(ctx context.Context, at *spot) (lookAt time.Time, err error) {
	var next *int64
	if err := scanOne(ctx, s, nextDepartedSQL, []any{at.event}, &next); err != nil {
		return lookAt, err
	}
	if next == nil {
		at.event = 0
		return s.now.Add(sweepAgain), nil
	}
	const some = 100
	deleted, err := s.Exec(ctx, deleteDepartedSQL, *next, some)
	if err != nil || deleted.RowsAffected() == some {
		return at.lookAt, err
	}
	stays, err := first(ctx, s, pgx.RowTo[bool], tenantStaysSQL, *next)
	if err != nil {
		return lookAt, err
	}
	if !stays {
		more, err := forgetRollups(ctx, s, store.TenantKey(*next))
		if errors.Is(err, errElsewhere) {
			return s.now.Add(sweepElsewhere), nil
		}
		if err != nil || more {
			return at.lookAt, err
		}
		if err := purgeTenant(ctx, s, store.TenantKey(*next)); err != nil {
			return lookAt, err
		}
	}
	at.event = *next
	return at.lookAt, nil
}

// purgeTenant deletes the row of a tenant of which nothing else is left.
func purgeTenant(ctx context.Context, tx pgx.Tx, tenant store.TenantKey) error {
	for _, query := range []string{deleteSpotsSQL, purgeTenantSQL} {
		if _, err := tx.Exec(ctx, query, tenant); err != nil {
			return err
		}
	}
	return nil
}
