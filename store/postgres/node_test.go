package postgres_test

import (
	"errors"
	"testing"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
)

// pair are two nodes, the first of which is behind a proxy.
type pair struct {
	*handles
	proxy *proxy
	node  [2]*postgres.Store
	keys  [2]store.NodeKey
}

func joinPair(t *testing.T) *pair {
	t.Helper()
	first, p := throughProxy(t)
	second, err := postgres.Open(t.Context(), postgrestest.Address(t), postgres.Options{Schema: schemaOf(p.schema), MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	of := &pair{handles: &handles{T: t, folder: p.schema, of: [2]store.Store{first, second}}, proxy: p, node: [2]*postgres.Store{first, second}}
	for i, node := range of.node {
		of.keys[i], err = node.Join(t.Context(), store.Member{Name: "node", Delivers: true})
		of.must(err)
	}
	return of
}

func (p *pair) view() store.View {
	p.Helper()
	view, err := p.node[1].Beat(p.Context())
	p.must(err)
	return view
}

func (p *pair) claims(who int, buckets ...store.Bucket) int {
	p.Helper()
	mine, err := p.node[who].Claim(p.Context(), buckets)
	p.must(err)
	return len(mine)
}

// buryFirst has the second node bury the first one, which beats no more.
func (p *pair) buryFirst() {
	p.Helper()
	for _, node := range p.view().Nodes {
		if node.Key == p.keys[0] {
			p.must(p.node[1].Bury(p.Context(), node.Key, node.Beat))
		}
	}
}

// publish commits an event for an endpoint as the first node.
func (p *pair) publish(tenant store.TenantKey, ep store.EndpointKey) error {
	_, err := p.node[0].Commit(p.Context(), &store.Batch{Now: noon, Accepts: []store.Accept{{
		Tenant: tenant, Type: "a", Payload: []byte("{}"), Endpoints: []store.EndpointKey{ep}, RouteVersion: p.routes(tenant),
	}}})
	return err
}

func (p *pair) routes(tenant store.TenantKey) int64 {
	p.Helper()
	routes, err := p.node[1].Routes(p.Context(), tenant)
	p.must(err)
	return routes.Version
}

func (p *pair) open(ep store.EndpointKey) int {
	p.Helper()
	page, err := p.node[1].Fresh(p.Context(), ep, 0, 99)
	p.must(err)
	return len(page.Deliveries)
}

func TestReleaseThatComesLateFreesNothing(t *testing.T) {
	p := joinPair(t)
	if p.claims(0, 1, 2) != 2 {
		t.Fatal("not claimed")
	}
	late := make(chan struct{})
	at := p.proxy.delayAt("commit", late, true)
	err := p.node[0].Release(t.Context(), []store.Bucket{1})
	<-at
	if !errors.Is(err, store.ErrCommitUnknown) {
		t.Fatalf("Release: %v, want that its outcome is unknown", err)
	}
	if p.claims(0, 1, 2) != 2 {
		t.Error("the node does not own what it has claimed again")
	}
	close(late)
	p.proxy.wait()
	if n := p.claims(1, 1, 2); n != 0 {
		t.Errorf("another node owns %d of the buckets", n)
	}
	if owners := p.view().Owners; owners[1] != p.keys[0] || owners[2] != p.keys[0] {
		t.Errorf("owners %d and %d, want %d", owners[1], owners[2], p.keys[0])
	}
}

// What a node may have stored as the owner, for which it has posted nothing, is there when
// the next owner reads, or never will be.
func TestReleaseComesBehindWritesOfUnknownFate(t *testing.T) {
	p := joinPair(t)
	tenant := p.tenant().Key
	ep := p.endpoint(tenant).Key
	bucket := store.BucketOf(tenant)
	p.claims(0, bucket)
	p.must(p.publish(tenant, ep))
	late := make(chan struct{})
	at := p.proxy.delayAt("commit", late, true)
	err := p.publish(tenant, ep)
	<-at
	if !errors.Is(err, store.ErrCommitUnknown) {
		t.Fatalf("Commit: %v, want that its outcome is unknown", err)
	}
	p.must(p.node[0].Release(t.Context(), []store.Bucket{bucket}))
	if p.claims(1, bucket) != 1 {
		t.Fatal("not claimed by the next one")
	}
	found := p.open(ep)
	close(late)
	p.proxy.wait()
	if now := p.open(ep); now != found {
		t.Errorf("%d deliveries, and %d when the bucket had its next owner", now, found)
	}
}

func TestNodeThatStoppedInATransactionIsBuried(t *testing.T) {
	p := joinPair(t)
	tenant := p.tenant().Key
	ep := p.endpoint(tenant).Key
	p.claims(0, store.BucketOf(tenant))
	p.must(p.publish(tenant, ep))
	late := make(chan struct{})
	at := p.proxy.delayAt("commit", late, false)
	published := make(chan error, 1)
	go func() { published <- p.publish(tenant, ep) }()
	<-at
	p.buryFirst()
	if p.claims(1, store.BucketOf(tenant)) != 1 {
		t.Error("the buckets of a buried node are not free")
	}
	close(late)
	if err := <-published; err == nil {
		t.Error("a buried node has stored something")
	}
	if err := p.publish(tenant, ep); !errors.Is(err, store.ErrBuried) {
		t.Errorf("Commit of a buried node: %v", err)
	}
	if n := p.open(ep); n != 1 {
		t.Errorf("%d deliveries are open, want 1", n)
	}
}

func TestNodesThatBuryEachOther(t *testing.T) {
	for range 5 {
		p := joinPair(t)
		view := p.view()
		beat := map[store.NodeKey]int64{view.Nodes[0].Key: view.Nodes[0].Beat, view.Nodes[1].Key: view.Nodes[1].Beat}
		errs := p.race(1, func(s store.Store, who, _ int) error {
			return s.(*postgres.Store).Bury(t.Context(), p.keys[1-who], beat[p.keys[1-who]])
		})
		if (errs[0][0] == nil) == (errs[0][1] == nil) {
			t.Fatalf("%v, want that one buries the other", errs[0])
		}
	}
}

func TestFailedJoinLeavesNoNode(t *testing.T) {
	for what, after := range map[string]bool{"that was not stored": false, "that was": true} {
		t.Run(what, func(t *testing.T) {
			s, proxy := throughProxy(t)
			for tenant, want := range []error{nil, store.ErrBuried} { // of one that never joined, and of a node
				cut := proxy.cutAt("commit", after)
				if _, err := s.Join(t.Context(), store.Member{}); !errors.Is(err, store.ErrCommitUnknown) {
					t.Fatalf("Join: %v, want that its outcome is unknown", err)
				}
				<-cut
				of := store.Tenant{Key: store.TenantKey(tenant + 1), Organisation: organisation}
				if err := s.InsertTenant(t.Context(), of, nil); !errors.Is(err, want) {
					t.Errorf("InsertTenant: %v, want %v", err, want)
				}
				key, err := s.Join(t.Context(), store.Member{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Claim(t.Context(), []store.Bucket{1}); err != nil {
					t.Fatal(err)
				}
				view, err := s.Beat(t.Context())
				if err != nil || view.Owners[1] != key {
					t.Errorf("%v; bucket 1 is owned by %d, want %d", err, view.Owners[1], key)
				}
			}
		})
	}
}

func TestLeavingIsMadeUpFor(t *testing.T) {
	p := joinPair(t)
	p.claims(0, 1)
	cut := p.proxy.cutAt("commit", false)
	if err := p.node[0].Leave(t.Context()); !errors.Is(err, store.ErrCommitUnknown) {
		t.Fatalf("Leave: %v, want that its outcome is unknown", err)
	}
	<-cut
	key, err := p.node[0].Join(t.Context(), store.Member{})
	p.must(err)
	view := p.view()
	if len(view.Nodes) != 2 || view.Nodes[1].Key != key || view.Owners[1] != 0 {
		t.Errorf("nodes %+v, want the second and the new one; bucket 1 is owned by %d", view.Nodes, view.Owners[1])
	}
}

func TestWakeSurvivesACut(t *testing.T) {
	p := joinPair(t)
	_, err := p.node[1].InitInstance(t.Context(), store.Instance{SealedIDSecret: []byte{1}, CreatedAt: noon})
	p.must(err)
	wake := func() error { _, err := p.node[0].Wake(t.Context()); return err }
	p.must(wake()) // listens
	for round := range 3 {
		p.proxy.cutAll()
		told := wake() // of the cut, if of nothing that came before
		if told != nil {
			p.must(wake()) // listens anew
		}
		p.must(p.node[1].SetPaused(t.Context(), round%2 == 0))
		err := wake()
		if err != nil && told == nil {
			err = wake()
		}
		p.must(err)
	}
}
