package neohook

import (
	"time"

	"github.com/neohook/neohook/store"
)

// NodeStats are of an Engine's part in the work that several share.
type NodeStats struct {
	// Buckets, of MaxBuckets, are the parts of the tenants that this node sends for. Alone on
	// its store it has all.
	Buckets, MaxBuckets int
	// Members are the nodes that there are, as last seen, itself included.
	Members int
	// LeaseAge is how long ago the node last told the others that it lives; nothing is sent
	// from 7 s on. 0 where it is alone, or has not yet.
	LeaseAge time.Duration
	// Unheard is what other nodes have told and was not acted upon yet.
	Unheard int
	// Takeovers counts the Buckets that were taken over.
	Takeovers uint64
}

func (e *Engine) nodeStats() NodeStats {
	s := NodeStats{Buckets: store.BucketCount, MaxBuckets: store.BucketCount, Members: 1}
	n := e.node
	if n == nil {
		return s
	}
	s.Buckets, s.Members, s.Takeovers = int(n.count.Load()), int(n.members.Load()), n.takeovers.Load()
	if beaten := n.beaten.Load(); beaten != nil {
		s.LeaseAge = time.Since(*beaten)
	}
	s.Unheard = n.hearing.unheard()
	return s
}
