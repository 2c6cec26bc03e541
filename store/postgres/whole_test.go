package postgres_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
	"github.com/neohook/neohook/store/storetest"
	"github.com/neohook/neohook/webhook"
)

// TestModelOverManyRanges has what is let go of go by whole ranges, most of the time.
func TestModelOverManyRanges(t *testing.T) {
	postgres.SmallRanges(t, 8)
	storetest.Model(t, openAt)
}

// busy is a store with a tenant and an endpoint, into which events go with their outcomes.
type busy struct {
	*testing.T
	*postgres.Store
	sql      *pgx.Conn // somebody else's, in the same schema
	now      time.Time
	tenant   store.TenantKey
	endpoint store.EndpointKey
}

func newBusy(t *testing.T, keysInRange int64) *busy {
	t.Helper()
	postgres.SmallRanges(t, keysInRange)
	name := fnv.New64a()
	_, _ = name.Write([]byte(t.TempDir()))
	schema := fmt.Sprintf("test_%x", name.Sum64())
	s, err := postgres.Open(t.Context(), postgrestest.Address(t), postgres.Options{Schema: schema, MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b := &busy{T: t, Store: s, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), sql: connect(t, schema)}
	b.tenant = b.newTenant(webhook.Retention{})
	b.endpoint = b.newEndpoint(b.tenant)
	return b
}

func connect(t *testing.T, schema string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), postgrestest.Address(t))
	if err == nil {
		_, err = conn.Exec(t.Context(), "SET search_path TO "+schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (b *busy) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *busy) key() int64 {
	b.Helper()
	key, err := b.NewKey(b.Context())
	b.must(err)
	return key
}

func (b *busy) newTenant(kept webhook.Retention) store.TenantKey {
	b.Helper()
	key := store.TenantKey(b.key())
	b.must(b.InsertTenant(b.Context(), store.Tenant{Key: key, Organisation: "org", Retention: kept, CreatedAt: b.now, Version: 1}, nil))
	return key
}

func (b *busy) newEndpoint(tenant store.TenantKey) store.EndpointKey {
	b.Helper()
	key := store.EndpointKey(b.key())
	b.must(b.InsertEndpoint(b.Context(), store.Endpoint{Key: key, Tenant: tenant, URL: "https://example.com", CreatedAt: b.now, Version: 1}, nil))
	return key
}

// publish stores events that are delivered at once, but for those of an odd one out.
func (b *busy) publish(tenant store.TenantKey, endpoint store.EndpointKey, count int, open func(i int) bool) []store.EventKey {
	b.Helper()
	routes, err := b.Routes(b.Context(), tenant)
	b.must(err)
	batch := store.Batch{Now: b.now}
	for range count {
		batch.Accepts = append(batch.Accepts, store.Accept{
			Tenant: tenant, RouteVersion: routes.Version, Endpoints: []store.EndpointKey{endpoint}, Type: "a", Payload: []byte("{}"),
		})
	}
	verdicts, err := b.Commit(b.Context(), &batch)
	b.must(err)
	var events []store.EventKey
	done := store.Batch{Now: b.now}
	for i, verdict := range verdicts {
		events = append(events, verdict.Event)
		if open != nil && open(i) {
			continue
		}
		done.Outcomes = append(done.Outcomes, store.Outcome{
			Tenant: tenant, Endpoint: endpoint, Event: verdict.Event, EventType: "a", State: webhook.Succeeded,
			Attempt: &store.Attempt{Number: 1, Succeeded: true, StatusCode: 200, StartedAt: b.now},
		})
	}
	_, err = b.Commit(b.Context(), &done)
	b.must(err)
	return events
}

func (b *busy) sweep() (swept store.Swept) {
	b.Helper()
	kept := webhook.Retention{Payloads: 5 * 24 * time.Hour, Attempts: 10 * 24 * time.Hour, Events: 20 * 24 * time.Hour}
	for more := true; more; {
		one, err := b.Sweep(b.Context(), b.now, kept, time.Second)
		b.must(err)
		swept.Payloads, swept.Attempts, swept.Events = swept.Payloads+one.Payloads, swept.Attempts+one.Attempts, swept.Events+one.Events
		swept.Next, more = one.Next, one.More
	}
	return swept
}

// count returns the number that a query finds.
func (b *busy) count(query string) (n int64) {
	b.Helper()
	b.must(b.sql.QueryRow(b.Context(), query).Scan(&n))
	return n
}

func (b *busy) partitions(of string) []string {
	b.Helper()
	rows, err := b.sql.Query(b.Context(), `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::regclass ORDER BY 1`, of)
	b.must(err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	b.must(err)
	return names
}

func TestRangesGoWhole(t *testing.T) {
	b := newBusy(t, 100)
	begun := b.now
	var events []store.EventKey
	for range 10 {
		events = append(events, b.publish(b.tenant, b.endpoint, 50, nil)...)
		b.now = b.now.Add(time.Hour)
	}
	b.now = begun.Add(15 * 24 * time.Hour)
	b.publish(b.tenant, b.endpoint, 50, nil) // so that it is known that no more comes to the others
	size := func(table string) int64 {
		return b.count(`SELECT coalesce(sum(pg_relation_size(inhrelid)), 0) FROM pg_inherits WHERE inhparent = '` + table + `'::regclass AND inhrelid::regclass::text ~ '_(1|101|201|301)$'`)
	}
	if size("payload") == 0 || size("attempt") == 0 {
		t.Fatal("nothing is there to begin with")
	}
	b.sweep()
	if got := size("payload"); got != 0 {
		t.Errorf("payloads take %d bytes though all had their time", got)
	}
	if got := size("attempt"); got != 0 {
		t.Errorf("attempts take %d bytes though all had their time", got)
	}
	if size("history") == 0 || size("event") == 0 {
		t.Error("events have gone before their time")
	}
	b.now = begun.Add(22 * 24 * time.Hour)
	b.sweep()
	for _, table := range []string{"event", "payload", "history", "attempt"} {
		for _, name := range b.partitions(table) {
			if slices.Contains([]string{table + "_from_1", table + "_from_101", table + "_from_201", table + "_from_301"}, name) {
				t.Errorf("%s is there though all in it had its time", name)
			}
		}
	}
	for _, event := range events[:400] {
		if _, err := b.Event(t.Context(), b.tenant, event); err == nil {
			t.Fatalf("event %d is there", event)
		}
	}
	found, err := b.Recount(t.Context(), b.now)
	b.must(err)
	if found.Wrong != 0 {
		t.Errorf("%d rollups are wrong", found.Wrong)
	}
}

func TestWhatStaysOfARangeIsPutBack(t *testing.T) {
	b := newBusy(t, 100)
	begun := b.now
	long := b.newTenant(webhook.Retention{Payloads: 40 * 24 * time.Hour, Attempts: 40 * 24 * time.Hour, Events: 40 * 24 * time.Hour})
	longEndpoint := b.newEndpoint(long)
	mine := b.publish(b.tenant, b.endpoint, 60, func(i int) bool { return i == 7 })
	theirs := b.publish(long, longEndpoint, 30, nil)
	b.publish(b.tenant, b.endpoint, 60, nil)
	b.now = begun.Add(15 * 24 * time.Hour)
	b.publish(b.tenant, b.endpoint, 60, nil)
	b.now = begun.Add(22 * 24 * time.Hour)
	b.sweep()
	left := func(tenant store.TenantKey, event store.EventKey) (left string) {
		ev, err := b.Event(t.Context(), tenant, event)
		if err != nil {
			return "-"
		}
		attempts, err := b.AttemptsOfEvent(t.Context(), event, store.AttemptFilter{}, store.Page{Limit: 9})
		b.must(err)
		return strings.Repeat("p", min(1, len(ev.Payload))) + strings.Repeat("a", len(attempts.Items)) + "e"
	}
	check := func(when string, open, their string) {
		t.Helper()
		for i, event := range mine {
			want := "-"
			if i == 7 {
				want = open
			}
			if got := left(b.tenant, event); got != want {
				t.Errorf("%s event %d: %s, want %s", when, i, got, want)
			}
		}
		for _, event := range theirs {
			if got := left(long, event); got != their {
				t.Errorf("%s their event %d: %s, want %s", when, event, got, their)
			}
		}
	}
	check("in its time,", "pe", "pae")
	_, err := b.Commit(t.Context(), &store.Batch{Now: b.now, Outcomes: []store.Outcome{{
		Tenant: b.tenant, Endpoint: b.endpoint, Event: mine[7], EventType: "a", State: webhook.Succeeded,
		Attempt: &store.Attempt{Number: 1, Succeeded: true, StatusCode: 200, StartedAt: b.now},
	}}})
	b.must(err)
	b.sweep()
	check("ended,", "-", "pae")
	b.now = begun.Add(42 * 24 * time.Hour)
	b.sweep()
	check("all in its time,", "-", "-")
	if names := b.partitions("event"); slices.Contains(names, "event_from_1") {
		t.Errorf("event_from_1 is there though nothing is in it: %v", names)
	}
}

func TestSpentRangesOfDeliveriesGo(t *testing.T) {
	b := newBusy(t, 100)
	slow := b.newEndpoint(b.tenant)
	open := b.publish(b.tenant, slow, 10, func(int) bool { return true })
	for range 12 {
		b.now = b.now.Add(time.Minute)
		b.publish(b.tenant, b.endpoint, 50, nil)
	}
	b.sweep()
	if names := b.partitions("delivery"); len(names) > 4 || slices.Contains(names, "delivery_from_1") {
		t.Errorf("partitions of deliveries: %v", names)
	}
	page, err := b.Fresh(t.Context(), slow, 0, 99)
	b.must(err)
	if len(page.Deliveries) != len(open) {
		t.Errorf("%d deliveries are open, want %d", len(page.Deliveries), len(open))
	}
	lanes, err := b.Lanes(t.Context(), 0, 9)
	b.must(err)
	if len(lanes) != 1 || lanes[0].Endpoint != slow {
		t.Errorf("lanes %v", lanes)
	}
}

func TestPartsOfTheJournalAreEmptied(t *testing.T) {
	b := newBusy(t, 1<<17)
	foreign, err := connect(t, "public").Begin(t.Context())
	b.must(err)
	_, err = foreign.Exec(t.Context(), `CREATE TABLE IF NOT EXISTS somebodys (one integer); SELECT txid_current()`)
	b.must(err)
	size := func() int64 {
		return b.count(`SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'rollup_journal'::regclass`)
	}
	most := int64(0)
	for range 40 {
		for range 60 {
			b.publish(b.tenant, b.endpoint, 1, nil)
		}
		b.now = b.now.Add(20 * time.Second)
		for more := true; more; {
			more, err = b.CompactRollups(t.Context(), b.now)
			b.must(err)
		}
		most = max(most, size())
	}
	if most > 3<<18 {
		t.Errorf("the journal takes %d bytes beside somebody's open transaction", most)
	}
	b.must(foreign.Rollback(t.Context()))
}
