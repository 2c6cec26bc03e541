//go:build unix

package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	driversqlite "modernc.org/sqlite"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// cpu is what the process has used of the processors.
func cpu(tb testing.TB) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// measure reports what do has cost, over all b.N events.
func measure(b *testing.B, do func()) {
	b.Helper()
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	do()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/event")
}

func openBench(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "neohook.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// load makes batches as an engine does: fresh events, each with a key of its own, and
// what came of those of the batch before.
type load struct {
	tb       testing.TB
	store    *Store
	size     int
	tenants  []store.Accept // an event of each
	accepts  []store.Accept
	outcomes []store.Outcome
	now      time.Time
	number   uint64
}

func newLoad(tb testing.TB, s *Store, size, tenants int) *load {
	l := &load{tb: tb, store: s, size: size, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	payload := make([]byte, 1024)
	for range tenants {
		key, err := s.NewKey(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		tenant := store.Tenant{Key: store.TenantKey(key), Organisation: "org"}
		if err := s.InsertTenant(tb.Context(), tenant, nil); err != nil {
			tb.Fatal(err)
		}
		if key, err = s.NewKey(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		ep := store.Endpoint{Key: store.EndpointKey(key), Tenant: tenant.Key, URL: "https://example.com/hook"}
		if err := s.InsertEndpoint(tb.Context(), ep, nil); err != nil {
			tb.Fatal(err)
		}
		routes, err := s.Routes(tb.Context(), tenant.Key)
		if err != nil {
			tb.Fatal(err)
		}
		l.tenants = append(l.tenants, store.Accept{
			Tenant: tenant.Key, RouteVersion: routes.Version, Endpoints: []store.EndpointKey{ep.Key},
			Type: "invoice.paid", Payload: payload,
		})
	}
	return l
}

// next is the batch to commit; done takes the verdicts.
func (l *load) next() *store.Batch {
	l.now = l.now.Add(5 * time.Millisecond)
	l.accepts = l.accepts[:0]
	for range l.size {
		l.number++
		accept := l.tenants[l.number%uint64(len(l.tenants))]
		accept.Once = &store.Once{TTL: 10 * time.Minute}
		hash := l.number * 0x9e3779b97f4a7c15
		binary.BigEndian.PutUint64(accept.Once.Hash[:], hash)
		binary.BigEndian.PutUint64(accept.Once.Hash[8:], ^hash)
		l.accepts = append(l.accepts, accept)
	}
	return &store.Batch{Now: l.now, Accepts: l.accepts, Outcomes: l.outcomes}
}

func (l *load) done(verdicts []store.Verdict) {
	l.outcomes = l.outcomes[:0]
	for i, verdict := range verdicts {
		if verdict.Kind != store.Accepted {
			l.tb.Fatalf("verdict %v", verdict.Kind)
		}
		l.outcomes = append(l.outcomes, store.Outcome{
			Tenant: l.accepts[i].Tenant, Endpoint: l.accepts[i].Endpoints[0], Event: verdict.Event, EventType: l.accepts[i].Type,
			State: webhook.Succeeded,
			Attempt: &store.Attempt{
				Number: 1, URL: "https://example.com/hook", Succeeded: true, StatusCode: 200,
				Response: []byte("ok"), StartedAt: l.now, Duration: 3 * time.Millisecond,
			},
		})
	}
}

func (l *load) commit() {
	verdicts, err := l.store.Commit(l.tb.Context(), l.next())
	if err != nil {
		l.tb.Fatal(err)
	}
	l.done(verdicts)
}

// BenchmarkCommit accepts events and records the outcomes of the ones before, in the same
// transaction. An operation is one event with its outcome.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct{ size, tenants int }{{1, 8}, {16, 8}, {128, 1}, {128, 8}, {128, 1000}, {128, 20_000}, {512, 8}} {
		b.Run(fmt.Sprintf("batch=%d/tenants=%d", c.size, c.tenants), func(b *testing.B) {
			l := newLoad(b, openBench(b), c.size, c.tenants)
			l.commit()
			measure(b, func() {
				for n := 0; n < b.N; n += c.size {
					l.commit()
				}
			})
		})
	}
}

// BenchmarkWriterPath runs the same statements, in transactions of 128 events, over the
// store's own connection and over database/sql with prepared statements. An operation is
// one event with its outcome.
func BenchmarkWriterPath(b *testing.B) {
	const size = 128
	payload, response := make([]byte, 1024), []byte("ok")
	// batch runs what a commit runs for each of its events.
	batch := func(b *testing.B, from int64, exec func(query string, args ...any) error) {
		b.Helper()
		for key := from; key < from+size; key++ {
			for _, err := range []error{
				exec(insertEventSQL, key, int64(1), int64(1), "invoice.paid", nil, payload),
				exec(insertDeliverySQL, int64(2), key),
				exec(insertAttemptSQL, key, key, int64(2), int64(1), int64(0), "https://example.com/hook",
					int64(1), int64(200), nil, int64(0), int64(1), int64(1), response),
				exec(endDeliverySQL, int64(2), key, int64(0)),
				exec(insertHistorySQL, key, int64(2), int64(5), nil, int64(1), int64(1)),
			} {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("driver", func(b *testing.B) {
		s := openBench(b)
		measure(b, func() {
			for n := 0; n < b.N; n += size {
				err := s.write(b.Context(), func(ctx context.Context, w *writer) error {
					batch(b, int64(n)+1, func(query string, args ...any) error {
						_, err := w.exec(ctx, query, args...)
						return err
					})
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("database-sql", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "neohook.db")
		s, err := Open(b.Context(), path) // makes the tables
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		connector, err := driversqlite.NewConnector(dsn(path, "rw"))
		if err != nil {
			b.Fatal(err)
		}
		db := sql.OpenDB(connector)
		defer db.Close()
		db.SetMaxOpenConns(1)
		for _, pragma := range writerPragmas {
			if _, err := db.ExecContext(b.Context(), pragma); err != nil {
				b.Fatal(err)
			}
		}
		prepared := make(map[string]*sql.Stmt)
		for _, query := range []string{insertEventSQL, insertDeliverySQL, insertAttemptSQL, endDeliverySQL, insertHistorySQL} {
			statement, err := db.PrepareContext(b.Context(), query)
			if err != nil {
				b.Fatal(err)
			}
			defer statement.Close()
			prepared[query] = statement
		}
		measure(b, func() {
			for n := 0; n < b.N; n += size {
				tx, err := db.BeginTx(b.Context(), nil)
				if err != nil {
					b.Fatal(err)
				}
				local := make(map[string]*sql.Stmt)
				for query, statement := range prepared {
					local[query] = tx.StmtContext(b.Context(), statement)
				}
				batch(b, int64(n)+1, func(query string, args ...any) error {
					_, err := local[query].ExecContext(b.Context(), args...)
					return err
				})
				if err := tx.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
