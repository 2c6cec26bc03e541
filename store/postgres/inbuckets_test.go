package postgres

import (
	"slices"
	"testing"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres/postgrestest"
)

// BenchmarkLanesIn finds the lanes of a third of the buckets among 20,000, as a node does
// that takes over.
func BenchmarkLanesIn(b *testing.B) {
	s, err := Open(b.Context(), postgrestest.Address(b), Options{Schema: "bench_lanes", MaxConns: 4})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	const lanes = 20_000
	for _, query := range []string{
		`INSERT INTO endpoint (key, tenant, name, description, url, method, protocol, timeout, disabled, paused,
				rate_limit, concurrency, ordered, user_version, created_by, created_at, updated_at, version)
			SELECT n, n, '', '', '', '', '', 0, false, false, 0, 0, false, 0, '', '2026-01-01', '2026-01-01', 1 FROM generate_series(1, $1) AS n
			ON CONFLICT DO NOTHING`,
		`INSERT INTO waiting (endpoint, event, tried, job) SELECT n, n, 0, 0 FROM generate_series(1, $1) AS n ON CONFLICT DO NOTHING`,
	} {
		if _, err := s.pool.Exec(b.Context(), query, lanes); err != nil {
			b.Fatal(err)
		}
	}
	var buckets []store.Bucket
	for bucket := range store.Bucket(store.BucketCount / 3) {
		buckets = append(buckets, bucket)
	}
	b.ResetTimer()
	for b.Loop() {
		found, err := s.LanesIn(b.Context(), buckets, 0, lanes)
		if err != nil || len(found) < lanes/4 || !slices.IsSortedFunc(found, func(a, b store.Lane) int { return int(a.Endpoint - b.Endpoint) }) {
			b.Fatalf("%d lanes, %v", len(found), err)
		}
	}
}
