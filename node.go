package neohook

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/internal/bucket"
	"github.com/neohook/neohook/internal/dispatch"
	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/store"
)

// awaitHeard is how long somebody who has changed something waits for other nodes to act on
// it, before it is answered all the same.
const awaitHeard = 2 * time.Second

// node is an Engine's place among others on a store.Cluster: a bucket.Engine.
type node struct {
	*Engine
	cluster store.Cluster
	base    context.Context //nolint:containedctx // of what nobody ends, set by run
	loop    *bucket.Loop
	hearing *hearing
	keeping keeping

	owned     [store.BucketCount]atomic.Bool
	count     atomic.Int64 // of those
	takeovers atomic.Uint64
	members   atomic.Int64
	beaten    atomic.Pointer[time.Time]
}

// assembleNode makes the engine one of several.
func (e *Engine) assembleNode(cluster store.Cluster) {
	n := &node{Engine: e, cluster: cluster}
	member := store.Member{Name: e.opts.NodeName, Delivers: e.opts.Role.delivers(), Watches: operational.Organisation}
	n.loop = bucket.New(cluster, n, member, e.opts.Logger)
	n.hearing = newHearing(n)
	e.node = n
	e.writer.Others = n.hearing
	e.lanes.Share(dispatch.Share{Holds: n.loop.Holds, LanesIn: cluster.LanesIn, FreshOf: cluster.FreshOf})
	e.jobs.Owns = n.owns
	e.outbox.Elsewhere = func() { cluster.Nudge(keeperBucket) }
	e.outbox.Expect()
}

// owns says whether what is sent for a tenant is sent from here.
func (n *node) owns(tenant store.TenantKey) bool { return n.owned[store.BucketOf(tenant)].Load() }

func (n *node) setOwned(buckets []store.Bucket, is bool) {
	for _, b := range buckets {
		if was := n.owned[b].Swap(is); was != is && is {
			n.count.Add(1)
		} else if was != is {
			n.count.Add(-1)
		}
	}
}

// Gained takes over the tenants of buckets.
func (n *node) Gained(ctx context.Context, buckets []store.Bucket) error {
	mine := func(tenant store.TenantKey) bool { return slices.Contains(buckets, store.BucketOf(tenant)) }
	n.routes.RefreshAll(mine) // nobody has told of changes until now
	if err := n.failing.Own(ctx, buckets, n.cluster.FailingIn); err != nil {
		return err
	}
	// In the writer's turn: what was stored before is handed over before, and passed over.
	err := n.writer.Do(ctx, nil, func(context.Context) error {
		n.lanes.Own(time.Now(), buckets)
		return nil
	})
	if err == nil {
		err = n.lanes.Recovered(ctx, buckets)
	}
	if err != nil {
		return err
	}
	n.setOwned(buckets, true)
	n.takeovers.Add(uint64(len(buckets)))
	n.jobs.Look()
	if slices.Contains(buckets, keeperBucket) {
		n.keeping.begin(ctx, n.Engine)
	}
	return nil
}

// Losing ends what is done for the tenants of buckets.
func (n *node) Losing(ctx context.Context, buckets []store.Bucket) {
	const reserve = 500 * time.Millisecond // to record what was cut off at the last
	n.leave(buckets)
	patience := time.Duration(0)
	if deadline, has := ctx.Deadline(); has {
		patience = max(0, time.Until(deadline)-reserve)
	}
	if n.lanes.CutOff(ctx, buckets, patience) != nil {
		n.cutOff(buckets)
	}
	const often = 5 * time.Millisecond
	for n.lanes.Leaving(buckets) > 0 && ctx.Err() == nil {
		pause(ctx, often)
	}
	n.failing.Disown(buckets)
}

// Buried ends everything that was done for any tenant.
func (n *node) Buried() {
	all := make([]store.Bucket, store.BucketCount)
	for i := range all {
		all[i] = store.Bucket(i)
	}
	n.leave(all)
	n.cutOff(all)
	n.failing.Disown(all)
	n.hearing.reset()
}

// leave lets nothing begin any more for the tenants of buckets.
func (n *node) leave(buckets []store.Bucket) {
	n.setOwned(buckets, false)
	n.lanes.Disown(time.Now(), buckets)
	n.jobs.Look()
	if slices.Contains(buckets, keeperBucket) {
		n.keeping.pause()
	}
}

// cutOff returns when nothing is in flight for the tenants of buckets.
func (n *node) cutOff(buckets []store.Bucket) {
	_ = n.lanes.CutOff(n.base, buckets, 0) // an adapter lets go once its context has ended
}

// Suspended cuts off what is in flight, or goes on.
func (n *node) Suspended(suspended bool) { n.lanes.Suspend(suspended) }

// Seen takes note of how the others stand.
func (n *node) Seen(view *store.View) {
	now := time.Now()
	n.beaten.Store(&now)
	n.members.Store(int64(len(view.Nodes)))
	if view.Paused != n.paused.Load() {
		n.hearing.look() // it was paused or resumed by another
	}
}

// run is a node until ctx ends, by when nothing is in flight and all outcomes are stored.
func (n *node) run(ctx context.Context) {
	n.base = context.WithoutCancel(ctx)
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){n.loop.Run, n.hearing.listen, n.hearing.work, n.look} {
		loops.Go(func() { loop(ctx) })
	}
	loops.Wait()
}

// heard returns when other nodes act upon what was stored for a tenant; 0 is of no tenant.
// It does not wait for long.
func (e *Engine) heard(ctx context.Context, tenant store.TenantKey) {
	if e.node == nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, awaitHeard)
	defer cancel()
	if err := e.node.cluster.AwaitHeard(limited, tenant); err != nil && ctx.Err() == nil {
		e.opts.Logger.WarnContext(ctx, "it is not known whether all nodes act upon a change already", "error", err)
	}
}

func pause(ctx context.Context, length time.Duration) {
	if length <= 0 {
		return
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
