package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// ClusterStore is a handle that can be a node.
type ClusterStore interface {
	store.Store
	store.Cluster
}

// RunCluster holds a store to what it promises of many nodes. open makes an empty store,
// and returns what opens a handle on it, closed in t.Cleanup.
func RunCluster(t *testing.T, open func(*testing.T) func() ClusterStore) {
	for _, c := range []struct {
		promise string
		holds   func(*cluster)
	}{
		{"JoinedNodesAreSeen", joinedNodesAreSeen},
		{"NodeIsNewWithEachJoin", nodeIsNewWithEachJoin},
		{"LeftNodeIsGone", leftNodeIsGone},
		{"BucketHasOneOwner", bucketHasOneOwner},
		{"OneOfManyClaimsGetsABucket", oneOfManyClaimsGetsABucket},
		{"NodeThatBeatsIsNotBuried", nodeThatBeatsIsNotBuried},
		{"BuriedNodeIsGone", buriedNodeIsGone},
		{"BuriedNodeStoresNothing", buriedNodeStoresNothing},
		{"NothingIsStoredBehindABurial", nothingIsStoredBehindABurial},
		{"HandleThatNeverJoinedIsNotFenced", handleThatNeverJoinedIsNotFenced},
		{"FirstJoinRefusesNoWrite", firstJoinRefusesNoWrite},
		{"FreshDeliveriesOfManyAreReadTogether", freshDeliveriesOfManyAreReadTogether},
		{"LanesAreFoundByBucket", lanesAreFoundByBucket},
		{"FailingEndpointsAreFoundByBucket", failingEndpointsAreFoundByBucket},
		{"FailingIsKeptByTheOwner", failingIsKeptByTheOwner},

		{"WhatOthersStoreIsSignalled", whatOthersStoreIsSignalled},
		{"RefusedWritePostsNothing", refusedWritePostsNothing},
		{"NodesAreSignalled", nodesAreSignalled},
		{"WatchingNodeIsSignalled", watchingNodeIsSignalled},
		{"SignalIsForItsBucketsOwner", signalIsForItsBucketsOwner},
		{"SignalEndsOnce", signalEndsOnce},
		{"ClaimEndsTheSignalsOfABucket", claimEndsTheSignalsOfABucket},
		{"ManySignalsAreGivenOutInParts", manySignalsAreGivenOutInParts},
		{"CommitHearsWhatWasAcknowledged", commitHearsWhatWasAcknowledged},
		{"ReleaseLosesNoEvent", releaseLosesNoEvent},
		{"AwaitHeardWaitsUntilItIs", awaitHeardWaitsUntilItIs},
		{"AwaitHeardDoesNotWaitForNobody", awaitHeardDoesNotWaitForNobody},
		{"AwaitHeardEndsWithItsContext", awaitHeardEndsWithItsContext},
		{"WakeFollowsASignal", wakeFollowsASignal},
		{"NudgeWakesTheOwner", nudgeWakesTheOwner},
	} {
		t.Run(c.promise, func(t *testing.T) { c.holds(&cluster{T: t, open: open(t)}) })
	}
}

// cluster is a store under test with many handles.
type cluster struct {
	*testing.T
	open func() ClusterStore
}

// member is one handle.
type member struct {
	*world
	store.Cluster
	node store.NodeKey
}

// handle opens one that has not joined.
func (c *cluster) handle() *member {
	c.Helper()
	opened := c.open()
	return &member{world: newWorld(c.T, opened), Cluster: opened}
}

// join opens a handle that has.
func (c *cluster) join() *member {
	c.Helper()
	m := c.handle()
	m.rejoin(store.Member{Name: "node", Delivers: true})
	return m
}

func (m *member) rejoin(as store.Member) {
	m.Helper()
	m.node = mustGet[store.NodeKey](m.world)(m.Join(m.ctx, as))
}

func (m *member) view() store.View {
	m.Helper()
	return mustGet[store.View](m.world)(m.Beat(m.ctx))
}

func (m *member) claim(buckets ...store.Bucket) []store.Bucket {
	m.Helper()
	return mustGet[[]store.Bucket](m.world)(m.Claim(m.ctx, buckets))
}

// own claims the bucket of a tenant.
func (m *member) own(tenant store.TenantKey) {
	m.Helper()
	same(m.world, "claimed", m.claim(store.BucketOf(tenant)), []store.Bucket{store.BucketOf(tenant)})
}

// bury ends another node as it stands now.
func (m *member) bury(other *member) {
	m.Helper()
	for _, n := range m.view().Nodes {
		if n.Key == other.node {
			m.must(m.Bury(m.ctx, n.Key, n.Beat))
		}
	}
}

// apart returns tenants with an endpoint each, whose buckets are not the same.
func (m *member) apart() (tenants [2]store.TenantKey, endpoints [2]store.EndpointKey) {
	m.Helper()
	tenants[0], tenants[1] = m.tenant(), m.tenant()
	for store.BucketOf(tenants[0]) == store.BucketOf(tenants[1]) {
		tenants[1] = m.tenant()
	}
	for i := range tenants {
		endpoints[i] = m.endpoint(tenants[i])
	}
	return tenants, endpoints
}

func joinedNodesAreSeen(c *cluster) {
	a, b := c.handle(), c.handle()
	accepts := store.Member{Name: "a", Watches: "org_x"}
	delivers := store.Member{Name: "a", Delivers: true}
	a.rejoin(accepts)
	b.rejoin(delivers)
	if a.node <= 0 || b.node <= a.node {
		c.Errorf("keys %d and %d, want them to ascend from 1", a.node, b.node)
	}
	before := a.view()
	same(a.world, "nodes", len(before.Nodes), 2)
	same(a.world, "first", before.Nodes[0], store.Node{Key: a.node, Member: accepts, Beat: before.Nodes[0].Beat})
	same(a.world, "second", before.Nodes[1], store.Node{Key: b.node, Member: delivers, Beat: before.Nodes[1].Beat})

	after := b.view()
	same(a.world, "the beat of the one that did not", after.Nodes[0].Beat, before.Nodes[0].Beat)
	if after.Nodes[1].Beat <= before.Nodes[1].Beat {
		c.Errorf("beat %d after %d", after.Nodes[1].Beat, before.Nodes[1].Beat)
	}
	same(a.world, "owners", after.Owners, [store.BucketCount]store.NodeKey{})
	same(a.world, "paused before there is an Instance", after.Paused, false)

	mustGet[store.Instance](a.world)(a.InitInstance(a.ctx, store.Instance{SealedIDSecret: []byte{1}, CreatedAt: a.now}))
	for _, paused := range []bool{true, false} {
		a.must(a.SetPaused(a.ctx, paused))
		same(b.world, "paused", b.view().Paused, paused)
	}
}

func nodeIsNewWithEachJoin(c *cluster) {
	a, b := c.join(), c.join()
	old := a.node
	a.claim(1, 2)
	a.rejoin(store.Member{Name: "again"})
	if a.node <= b.node {
		c.Errorf("key %d is not above %d", a.node, b.node)
	}
	view := a.view()
	same(a.world, "nodes", []store.NodeKey{view.Nodes[0].Key, view.Nodes[1].Key}, []store.NodeKey{b.node, a.node})
	same(a.world, "owner", view.Owners[1], 0)
	a.must(b.Bury(b.ctx, old, 1)) // nobody's any more
	a.tenant()
}

func leftNodeIsGone(c *cluster) {
	a, b := c.join(), c.join()
	tenant := b.tenant()
	b.own(tenant)
	b.must(b.Leave(b.ctx))
	b.must(b.Leave(b.ctx))
	view := a.view()
	same(a.world, "nodes", len(view.Nodes), 1)
	same(a.world, "owner", view.Owners[store.BucketOf(tenant)], 0)
	b.fenced()
	a.own(tenant)
	b.rejoin(store.Member{})
	same(b.world, "claimed by who has left", b.claim(store.BucketOf(tenant)), nil)
	b.tenant()
	b.must(c.handle().Leave(b.ctx))
}

func bucketHasOneOwner(c *cluster) {
	a, b := c.join(), c.join()
	same(a.world, "claimed", a.claim(1023, 0, 7, 0), []store.Bucket{0, 7, 1023})
	same(b.world, "claimed by another", b.claim(0, 1, 7, 8, 1023), []store.Bucket{1, 8})
	same(a.world, "claimed again", a.claim(0, 1, 2), []store.Bucket{0, 2})
	same(a.world, "nothing claimed", a.claim(), nil)

	b.must(b.Release(b.ctx, []store.Bucket{0, 1, 500}))
	a.must(a.Release(a.ctx, []store.Bucket{2, 7}))
	view := a.view()
	same(b.world, "seen by another", b.view().Owners, view.Owners)
	owners := map[store.Bucket]store.NodeKey{0: a.node, 8: b.node, 1023: a.node}
	for bucket, owner := range view.Owners {
		if owner != owners[store.Bucket(bucket)] {
			c.Errorf("bucket %d is owned by %d, want %d", bucket, owner, owners[store.Bucket(bucket)])
		}
	}
	same(b.world, "released", b.claim(0, 1, 2, 7), []store.Bucket{1, 2, 7})
}

func oneOfManyClaimsGetsABucket(c *cluster) {
	members := []*member{c.join(), c.join(), c.join()}
	all := make([]store.Bucket, store.BucketCount)
	for i := range all {
		all[i] = store.Bucket(i)
	}
	got := make([][]store.Bucket, len(members))
	members[0].together(len(members), func(number int) {
		m := members[number]
		for _, part := range slices.Collect(slices.Chunk(all, 64)) {
			if part = slices.Clone(part); number == 1 {
				slices.Reverse(part)
			}
			claimed, err := m.Claim(m.ctx, part)
			if err != nil {
				m.Error(err)
			}
			got[number] = append(got[number], claimed...)
		}
	})
	view, claimed := members[0].view(), 0
	for i, m := range members {
		claimed += len(got[i])
		for _, bucket := range got[i] {
			if view.Owners[bucket] != m.node {
				c.Fatalf("bucket %d is owned by %d, and %d was told that it owns it", bucket, view.Owners[bucket], m.node)
			}
		}
	}
	same(members[0].world, "claimed", claimed, store.BucketCount)
}

func nodeThatBeatsIsNotBuried(c *cluster) {
	a, b := c.join(), c.join()
	tenant := b.tenant()
	b.own(tenant)
	seen := a.view().Nodes[1].Beat
	b.view()
	a.is("burial", a.Bury(a.ctx, b.node, seen), store.ErrStale)
	same(a.world, "owner", a.view().Owners[store.BucketOf(tenant)], b.node)
	b.publish(1, tenant)
}

func buriedNodeIsGone(c *cluster) {
	a, b := c.join(), c.join()
	tenant := b.tenant()
	b.own(tenant)
	a.bury(b)
	a.must(a.Bury(a.ctx, b.node, 99))
	view := a.view()
	same(a.world, "nodes", len(view.Nodes), 1)
	same(a.world, "owner", view.Owners[store.BucketOf(tenant)], 0)
	a.own(tenant)

	b.fenced()
	b.must(b.Leave(b.ctx))
	old := b.node
	b.rejoin(store.Member{Name: "again"})
	if b.node <= old {
		c.Errorf("key %d is not above %d", b.node, old)
	}
	same(b.world, "claimed", b.claim(store.BucketOf(tenant)), nil)
	a.hear()
	b.publish(1, tenant, b.endpoint(tenant))
	same(a.world, "heard", a.kinds(), []store.SignalKind{store.SignalRoutes, store.SignalFresh})
}

// reading are the methods that a buried node may call. Those in the other list may find
// that there is nothing to store before they look.
var (
	reading = []string{
		"Instance", "Token", "TokenOf", "Tokens", "Refused", "NewKey", "Tenant", "TenantByUID", "Tenants", "Endpoint", "EndpointByUID", "Endpoints",
		"Routes", "Replay", "EventType", "EventTypesNamed", "EventTypes", "Lanes", "Fresh", "Waiting", "Payloads", "Send", "CountOpen", "CountSends",
		"SendsOf", "Due", "Outbox", "LastOutbox", "CountOutbox", "Sums", "Event", "EventByUID", "ReplayEvent", "Events", "Attempt", "AttemptsOfEvent",
		"AttemptsAtEndpoint", "Delivery", "DeliveriesOfEvent", "DeliveriesAtEndpoint", "UntriedAtEndpoint", "Job", "Jobs", "RunningJobs", "JobOpen",
		"FailingEndpoints", "Expunges", "Scrub",
	}
	nothing = []string{"Commit of nothing", "InsertSends of none", "Cancel"}
)

// fenced wants every kind of write to be refused, and reading not to be.
func (m *member) fenced() {
	m.Helper()
	errs := everyCall(m.world, m.ctx)
	methods := reflect.TypeFor[store.Store]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; errs[name] == nil && !slices.Contains(reading, name) && name != "Close" {
			m.Errorf("%s of a buried node is not refused, or was not tried", name)
		}
	}
	_, errs["Beat"] = m.Beat(m.ctx)
	_, errs["Claim"] = m.Claim(m.ctx, []store.Bucket{1})
	errs["Release"] = m.Release(m.ctx, []store.Bucket{1})
	errs["Bury"] = m.Bury(m.ctx, 1, 1)
	errs["EndSignals"] = m.EndSignals(m.ctx, []store.SignalKey{1})
	for what, err := range errs {
		if !slices.Contains(reading, what) && !slices.Contains(nothing, what) {
			m.is(what, err, store.ErrBuried)
		}
	}
	heard, err := m.Signals(m.ctx)
	m.must(err)
	same(m.world, "heard", heard, store.Heard{})
}

func buriedNodeStoresNothing(c *cluster) {
	a, b := c.join(), c.join()
	tenant := b.tenant()
	b.own(tenant)
	ep := b.endpoint(tenant)
	event := b.publish(1, tenant, ep)[0]
	job := b.job(tenant, ep)
	a.bury(b)
	a.own(tenant)
	before, of := a.heard(), a.accept(tenant, ep)

	for _, accept := range []store.Accept{{}, of} {
		batch := store.Batch{Now: b.now, Accepts: []store.Accept{accept}, Outcomes: []store.Outcome{b.outcome(tenant, ep, event, 0, webhook.Succeeded)}}
		_, err := b.Commit(b.ctx, &batch)
		b.is("Commit", err, store.ErrBuried)
	}
	_, err := b.Cancel(b.ctx, b.now, []store.DeliveryRef{{Endpoint: ep, Event: event}})
	b.is("Cancel", err, store.ErrBuried)
	_, err = b.StepJob(b.ctx, b.now, b.stepOf(job))
	b.is("StepJob", err, store.ErrBuried)
	b.is("DeleteTenant", b.DeleteTenant(b.ctx, tenant, b.now), store.ErrBuried)
	b.is("EndSignals", b.EndSignals(b.ctx, keysOf(before)), store.ErrBuried)

	same(a.world, "delivery", a.delivery(ep, event), store.DeliveryRecord{Endpoint: ep, Event: event, State: webhook.Pending})
	same(a.world, "attempts", a.attempts(event), 0)
	same(a.world, "job", a.jobNow(job.Key), job)
	same(a.world, "events", len(mustGet[store.FreshPage](a.world)(a.Fresh(a.ctx, ep, 0, 9)).Deliveries), 1)
	same(a.world, "signals", a.heard(), before)
}

// everyEvent are the fresh events at an endpoint.
func (m *member) everyEvent(ep store.EndpointKey) []store.EventKey {
	m.Helper()
	var events []store.EventKey
	for _, open := range mustGet[store.FreshPage](m.world)(m.Fresh(m.ctx, ep, 0, 100_000)).Deliveries {
		events = append(events, open.Event)
	}
	return events
}

// publishing commits events, one at a time, by several goroutines at once, until one is
// refused; it calls begun after the first few. Where a refusal ends a session in the midst of
// a commit, that may be of unknown fate.
func (m *member) publishing(accept store.Accept, refused error, begun func()) {
	const publishers, few = 3, 5
	var all sync.WaitGroup
	for number := range publishers {
		all.Go(func() {
			for i := 0; ; i++ {
				if number == 0 && i == few {
					begun()
				}
				_, err := m.Commit(m.ctx, &store.Batch{Now: m.now, Accepts: []store.Accept{accept}})
				if errors.Is(err, store.ErrCommitUnknown) {
					continue
				}
				if err != nil {
					m.is("publishing", err, refused)
					return
				}
			}
		})
	}
	all.Wait()
}

func nothingIsStoredBehindABurial(c *cluster) {
	a := c.join()
	tenant := a.tenant()
	ep := a.endpoint(tenant)
	accept := a.accept(tenant, ep)
	for range 5 {
		b := c.join()
		b.own(tenant)
		begun, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			b.publishing(accept, store.ErrBuried, func() { close(begun) })
		}()
		<-begun
		a.bury(b)
		found := a.everyEvent(ep)
		<-ended
		same(a.world, "events in the end", len(a.everyEvent(ep)), len(found))
	}
}

func handleThatNeverJoinedIsNotFenced(c *cluster) {
	a, other := c.join(), c.handle()
	tenant := other.tenant()
	a.own(tenant)
	ep := other.endpoint(tenant)
	other.publish(1, tenant, ep)
	same(a.world, "heard", a.kinds(), []store.SignalKind{store.SignalRoutes, store.SignalFresh})

	_, err := other.Beat(other.ctx)
	other.is("Beat", err, store.ErrBuried)
	_, err = other.Claim(other.ctx, []store.Bucket{1})
	other.is("Claim", err, store.ErrBuried)
	other.is("Release", other.Release(other.ctx, []store.Bucket{1}), store.ErrBuried)
	other.is("Bury", other.Bury(other.ctx, a.node, a.view().Nodes[0].Beat), store.ErrBuried)
	same(other.world, "heard by nobody", mustGet[store.Heard](other.world)(other.Signals(other.ctx)), store.Heard{})
	a.view()
}

func firstJoinRefusesNoWrite(c *cluster) {
	a := c.join()
	tenant := a.tenant()
	ep := a.endpoint(tenant)
	accepts := []store.Accept{a.accept(tenant, ep)}
	stored := 0
	for range 5 {
		const few = 3
		m := c.handle()
		begun, ended := make(chan struct{}), make(chan struct{})
		var joined atomic.Bool
		go func() {
			defer close(ended)
			for i := 0; !joined.Load(); i++ {
				if i == few {
					close(begun)
				}
				if _, err := m.Commit(m.ctx, &store.Batch{Now: m.now, Accepts: accepts}); err != nil {
					m.Errorf("Commit: %v", err)
				} else {
					stored++
				}
			}
		}()
		<-begun
		m.rejoin(store.Member{})
		joined.Store(true)
		<-ended
	}
	same(a.world, "events", len(a.everyEvent(ep)), stored)
}

func freshDeliveriesOfManyAreReadTogether(c *cluster) {
	a := c.join()
	tenant := a.tenant()
	first, second, empty := a.endpoint(tenant), a.endpoint(tenant), a.endpoint(tenant)
	all := a.publish(5, tenant, first, second)
	a.record(a.outcome(tenant, first, all[1], 0, webhook.Succeeded), a.outcome(tenant, second, all[4], 0, webhook.Succeeded))
	for _, limit := range []int{1, 2, 4, 9} {
		from := []store.FreshFrom{{Endpoint: second, From: all[2]}, {Endpoint: empty}, {Endpoint: first}, {Endpoint: second}}
		pages := mustGet[[]store.FreshPage](a.world)(a.FreshOf(a.ctx, from, limit))
		var want []store.FreshPage
		for _, of := range from {
			want = append(want, mustGet[store.FreshPage](a.world)(a.Fresh(a.ctx, of.Endpoint, of.From, limit)))
		}
		same(a.world, fmt.Sprint("as each by itself, by ", limit), pages, want)
	}
	same(a.world, "of none", len(mustGet[[]store.FreshPage](a.world)(a.FreshOf(a.ctx, nil, 9))), 0)
}

func lanesAreFoundByBucket(c *cluster) {
	a := c.join()
	tenants, endpoints := a.apart()
	second := a.endpoint(tenants[0])
	a.publish(1, tenants[0], endpoints[0])
	a.publish(1, tenants[1], endpoints[1])
	event := a.publish(1, tenants[0])[0]
	a.send(tenants[0], second, event, false)
	a.endpoint(tenants[0]) // with nothing open
	a.must(a.DeleteEndpoint(a.ctx, tenants[0], endpoints[0], a.now))

	in := func(after store.EndpointKey, limit int, of ...store.TenantKey) (found []store.EndpointKey) {
		buckets := []store.Bucket{}
		for _, tenant := range of {
			buckets = append(buckets, store.BucketOf(tenant))
		}
		for _, lane := range mustGet[[]store.Lane](a.world)(a.LanesIn(a.ctx, buckets, after, limit)) {
			if !slices.Contains(of, lane.Tenant) {
				a.Errorf("lane %+v is of none of the tenants", lane)
			}
			found = append(found, lane.Endpoint)
		}
		return found
	}
	same(a.world, "in no bucket", in(0, 9), nil)
	same(a.world, "in one", in(0, 9, tenants[0]), []store.EndpointKey{endpoints[0], second})
	same(a.world, "in the other", in(0, 9, tenants[1]), []store.EndpointKey{endpoints[1]})
	same(a.world, "in both", in(0, 9, tenants[:]...), []store.EndpointKey{endpoints[0], endpoints[1], second})
	same(a.world, "first page", in(0, 2, tenants[:]...), []store.EndpointKey{endpoints[0], endpoints[1]})
	same(a.world, "next page", in(endpoints[1], 2, tenants[:]...), []store.EndpointKey{second})
}

func failingEndpointsAreFoundByBucket(c *cluster) {
	a := c.join()
	tenants, endpoints := a.apart()
	second := a.endpoint(tenants[0])
	since := store.Failing{Since: a.now}
	for i, tenant := range tenants {
		a.own(tenant)
		a.mark(tenant, endpoints[i], since)
	}
	a.mark(tenants[0], second, since)
	in := func(after store.EndpointKey, limit int, of ...store.TenantKey) (found []store.EndpointKey) {
		buckets := []store.Bucket{}
		for _, tenant := range of {
			buckets = append(buckets, store.BucketOf(tenant))
		}
		for _, failing := range mustGet[[]store.FailingEndpoint](a.world)(a.FailingIn(a.ctx, buckets, after, limit)) {
			same(a.world, "failing", failing.Failing, since)
			found = append(found, failing.Endpoint)
		}
		return found
	}
	same(a.world, "in no bucket", in(0, 9), nil)
	same(a.world, "in one", in(0, 9, tenants[0]), []store.EndpointKey{endpoints[0], second})
	same(a.world, "in both", in(0, 2, tenants[:]...), []store.EndpointKey{endpoints[0], endpoints[1]})
	same(a.world, "next page", in(endpoints[1], 2, tenants[:]...), []store.EndpointKey{second})
}

func failingIsKeptByTheOwner(c *cluster) {
	a, b := c.join(), c.join()
	tenant := a.tenant()
	a.own(tenant)
	ep := a.endpoint(tenant)
	a.mark(tenant, ep, store.Failing{Since: a.now})
	late := b.outcome(tenant, ep, b.publish(1, tenant, ep)[0], 0, webhook.Succeeded)
	late.Failing = new(store.Failing)
	b.record(late)
	want := []store.FailingEndpoint{{Endpoint: ep, Failing: store.Failing{Since: a.now}}}
	same(a.world, "a success that another one knows of", a.failing(), want)

	late = b.outcome(tenant, ep, b.publish(1, tenant, ep)[0], 0, webhook.Waiting)
	late.Failing, late.AnnounceFailing = &store.Failing{Since: b.now.Add(-time.Hour), Told: 50}, &store.Announcement{Type: "failing"}
	late.Announce = &store.Announcement{Type: "attempted"}
	b.record(late)
	same(a.world, "a failure that another one knows of", a.failing(), want)
	same(a.world, "announced", a.announced(), []string{"attempted"})

	other := c.handle()
	other.mark(tenant, ep, store.Failing{Since: a.now, Told: 75})
	want[0].Told = 75
	same(a.world, "one that has never joined", a.failing(), want)
}

// within is a context that ends in good time where what is waited for never comes.
func (m *member) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(m.ctx, time.Minute)
}
