//go:build unix

package postgres_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
	"github.com/neohook/neohook/webhook"
)

// cpu is what the process has used of the processors. The server's share is not in it.
func cpu(tb testing.TB) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// benchAddress is that of a server which writes to the disk what it commits, as the one of
// the other tests does not.
func benchAddress(b *testing.B) string {
	b.Helper()
	if given := os.Getenv("NEOHOOK_TEST_POSTGRES"); given != "" {
		return given
	}
	return postgrestest.Own(b, "max_wal_size=4GB", "shared_buffers=512MB").Address()
}

// load makes batches as an engine does: fresh events, and what came of those of the batch
// before.
type load struct {
	tb       testing.TB
	store    *postgres.Store
	size     int
	keyed    bool           // each event has a key of its own
	tenants  []store.Accept // an event of each
	accepts  []store.Accept
	outcomes []store.Outcome
	now      time.Time
	number   uint64
}

func newLoad(tb testing.TB, s *postgres.Store, size, tenants int, keyed bool) *load {
	l := &load{tb: tb, store: s, size: size, keyed: keyed, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
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

// beside is another load of the same tenants, whose keys are others'.
func (l *load) beside(number int) *load {
	other := *l
	other.accepts, other.outcomes, other.number = nil, nil, uint64(number)<<40 //nolint:gosec // a small number
	return &other
}

// next is the batch to commit; done takes the verdicts.
func (l *load) next() *store.Batch {
	l.now = l.now.Add(5 * time.Millisecond)
	l.accepts = l.accepts[:0]
	for range l.size {
		l.number++
		accept := l.tenants[l.number%uint64(len(l.tenants))]
		if l.keyed {
			accept.Once = &store.Once{TTL: 10 * time.Minute}
			hash := l.number * 0x9e3779b97f4a7c15
			binary.BigEndian.PutUint64(accept.Once.Hash[:], hash)
			binary.BigEndian.PutUint64(accept.Once.Hash[8:], ^hash)
		}
		l.accepts = append(l.accepts, accept)
	}
	return &store.Batch{Now: l.now, Accepts: l.accepts, Outcomes: l.outcomes}
}

func (l *load) done(verdicts []store.Verdict) {
	l.outcomes = l.outcomes[:0]
	for i, verdict := range verdicts {
		if verdict.Kind != store.Accepted {
			l.tb.Errorf("verdict %v", verdict.Kind)
			return
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
		l.tb.Error(err)
		return
	}
	l.done(verdicts)
}

// ownAll makes a store the one node of its cluster, which owns all that it writes of.
func ownAll(tb testing.TB, s *postgres.Store) {
	tb.Helper()
	if _, err := s.Join(tb.Context(), store.Member{Name: "bench", Delivers: true}); err != nil {
		tb.Fatal(err)
	}
	all := make([]store.Bucket, store.BucketCount)
	for i := range all {
		all[i] = store.Bucket(i) //nolint:gosec // there are 1,024
	}
	if mine, err := s.Claim(tb.Context(), all); err != nil || len(mine) != len(all) {
		tb.Fatalf("Claim: %d of %d, %v", len(mine), len(all), err)
	}
}

// counters are the server's own.
type counters struct{ rows, log int64 }

func readCounters(b *testing.B, address, schema string) (c counters) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	if err := conn.QueryRow(b.Context(), `SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0), pg_current_wal_insert_lsn() - '0/0'
		FROM pg_stat_user_tables WHERE schemaname = $1`, schema).Scan(&c.rows, &c.log); err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkCommit accepts events and records the outcomes of the ones before, in the same
// transaction. An operation is one event with its outcome. The rows that it wrote and the
// bytes of the log are as the server counts them; a page that is written for the first time
// behind a checkpoint is in the log whole.
// Processor time is that of the process, and of the server where that is on this machine.
func BenchmarkCommit(b *testing.B) {
	address := benchAddress(b)
	server := familyOf(b, address)
	for n, c := range []struct {
		size, tenants, writers int
		keyed                  bool
	}{
		{1, 8, 1, true}, {16, 8, 1, true}, {128, 8, 1, false}, {128, 8, 1, true}, {128, 1000, 1, true}, {512, 8, 1, true},
		{128, 8, 2, true}, {128, 8, 4, true},
	} {
		b.Run(fmt.Sprintf("batch=%d/tenants=%d/writers=%d/keyed=%v", c.size, c.tenants, c.writers, c.keyed), func(b *testing.B) {
			schema := fmt.Sprintf("bench_%d_%d", n, time.Now().UnixNano())
			s, err := postgres.Open(b.Context(), address, postgres.Options{Schema: schema})
			if err != nil {
				b.Fatal(err)
			}
			ownAll(b, s)
			loads := []*load{newLoad(b, s, c.size, c.tenants, c.keyed)}
			for number := 1; number < c.writers; number++ {
				loads = append(loads, loads[0].beside(number))
			}
			for _, l := range loads {
				l.commit()
			}
			start := readCounters(b, address, schema)
			b.ReportAllocs()
			before, serverBefore := cpu(b), server.cpu()
			b.ResetTimer()
			var writers sync.WaitGroup
			for _, l := range loads {
				writers.Go(func() {
					for n := 0; n < b.N/len(loads) && !b.Failed(); n += c.size {
						l.commit()
					}
				})
			}
			writers.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/event")
			b.ReportMetric(float64((server.cpu()-serverBefore).Microseconds())/float64(b.N), "server-µs/event")
			log := readCounters(b, address, schema).log - start.log
			if err := s.Close(); err != nil { // the server counts when its connections end
				b.Fatal(err)
			}
			b.ReportMetric(float64(readCounters(b, address, schema).rows-start.rows)/float64(b.N), "rows/event")
			b.ReportMetric(float64(log)/float64(b.N), "log-B/event")
		})
	}
}
