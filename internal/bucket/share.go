package bucket

import (
	"cmp"
	"slices"

	"github.com/neohook/neohook/store"
)

// share is what a node that delivers owns and should own.
type share struct {
	node  store.NodeKey
	owned int
	due   int
}

// shares divides the buckets among the nodes that deliver, ascending by key. Who owns most
// keeps what can't be divided, so that no more is moved than has to be, and nothing once all
// have their due.
func shares(view *store.View) []share {
	owned := make(map[store.NodeKey]int)
	for _, owner := range view.Owners {
		owned[owner]++
	}
	var all []share
	for _, node := range view.Nodes {
		if node.Delivers {
			all = append(all, share{node: node.Key, owned: owned[node.Key]})
		}
	}
	slices.SortFunc(all, func(a, b share) int { return cmp.Or(cmp.Compare(b.owned, a.owned), cmp.Compare(a.node, b.node)) })
	for i := range all {
		all[i].due = store.BucketCount / len(all)
		if i < store.BucketCount%len(all) {
			all[i].due++
		}
	}
	slices.SortFunc(all, func(a, b share) int { return cmp.Compare(a.node, b.node) })
	return all
}

// divide says what a node has too much, by which it owns, and what it may claim: those who
// lack some divide what is free in the order of their keys, so that no two of them who see
// the same claim the same.
func divide(view *store.View, node store.NodeKey) (surplus, claim []store.Bucket) {
	var mine, free []store.Bucket
	for bucket, owner := range view.Owners {
		switch owner {
		case node:
			mine = append(mine, store.Bucket(bucket))
		case 0:
			free = append(free, store.Bucket(bucket))
		}
	}
	due := 0
	for _, s := range shares(view) {
		lacks := min(max(s.due-s.owned, 0), len(free))
		if s.node == node {
			due, claim = s.due, free[:lacks]
		}
		free = free[lacks:]
	}
	// From above, so that the first bucket, which has work of its own, stays longest.
	return mine[min(due, len(mine)):], claim
}
