package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// heard are the signals for a node, in all.
func (m *member) heard() []store.Signal {
	m.Helper()
	heard := mustGet[store.Heard](m.world)(m.Signals(m.ctx))
	if heard.More {
		m.Fatal("more signals than a case makes")
	}
	return heard.Signals
}

// hear ends what is to be heard, and returns it without the keys, which ascend.
func (m *member) hear() (signals []store.Signal) {
	m.Helper()
	heard := m.heard()
	m.must(m.EndSignals(m.ctx, keysOf(heard)))
	for i, signal := range heard {
		if signal.Key <= 0 || i > 0 && signal.Key <= heard[i-1].Key {
			m.Errorf("keys of signals do not ascend: %+v", heard)
		}
		signal.Key = 0
		signals = append(signals, signal)
	}
	return signals
}

func (m *member) kinds() (kinds []store.SignalKind) {
	m.Helper()
	for _, signal := range m.hear() {
		kinds = append(kinds, signal.Kind)
	}
	return kinds
}

func keysOf(signals []store.Signal) (keys []store.SignalKey) {
	for _, signal := range signals {
		keys = append(keys, signal.Key)
	}
	return keys
}

// scene is what a write of a case is about: a tenant with two endpoints, and events that
// both of them have.
type scene struct {
	tenant store.TenantKey
	ep     [2]store.EndpointKey
	event  [2]store.EventKey
}

func (s *scene) ref(ep, event int) store.DeliveryRef {
	return store.DeliveryRef{Endpoint: s.ep[ep], Event: s.event[event]}
}

// scene is made by the owner of its tenant, whom nobody has to tell.
func (m *member) scene() *scene {
	m.Helper()
	s := &scene{tenant: m.tenant()}
	m.own(s.tenant)
	s.ep = [2]store.EndpointKey{m.endpoint(s.tenant), m.endpoint(s.tenant)}
	copy(s.event[:], m.publish(2, s.tenant, s.ep[0], s.ep[1]))
	return s
}

func (s *scene) fresh(ep int, from store.EventKey) store.Signal {
	return store.Signal{Kind: store.SignalFresh, Tenant: s.tenant, Endpoint: s.ep[ep], Event: from}
}

func (s *scene) waiting(ep int, due time.Time) store.Signal {
	return store.Signal{Kind: store.SignalWaiting, Tenant: s.tenant, Endpoint: s.ep[ep], Due: due}
}

func (s *scene) ended(ep, event int, send store.SendKey) store.Signal {
	return store.Signal{Kind: store.SignalEnded, Tenant: s.tenant, Endpoint: s.ep[ep], Event: s.event[event], Send: send}
}

func (s *scene) forget(event store.EventKey) store.Signal {
	return store.Signal{Kind: store.SignalForget, Tenant: s.tenant, Event: event}
}

func (s *scene) routes() store.Signal {
	return store.Signal{Kind: store.SignalRoutes, Tenant: s.tenant}
}

func (s *scene) job(key store.JobKey) store.Signal {
	return store.Signal{Kind: store.SignalJob, Tenant: s.tenant, Job: key}
}

// telling are writes with what they tell the owner of the tenant, in any order. What owner
// stores beforehand tells nobody.
var telling = map[string]func(owner, w *world, s *scene) []store.Signal{
	"Commit of events": func(_, w *world, s *scene) []store.Signal {
		both, one := w.accept(s.tenant, s.ep[0], s.ep[1]), w.accept(s.tenant, s.ep[1], s.ep[1])
		verdicts := w.commit(one, both, both)
		return []store.Signal{s.fresh(1, verdicts[0].Event), s.fresh(0, verdicts[1].Event)}
	},
	"Commit of an event for nobody": func(_, w *world, s *scene) []store.Signal {
		w.publish(1, s.tenant)
		return nil
	},
	"Commit of a deferred event": func(_, w *world, s *scene) []store.Signal {
		w.deferred(s.tenant, 1000*time.Hour)
		return nil
	},
	"Commit of outcomes": func(_, w *world, s *scene) []store.Signal {
		first, second := w.outcome(s.tenant, s.ep[0], s.event[0], 0, webhook.Waiting), w.outcome(s.tenant, s.ep[0], s.event[1], 0, webhook.Waiting)
		first.RetryAt = second.RetryAt.Add(time.Hour)
		w.record(first, second,
			w.outcome(s.tenant, s.ep[1], s.event[0], 0, webhook.Succeeded), w.outcome(s.tenant, s.ep[1], s.event[1], 0, webhook.Exhausted))
		return []store.Signal{s.waiting(0, second.RetryAt), s.ended(1, 0, 0), s.ended(1, 1, 0)}
	},
	"Commit of an outcome that is only logged": func(_, w *world, s *scene) []store.Signal {
		w.record(w.outcome(s.tenant, s.ep[0], s.event[0], 3, webhook.Waiting))
		return nil
	},
	"Commit of a send's failure": func(owner, w *world, s *scene) []store.Signal {
		send := owner.send(s.tenant, s.ep[0], s.event[0], true)
		failed := w.sent(send, 0, webhook.Waiting)
		w.record(failed, w.sent(send, 1, webhook.Exhausted))
		return []store.Signal{s.waiting(0, failed.RetryAt), s.ended(0, 0, send.Key)}
	},
	"Commit of a send's success": func(owner, w *world, s *scene) []store.Signal {
		send := owner.send(s.tenant, s.ep[0], s.event[0], false)
		w.record(w.sent(send, 0, webhook.Succeeded))
		return []store.Signal{s.ended(0, 0, send.Key), s.ended(0, 0, 0)}
	},
	"Commit of a send that recovers": func(owner, w *world, s *scene) []store.Signal {
		owner.record(owner.outcome(s.tenant, s.ep[0], s.event[0], 0, webhook.Exhausted))
		send := owner.send(s.tenant, s.ep[0], s.event[0], false)
		w.record(w.sent(send, 0, webhook.Succeeded))
		return []store.Signal{s.ended(0, 0, send.Key)}
	},
	"InsertSends": func(owner, w *world, s *scene) []store.Signal {
		event := owner.publish(1, s.tenant)[0]
		send := store.Send{Tenant: s.tenant, Endpoint: s.ep[0], Event: s.event[0], DueAt: w.now}
		later := send
		later.DueAt = w.now.Add(time.Hour)
		_, _, err := w.InsertSends(w.ctx, w.now, []store.Send{later, send}, []store.Opening{
			{Tenant: s.tenant, Endpoint: s.ep[1], Event: event, DueAt: w.now}, {Tenant: s.tenant, Endpoint: s.ep[0], Event: s.event[1], DueAt: w.now},
		}, nil)
		w.must(err)
		return []store.Signal{s.waiting(0, w.now), s.waiting(1, w.now)}
	},
	"InsertSends of an opening that is open": func(_, w *world, s *scene) []store.Signal {
		_, _, err := w.InsertSends(w.ctx, w.now, nil, []store.Opening{{Tenant: s.tenant, Endpoint: s.ep[0], Event: s.event[1], DueAt: w.now}}, nil)
		w.must(err)
		return nil
	},
	"Cancel": func(owner, w *world, s *scene) []store.Signal {
		owner.record(owner.outcome(s.tenant, s.ep[0], s.event[0], 0, webhook.Succeeded))
		_, err := w.Cancel(w.ctx, w.now, []store.DeliveryRef{s.ref(0, 0), s.ref(0, 1), s.ref(1, 0), s.ref(0, 1)})
		w.must(err)
		return []store.Signal{s.ended(0, 1, 0), s.ended(1, 0, 0)}
	},
	"Promote": func(owner, w *world, s *scene) []store.Signal {
		owner.deferred(s.tenant, time.Hour)
		w.now = w.now.Add(2 * time.Hour)
		promotion := w.promotion(s.ep[0], s.ep[1])
		w.promote(promotion)
		return []store.Signal{s.waiting(0, promotion.DueAt), s.waiting(1, promotion.DueAt)}
	},
	"CancelEvent": func(owner, w *world, s *scene) []store.Signal {
		w.must(w.CancelEvent(w.ctx, s.tenant, owner.deferred(s.tenant, time.Hour), w.now))
		return nil
	},
	"InsertJob": func(_, w *world, s *scene) []store.Signal { return []store.Signal{s.job(w.job(s.tenant, 0).Key)} },
	"StepJob": func(owner, w *world, s *scene) []store.Signal {
		step := w.stepOf(owner.job(s.tenant, 0))
		event := owner.publish(1, s.tenant)[0]
		step.Sends = []store.Send{{Tenant: s.tenant, Endpoint: s.ep[0], Event: s.event[0], DueAt: w.now}}
		step.Openings = []store.Opening{{Tenant: s.tenant, Endpoint: s.ep[1], Event: event, DueAt: w.now}}
		step.Cancels = []store.DeliveryRef{s.ref(1, 1)}
		w.step(step)
		return []store.Signal{s.waiting(0, w.now), s.waiting(1, w.now), s.ended(1, 1, 0)}
	},
	"CancelJob": func(owner, w *world, s *scene) []store.Signal {
		job := owner.job(s.tenant, 0)
		for range 2 {
			mustGet[store.Job](w)(w.CancelJob(w.ctx, organisation, job.Key, "", w.now))
		}
		return []store.Signal{s.job(job.Key)}
	},
	"ExpungePayload": func(_, w *world, s *scene) []store.Signal {
		for range 2 {
			mustGet[[]store.Turn](w)(w.ExpungePayload(w.ctx, w.now, s.tenant, s.event[0]))
		}
		return []store.Signal{s.forget(s.event[0])}
	},
	"ExpungeEvent": func(_, w *world, s *scene) []store.Signal {
		mustGet[[]store.Turn](w)(w.ExpungeEvent(w.ctx, w.now, s.tenant, s.event[1]))
		return []store.Signal{s.forget(s.event[1])}
	},
	"InsertExpunge of payloads": func(_, w *world, s *scene) []store.Signal {
		mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: s.tenant, AskedAt: w.now}))
		return nil
	},
	"InsertExpunge of everything": func(_, w *world, s *scene) []store.Signal {
		for range 2 {
			mustGet[store.Expunge](w)(w.InsertExpunge(w.ctx, organisation, store.Expunge{Tenant: s.tenant, Everything: true, AskedAt: w.now}))
		}
		return []store.Signal{s.routes()}
	},
	"UpdateTenant": func(_, w *world, s *scene) []store.Signal {
		tenant := mustGet[store.Tenant](w)(w.Tenant(w.ctx, organisation, s.tenant))
		tenant.Version++
		w.must(w.UpdateTenant(w.ctx, tenant))
		return []store.Signal{s.routes()}
	},
	"DeleteTenant": func(_, w *world, s *scene) []store.Signal {
		w.must(w.DeleteTenant(w.ctx, s.tenant, w.now))
		return []store.Signal{s.routes()}
	},
	"InsertEndpoint": func(_, w *world, s *scene) []store.Signal {
		w.endpoint(s.tenant)
		return []store.Signal{s.routes()}
	},
	"UpdateEndpoint": func(_, w *world, s *scene) []store.Signal {
		ep := mustGet[store.Endpoint](w)(w.Endpoint(w.ctx, s.tenant, s.ep[0]))
		ep.Version++
		w.must(w.UpdateEndpoint(w.ctx, ep, nil))
		return []store.Signal{s.routes()}
	},
	"DeleteEndpoint": func(_, w *world, s *scene) []store.Signal {
		w.must(w.DeleteEndpoint(w.ctx, s.tenant, s.ep[0], w.now))
		return []store.Signal{s.routes()}
	},
}

func whatOthersStoreIsSignalled(c *cluster) {
	owner, other, never := c.join(), c.join(), c.handle()
	for what, write := range telling {
		for who, m := range map[string]*member{"its owner": owner, "another node": other, "one that has never joined": never} {
			s := owner.scene()
			owner.hear()
			m.now = owner.now
			want := write(owner.world, m.world, s)
			if m == owner {
				want = nil
			}
			got := owner.hear()
			if !sameSet(got, want) {
				owner.Errorf("%s by %s:\n got %+v\nwant %+v", what, who, got, want)
			}
			owner.now = m.now
		}
	}
	for what, heard := range map[string][]store.Signal{"another": other.heard(), "nobody": never.heard()} {
		for _, signal := range heard {
			if signal.Kind != store.SignalNodes {
				owner.Errorf("heard by %s: %+v", what, signal)
			}
		}
	}
}

func sameSet(got, want []store.Signal) bool {
	count := make(map[store.Signal]int)
	for _, signal := range got {
		count[signal]++
	}
	for _, signal := range want {
		count[signal]--
	}
	for _, left := range count {
		if left != 0 {
			return false
		}
	}
	return true
}

// expungeBy lets another node do all of an Expunge, and returns what is heard of that.
func (m *member) expungeBy(other *member, tenant store.TenantKey) (heard []store.Signal) {
	m.Helper()
	asked := mustGet[store.Expunge](other.world)(other.InsertExpunge(other.ctx, organisation, store.Expunge{Tenant: tenant, AskedAt: other.now}))
	other.expunge(asked.Key)
	return m.hear()
}

func refusedWritePostsNothing(c *cluster) {
	owner, other := c.join(), c.join()
	s := owner.scene()
	owner.hear()

	stale := other.accept(s.tenant, s.ep[0])
	stale.RouteVersion--
	same(other.world, "stale", other.verdict(stale).Kind, store.Rerouted)
	known := owner.accept(s.tenant, s.ep[0])
	known.Once = owner.once(1, time.Hour)
	owner.verdict(known)
	same(other.world, "known", other.verdict(known).Kind, store.Replayed)
	ep := mustGet[store.Endpoint](other.world)(other.Endpoint(other.ctx, s.tenant, s.ep[0]))
	other.is("update", other.UpdateEndpoint(other.ctx, ep, nil), store.ErrStale)
	send := store.Send{Tenant: s.tenant, Endpoint: s.ep[0], Event: s.event[0], DueAt: other.now}
	lost := store.Send{Tenant: s.tenant, Endpoint: s.ep[0], Event: 1 << 40, DueAt: other.now}
	_, _, err := other.InsertSends(other.ctx, other.now, []store.Send{send, lost}, nil, nil)
	other.is("sends", err, store.ErrNotFound)
	_, err = other.ExpungePayload(other.ctx, other.now, s.tenant, 1<<40)
	other.is("expunge", err, store.ErrNotFound)
	step := other.stepOf(owner.job(s.tenant, 0))
	step.Version++
	step.Cancels = []store.DeliveryRef{s.ref(0, 0)}
	_, err = other.StepJob(other.ctx, other.now, step)
	other.is("step", err, store.ErrStale)
	same(owner.world, "heard", owner.hear(), nil)

	review := store.Signal{Kind: store.SignalReview, Tenant: s.tenant}
	heard := owner.expungeBy(other, s.tenant)
	if len(heard) == 0 || heard[0] != review || heard[len(heard)-1] != review {
		c.Errorf("expunge: heard %+v, want %+v for each step that ended something", heard, review)
	}
	other.publish(1, s.tenant)
	same(owner.world, "expunge of what nobody waits for", owner.expungeBy(other, s.tenant), nil)
}

func nodesAreSignalled(c *cluster) {
	a, b := c.join(), c.join()
	nodes, paused := store.Signal{Kind: store.SignalNodes}, store.Signal{Kind: store.SignalPaused}
	same(a.world, "another joins", a.hear(), []store.Signal{nodes})
	same(b.world, "one's own", b.hear(), nil)

	mustGet[store.Instance](a.world)(a.InitInstance(a.ctx, store.Instance{SealedIDSecret: []byte{1}, CreatedAt: a.now}))
	for range 2 { // the second changes nothing
		a.must(a.SetPaused(a.ctx, true))
	}
	same(b.world, "paused", b.hear(), []store.Signal{paused})
	a.must(c.handle().SetPaused(a.ctx, false))
	same(b.world, "resumed", b.hear(), []store.Signal{paused})
	same(a.world, "resumed by one that has never joined", a.hear(), []store.Signal{paused})

	b.claim(1)
	b.must(b.Release(b.ctx, []store.Bucket{2}))
	same(a.world, "claimed, and nothing released", a.hear(), nil)
	b.must(b.Release(b.ctx, []store.Bucket{1}))
	same(a.world, "released", a.hear(), []store.Signal{nodes})
	b.must(b.Leave(b.ctx))
	same(a.world, "left", a.hear(), []store.Signal{nodes})
	b.must(b.Leave(b.ctx))
	same(a.world, "left again", a.hear(), nil)
	b.rejoin(store.Member{})
	third := c.join()
	a.hear()
	third.hear()
	a.is("stale", a.Bury(a.ctx, b.node, 99), store.ErrStale)
	same(third.world, "not buried", third.hear(), nil)
	a.bury(b)
	same(third.world, "buried", third.hear(), []store.Signal{nodes})
	same(a.world, "buried by oneself", a.hear(), nil)
}

func watchingNodeIsSignalled(c *cluster) {
	watching, other := c.handle(), c.join()
	watching.rejoin(store.Member{Watches: organisation})
	tenant := other.tenant()
	other.own(tenant)
	ep := other.newEndpoint(tenant, "")
	other.must(other.InsertEndpoint(other.ctx, ep, nil))
	routes := store.Signal{Kind: store.SignalRoutes, Tenant: tenant}
	same(watching.world, "heard by who watches", watching.hear(), []store.Signal{routes})
	other.publish(1, tenant, ep.Key)
	other.must(other.DeleteTenant(other.ctx, tenant, other.now))
	same(watching.world, "deleted", watching.hear(), []store.Signal{routes})

	elsewhere := other.newTenant("")
	elsewhere.Organisation = "org_other"
	other.must(other.InsertTenant(other.ctx, elsewhere, nil))
	other.endpoint(elsewhere.Key)
	same(watching.world, "of another organisation", watching.hear(), nil)
	watching.endpoint(watching.tenant())
	same(watching.world, "one's own", watching.hear(), nil)
}

func signalIsForItsBucketsOwner(c *cluster) {
	a, b, publisher := c.join(), c.join(), c.join()
	tenants, endpoints := a.apart()
	a.own(tenants[0])
	b.own(tenants[1])
	a.hear()
	b.hear()
	first := publisher.publish(1, tenants[0], endpoints[0])[0]
	second := publisher.publish(1, tenants[1], endpoints[1])[0]
	of := func(i int, event store.EventKey) []store.Signal {
		return []store.Signal{{Kind: store.SignalFresh, Tenant: tenants[i], Endpoint: endpoints[i], Event: event}}
	}
	same(a.world, "heard by one", a.hear(), of(0, first))
	same(publisher.world, "heard by nobody", publisher.heard(), nil)
	b.must(b.Release(b.ctx, []store.Bucket{store.BucketOf(tenants[1])}))
	same(b.world, "heard by who has released", b.heard(), nil)
	same(b.world, "what it was told", second > first, true)
}

func signalEndsOnce(c *cluster) {
	owner, other := c.join(), c.join()
	s := owner.scene()
	owner.hear()
	other.publish(1, s.tenant, s.ep[0])
	other.publish(1, s.tenant, s.ep[1])
	signals := owner.heard()
	same(owner.world, "heard", len(signals), 2)
	same(owner.world, "and again", owner.heard(), signals)

	batch := store.Batch{Now: owner.now, Acted: keysOf(signals[:1])}
	_, err := owner.Commit(owner.ctx, &batch)
	owner.must(err)
	same(owner.world, "left to a batch", batch.Heard.Signals, signals[1:])
	same(owner.world, "left", owner.heard(), signals[1:])
	for range 2 {
		owner.must(owner.EndSignals(owner.ctx, keysOf(signals)))
	}
	same(owner.world, "in the end", owner.heard(), nil)
	owner.must(owner.EndSignals(owner.ctx, nil))
}

func claimEndsTheSignalsOfABucket(c *cluster) {
	a, publisher := c.join(), c.join()
	tenants, endpoints := publisher.apart()
	a.own(tenants[1])
	publisher.publish(1, tenants[0], endpoints[0])
	other := publisher.publish(1, tenants[1], endpoints[1])[0]
	a.own(tenants[0])
	later := publisher.publish(1, tenants[0], endpoints[0])[0]
	a.own(tenants[0]) // again, which is no news
	var left []store.EventKey
	for _, signal := range a.hear() {
		if signal.Kind == store.SignalFresh {
			left = append(left, signal.Event)
		}
	}
	same(a.world, "heard", left, []store.EventKey{other, later})
}

func manySignalsAreGivenOutInParts(c *cluster) {
	owner, other := c.join(), c.join()
	tenant := owner.tenant()
	owner.own(tenant)
	ep := owner.endpoint(tenant)
	owner.hear()
	const part, parts = 1000, store.MostHeard/1000 + 1
	accept := owner.accept(tenant, ep)
	for range parts {
		batch := make([]store.Accept, part)
		var events []store.DeliveryRef
		for i := range batch {
			batch[i] = accept
		}
		for _, verdict := range owner.commit(batch...) {
			events = append(events, store.DeliveryRef{Endpoint: ep, Event: verdict.Event})
		}
		_, err := other.Cancel(other.ctx, other.now, events)
		other.must(err)
	}
	batch := store.Batch{Now: owner.now}
	_, err := owner.Commit(owner.ctx, &batch)
	owner.must(err)
	same(owner.world, "heard with a batch", len(batch.Heard.Signals), store.MostHeard)
	same(owner.world, "there is more", batch.Heard.More, true)
	seen := make(map[store.EventKey]bool)
	for more := true; more; {
		heard := mustGet[store.Heard](owner.world)(owner.Signals(owner.ctx))
		for _, signal := range heard.Signals {
			seen[signal.Event] = true
		}
		owner.must(owner.EndSignals(owner.ctx, keysOf(heard.Signals)))
		if more = heard.More; len(heard.Signals) > store.MostHeard || more && len(heard.Signals) == 0 {
			c.Fatalf("%d signals at once, and more: %v", len(heard.Signals), more)
		}
	}
	same(owner.world, "heard", len(seen), part*parts)
	same(owner.world, "left", owner.heard(), nil)
}

// Publishers alternate between nodes: what is acknowledged on one is heard by the commit
// that follows on the owner.
func commitHearsWhatWasAcknowledged(c *cluster) {
	owner, others := c.join(), []*member{c.join(), c.join()}
	s := owner.scene()
	owner.hear()
	accept := owner.accept(s.tenant, s.ep[0])
	var mu sync.Mutex // the owner's batches follow each other
	heard := make(map[store.EventKey]bool)
	owner.together(len(others), func(number int) {
		m := others[number]
		for range 20 {
			verdicts, err := m.Commit(m.ctx, &store.Batch{Now: m.now, Accepts: []store.Accept{accept}})
			if err != nil {
				m.Error(err)
				return
			}
			mu.Lock()
			batch := store.Batch{Now: owner.now, Accepts: []store.Accept{accept}}
			own, err := owner.Commit(owner.ctx, &batch)
			for _, signal := range batch.Heard.Signals {
				heard[signal.Event] = true
			}
			found := heard[verdicts[0].Event]
			mu.Unlock()
			if err != nil || !found || own[0].Event <= verdicts[0].Event {
				m.Errorf("event %d, acknowledged before the commit of %v began, was not heard by it (%v)", verdicts[0].Event, own, err)
				return
			}
		}
	})
}

// While a node writes it releases the bucket: whoever claims it then finds each event by
// reading, or is signalled.
func releaseLosesNoEvent(c *cluster) {
	a, b := c.join(), c.join()
	tenant := a.tenant()
	ep := a.endpoint(tenant)
	bucket := []store.Bucket{store.BucketOf(tenant)}
	accept := a.accept(tenant, ep)
	for range 5 {
		a.own(tenant)
		begun, ended := make(chan struct{}), make(chan struct{})
		ctx, stop := context.WithCancel(a.ctx)
		go func() {
			defer close(ended)
			m := *a
			m.world = newWorld(c.T, a.Store)
			m.world.ctx = ctx
			m.publishing(accept, context.Canceled, func() { close(begun) })
		}()
		<-begun
		a.must(a.Release(a.ctx, bucket))
		b.own(tenant)
		known := make(map[store.EventKey]bool)
		for _, event := range b.everyEvent(ep) {
			known[event] = true
		}
		stop()
		<-ended
		for _, signal := range b.hear() {
			known[signal.Event] = true
		}
		for _, event := range b.everyEvent(ep) {
			if !known[event] {
				c.Errorf("event %d was stored behind what the new owner has read, without a signal", event)
			}
		}
		b.must(b.Release(b.ctx, bucket))
	}
}

// awaits starts an AwaitHeard and returns what ends the case where it has not waited for
// act.
func (m *member) awaits(tenant store.TenantKey) (act func(do func())) {
	m.Helper()
	var acted atomic.Bool
	returned := make(chan error, 1)
	ctx, cancel := m.within()
	go func() {
		err := m.AwaitHeard(ctx, tenant)
		if err == nil && !acted.Load() {
			m.Error("AwaitHeard did not wait")
		}
		returned <- err
	}()
	return func(do func()) {
		m.Helper()
		defer cancel()
		acted.Store(true)
		do()
		m.must(<-returned)
	}
}

func awaitHeardWaitsUntilItIs(c *cluster) {
	owner, other := c.join(), c.join()
	s := owner.scene()
	owner.hear()
	other.must(other.AwaitHeard(other.ctx, s.tenant))

	other.endpoint(s.tenant)
	other.awaits(s.tenant)(func() { owner.hear() })
	other.endpoint(s.tenant)
	other.awaits(s.tenant)(func() {
		_, err := owner.Commit(owner.ctx, &store.Batch{Now: owner.now, Acted: keysOf(owner.heard())})
		owner.must(err)
	})
	other.endpoint(s.tenant)
	other.awaits(s.tenant)(func() { owner.must(owner.Release(owner.ctx, []store.Bucket{store.BucketOf(s.tenant)})) })
	owner.own(s.tenant)
	other.endpoint(s.tenant)
	other.awaits(s.tenant)(func() { other.bury(owner) })

	owner.rejoin(store.Member{})
	mustGet[store.Instance](other.world)(other.InitInstance(other.ctx, store.Instance{SealedIDSecret: []byte{1}, CreatedAt: other.now}))
	owner.hear()
	other.must(other.SetPaused(other.ctx, true))
	other.hear()
	other.awaits(0)(func() { owner.hear() })
}

func awaitHeardDoesNotWaitForNobody(c *cluster) {
	a, other := c.join(), c.join()
	tenants, endpoints := other.apart()
	a.own(tenants[0])
	other.publish(1, tenants[0], endpoints[0])
	other.publish(1, tenants[1], endpoints[1])
	other.must(other.AwaitHeard(other.ctx, tenants[1]))
}

func awaitHeardEndsWithItsContext(c *cluster) {
	owner, other := c.join(), c.join()
	s := owner.scene()
	other.endpoint(s.tenant)
	ctx, cancel := context.WithCancel(other.ctx)
	returned := make(chan error)
	go func() { returned <- other.AwaitHeard(ctx, s.tenant) }()
	cancel()
	other.is("AwaitHeard", <-returned, context.Canceled)
}

// awake waits until a node has something to hear, woken up by nothing but Wake.
func (m *member) awake() []store.Signal {
	m.Helper()
	ctx, cancel := m.within()
	defer cancel()
	for {
		_, err := m.Wake(ctx)
		m.must(err)
		if heard := m.heard(); len(heard) > 0 {
			return heard
		}
	}
}

func wakeFollowsASignal(c *cluster) {
	owner, other := c.join(), c.join()
	s := owner.scene()
	owner.hear()
	for range 3 {
		woken := make(chan []store.Signal)
		go func() { woken <- owner.awake() }()
		event := other.publish(1, s.tenant, s.ep[0])[0]
		heard := <-woken
		same(owner.world, "heard", heard[len(heard)-1].Event, event)
		owner.hear()
	}
	mustGet[store.Instance](other.world)(other.InitInstance(other.ctx, store.Instance{SealedIDSecret: []byte{1}, CreatedAt: other.now}))
	other.must(other.SetPaused(other.ctx, true))
	same(owner.world, "paused", owner.awake()[0].Kind, store.SignalPaused)

	ctx, cancel := context.WithCancel(other.ctx)
	returned := make(chan error)
	go func() {
		var err error
		for err == nil { // it may return without reason
			_, err = other.Wake(ctx)
		}
		returned <- err
	}()
	cancel()
	other.is("Wake", <-returned, context.Canceled)
}

// nudged waits until a node is, woken up by nothing but Wake.
func (m *member) nudged() {
	m.Helper()
	ctx, cancel := m.within()
	defer cancel()
	for is := false; !is; {
		var err error
		is, err = m.Wake(ctx)
		m.must(err)
	}
}

func nudgeWakesTheOwner(c *cluster) {
	owner, other, never := c.join(), c.join(), c.handle()
	s := owner.scene()
	bucket := store.BucketOf(s.tenant)
	other.publish(1, s.tenant, s.ep[0])
	owner.awake() // and listens from now on
	owner.hear()
	never.Nudge((bucket + 1) % store.BucketCount) // nobody's
	for _, by := range []*member{other, never, owner} {
		by.Nudge(bucket)
		owner.nudged()
	}
	same(owner.world, "heard", owner.heard(), nil)
	never.must(never.Store.Close())
	never.Nudge(bucket) // does nothing
}
