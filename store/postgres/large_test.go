package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres/postgrestest"
	"github.com/neohook/neohook/webhook"
)

// large is a store with so many rows that it shows which of them a list reads. Its events
// have every key up to twice rows, a second apart. Those with even keys are of the tenant
// big, all for one endpoint: most succeeded there, one in a thousand failed, and the last
// ones are open. The others are of many tenants. That of the tenant old ended long ago,
// whose keys are the first.
type large struct {
	*Store
	rows   int
	traced *recorder
}

const (
	largeRanges   = 20
	organisationA = "org_large"

	bigTenant, oldTenant     = store.TenantKey(1), store.TenantKey(2)
	bigEndpoint, oldEndpoint = store.EndpointKey(11), store.EndpointKey(12)
)

var largeStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (l *large) at(key store.EventKey) time.Time {
	return largeStart.Add(time.Duration(key) * time.Second)
}

// openLarge makes one, with the first of its events only.
func openLarge(tb testing.TB, rows, first int) *large {
	tb.Helper()
	schema := fmt.Sprintf("large_%d", time.Now().UnixNano())
	s, err := Open(context.Background(), postgrestest.Address(tb), Options{Schema: schema, MaxConns: 4})
	if err != nil {
		tb.Fatal(err)
	}
	l := &large{Store: s, rows: rows, traced: new(recorder)}
	config := s.pool.Config()
	config.ConnConfig.Tracer = l.traced
	s.pool.Close()
	if s.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		l.exec(tb, "DROP SCHEMA "+schema+" CASCADE")
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	l.divide(tb)
	l.fillDirectory(tb)
	l.fill(tb, 1, first)
	return l
}

func (l *large) exec(tb testing.TB, query string, args ...any) {
	tb.Helper()
	if _, err := l.pool.Exec(context.Background(), query, args...); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
}

// divide makes many ranges of few keys.
func (l *large) divide(tb testing.TB) {
	tb.Helper()
	size := max(2*l.rows/largeRanges, 1)
	for _, of := range dividedTables {
		for i := range largeRanges + 1 { // the last one is made ahead
			low := i*size + 1
			l.exec(tb, fmt.Sprintf(`CREATE TABLE %[1]s_from_%[2]d PARTITION OF %[1]s FOR VALUES FROM (%[2]d) TO (%[3]d)`, of.table, low, low+size))
			l.exec(tb, insertRangeSQL, of.table, low, low+size, largeStart)
		}
	}
}

func (l *large) fillDirectory(tb testing.TB) {
	tb.Helper()
	for _, query := range []string{
		`INSERT INTO tenant SELECT key, 'org_large', 'tenant' || key, 'T', 0, false, 0, 0, 0, NULL, now(), now(), 1, 1, NULL FROM generate_series(1, 1003) AS key`,
		`INSERT INTO endpoint SELECT 10 + key, key, 'endpoint', '', '', 'https://example.com', 'POST', '', 1000000, false, false, NULL, NULL, 0, 0, false,
			NULL, NULL, 1, NULL, '', now(), now(), NULL, NULL, 1, NULL FROM generate_series(1, 1003) AS key`,
	} {
		l.exec(tb, query)
	}
}

// fill stores the events with the keys between two, inclusive, and what there is beside them.
func (l *large) fill(tb testing.TB, from, to int) {
	tb.Helper()
	end := 2 * l.rows
	// Of each key who it is for: the old tenant at the beginning, then by turns.
	owned := fmt.Sprintf(`(SELECT key, CASE WHEN key %% 2 = 0 THEN 1 WHEN key <= %[3]d THEN 2 ELSE 3 + key %% 1000 END AS tenant,
			CASE WHEN key %% 2 = 0 THEN 11 WHEN key <= %[3]d THEN 12 ELSE 13 + key %% 1000 END AS endpoint,
			timestamptz '2026-01-01 00:00:00+00' + key * interval '1 second' AS at
		FROM generate_series(%[1]d, %[2]d) AS key) AS owned`, from, to, end/100)
	open := fmt.Sprintf(` key > %d`, end-end/100)
	some := fmt.Sprintf(` FROM generate_series(%d, %d) AS key WHERE key %% 20 = 0`, from, to)
	for _, query := range []string{
		`INSERT INTO event SELECT key, tenant, at, 'invoice.paid' FROM ` + owned,
		`INSERT INTO payload SELECT key, '{"n":1}' FROM ` + owned,
		`INSERT INTO history SELECT key, endpoint, CASE WHEN key % 2000 = 0 THEN 6 ELSE 5 END, NULL, 1, at FROM ` + owned + ` WHERE NOT` + open,
		`INSERT INTO attempt SELECT key, key, endpoint, 1, 0, 'https://example.com', key % 2000 <> 0, 204, NULL, false, at, 1000 FROM ` + owned + ` WHERE NOT` + open,
		`INSERT INTO delivery SELECT endpoint, key FROM ` + owned + ` WHERE key % 3 <> 0 AND` + open,
		`INSERT INTO waiting SELECT endpoint, key, 1, at, 0 FROM ` + owned + ` WHERE key % 3 = 0 AND` + open,
		`INSERT INTO job SELECT key, 'org_large', 1 + key % 3, 0, 1, NULL, 0, now(), 3, NULL, 0, 0, NULL, NULL, NULL, 0, 0, now(), now(), 0, 0, 0, 1, NULL` + some,
		`INSERT INTO event_type SELECT key, 'org_large', 'type' || key, '', '', NULL, false, key % 10 <> 0, now(), now(), 1, '{}'` + some,
		`INSERT INTO token SELECT key, sha256(key::text::bytea), 'org_large', CASE WHEN key % 100 = 0 THEN NULL ELSE 1 + key % 3 END, 'n', NULL,
			key % 100 <> 0, NULL, false, NULL, NULL, now(), NULL` + some,
		fmt.Sprintf(`SELECT setval('event_key', %[1]d), setval('attempt_key', %[1]d)`, to),
	} {
		l.exec(tb, query)
	}
}

// lists are all lists, as a page of them is asked for. They return how many rows they have
// looked at.
func (l *large) lists() map[string]func(context.Context, store.Page) (int, error) {
	type ask = func(context.Context, store.Page) (int, error)
	events := func(tenant store.TenantKey, filter store.EventFilter) ask {
		return func(ctx context.Context, page store.Page) (int, error) {
			return listed(l.Events(ctx, tenant, filter, page))
		}
	}
	deliveries := func(endpoint store.EndpointKey, filter store.DeliveryFilter) ask {
		return func(ctx context.Context, page store.Page) (int, error) {
			return listed(l.DeliveriesAtEndpoint(ctx, endpoint, filter, page))
		}
	}
	attempts := func(endpoint store.EndpointKey, filter store.AttemptFilter) ask {
		return func(ctx context.Context, page store.Page) (int, error) {
			return listed(l.AttemptsAtEndpoint(ctx, endpoint, filter, page))
		}
	}
	day := store.EventKey(l.rows) // in the middle
	from, to := l.at(day), l.at(day+3600)
	return map[string]ask{
		"events":                     events(bigTenant, store.EventFilter{}),
		"events with payloads":       events(bigTenant, store.EventFilter{WithPayload: true}),
		"events of a time":           events(bigTenant, store.EventFilter{From: from, To: to}),
		"events of one that is idle": events(oldTenant, store.EventFilter{}),
		"events of a type of none":   events(bigTenant, store.EventFilter{Types: []string{"none"}}),

		"deliveries":                     deliveries(bigEndpoint, store.DeliveryFilter{}),
		"deliveries of a time":           deliveries(bigEndpoint, store.DeliveryFilter{From: from, To: to}),
		"deliveries of one that is idle": deliveries(oldEndpoint, store.DeliveryFilter{}),
		"failed deliveries":              deliveries(bigEndpoint, store.DeliveryFilter{States: []webhook.State{webhook.Exhausted}}),
		"open deliveries":                deliveries(bigEndpoint, store.DeliveryFilter{States: []webhook.State{webhook.Pending, webhook.Waiting}}),
		"deliveries of a type of none":   deliveries(bigEndpoint, store.DeliveryFilter{Types: []string{"none"}}),

		"attempts":                     attempts(bigEndpoint, store.AttemptFilter{}),
		"attempts of a time":           attempts(bigEndpoint, store.AttemptFilter{From: from, To: to}),
		"attempts of one that is idle": attempts(oldEndpoint, store.AttemptFilter{}),
		"attempts of a type of none":   attempts(bigEndpoint, store.AttemptFilter{Types: []string{"none"}}),

		"untried events": func(ctx context.Context, page store.Page) (int, error) {
			return listed(l.UntriedAtEndpoint(ctx, bigTenant, oldEndpoint, store.EventFilter{}, page))
		},
		"attempts of an event": func(ctx context.Context, page store.Page) (int, error) {
			page.After = 0
			return listed(l.AttemptsOfEvent(ctx, day-day%2, store.AttemptFilter{}, page))
		},
		"attempts of a delivery": func(ctx context.Context, page store.Page) (int, error) {
			page.After = 0
			return listed(l.AttemptsOfEvent(ctx, day-day%2, store.AttemptFilter{Endpoint: bigEndpoint}, page))
		},
		"deliveries of an event": func(ctx context.Context, page store.Page) (int, error) {
			page.After = 0
			return counting(l.DeliveriesOfEvent(ctx, bigTenant, day-day%2, page))
		},
		"deliveries of an open event": func(ctx context.Context, page store.Page) (int, error) {
			page.After = 0
			return counting(l.DeliveriesOfEvent(ctx, bigTenant, store.EventKey(2*l.rows), page))
		},
		"delivery": func(ctx context.Context, _ store.Page) (int, error) {
			_, err := l.Delivery(ctx, bigEndpoint, day-day%2)
			return 1, err
		},
		"event": func(ctx context.Context, _ store.Page) (int, error) {
			_, err := l.Event(ctx, bigTenant, day-day%2)
			return 1, err
		},
		"attempt": func(ctx context.Context, _ store.Page) (int, error) {
			_, err := l.Attempt(ctx, day-day%2, store.AttemptKey(day-day%2))
			return 1, err
		},
		"tenants": func(ctx context.Context, page store.Page) (int, error) {
			return counting(l.Tenants(ctx, organisationA, page))
		},
		"endpoints": func(ctx context.Context, page store.Page) (int, error) {
			return counting(l.Endpoints(ctx, bigTenant, page))
		},
		"routes": func(ctx context.Context, _ store.Page) (int, error) {
			_, err := l.Routes(ctx, bigTenant)
			return 1, err
		},
		"event types": func(ctx context.Context, page store.Page) (int, error) {
			got, err := l.EventTypes(ctx, organisationA, store.EventTypeFilter{WithSchemas: true}, store.NamePage{Descending: page.Descending, Limit: page.Limit})
			return len(got.Items), err
		},
		"active event types": func(ctx context.Context, page store.Page) (int, error) {
			got, err := l.EventTypes(ctx, organisationA, store.EventTypeFilter{Active: true}, store.NamePage{Descending: page.Descending, Limit: page.Limit})
			return len(got.Items), err
		},
		"tokens": func(ctx context.Context, page store.Page) (int, error) {
			return counting(l.Tokens(ctx, organisationA, store.TokenFilter{}, largeStart, page))
		},
		"tokens of a tenant": func(ctx context.Context, page store.Page) (int, error) {
			return counting(l.Tokens(ctx, organisationA, store.TokenFilter{Tenant: bigTenant, Portal: true}, largeStart, page))
		},
		"jobs": func(ctx context.Context, page store.Page) (int, error) {
			return listed(l.Jobs(ctx, organisationA, store.JobFilter{}, page))
		},
		"jobs of a tenant": func(ctx context.Context, page store.Page) (int, error) {
			return listed(l.Jobs(ctx, organisationA, store.JobFilter{Tenant: bigTenant}, page))
		},
		"running jobs": func(ctx context.Context, page store.Page) (int, error) {
			return counting(l.RunningJobs(ctx, 0, page.Limit))
		},
		"open of a job": func(ctx context.Context, page store.Page) (int, error) {
			_, _, err := l.JobOpen(ctx, 1, bigEndpoint, page.Limit)
			return page.Limit, err
		},
		"failing endpoints": func(ctx context.Context, page store.Page) (int, error) {
			return counting(l.FailingEndpoints(ctx, 0, page.Limit))
		},
	}
}

func listed[T any](got store.Listed[T], err error) (int, error) { return got.Examined, err }

func counting[T any](got []T, err error) (int, error) { return len(got), err }

// recorder keeps the statements that a store makes.
type recorder struct{ made []pgx.TraceQueryStartData }

// TraceQueryStart is called before each.
func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.made = append(r.made, data)
	return ctx
}

// TraceQueryEnd is called behind it.
func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
