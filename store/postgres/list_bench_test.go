package postgres

import (
	"testing"

	"github.com/neohook/neohook/store"
)

// BenchmarkLists reads pages of 50 of lists with 100,000 rows, in 20 ranges, beside as many
// of others: at the beginning, in the middle and near the end. Lists without a place to go on
// behind are read once.
func BenchmarkLists(b *testing.B) {
	const rows, limit = 100_000, 50
	l := openLarge(b, rows, 2*rows)
	l.exec(b, "ANALYZE")
	depths := []struct {
		name  string
		after int64
	}{{"first", 0}, {"middle", rows}, {"last", 2*rows - 4*limit}}
	for name, ask := range l.lists() {
		for _, depth := range depths {
			b.Run(name+"/"+depth.name, func(b *testing.B) {
				for b.Loop() {
					if _, err := ask(b.Context(), store.Page{After: depth.after, Limit: limit}); err != nil {
						b.Fatal(err)
					}
				}
				l.traced.made = nil
			})
		}
	}
}
