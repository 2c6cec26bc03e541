package sqlite

import (
	"context"
	"errors"

	"github.com/neohook/neohook/store"
)

// The directory keeps what is deleted as long as something refers to it.
const (
	nextDepartedSQL = `SELECT tenant FROM endpoint WHERE deleted_at IS NOT NULL AND tenant > ?1
		UNION SELECT key FROM tenant WHERE deleted_at IS NOT NULL AND key > ?1 ORDER BY 1 LIMIT 1`
	deleteDepartedSQL = `DELETE FROM endpoint WHERE key IN (SELECT key FROM endpoint
		WHERE tenant = ?1 AND deleted_at IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.endpoint = endpoint.key)
			AND NOT EXISTS (SELECT 1 FROM send WHERE send.endpoint = endpoint.key)
			AND NOT EXISTS (SELECT 1 FROM history_span WHERE history_span.endpoint = endpoint.key)
			AND NOT EXISTS (SELECT 1 FROM attempt_span WHERE attempt_span.endpoint = endpoint.key)
		LIMIT ?2)`
	// tenantStaysSQL finds a row where there is something left of a tenant.
	tenantStaysSQL = `SELECT 1 WHERE EXISTS (SELECT 1 FROM tenant WHERE key = ?1 AND deleted_at IS NULL)
		OR EXISTS (SELECT 1 FROM endpoint WHERE tenant = ?1 AND deleted_at IS NOT NULL)
		OR EXISTS (SELECT 1 FROM event_span WHERE tenant = ?1)
		OR EXISTS (SELECT 1 FROM expunge WHERE tenant = ?1)`
	purgeTenantSQL = `DELETE FROM tenant WHERE key = ?`
)

// directoryStep deletes some of a deleted tenant's or deleted endpoints' rows that nothing
// refers to any more. It returns when to look again.
func (s *sweep) directoryStep(ctx context.Context, at *spot) (lookAt int64, err error) {
	tenant, err := first(ctx, s.conn, (*row).int, nextDepartedSQL, at.event)
	if errors.Is(err, store.ErrNotFound) {
		at.event = 0
		s.crashed = false
		return s.now + sweepAgain.Microseconds(), nil
	}
	if err != nil {
		return 0, err
	}
	if s.crashed { // what was touched is forgotten
		for _, of := range []spanned{historyList, attemptList} {
			if err := s.touchDeparted(ctx, of, tenant); err != nil {
				return 0, err
			}
		}
	}
	const some = 100
	deleted, err := s.exec(ctx, deleteDepartedSQL, tenant, int64(some))
	if err != nil || deleted == some {
		return 0, err
	}
	stays, err := s.has(ctx, tenantStaysSQL, tenant)
	if err != nil {
		return 0, err
	}
	if !stays {
		if more, err := s.forgetRollups(ctx, store.TenantKey(tenant), some); err != nil || more {
			return 0, err
		}
	}
	at.event = tenant
	if stays {
		return 0, nil
	}
	return 0, s.purgeTenant(ctx, store.TenantKey(tenant))
}

const (
	departedHistorySQL  = `SELECT history_span.endpoint, span FROM endpoint CROSS JOIN history_span ON history_span.endpoint = endpoint.key WHERE tenant = ? AND deleted_at IS NOT NULL`
	departedAttemptsSQL = `SELECT attempt_span.endpoint, span FROM endpoint CROSS JOIN attempt_span ON attempt_span.endpoint = endpoint.key WHERE tenant = ? AND deleted_at IS NOT NULL`
)

// touchDeparted has it looked at whether there is anything in the spans of a tenant's
// deleted endpoints.
func (s *sweep) touchDeparted(ctx context.Context, of spanned, tenant int64) error {
	query := departedHistorySQL
	if of == attemptList {
		query = departedAttemptsSQL
	}
	for r, err := range s.rows(ctx, query, tenant) {
		if err != nil {
			return err
		}
		s.touched.note(of, r.int(), r.int())
	}
	return nil
}

// purgeTenant deletes the row of a tenant of which nothing else is left.
func (w *writer) purgeTenant(ctx context.Context, tenant store.TenantKey) error {
	w.apart = nil
	if _, err := w.exec(ctx, deleteSweepSQL, int64(tenant)); err != nil {
		return err
	}
	_, err := w.exec(ctx, purgeTenantSQL, int64(tenant))
	return err
}
