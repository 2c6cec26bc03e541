package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
)

// keyedBatch publishes under keys of one number each, kept for as long.
func keyedBatch(l *load, now time.Time, ttl time.Duration, numbers ...int) []store.Verdict {
	l.tb.Helper()
	batch := &store.Batch{Now: now}
	for _, number := range numbers {
		accept := l.tenants[0]
		accept.Once = &store.Once{TTL: ttl}
		copy(accept.Once.Hash[:], fmt.Sprintf("%s %d", ttl, number))
		batch.Accepts = append(batch.Accepts, accept)
	}
	verdicts, err := l.store.Commit(l.tb.Context(), batch)
	if err != nil {
		l.tb.Fatal(err)
	}
	return verdicts
}

// upkeep compacts until there is no more to do.
func upkeep(t *testing.T, s *postgres.Store, now time.Time) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.CompactRollups(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever turns have come and gone, a key is known for as long as it is kept; and what is
// kept in all does not grow.
func TestKeysAreKnownForTheirTimeAndNotMuchLonger(t *testing.T) {
	schema := schemaOf(t.TempDir())
	s := openSchema(t, schema)
	l := newLoad(t, s, 1, 1, false)
	conn := direct(t, schema)
	const step = 25 * time.Second
	start := time.Now()
	first := make(map[int]store.EventKey)
	for n := range 120 {
		now := start.Add(time.Duration(n) * step)
		upkeep(t, s, now)
		for _, back := range []int{0, 1, 10, 23, 24, 25, 60, 110} {
			number := n - back
			if number < 0 {
				continue
			}
			verdict := keyedBatch(l, now, 10*time.Minute, number)[0]
			switch known := verdict.Kind == store.Replayed && verdict.Event == first[number]; {
			case back > 0 && back < 24 && !known:
				t.Fatalf("at %v, key of %v before: verdict %d", time.Duration(n)*step, time.Duration(back)*step, verdict.Kind)
			case back == 0 || back == 24:
				if verdict.Kind != store.Accepted {
					t.Fatalf("at %v, key of %v before, which is new: verdict %d", time.Duration(n)*step, time.Duration(back)*step, verdict.Kind)
				}
				fallthrough
			case verdict.Kind == store.Accepted:
				first[number] = verdict.Event
			}
			if back == 24 { // from now on it is one of now, and not asked for again
				delete(first, number)
			}
		}
	}
	var kept int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM published`).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if most := 4 * int(2*10*time.Minute/step); kept > most { // four are new at each step
		t.Errorf("%d keys are kept, want %d at most", kept, most)
	}
}

// Who publishes holds off those who change turns, for as long as its transaction takes.
func TestTurnsAreNotChangedBesideAPublisher(t *testing.T) {
	schema := schemaOf(t.TempDir())
	s := openSchema(t, schema)
	l := newLoad(t, s, 1, 1, false)
	conn := direct(t, schema)
	now := time.Now()
	keyedBatch(l, now, time.Hour, 1)
	turn := func() (turn int64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT turn FROM published_turn WHERE kept = 1`).Scan(&turn); err != nil {
			t.Fatal(err)
		}
		return turn
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock_shared(hashtextextended('neohook published ' || current_schema(), 0))`); err != nil {
		t.Fatal(err)
	}
	upkeep(t, s, now)
	if got := turn(); got != 0 {
		t.Errorf("turn %d beside a publisher, want 0", got)
	}
	keyedBatch(l, now, time.Hour, 2) // which others may be at the same time
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	upkeep(t, s, now)
	if got := turn(); got != 1 {
		t.Errorf("turn %d afterwards, want 1", got)
	}
	for number, want := range map[int]store.VerdictKind{1: store.Replayed, 2: store.Replayed, 3: store.Accepted} {
		if verdict := keyedBatch(l, now.Add(59*time.Minute), time.Hour, number)[0]; verdict.Kind != want {
			t.Errorf("key %d: verdict %d, want %d", number, verdict.Kind, want)
		}
	}
}
