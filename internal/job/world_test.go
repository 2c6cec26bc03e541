package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// A world is a tenant with endpoints and deliveries in all states, over a memstore, and
// what goes on there while a job runs: events arrive, some by commits that overtake each
// other, deliveries end before and behind the job, and what it sends comes to an end. It
// knows all of it by itself, and judges by that what the job has visited.
type world struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // of the world's own calls
	rng  *rand.Rand
	st   *memstore.Store
	kind webhook.JobKind

	tenant     store.TenantKey
	endpoints  []*site
	events     map[store.EventKey]*event
	deliveries map[store.DeliveryRef]*delivery
	sends      map[store.SendKey]store.Send // all that were ever seen

	job    store.Job
	filter store.DeliveryFilter
	told   map[any]bool // sends by key, others by ref
	reread map[store.EndpointKey]bool
	// crashed says that lanes were made anew, from what was stored.
	crashed bool

	limits Limits
	nodes  int // that run the job at once

	mu      sync.Mutex // of what follows, and of all above while the job runs
	calls   int
	closing bool // the store, by a crash
	strike  func(operation string, moment memstore.Moment) error
	holding []*heldCommit
}

type site struct {
	store.Endpoint
	deleted bool
	changed bool // it was disabled, enabled or deleted while the job ran
}

type event struct {
	store.Event
	late bool // it came after the job
}

type delivery struct {
	state    webhook.State
	reason   webhook.Reason
	tried    int
	attempts []attempt
	touched  bool // while the job ran
}

type attempt struct {
	at     time.Time
	failed bool
	status int
}

const organisation = "org_test"

// newWorld draws a world by its seed. It is in fake time, as all that a world does.
func newWorld(t *testing.T, seed uint64, kind webhook.JobKind) *world {
	w := &world{
		t: t, ctx: context.WithValue(t.Context(), ownCall{}, true), rng: rand.New(rand.NewPCG(seed, uint64(kind))), st: memstore.New(), kind: kind, //nolint:gosec // not a secret
		events: make(map[store.EventKey]*event), deliveries: make(map[store.DeliveryRef]*delivery),
		sends: make(map[store.SendKey]store.Send), told: make(map[any]bool), reread: make(map[store.EndpointKey]bool),
	}
	w.st.Faults = w.faults
	w.must(w.st.InsertTenant(w.ctx, store.Tenant{Key: store.TenantKey(w.key()), Organisation: organisation}, nil))
	w.tenant = 1
	for range 1 + w.rng.IntN(4) {
		w.addEndpoint()
	}
	for range 3 + w.rng.IntN(30) {
		time.Sleep(time.Minute)
		w.publish(1, false)
		for range w.rng.IntN(4) {
			w.outcome(false)
		}
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) key() int64 {
	key, err := w.st.NewKey(w.ctx)
	w.must(err)
	return key
}

func (w *world) one(in int) bool { return w.rng.IntN(in) == 0 }

func (w *world) addEndpoint() {
	ep := store.Endpoint{Key: store.EndpointKey(w.key()), Tenant: w.tenant, URL: "https://example.com", CreatedAt: time.Now(), Disabled: w.one(6)}
	if w.one(3) {
		ep.EventTypes = []string{"a"}
	}
	if w.one(5) {
		ep.Channels = []string{"eu"}
	}
	w.must(w.st.InsertEndpoint(w.ctx, ep, nil))
	w.endpoints = append(w.endpoints, &site{Endpoint: ep})
}

// heldCommit is one that waits with its keys drawn.
type heldCommit struct{ drawn, let, done chan struct{} }

// publish accepts events, each for some of the endpoints. One that is held has drawn its
// keys when publish returns, and becomes visible with release.
func (w *world) publish(count int, held bool) {
	routes, err := w.st.Routes(w.ctx, w.tenant)
	if err != nil {
		return // the tenant is gone
	}
	batch := store.Batch{Now: time.Now()}
	for range count {
		a := store.Accept{Tenant: w.tenant, RouteVersion: routes.Version, Type: []string{"a", "b"}[w.rng.IntN(2)], Payload: []byte("{}")}
		if w.one(3) {
			a.Channels = []string{"eu"}
		}
		if w.one(3) {
			a.Tags = []string{"t"}
		}
		switch {
		case w.one(12):
			a.DeliverAt = batch.Now.Add(time.Duration(1+w.rng.IntN(3000)) * time.Minute)
		case w.one(12) && len(routes.Endpoints) > 0:
			a.Only = routes.Endpoints[w.rng.IntN(len(routes.Endpoints))].Key
			a.Endpoints = []store.EndpointKey{a.Only}
		default:
			for _, ep := range routes.Endpoints {
				if !w.one(3) {
					a.Endpoints = append(a.Endpoints, ep.Key)
				}
			}
		}
		batch.Accepts = append(batch.Accepts, a)
	}
	commit := func(ctx context.Context) {
		verdicts, err := w.st.Commit(ctx, &batch)
		if err != nil {
			return // it crashed meanwhile
		}
		for i, verdict := range verdicts {
			if verdict.Kind == store.Accepted {
				w.accepted(verdict, &batch.Accepts[i])
			}
		}
	}
	if !held {
		commit(w.ctx)
		return
	}
	h := &heldCommit{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	w.holding = append(w.holding, h)
	go func() {
		defer close(h.done)
		commit(context.WithValue(w.ctx, holdBy{}, h))
	}()
	<-h.drawn
}

func (w *world) accepted(verdict store.Verdict, a *store.Accept) {
	w.events[verdict.Event] = &event{Event: store.Event{
		Key: verdict.Event, Type: a.Type, Channels: a.Channels, Tags: a.Tags, DeliverAt: a.DeliverAt, Only: a.Only, AcceptedAt: verdict.AcceptedAt,
	}, late: w.job.Key != 0 && verdict.Event > w.job.Through}
	for _, ep := range a.Endpoints {
		w.deliveries[store.DeliveryRef{Endpoint: ep, Event: verdict.Event}] = &delivery{state: webhook.Pending}
	}
}

// release lets the commits that were held become visible.
func (w *world) release() {
	for len(w.holding) > 0 { // the last that began may be the first
		at := w.rng.IntN(len(w.holding))
		close(w.holding[at].let)
		<-w.holding[at].done
		w.holding = slices.Delete(w.holding, at, at+1)
	}
}

// outcome lets a random delivery be tried, or be cancelled without.
func (w *world) outcome(live bool) {
	refs := slices.SortedFunc(maps.Keys(w.deliveries), func(a, b store.DeliveryRef) int {
		return int((a.Event-b.Event)*1000 + store.EventKey(a.Endpoint-b.Endpoint))
	})
	if len(refs) == 0 {
		return
	}
	ref := refs[w.rng.IntN(len(refs))]
	d := w.deliveries[ref]
	if record, err := w.st.Delivery(w.ctx, ref.Endpoint, ref.Event); err != nil || record.State.Ended() {
		w.must(err)
		return
	}
	o := store.Outcome{Tenant: w.tenant, Endpoint: ref.Endpoint, Event: ref.Event, Tried: d.tried}
	switch w.rng.IntN(6) {
	case 0:
		o.State, o.Reason = webhook.Cancelled, []webhook.Reason{webhook.EndpointDisabled, webhook.CancelAsked, webhook.FilterChanged}[w.rng.IntN(3)]
	case 1, 2:
		o.State = webhook.Succeeded
	case 3:
		o.State = webhook.Exhausted
	default:
		o.State, o.RetryAt = webhook.Waiting, time.Now().Add(time.Hour)
	}
	if o.State != webhook.Cancelled {
		o.Attempt = w.attempt(o.State == webhook.Succeeded, d.tried+1)
	}
	_, err := w.st.Commit(w.ctx, &store.Batch{Now: time.Now(), Outcomes: []store.Outcome{o}})
	w.must(err)
	d.touched = d.touched || live
	d.state, d.reason = o.State, o.Reason
	if o.Attempt != nil {
		d.tried++
		d.note(o.Attempt)
	}
}

func (d *delivery) note(a *store.Attempt) {
	d.attempts = append(d.attempts, attempt{a.StartedAt, !a.Succeeded, a.StatusCode})
}

func (w *world) attempt(succeeded bool, number int) *store.Attempt {
	a := &store.Attempt{Number: number, StartedAt: time.Now(), StatusCode: []int{0, 404, 500}[w.rng.IntN(3)]}
	if succeeded {
		a.Succeeded, a.StatusCode = true, 200
	}
	return a
}

// look notes what the job has made, by the store.
func (w *world) look() {
	for _, ep := range w.endpoints {
		open, err := w.st.SendsOf(w.ctx, ep.Key, store.Moment{}, 1000)
		w.must(err)
		for _, send := range open {
			w.sends[send.Key] = send
		}
		if w.job.Key == 0 || w.limits.Open == 0 {
			continue
		}
		under, untried, err := w.st.JobOpen(w.ctx, w.job.Key, ep.Key, 1000)
		w.must(err)
		if under > w.limits.Open || untried > w.limits.Untried {
			w.t.Errorf("%d under way, %d of them untried at one endpoint: at most %d and %d may be", under, untried, w.limits.Open, w.limits.Untried)
		}
	}
}

// settle lets something that the job has made come to an end, or be tried.
func (w *world) settle() {
	w.look()
	for _, key := range slices.Sorted(maps.Keys(w.sends)) {
		send, err := w.st.Send(w.ctx, key)
		if errors.Is(err, store.ErrNotFound) || w.one(3) {
			continue
		}
		w.must(err)
		ended := w.one(2)
		o := store.Outcome{Tenant: w.tenant, Endpoint: send.Endpoint, Event: send.Event, Send: key, Tried: send.Tried, State: webhook.Waiting, RetryAt: time.Now().Add(time.Hour)}
		o.Attempt = w.attempt(ended && w.one(2), send.Tried+1)
		o.Attempt.Trigger = webhook.Manual
		if ended {
			o.State = webhook.Exhausted
			if o.Attempt.Succeeded {
				o.State = webhook.Succeeded
			}
		}
		_, err = w.st.Commit(w.ctx, &store.Batch{Now: time.Now(), Outcomes: []store.Outcome{o}})
		w.must(err)
	}
	// Deliveries that the job has opened.
	for _, ep := range w.endpoints {
		waiting, err := w.st.Waiting(w.ctx, ep.Key, store.Moment{}, 1000)
		w.must(err)
		for _, open := range waiting {
			if w.deliveries[store.DeliveryRef{Endpoint: ep.Key, Event: open.Event}] != nil || open.Tried > 0 && w.one(2) {
				continue
			}
			o := store.Outcome{Tenant: w.tenant, Endpoint: ep.Key, Event: open.Event, Tried: open.Tried, State: webhook.Waiting, RetryAt: time.Now().Add(time.Hour)}
			if o.Attempt = w.attempt(w.one(2), open.Tried+1); o.Attempt.Succeeded {
				o.State = webhook.Succeeded
			}
			_, err := w.st.Commit(w.ctx, &store.Batch{Now: time.Now(), Outcomes: []store.Outcome{o}})
			w.must(err)
		}
	}
}

// live is what goes on beside a call of the store.
func (w *world) live() {
	if w.job.Key == 0 {
		return
	}
	switch w.rng.IntN(8) {
	case 0:
		w.publish(1+w.rng.IntN(2), false)
	case 1:
		if len(w.holding) < 3 {
			w.publish(1, true)
		}
	case 2:
		w.release()
	case 3, 4:
		w.outcome(true)
	case 5:
		if w.one(20) {
			w.change(w.endpoints[w.rng.IntN(len(w.endpoints))])
		}
	default:
		w.settle()
	}
}

// change disables, enables or deletes an endpoint.
func (w *world) change(ep *site) {
	if ep.deleted {
		return
	}
	ep.changed = true
	if w.one(3) {
		ep.deleted = true
		w.must(w.st.DeleteEndpoint(w.ctx, w.tenant, ep.Key, time.Now()))
		return
	}
	stored, err := w.st.Endpoint(w.ctx, w.tenant, ep.Key)
	w.must(err)
	stored.Disabled = !stored.Disabled
	stored.Version++
	w.must(w.st.UpdateEndpoint(w.ctx, stored, nil))
	ep.Disabled = stored.Disabled
}

// The world's own calls bear a mark: they are not counted, and meet no faults. A commit
// that is to be held bears what holds it.
type (
	ownCall struct{}
	holdBy  struct{}
)

// faults is asked at each call of the store: the world goes on, and then the fault of the
// test may strike.
func (w *world) faults(ctx context.Context, operation string, moment memstore.Moment) error {
	if held, is := ctx.Value(holdBy{}).(*heldCommit); is && moment == memstore.Drawn {
		close(held.drawn)
		<-held.let
	}
	if ctx.Value(ownCall{}) != nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return nil
	}
	if moment == memstore.Before {
		w.live()
	}
	w.calls++
	if w.strike == nil {
		return nil
	}
	err := w.strike(operation, moment)
	w.closing = err == memstore.Crash //nolint:errorlint // a value of memstore's
	return err
}

// parts are what a Runner works with in this world.
func (w *world) parts() Parts {
	return Parts{
		Store: short{w.st, w}, Writer: w,
		Told: func(_ time.Time, made *Made) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, send := range made.Sends {
				w.told[send.Key] = true
			}
			for _, o := range made.Openings {
				w.told[store.DeliveryRef{Endpoint: o.Endpoint, Event: o.Event}] = true
			}
			for _, ref := range made.Cancelled {
				w.told[ref] = true
			}
		},
		Announce: func(string, store.TenantKey) []store.Announcement {
			return []store.Announcement{{TenantUID: "told", Organisation: "org_operator", Type: "message.cancelled"}}
		},
		Busy: func() bool { return false },
		ID:   func(job *store.Job) webhook.JobID { return webhook.JobID(fmt.Sprint(webhook.JobPrefix, job.Key)) },
		Log:  slog.New(slog.DiscardHandler),
	}
}

// short is a store whose pages end early now and then, as where much does not match.
type short struct {
	*memstore.Store
	world *world
}

func (s short) DeliveriesAtEndpoint(ctx context.Context, ep store.EndpointKey, filter store.DeliveryFilter, page store.Page) (store.Listed[store.EndpointDelivery], error) {
	whole, err := s.Store.DeliveriesAtEndpoint(ctx, ep, filter, page)
	if err != nil {
		return whole, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	next, err := s.Store.DeliveriesAtEndpoint(s.world.ctx, ep, store.DeliveryFilter{States: filter.States}, store.Page{After: page.After, Limit: 1})
	if err != nil || !s.world.one(3) || len(next.Items) == 0 || len(whole.Items) > 0 && whole.Items[0].Event == next.Items[0].Event {
		return whole, nil
	}
	return store.Listed[store.EndpointDelivery]{Last: next.Last, LastAt: next.LastAt, Examined: 1}, nil
}

// Do is the writer's: lanes of what may be stored are read again.
func (w *world) Do(ctx context.Context, lanes []store.Lane, do func(context.Context) error) error {
	err := do(ctx)
	if errors.Is(err, store.ErrCommitUnknown) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, lane := range lanes {
			w.reread[lane.Endpoint] = true
		}
	}
	return err
}

// start stores a job, while commits may be under way.
func (w *world) start(endpoint store.EndpointKey, spec Spec) {
	w.t.Helper()
	w.filter = spec.Filter
	job := store.Job{
		Key: store.JobKey(w.key()), Organisation: organisation, Tenant: w.tenant, Endpoint: endpoint, Kind: w.kind,
		Spec: spec.Encode(), CreatedAt: time.Now(), JobProgress: store.JobProgress{UpdatedAt: time.Now()},
	}
	stored := make(chan error, 1)
	go func() {
		var err error
		job, err = w.st.InsertJob(w.ctx, job, nil)
		stored <- err
	}()
	synctest.Wait()
	select {
	case err := <-stored: // else it waits for the commits that are held
		w.must(err)
	default:
		w.release()
		w.must(<-stored)
	}
	w.job = job
}

var errDisk = errors.New("disk error")

// run runs the job to its end, by one process after another where it crashes, in fake time.
func (w *world) run() {
	w.t.Helper()
	for {
		ctx, cancel := context.WithCancel(w.t.Context())
		var running sync.WaitGroup
		for range w.nodes {
			runner := New(w.parts(), w.limits)
			running.Go(func() { runner.Run(ctx) })
		}
		over := false
		const longest = 1000
		for range longest {
			time.Sleep(time.Minute)
			job, err := w.st.Job(w.ctx, organisation, w.job.Key)
			if errors.Is(err, store.ErrClosed) {
				w.crashed = true
				break
			}
			w.must(err)
			if over = job.State != webhook.JobRunning; over {
				break
			}
		}
		if over {
			w.quiet()
		}
		cancel()
		running.Wait()
		w.release()
		switch _, err := w.st.Job(w.ctx, organisation, w.job.Key); {
		case err != nil: // it crashed, as it may after the job's end, too
		case over:
			w.look()
			return
		default:
			w.t.Fatalf("the job never ends: %+v", w.now())
		}
		w.st, w.closing = w.st.Reopen(), false
		w.st.Faults = w.faults
	}
}

// quiet wants nobody to ask anything of the store when the job has ended, and each node has
// had the turn that it was waiting for, which tells it so. It watches for two hours of fake time.
func (w *world) quiet() {
	w.t.Helper()
	time.Sleep(time.Hour)
	w.mu.Lock()
	before := w.calls
	w.mu.Unlock()
	time.Sleep(time.Hour)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls != before {
		w.t.Errorf("the job has ended, and the store is asked %d things in an hour", w.calls-before)
	}
}

// now is the job as it is stored.
func (w *world) now() store.Job {
	job, err := w.st.Job(w.ctx, organisation, w.job.Key)
	w.must(err)
	return job
}
