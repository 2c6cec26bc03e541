package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	// lockMarkedSQL returns the endpoints of which something can be kept, and keeps them from
	// being disabled or deleted meanwhile.
	lockMarkedSQL = `SELECT key FROM endpoint WHERE key = ANY ($1) AND NOT disabled AND deleted_at IS NULL ORDER BY key FOR SHARE`
	putFailingSQL = `INSERT INTO failing (endpoint, since, told)
		SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::int[]) AS new (endpoint, since, told) ORDER BY endpoint
		ON CONFLICT (endpoint) DO UPDATE SET since = excluded.since, told = excluded.told`
	unmarkSQL = `DELETE FROM failing WHERE endpoint = ANY ($1)`

	deleteFailingSQL         = `DELETE FROM failing WHERE endpoint = $1`
	deleteFailingOfTenantSQL = `DELETE FROM failing WHERE endpoint IN (SELECT key FROM endpoint WHERE tenant = $1 AND deleted_at IS NULL)`
	deleteAllFailingSQL      = `DELETE FROM failing`
	failingSQL               = `SELECT endpoint, since, told FROM failing WHERE endpoint > $1 ORDER BY endpoint LIMIT $2`
)

// marks is the part of a commit that keeps which endpoints fail.
type marks struct {
	last map[store.EndpointKey]*store.Failing // what the last outcome says of each
	keep map[store.EndpointKey]bool           // those of which something can be kept
}

// newMarks passes over endpoints that another node has in memory.
func newMarks(outcomes []store.Outcome, member *membership) (m marks) {
	for i := range outcomes {
		if o := &outcomes[i]; o.Failing != nil && (member.key == 0 || member.owns(o.Tenant)) {
			if m.last == nil {
				m.last, m.keep = make(map[store.EndpointKey]*store.Failing), make(map[store.EndpointKey]bool)
			}
			m.last[o.Endpoint] = o.Failing
		}
	}
	return m
}

func (m *marks) ask(batch *pgx.Batch) {
	if len(m.last) == 0 {
		return
	}
	endpoints := make([]store.EndpointKey, 0, len(m.last))
	for endpoint := range m.last {
		endpoints = append(endpoints, endpoint)
	}
	batch.Queue(lockMarkedSQL, endpoints).Query(eachRow(func(rows pgx.Rows) error {
		var endpoint store.EndpointKey
		err := rows.Scan(&endpoint)
		m.keep[endpoint] = true
		return err
	}))
}

// kept says that what an outcome says of its endpoint is kept.
func (m *marks) kept(o *store.Outcome) bool {
	return m.last[o.Endpoint] != nil && o.Failing != nil && !o.Failing.Since.IsZero() && m.keep[o.Endpoint]
}

func (m *marks) store(batch *pgx.Batch) {
	var works, fails []store.EndpointKey
	var since []time.Time
	var told []int
	for endpoint, failing := range m.last {
		switch {
		case failing.Since.IsZero():
			works = append(works, endpoint)
		case m.keep[endpoint]:
			fails, since, told = append(fails, endpoint), append(since, instant(failing.Since)), append(told, failing.Told)
		}
	}
	if len(works) > 0 {
		batch.Queue(unmarkSQL, works)
	}
	if len(fails) > 0 {
		batch.Queue(putFailingSQL, fails, since, told)
	}
}

func scanFailing(row pgx.CollectableRow) (found store.FailingEndpoint, err error) {
	err = row.Scan(&found.Endpoint, &found.Since, &found.Told)
	found.Since = found.Since.UTC()
	return found, err
}

// FailingEndpoints lists the endpoints that fail.
func (s *Store) FailingEndpoints(ctx context.Context, after store.EndpointKey, limit int) ([]store.FailingEndpoint, error) {
	return readAll(ctx, s, scanFailing, failingSQL, after, limit)
}
