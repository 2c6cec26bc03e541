//go:build unix

package sqlite

import (
	"fmt"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

// filled has committed batches over some days, and done the upkeep.
func filled(b *testing.B, tenants, days int) *load {
	b.Helper()
	l := newLoad(b, openBench(b), min(128, tenants), tenants)
	until := l.now.Add(time.Duration(days) * 24 * time.Hour)
	for l.now.Before(until) {
		l.commit()
		l.now = l.now.Add(30 * time.Minute)
		for more := true; more; {
			var err error
			if more, err = l.store.CompactRollups(b.Context(), l.now); err != nil {
				b.Fatal(err)
			}
		}
	}
	return l
}

// BenchmarkSums asks for the sum of 28 days by the hour, for that of 28 days, and for a day
// minute by minute.
func BenchmarkSums(b *testing.B) {
	l := filled(b, 100, 28)
	for name, query := range map[string]store.SumQuery{
		"28 days of hours":  {Unit: store.Hour, From: store.Hour.Start(l.now.Add(-28 * 24 * time.Hour))},
		"28 days":           {Unit: store.Day, From: store.Day.Start(l.now.Add(-28 * 24 * time.Hour))},
		"a day of minutes":  {Unit: store.Minute, From: store.Minute.Start(l.now.Add(-24 * time.Hour)), Each: true},
		"two hours of them": {Unit: store.Minute, From: store.Minute.Start(l.now.Add(-2 * time.Hour)), Each: true},
	} {
		b.Run(name, func(b *testing.B) {
			query.Tenant, query.To = l.tenants[0].Tenant, query.Unit.Start(l.now).Add(query.Unit.Length())
			for b.Loop() {
				sums, err := l.store.Sums(b.Context(), query)
				if err != nil || len(sums) == 0 {
					b.Fatal(len(sums), err)
				}
			}
		})
	}
}

// BenchmarkSumsUnderLoad reads while a minute's counts are all in the journal.
func BenchmarkSumsUnderLoad(b *testing.B) {
	l := newLoad(b, openBench(b), 128, 1000)
	for range 450 { // near the most that it may have
		l.commit()
		l.now = l.now.Add(-5 * time.Millisecond)
	}
	query := store.SumQuery{Tenant: l.tenants[0].Tenant, Unit: store.Hour, From: store.Hour.Start(l.now), To: store.Hour.Start(l.now).Add(time.Hour)}
	for b.Loop() {
		if _, err := l.store.Sums(b.Context(), query); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecount counts some events anew. An operation is one event with its outcome.
func BenchmarkRecount(b *testing.B) {
	for _, tenants := range []int{1, 1000} {
		b.Run(fmt.Sprint("tenants=", tenants), func(b *testing.B) {
			l := newLoad(b, openBench(b), 512, tenants)
			for n := 0; n < b.N; n += 512 {
				l.commit()
			}
			measure(b, func() {
				found, err := l.store.Recount(b.Context(), l.now)
				if err != nil || found.Wrong != 0 {
					b.Fatal(found, err)
				}
			})
		})
	}
}
