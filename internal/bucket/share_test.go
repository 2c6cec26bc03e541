package bucket

import (
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

// viewOf is a cluster in which node 1 owns the first so many buckets, node 2 the next, and
// so on. All deliver but the one with -1.
func viewOf(owned ...int) *store.View {
	view := new(store.View)
	bucket := 0
	for i, count := range owned {
		node := store.NodeKey(i + 1)
		view.Nodes = append(view.Nodes, store.Node{Key: node, Member: store.Member{Delivers: count >= 0}})
		for range max(count, 0) {
			view.Owners[bucket] = node
			bucket++
		}
	}
	return view
}

func TestShares(t *testing.T) {
	tests := map[string]struct {
		owned []int
		due   []int
	}{
		"one alone":                        {[]int{0}, []int{1024}},
		"two":                              {[]int{1024, 0}, []int{512, 512}},
		"three divide with a rest":         {[]int{0, 0, 0}, []int{342, 341, 341}},
		"who has the rest keeps it":        {[]int{341, 341, 342}, []int{341, 341, 342}},
		"who has most keeps the rest":      {[]int{0, 512, 512}, []int{341, 342, 341}},
		"one of them does not deliver":     {[]int{-1, 512, 512}, []int{512, 512}},
		"nobody delivers":                  {[]int{-1}, nil},
		"of five that have it one is gone": {[]int{205, 205, 205, 205}, []int{256, 256, 256, 256}},
	}
	for what, test := range tests {
		var due []int
		for _, s := range shares(viewOf(test.owned...)) {
			due = append(due, s.due)
		}
		if !slices.Equal(due, test.due) {
			t.Errorf("%s: %v, want %v", what, due, test.due)
		}
	}
}

func TestDivide(t *testing.T) {
	tests := map[string]struct {
		owned          []int
		node           store.NodeKey
		surplus, claim []store.Bucket // the first and the last
	}{
		"everything is free":             {[]int{0, 0}, 1, nil, []store.Bucket{0, 511}},
		"the second takes the next":      {[]int{0, 0}, 2, nil, []store.Bucket{512, 1023}},
		"too much goes from above":       {[]int{1024, 0}, 1, []store.Bucket{512, 1023}, nil},
		"nothing is free yet":            {[]int{1024, 0}, 2, nil, nil},
		"all have their due":             {[]int{341, 341, 342}, 3, nil, nil},
		"one who does not deliver takes": {[]int{-1, 0}, 1, nil, nil},
	}
	for what, test := range tests {
		surplus, claim := divide(viewOf(test.owned...), test.node)
		for kind, c := range map[string][2][]store.Bucket{"surplus": {surplus, test.surplus}, "claim": {claim, test.claim}} {
			got, want := c[0], c[1]
			if len(got) > 0 {
				got = []store.Bucket{got[0], got[len(got)-1]}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s %v, want %v", what, kind, got, want)
			}
		}
	}
}

func TestThoseWhoSeeTheSameClaimApart(t *testing.T) {
	view := viewOf(100, 0, 7, 0)
	claimed := make(map[store.Bucket]store.NodeKey)
	for _, node := range view.Nodes {
		_, claim := divide(view, node.Key)
		for _, bucket := range claim {
			if other, taken := claimed[bucket]; taken {
				t.Fatalf("%d and %d claim bucket %d", other, node.Key, bucket)
			}
			claimed[bucket] = node.Key
		}
	}
	if want := store.BucketCount - 107; len(claimed) != want {
		t.Errorf("%d buckets are claimed, want %d", len(claimed), want)
	}
}

func TestClock(t *testing.T) {
	const hour = 3600e9
	var c clock
	tests := []struct {
		what       string
		mono, wall int64
		want       Instant
	}{
		{"both run", 10, 10, Instant{10, 10}},
		{"the wall clock is set forward", 20, hour, Instant{20, hour}},
		{"and back", 30, 40, Instant{30, hour + 10}},
		{"the machine was stopped", 31, 1040, Instant{31, hour + 1010}},
	}
	for _, test := range tests {
		if got := c.read(time.Duration(test.mono), time.Duration(test.wall)); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.what, got, test.want)
		}
	}
}
