package neohook_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// calamity is what happens at one call of the store, the only one in a run.
type calamity struct {
	call   int // from 1, counted over restarts
	moment memstore.Moment
	crash  bool
}

func (c calamity) String() string {
	when := map[memstore.Moment]string{memstore.Before: "before", memstore.After: "after"}[c.moment]
	what := map[bool]string{false: "error", true: "crash"}[c.crash]
	return fmt.Sprintf("%s %s call %d", what, when, c.call)
}

// survivor is a service that has one calamity and is started again after it: a store and
// an engine over it, one after another.
type survivor struct {
	t        *testing.T
	calamity calamity
	adapter  *memadapter.Adapter
	opts     neohook.Options

	crashed chan struct{} // told of each crash

	mu     sync.Mutex
	calls  int
	over   bool   // nothing happens any more
	struck string // the operation that it struck
	eng    *neohook.Engine
}

// fault counts calls, and lets the calamity happen.
func (s *survivor) fault(_ context.Context, operation string, moment memstore.Moment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if moment == memstore.Before {
		s.calls++
	}
	if s.over || s.struck != "" || s.calls != s.calamity.call || moment != s.calamity.moment {
		return nil
	}
	s.struck = operation
	switch {
	case s.calamity.crash:
		s.crashed <- struct{}{}
		return memstore.Crash
	case moment == memstore.After:
		return store.ErrCommitUnknown
	}
	return errDisk
}

// live keeps an engine running over what is stored, until ctx ends.
func (s *survivor) live(ctx context.Context, st *memstore.Store) {
	for ctx.Err() == nil {
		st.Faults = s.fault
		eng, err := neohook.New(ctx, st, s.opts)
		if err == nil {
			s.run(ctx, eng)
		}
		select { // of a crash that it could not begin for
		case <-s.crashed:
		default:
		}
		s.mu.Lock()
		s.eng = nil
		s.mu.Unlock()
		st = st.Reopen()
	}
}

// run lets an engine run until it has crashed.
func (s *survivor) run(ctx context.Context, eng *neohook.Engine) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- eng.Run(running) }()
	s.mu.Lock()
	s.eng = eng
	s.mu.Unlock()
	select {
	case err := <-ended: // it could not begin
		if err == nil {
			s.t.Error("Run ended by itself")
		}
		return
	case <-ctx.Done():
	case <-s.crashed:
	}
	stop()
	<-ended
}

// insist does something until it is done, in fake time.
func (s *survivor) insist(what string, do func(*neohook.Engine) error) {
	s.t.Helper()
	for range 100 {
		s.mu.Lock()
		eng := s.eng
		s.mu.Unlock()
		if eng != nil {
			err := do(eng)
			if err == nil {
				return
			}
			if !passes(err) {
				s.t.Errorf("%s: %v", what, err)
				return
			}
		}
		time.Sleep(700 * time.Millisecond)
	}
	s.t.Errorf("%s can't be done", what)
}

// passes says that an error is of the calamity, or of the moments after it.
func passes(err error) bool {
	return slices.ContainsFunc([]error{errDisk, store.ErrClosed, store.ErrCommitUnknown, neohook.ErrStopped, neohook.ErrOverloaded},
		func(known error) bool { return errors.Is(err, known) })
}

// made is no error where something was made before, by a try that was not told so.
func made(err error) error {
	if errors.Is(err, neohook.ErrConflict) || errors.Is(err, neohook.ErrNotFound) {
		return nil
	}
	return err
}

// TestEachCallMayFailOrCrash lets, run by run, each call of the store fail or be the last
// of its process, while events are deferred and things happen of which an operator is
// told. Whatever has happened by what is stored was told exactly once; and what was
// deferred has arrived, by one delivery.
func TestEachCallMayFailOrCrash(t *testing.T) {
	calls := 0
	inFakeTime(t, func(t *testing.T) { calls = survive(t, calamity{}) })
	if calls < 50 {
		t.Fatalf("without any fault the store is asked %d things", calls)
	}
	t.Logf("%d calls without a fault", calls)
	kinds := []calamity{
		{moment: memstore.Before}, {moment: memstore.After}, {moment: memstore.Before, crash: true}, {moment: memstore.After, crash: true},
	}
	for _, kind := range kinds {
		for call := 1; call <= calls; call++ {
			kind.call = call
			t.Run(kind.String(), func(t *testing.T) {
				inFakeTime(t, func(t *testing.T) { survive(t, kind) })
			})
		}
	}
}

// survive has everything happen once, under a calamity, and judges what came of it. It
// returns how many calls of the store that took. All of it is in fake time.
func survive(t *testing.T, of calamity) int {
	st, adapter := memstore.New(), &memadapter.Adapter{Answer: func(r memadapter.Request) memadapter.Reply {
		switch r.Endpoint.UID {
		case "fails":
			return memadapter.Reply{StatusCode: 500}
		case "recovers":
			if r.Delivery.Attempt < 5 {
				return memadapter.Reply{StatusCode: 500}
			}
		case "gone":
			return memadapter.Reply{StatusCode: http.StatusGone}
		}
		return memadapter.Reply{}
	}}
	s := &survivor{t: t, calamity: of, adapter: adapter, crashed: make(chan struct{}, 1), opts: neohook.Options{
		Adapter: adapter, Jitter: -1, Schedule: slices.Repeat(webhook.Schedule{time.Minute}, 5), DisableAfter: 200 * time.Minute,
	}}
	s.opts.Keyset, _ = aKeyset()
	prepared := must[*neohook.Engine](t)(neohook.New(t.Context(), st, s.opts))
	createTenant(t, prepared, "acme")
	createEndpoint(t, prepared, "acme", webhook.Endpoint{UID: "old", URL: "https://old.example", Channels: []string{"old"}})
	listen(t, prepared)

	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	lived := make(chan struct{})
	go func() { defer close(lived); s.live(ctx, st.Reopen()) }()
	defer func() { end(); <-lived }()
	s.happen()
	time.Sleep(time.Hour)
	s.mu.Lock()
	s.over = true
	calls := s.calls
	s.mu.Unlock()
	s.insist("judging", func(eng *neohook.Engine) error { s.judge(eng); return nil })
	return calls
}

// happen does each thing until it is done, over hours of fake time.
func (s *survivor) happen() {
	ctx := s.t.Context()
	create := func(uid string) {
		s.insist("creating "+uid, func(eng *neohook.Engine) error {
			_, err := eng.CreateEndpoint(ctx, "acme", webhook.Endpoint{UID: uid, URL: "https://" + uid + ".example", Channels: []string{uid}})
			return made(err)
		})
	}
	change := func(what string, change func(*webhook.Endpoint)) {
		s.insist(what, func(eng *neohook.Engine) error {
			_, err := eng.UpdateEndpoint(ctx, "acme", "works", func(ep *webhook.Endpoint) error { change(ep); return nil })
			return err
		})
	}
	publish := func(uid, channel string, in time.Duration) {
		event := webhook.Event{Tenant: "acme", UID: uid, Type: "a", Channels: []string{channel}, Payload: []byte(`{}`)}
		if in > 0 {
			event.DeliverAt = time.Now().Add(in)
		}
		s.insist("publishing "+uid, func(eng *neohook.Engine) error {
			_, err := eng.Publish(ctx, event)
			return made(err)
		})
	}
	cancel := func(what string, do func(*neohook.Engine) error) { s.insist(what, do) }
	for _, uid := range []string{"works", "fails", "recovers", "gone"} {
		create(uid)
	}
	publish("early", "works", 30*time.Minute)
	publish("cancelled", "works", time.Hour)
	publish("fails", "fails", 0)
	publish("recovers", "recovers", 0)
	publish("gone", "gone", 0)
	change("pausing", func(ep *webhook.Endpoint) { ep.Paused = true })
	publish("waits", "works", 0)
	cancel("cancelling an event", func(eng *neohook.Engine) error { return eng.CancelEvent(ctx, "acme", "cancelled") })
	cancel("cancelling a delivery", func(eng *neohook.Engine) error { return eng.CancelDelivery(ctx, "acme", "waits", "works") })
	change("resuming", func(ep *webhook.Endpoint) { ep.Paused = false })
	change("describing", func(ep *webhook.Endpoint) { ep.Description = "works" })
	s.insist("deleting", func(eng *neohook.Engine) error { return made(eng.DeleteEndpoint(ctx, "acme", "old")) })
	time.Sleep(3*time.Hour + 10*time.Minute)
	publish("fails-again", "fails", 0) // for so long that it is told
	time.Sleep(time.Hour)
	publish("fails-on", "fails", 0) // and disabled
}

// judge compares what was told with what is stored.
func (s *survivor) judge(eng *neohook.Engine) {
	t, ctx := s.t, s.t.Context()
	acting, tenant, err := eng.Operational(ctx)
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]int)
	listed := must[neohook.List[webhook.Event]](t)(acting.Events(ctx, tenant, neohook.EventFilter{WithPayload: true}, neohook.Page{Limit: 250}))
	for _, event := range listed.Items {
		told[event.Type]++
	}
	disabled := 0 // one that answered 410 while the store failed may have been left
	for _, uid := range []webhook.EndpointID{"gone", "fails"} {
		if must[webhook.Endpoint](t)(eng.Endpoint(ctx, "acme", uid)).Disabled {
			disabled++
		}
	}
	want := map[string]int{
		"endpoint.created": 4, "endpoint.updated": 1, "endpoint.paused": 1, "endpoint.resumed": 1, "endpoint.deleted": 1,
		"endpoint.failing": 1, "endpoint.disabled": disabled,
		"message.attempt.failing": 3, "message.attempt.exhausted": 2, "message.attempt.recovered": 1, "message.cancelled": 2,
	}
	if !maps.Equal(told, want) {
		t.Errorf("after %q: told of\n%v, want\n%v", s.struck, inOrder(told), inOrder(want))
	}
	s.judgeDeferred(eng)
	s.judgeReceived(listed.Items)
}

func inOrder(counts map[string]int) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprint(name, ": ", counts[name]))
	}
	return lines
}

// judgeDeferred looks for what was deferred.
func (s *survivor) judgeDeferred(eng *neohook.Engine) {
	t, ctx := s.t, s.t.Context()
	early := must[webhook.Event](t)(eng.Event(ctx, "acme", "early"))
	deliveries := must[neohook.List[webhook.Standing]](t)(eng.DeliveriesOfEvent(ctx, "acme", "early", neohook.Page{})).Items
	if len(deliveries) != 1 || deliveries[0].State != webhook.Succeeded || deliveries[0].Tried != 1 {
		t.Errorf("after %q: the deferred event stands as %+v", s.struck, deliveries)
	}
	for _, request := range s.adapter.Requests() {
		if request.Delivery.Event == early.ID && (request.At.Before(early.DeliverAt) || request.At.After(early.DeliverAt.Add(time.Minute))) {
			t.Errorf("after %q: it came at %v, want %v", s.struck, request.At, early.DeliverAt)
		}
	}
	cancelled := must[webhook.Event](t)(eng.Event(ctx, "acme", "cancelled"))
	if found := must[neohook.List[webhook.Standing]](t)(eng.DeliveriesOfEvent(ctx, "acme", "cancelled", neohook.Page{})).Items; len(found) > 0 || cancelled.CancelledAt.IsZero() {
		t.Errorf("after %q: cancelled at %v, and stands as %+v", s.struck, cancelled.CancelledAt, found)
	}
}

// judgeReceived compares what the operator got with what was accepted.
func (s *survivor) judgeReceived(accepted []webhook.Event) {
	came := make(map[webhook.EventID]int)
	for _, request := range s.adapter.Requests() {
		if request.Endpoint.URL == operatorURL {
			came[request.Delivery.Event]++
		}
	}
	for _, event := range accepted {
		// What was in flight in a crash may come again.
		if n := came[event.ID]; n < 1 || n > 2 {
			s.t.Errorf("after %q: %s came %d times", s.struck, event.Payload, n)
		}
	}
}
