package memstore

import (
	"context"
	"slices"

	"github.com/neohook/neohook/store"
)

var _ store.Cluster = (*Node)(nil)

// Node is a Store that is one of several on the same data. Store.Node makes one.
type Node struct{ *Store }

// Node returns another handle on what the store has, without Faults, which can be a node.
// The Store itself is none: it must not write beside nodes, as it posts no signals.
func (s *Store) Node() *Node { return &Node{&Store{state: s.state, as: new(handle)}} }

// Reopen closes the handle, as a crash would, and returns another one, without Faults, that
// has not joined.
func (n *Node) Reopen() *Node {
	_ = n.Close()
	return n.Node()
}

// handle is what a Node knows of itself. It is under the mutex of the state.
type handle struct {
	joined bool // ever
	key    store.NodeKey
	owned  [store.BucketCount]bool
}

func (h *handle) owns(tenant store.TenantKey) bool { return h.owned[store.BucketOf(tenant)] }

// cluster is what is stored of nodes.
type cluster struct {
	lastNode, lastSignal int64

	nodes   map[store.NodeKey]*node
	owners  [store.BucketCount]store.NodeKey
	signals map[store.SignalKey]posted

	posting *posting // of the write that is being applied; nil where nobody is to hear of it
}

func newCluster() cluster {
	return cluster{nodes: make(map[store.NodeKey]*node), signals: make(map[store.SignalKey]posted)}
}

type node struct {
	store.Node
	woken, nudged chan struct{}
}

func (n *node) wake() { ring(n.woken) }

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// fenced says whether a handle's node is not there any more.
func (db *state) fenced(h *handle) bool {
	return h != nil && h.joined && db.cluster.nodes[h.key] == nil
}

// Join makes the handle a new node.
func (n *Node) Join(ctx context.Context, member store.Member) (store.NodeKey, error) {
	var key store.NodeKey
	n.state.mu.Lock()
	joined := n.as.joined
	n.state.mu.Unlock()
	err := n.do(ctx, "Join", func(db *state) error {
		if db.cluster.nodes[n.as.key] != nil {
			db.removeNode(n.as.key)
		}
		db.cluster.lastNode++
		key = store.NodeKey(db.cluster.lastNode)
		db.cluster.nodes[key] = &node{Node: store.Node{Key: key, Member: member}, woken: make(chan struct{}, 1), nudged: make(chan struct{}, 1)}
		*n.as = handle{joined: true, key: key}
		return db.writeAs(n.as, func(db *state) error {
			db.postToNodes(store.SignalNodes)
			db.tell() // who waits for a Wake
			return nil
		})
	})
	if err != nil {
		n.state.mu.Lock()
		defer n.state.mu.Unlock()
		*n.as = handle{joined: joined}
		return 0, err
	}
	return key, nil
}

// removeNode ends a node.
func (db *state) removeNode(key store.NodeKey) {
	delete(db.cluster.nodes, key)
	for bucket, owner := range db.cluster.owners {
		if owner == key {
			db.cluster.owners[bucket] = 0
		}
	}
	for signal, p := range db.cluster.signals {
		if p.node == key {
			delete(db.cluster.signals, signal)
		}
	}
	db.tell()
}

// Leave ends the handle's node.
func (n *Node) Leave(ctx context.Context) error {
	return n.do(ctx, "Leave", func(db *state) error {
		if n.as.key == 0 || db.fenced(n.as) {
			return nil
		}
		return db.writeAs(n.as, func(db *state) error {
			db.postToNodes(store.SignalNodes)
			db.removeNode(n.as.key)
			*n.as = handle{joined: true}
			return nil
		})
	})
}

// Beat raises the node's counter and returns how the cluster stands.
func (n *Node) Beat(ctx context.Context) (store.View, error) {
	return get(ctx, n.Store, "Beat", func(db *state) (view store.View, _ error) {
		self := db.cluster.nodes[n.as.key]
		if self == nil {
			return view, store.ErrBuried
		}
		self.Beat++
		for _, key := range sorted(db.cluster.nodes) {
			view.Nodes = append(view.Nodes, db.cluster.nodes[key].Node)
		}
		view.Owners = db.cluster.owners
		view.Paused = db.instance != nil && db.instance.Paused
		return view, nil
	})
}

// Claim makes the node the owner of buckets that nobody owns.
func (n *Node) Claim(ctx context.Context, buckets []store.Bucket) ([]store.Bucket, error) {
	owned, err := put(ctx, n.Store, "Claim", func(db *state) (owned []store.Bucket, _ error) {
		if !n.as.joined {
			return nil, store.ErrBuried
		}
		for _, bucket := range slices.Sorted(slices.Values(buckets)) {
			owner := &db.cluster.owners[bucket]
			if *owner == 0 {
				*owner = n.as.key
				db.voidSignals(bucket)
			}
			if *owner == n.as.key {
				owned = append(owned, bucket)
			}
		}
		return slices.Compact(owned), nil
	})
	if err != nil {
		return nil, err
	}
	n.state.mu.Lock()
	defer n.state.mu.Unlock()
	if db := n.state; db.fenced(n.as) {
		return nil, store.ErrBuried // meanwhile
	}
	for _, bucket := range owned {
		n.as.owned[bucket] = true
	}
	return owned, nil
}

// Release ends the ownership of buckets.
func (n *Node) Release(ctx context.Context, buckets []store.Bucket) error {
	n.state.mu.Lock()
	for _, bucket := range buckets {
		n.as.owned[bucket] = false
	}
	n.state.mu.Unlock()
	return n.write(ctx, "Release", func(db *state) error {
		if !n.as.joined {
			return store.ErrBuried
		}
		released := 0
		for _, bucket := range buckets {
			if owner := &db.cluster.owners[bucket]; *owner == n.as.key {
				*owner = 0
				released++
			}
		}
		if released > 0 {
			db.postToNodes(store.SignalNodes)
			db.tell() // nobody is waited for
		}
		return nil
	})
}

// Bury ends another node.
func (n *Node) Bury(ctx context.Context, key store.NodeKey, beat int64) error {
	return n.write(ctx, "Bury", func(db *state) error {
		switch other := db.cluster.nodes[key]; {
		case !n.as.joined:
			return store.ErrBuried
		case other == nil:
			return nil
		case other.Beat != beat:
			return store.ErrStale
		}
		db.removeNode(key)
		db.postToNodes(store.SignalNodes)
		return nil
	})
}

// FreshOf is Fresh for several endpoints.
func (n *Node) FreshOf(ctx context.Context, from []store.FreshFrom, limit int) ([]store.FreshPage, error) {
	return get(ctx, n.Store, "FreshOf", func(db *state) ([]store.FreshPage, error) {
		pages := make([]store.FreshPage, len(from))
		for i, of := range from {
			pages[i] = db.fresh(of.Endpoint, of.From, limit)
		}
		return pages, nil
	})
}

// LanesIn lists the endpoints of some buckets that have open deliveries or sends.
func (n *Node) LanesIn(ctx context.Context, buckets []store.Bucket, after store.EndpointKey, limit int) ([]store.Lane, error) {
	return get(ctx, n.Store, "LanesIn", func(db *state) ([]store.Lane, error) {
		return db.lanes(after, limit, in(buckets)), nil
	})
}

// FailingIn lists the endpoints of some buckets that fail.
func (n *Node) FailingIn(ctx context.Context, buckets []store.Bucket, after store.EndpointKey, limit int) ([]store.FailingEndpoint, error) {
	return get(ctx, n.Store, "FailingIn", func(db *state) ([]store.FailingEndpoint, error) {
		return db.failingEndpoints(after, limit, in(buckets)), nil
	})
}

// in says which tenants are in some buckets.
func in(buckets []store.Bucket) func(store.TenantKey) bool {
	var chosen [store.BucketCount]bool
	for _, bucket := range buckets {
		chosen[bucket] = true
	}
	return func(tenant store.TenantKey) bool { return chosen[store.BucketOf(tenant)] }
}

func anywhere(store.TenantKey) bool { return true }
