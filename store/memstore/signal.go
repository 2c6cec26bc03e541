package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// posted is a signal with the node that it is for; 0 is the owner of its tenant's bucket.
type posted struct {
	store.Signal
	node store.NodeKey
}

// posting gathers what a write posts.
type posting struct {
	by   *handle
	all  []posted
	seen map[store.Signal]int // where one is in all, by what makes it the same
}

// writeAs applies a write of a handle, unless its node is not there any more, and posts
// what comes of it.
func (db *state) writeAs(h *handle, apply func(*state) error) error {
	if h == nil {
		return apply(db)
	}
	if db.fenced(h) {
		return store.ErrBuried
	}
	db.cluster.posting = &posting{by: h, seen: make(map[store.Signal]int)}
	err := apply(db)
	gathered := db.cluster.posting.all
	db.cluster.posting = nil
	if err != nil {
		return err
	}
	for _, p := range gathered {
		db.cluster.lastSignal++
		p.Key = store.SignalKey(db.cluster.lastSignal)
		db.cluster.signals[p.Key] = p
		if to := db.cluster.nodes[db.addressee(p)]; to != nil {
			to.wake()
		}
	}
	return nil
}

// addressee is the node that a signal is for now, or 0.
func (db *state) addressee(p posted) store.NodeKey {
	if p.node != 0 {
		return p.node
	}
	return db.cluster.owners[store.BucketOf(p.Tenant)]
}

// post gathers a signal for the owner of its tenant's bucket, unless that is who writes.
func (db *state) post(s store.Signal) {
	p := db.cluster.posting
	if p == nil || p.by.owns(s.Tenant) {
		return
	}
	same := s
	if s.Kind == store.SignalFresh {
		same.Event = 0
	}
	same.Due = time.Time{}
	if at, is := p.seen[same]; is {
		p.all[at].Event = min(p.all[at].Event, s.Event)
		if s.Due.Before(p.all[at].Due) {
			p.all[at].Due = s.Due
		}
		return
	}
	p.seen[same] = len(p.all)
	p.all = append(p.all, posted{Signal: s})
}

// postToNodes gathers a signal for each other node.
func (db *state) postToNodes(kind store.SignalKind) {
	db.postToEach(store.Signal{Kind: kind}, func(*node) bool { return true })
}

// postToWatching gathers a signal of a tenant's routes for each other node that watches its
// organisation.
func (db *state) postToWatching(t *tenant) {
	db.postToEach(store.Signal{Kind: store.SignalRoutes, Tenant: t.Key}, func(n *node) bool {
		return n.Watches != "" && n.Watches == t.Organisation
	})
}

func (db *state) postToEach(s store.Signal, is func(*node) bool) {
	p := db.cluster.posting
	if p == nil {
		return
	}
	for _, key := range sorted(db.cluster.nodes) {
		if n := db.cluster.nodes[key]; key != p.by.key && is(n) {
			p.all = append(p.all, posted{Signal: s, node: key})
		}
	}
}

func (db *state) postReview(tenant store.TenantKey, ended []store.Turn) {
	if len(ended) > 0 {
		db.post(store.Signal{Kind: store.SignalReview, Tenant: tenant})
	}
}

// keepsFailing says whether what is written of a tenant's failing endpoints counts.
func (db *state) keepsFailing(tenant store.TenantKey) bool {
	p := db.cluster.posting
	return p == nil || !p.by.joined || p.by.owns(tenant)
}

// heard returns the signals for a handle's node and the buckets that it owns.
func (db *state) heard(h *handle) (heard store.Heard) {
	if h == nil || !h.joined || db.fenced(h) {
		return heard
	}
	for _, key := range sorted(db.cluster.signals) {
		p := db.cluster.signals[key]
		switch is := p.node == h.key || p.node == 0 && h.owns(p.Tenant); {
		case is && len(heard.Signals) == store.MostHeard:
			heard.More = true
			return heard
		case is:
			heard.Signals = append(heard.Signals, p.Signal)
		}
	}
	return heard
}

func (db *state) endSignals(keys []store.SignalKey) {
	for _, key := range keys {
		delete(db.cluster.signals, key)
	}
	if len(keys) > 0 {
		db.tell() // who waits until they are heard
	}
}

// voidSignals ends the signals for the owner of a bucket.
func (db *state) voidSignals(bucket store.Bucket) {
	for key, p := range db.cluster.signals {
		if p.node == 0 && store.BucketOf(p.Tenant) == bucket {
			delete(db.cluster.signals, key)
		}
	}
	db.tell()
}

// Signals returns the signals for the node and the buckets that it owns.
func (n *Node) Signals(ctx context.Context) (store.Heard, error) {
	return get(ctx, n.Store, "Signals", func(db *state) (store.Heard, error) { return db.heard(n.as), nil })
}

// EndSignals ends signals that were acted upon.
func (n *Node) EndSignals(ctx context.Context, keys []store.SignalKey) error {
	return n.write(ctx, "EndSignals", func(db *state) error {
		db.endSignals(keys)
		return nil
	})
}

// AwaitHeard returns when what others had to hear of a tenant has been acted upon.
func (n *Node) AwaitHeard(ctx context.Context, tenant store.TenantKey) error {
	var waited []store.SignalKey
	err := n.do(ctx, "AwaitHeard", func(db *state) error {
		for _, key := range sorted(db.cluster.signals) {
			if db.cluster.signals[key].Tenant == tenant {
				waited = append(waited, key)
			}
		}
		return nil
	})
	for err == nil && len(waited) > 0 {
		var changed <-chan struct{}
		err = n.apply(func(db *state) error {
			waited = slices.DeleteFunc(waited, func(key store.SignalKey) bool {
				p, pending := db.cluster.signals[key]
				return !pending || db.addressee(p) == 0
			})
			changed = db.settled
			return nil
		})
		if err != nil || len(waited) == 0 {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// Wake returns when there may be something to hear.
func (n *Node) Wake(ctx context.Context) (nudged bool, err error) {
	err = n.do(ctx, "Wake", func(*state) error { return nil })
	for err == nil {
		var woken, nudges chan struct{}
		var changed <-chan struct{}
		err = n.apply(func(db *state) error {
			if self := db.cluster.nodes[n.as.key]; self != nil {
				woken, nudges = self.woken, self.nudged
			}
			changed = db.settled
			return nil
		})
		if err != nil {
			return false, err
		}
		select {
		case <-woken:
			return false, nil
		case <-nudges:
			return true, nil
		case <-changed: // it may be another node by now, or be closed
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return false, err
}

// Nudge has Wake return at the node that owns a bucket.
func (n *Node) Nudge(bucket store.Bucket) {
	_ = n.apply(func(db *state) error {
		if owner := db.cluster.nodes[db.cluster.owners[bucket]]; owner != nil {
			ring(owner.nudged)
		}
		return nil
	})
}
