package neohook_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// TestJobsGoOnThoughEachCallMayFailOrCrash lets, run by run, each call of the store fail,
// be in doubt, or be the last of its process, while jobs recover, replay and cancel.
// What they are for has arrived, or does not any more, and none of it twice but for what
// was in flight in a crash.
func TestJobsGoOnThoughEachCallMayFailOrCrash(t *testing.T) {
	calls := 0
	inFakeTime(t, func(t *testing.T) { calls = jobsSurvive(t, calamity{}) })
	if calls < 30 {
		t.Fatalf("without any fault the store is asked %d things", calls)
	}
	t.Logf("%d calls without a fault", calls)
	for _, kind := range []calamity{
		{moment: memstore.Before}, {moment: memstore.After}, {moment: memstore.Before, crash: true}, {moment: memstore.After, crash: true},
	} {
		for call := 1; call <= calls; call++ {
			kind.call = call
			t.Run(kind.String(), func(t *testing.T) {
				inFakeTime(t, func(t *testing.T) { jobsSurvive(t, kind) })
			})
		}
	}
}

// jobsSurvive runs the jobs under a calamity, and judges what came of it. It returns how
// many calls of the store that took. All of it is in fake time.
func jobsSurvive(t *testing.T, of calamity) int {
	st, adapter := memstore.New(), memadapter.New()
	s := &survivor{t: t, calamity: of, adapter: adapter, crashed: make(chan struct{}, 1), opts: neohook.Options{Adapter: adapter, Jitter: -1}}
	s.opts.Keyset, _ = aKeyset()
	prepared := must[*neohook.Engine](t)(neohook.New(t.Context(), st, s.opts))
	createTenant(t, prepared, "acme")
	since := time.Now()
	for _, uid := range []string{"failed", "late", "slow"} {
		createEndpoint(t, prepared, "acme", webhook.Endpoint{UID: uid, URL: "https://" + uid + ".example", EventTypes: []string{uid}})
	}
	leaveBehind(t, st)
	time.Sleep(time.Hour)

	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	lived := make(chan struct{})
	go func() { defer close(lived); s.live(ctx, st.Reopen()) }()
	defer func() { end(); <-lived }()
	window := neohook.Window{Since: since, Rate: 8} // some steps each
	for key, begin := range map[string]func(*neohook.Organisation) (webhook.Job, error){
		"recover": func(o *neohook.Organisation) (webhook.Job, error) { return o.Recover(ctx, "acme", "failed", window) },
		"replay": func(o *neohook.Organisation) (webhook.Job, error) {
			return o.ReplayMissing(ctx, "acme", "late", window)
		},
		"cancel": func(o *neohook.Organisation) (webhook.Job, error) {
			return o.CancelWhere(ctx, "acme", neohook.Selection{Endpoint: "slow", Rate: 8})
		},
	} {
		var job webhook.Job
		s.insist(key, func(eng *neohook.Engine) (err error) {
			job, err = begin(eng.Once(neohook.Once{Key: key}))
			return err
		})
		s.insist("the end of "+key, func(eng *neohook.Engine) error {
			got, err := eng.Job(ctx, job.ID)
			if err == nil && got.State == webhook.JobRunning {
				return errDisk // try again
			}
			return err
		})
	}
	time.Sleep(time.Hour)
	s.mu.Lock()
	s.over = true
	calls := s.calls
	s.mu.Unlock()
	time.Sleep(72 * time.Hour) // what was cancelled would have come due
	s.insist("judging", func(eng *neohook.Engine) error { s.judgeJobs(eng); return nil })
	return calls
}

// How many events a job is for at each endpoint.
const jobEvents = 5

// leaveBehind stores what jobs will find: at one endpoint what was exhausted, at another
// nothing though there are events, and at a third what waits for a retry.
func leaveBehind(t *testing.T, st store.Store) {
	t.Helper()
	tenant := must[store.Tenant](t)(st.TenantByUID(t.Context(), string(neohook.DefaultOrganisation), "acme"))
	routes := must[store.Routes](t)(st.Routes(t.Context(), tenant.Key))
	for _, ep := range routes.Endpoints {
		batch, after := store.Batch{Now: time.Now()}, store.Batch{Now: time.Now()}
		for i := range jobEvents {
			a := store.Accept{
				Tenant: tenant.Key, RouteVersion: routes.Version, UID: fmt.Sprint(ep.UID, i), Type: ep.UID, Payload: []byte(`{}`),
				Endpoints: []store.EndpointKey{ep.Key},
			}
			if ep.UID == "late" {
				a.Endpoints = nil
			}
			batch.Accepts = append(batch.Accepts, a)
		}
		for _, verdict := range must[[]store.Verdict](t)(st.Commit(t.Context(), &batch)) {
			o := store.Outcome{Tenant: tenant.Key, Endpoint: ep.Key, Event: verdict.Event, State: webhook.Exhausted}
			o.Attempt = &store.Attempt{Number: 1, StatusCode: 500, StartedAt: batch.Now}
			switch ep.UID {
			case "late":
				continue
			case "slow":
				o.State, o.RetryAt = webhook.Waiting, batch.Now.Add(48*time.Hour)
			}
			after.Outcomes = append(after.Outcomes, o)
		}
		must[[]store.Verdict](t)(st.Commit(t.Context(), &after))
	}
}

// judgeJobs wants each event to stand and to have come as it should.
func (s *survivor) judgeJobs(eng *neohook.Engine) {
	t, ctx := s.t, s.t.Context()
	jobs := must[neohook.List[webhook.Job]](t)(eng.Jobs(ctx, neohook.JobFilter{}, neohook.Page{})).Items
	if len(jobs) != 3 {
		t.Errorf("after %q: %d jobs were started, want 3", s.struck, len(jobs))
	}
	for _, job := range jobs {
		p := job.Progress
		if job.State != webhook.JobFinished || p.Made != jobEvents || job.Kind != webhook.JobCancel && p.Succeeded != jobEvents {
			t.Errorf("after %q: %+v", s.struck, job)
		}
	}
	came := make(map[webhook.EventID]int)
	for _, request := range s.adapter.Requests() {
		came[request.Delivery.Event]++
	}
	for uid, right := range map[string]func(d neohook.EndpointDelivery, came int) bool{
		// What was in flight in a crash may come again.
		"failed": func(d neohook.EndpointDelivery, came int) bool {
			return d.State == webhook.Exhausted && !d.RecoveredAt.IsZero() && (came == 1 || came == 2)
		},
		"late": func(d neohook.EndpointDelivery, came int) bool {
			return d.State == webhook.Succeeded && d.Tried == 1 && (came == 1 || came == 2)
		},
		"slow": func(d neohook.EndpointDelivery, came int) bool {
			return d.State == webhook.Cancelled && d.Reason == webhook.CancelAsked && came == 0
		},
	} {
		found := must[neohook.List[neohook.EndpointDelivery]](t)(eng.DeliveriesAtEndpoint(ctx, "acme", webhook.EndpointID(uid), neohook.DeliveryFilter{}, neohook.Page{})).Items
		if len(found) != jobEvents {
			t.Errorf("after %q: %d deliveries at %q, want %d", s.struck, len(found), uid, jobEvents)
		}
		for _, d := range found {
			if !right(d, came[d.Event]) {
				t.Errorf("after %q: one at %q came %d times and stands at %+v", s.struck, uid, came[d.Event], d.Standing)
			}
		}
	}
}
