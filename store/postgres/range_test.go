package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
)

// direct is a connection past the store, to the schema of one.
func direct(t *testing.T, schema string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), postgrestest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if _, err := conn.Exec(t.Context(), "SET search_path TO "+schema); err != nil {
		t.Fatal(err)
	}
	return conn
}

func openSchema(t *testing.T, schema string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgrestest.Address(t), postgres.Options{Schema: schema, MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestRangesAreMadeBeforeTheyAreNeeded(t *testing.T) {
	schema := schemaOf(t.TempDir())
	l := newLoad(t, openSchema(t, schema), 4, 1, false)
	l.commit()
	conn := direct(t, schema)
	highest := func() (low, high int64) {
		t.Helper()
		err := conn.QueryRow(t.Context(), `SELECT low, high FROM key_range WHERE of = 'delivery' ORDER BY low DESC LIMIT 1`).Scan(&low, &high)
		if err != nil {
			t.Fatal(err)
		}
		return low, high
	}
	_, end := highest()
	// A commit from the last range has another one made, for which it does not wait.
	at := end - 10
	if _, err := conn.Exec(t.Context(), `SELECT setval('event_key', $1)`, at); err != nil {
		t.Fatal(err)
	}
	l.commit()
	// turn waits for whoever makes ranges, if anybody does.
	turn := func() {
		t.Helper()
		if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_xact_lock(hashtextextended('neohook ranges ' || current_schema(), 0))`); err != nil {
			t.Fatal(err)
		}
	}
	for next := end; next == end; _, next = highest() {
		turn()
	}
	for range 5 { // over the end of the range
		l.commit()
	}
	// A rush that was faster is made up for.
	_, end = highest()
	if _, err := conn.Exec(t.Context(), `SELECT setval('event_key', $1)`, end+1_000_000); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l.commit()
	}
	for low := end; low <= end; low, _ = highest() {
		turn()
	}
	// All are there, and each key has one place.
	var events, gaps int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM key_range a
		WHERE low > (SELECT min(low) FROM key_range b WHERE b.of = a.of) AND NOT EXISTS (SELECT FROM key_range b WHERE b.of = a.of AND b.high = a.low))`).Scan(&events, &gaps); err != nil {
		t.Fatal(err)
	}
	if events != 4*10 || gaps != 0 {
		t.Errorf("%d events and %d gaps between ranges, want 40 and none", events, gaps)
	}
}

func TestRangesGrowWithTheRate(t *testing.T) {
	schema := schemaOf(t.TempDir())
	l := newLoad(t, openSchema(t, schema), 1, 1, false)
	conn := direct(t, schema)
	sizes := func(pause time.Duration) (sizes []int64) {
		t.Helper()
		for range 6 {
			var low int64
			if err := conn.QueryRow(t.Context(), `SELECT coalesce(max(high), 1) FROM key_range WHERE of = 'delivery'`).Scan(&low); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), `SELECT setval('event_key', $1)`, low); err != nil {
				t.Fatal(err)
			}
			l.now = l.now.Add(pause)
			l.commit()
			var size int64
			if err := conn.QueryRow(t.Context(), `SELECT high - low FROM key_range WHERE of = 'delivery' ORDER BY low DESC LIMIT 1`).Scan(&size); err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, size)
		}
		return sizes
	}
	fast := sizes(10 * time.Second)
	if last := fast[len(fast)-1]; last != 1<<20 {
		t.Errorf("ranges of %v keys, each used up in seconds: want them to grow to %d", fast, 1<<20)
	}
	slow := sizes(24 * time.Hour)
	if last := slow[len(slow)-1]; last != 1<<16 {
		t.Errorf("ranges of %v keys, each used up in a day: want them to shrink to %d", slow, 1<<16)
	}
}

// Two stores on one schema are two processes to the database.
func TestWritersOfSeveralProcessesAgree(t *testing.T) {
	schema := schemaOf(t.TempDir())
	stores := []*postgres.Store{openSchema(t, schema), openSchema(t, schema)}
	const tenants, rounds, keys = 3, 40, 200
	l := newLoad(t, stores[0], 8, tenants, false)
	type named struct {
		hash [16]byte
	}
	var mu sync.Mutex
	accepted := make(map[named][]store.EventKey)
	told := make(map[[16]byte]map[store.EventKey]bool)
	failed := make(map[store.EventKey]int) // failures recorded
	var all []store.Outcome
	var writers sync.WaitGroup
	for number := range 8 {
		writers.Go(func() {
			s := stores[number%2]
			for round := range rounds {
				batch := &store.Batch{Now: l.now}
				for i := range 8 {
					// The same few keys, from everywhere, and in another order each time.
					n := (round*31 + i*(number+1)*7) % keys
					accept := l.tenants[n%tenants]
					accept.Once = &store.Once{TTL: time.Hour}
					copy(accept.Once.Hash[:], fmt.Sprintf("%016d", n))
					if n%2 == 0 {
						accept.UID = fmt.Sprint("uid-", n%50)
					}
					batch.Accepts = append(batch.Accepts, accept)
				}
				mu.Lock()
				for i := range min(6, len(all)) { // two writers may well have the same one
					batch.Outcomes = append(batch.Outcomes, all[(round*13+number*5+i*17)%len(all)])
				}
				mu.Unlock()
				verdicts, err := s.Commit(t.Context(), batch)
				if err != nil {
					t.Errorf("writer %d, round %d: %v", number, round, err)
					return
				}
				mu.Lock()
				for i, verdict := range verdicts {
					accept := &batch.Accepts[i]
					switch verdict.Kind {
					case store.Accepted:
						accepted[named{hash: accept.Once.Hash}] = append(accepted[named{hash: accept.Once.Hash}], verdict.Event)
						all = append(all, failure(l, accept, verdict.Event))
						fallthrough
					case store.Replayed:
						if told[accept.Once.Hash] == nil {
							told[accept.Once.Hash] = make(map[store.EventKey]bool)
						}
						told[accept.Once.Hash][verdict.Event] = true
					case store.UIDTaken:
					default:
						t.Errorf("verdict %d", verdict.Kind)
					}
				}
				for i := range batch.Outcomes {
					failed[batch.Outcomes[i].Event]++
				}
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	for key, events := range accepted {
		if len(events) != 1 || len(told[key.hash]) != 1 {
			t.Errorf("key %s was accepted as %v, and told as %v", key.hash, events, told[key.hash])
		}
	}
	conn := direct(t, schema)
	var twice, uids, waiting, fresh, attempts int
	err := conn.QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM (SELECT 1 FROM event WHERE uid IS NOT NULL GROUP BY tenant, uid HAVING count(*) > 1) AS twice),
		(SELECT count(*) FROM event_uid), (SELECT count(*) FROM waiting), (SELECT count(*) FROM delivery),
		(SELECT count(*) FROM attempt)`).Scan(&twice, &uids, &waiting, &fresh, &attempts)
	if err != nil {
		t.Fatal(err)
	}
	recorded := 0
	for _, times := range failed {
		recorded += times
	}
	if twice != 0 || waiting != len(failed) || waiting+fresh != len(all) || attempts != recorded {
		t.Errorf("%d UIDs twice, %d deliveries wait and %d are fresh, of %d with %d failed, %d attempts of %d",
			twice, waiting, fresh, len(all), len(failed), attempts, recorded)
	}
}

// failure is the outcome of a first attempt that failed.
func failure(l *load, accept *store.Accept, event store.EventKey) store.Outcome {
	return store.Outcome{
		Tenant: accept.Tenant, Endpoint: accept.Endpoints[0], Event: event, EventType: accept.Type,
		State: 3, RetryAt: l.now.Add(time.Minute),
		Attempt: &store.Attempt{Number: 1, URL: "https://example.com/hook", StatusCode: 500, StartedAt: l.now},
	}
}
