package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

// One event is published elsewhere, and that one's process has stopped.
func TestHeldKeyDoesNotHoldUpItsBatch(t *testing.T) {
	for what, hold := range map[string]string{
		"a key": `INSERT INTO published (part, hash, body, event, accepted_at, expires_at)
			SELECT 3, convert_to('0000000000000003', 'UTF8'), '\x00000000000000000000000000000000', 99, '2026-01-01', '2027-01-01' WHERE $1::bigint > 0`,
		"a UID": `INSERT INTO event_uid (tenant, uid, event) VALUES ($1, 'uid-3', 99)`,
	} {
		for end, want := range map[string]store.VerdictKind{"rollback": store.Accepted, "commit": 0} {
			t.Run(what+", "+end, func(t *testing.T) {
				schema := schemaOf(t.TempDir())
				l := newLoad(t, openSchema(t, schema), 8, 1, false)
				other := direct(t, schema)
				tx, err := other.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec(t.Context(), hold, l.tenants[0].Tenant); err != nil {
					t.Fatal(err)
				}
				batch := l.next()
				for i := range batch.Accepts {
					once := &store.Once{TTL: time.Hour}
					copy(once.Hash[:], fmt.Sprintf("%016d", i))
					batch.Accepts[i].Once, batch.Accepts[i].UID = once, fmt.Sprint("uid-", i)
				}
				verdicts, err := l.store.Commit(t.Context(), batch) // that it returns is what counts
				if err != nil {
					t.Fatal(err)
				}
				for i, verdict := range verdicts {
					want := store.Accepted
					if i == 3 {
						want = store.Rerouted
					}
					if verdict.Kind != want {
						t.Errorf("event %d: verdict %d, want %d", i, verdict.Kind, want)
					}
				}
				if end == "commit" {
					err = tx.Commit(t.Context())
					want = map[string]store.VerdictKind{"a key": store.Replayed, "a UID": store.UIDTaken}[what]
				} else {
					err = tx.Rollback(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				again := &store.Batch{Now: l.now, Accepts: batch.Accepts[3:4]}
				for kind := store.Rerouted; kind != want; kind = verdicts[0].Kind {
					if verdicts, err = l.store.Commit(t.Context(), again); err != nil {
						t.Fatal(err)
					}
					if kind := verdicts[0].Kind; kind != want && kind != store.Rerouted {
						t.Fatalf("afterwards: verdict %d, want %d", kind, want)
					}
				}
			})
		}
	}
}
