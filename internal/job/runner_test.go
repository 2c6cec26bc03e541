package job

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// office is a tenant with one endpoint, at which a number of events have succeeded, and a
// Runner of jobs.
type office struct {
	*testing.T
	st     *memstore.Store
	runner *Runner
	tenant store.TenantKey
	ep     store.EndpointKey
	events []store.EventKey

	mu     sync.Mutex
	busy   bool
	calls  int
	strike func(operation string) error
	made   []time.Time // when something was
}

func newOffice(t *testing.T, events int, limits Limits) *office {
	o := &office{T: t, st: memstore.New(), tenant: 1, ep: 2}
	o.st.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if moment != memstore.Before {
			return nil
		}
		o.calls++
		if o.strike != nil {
			return o.strike(operation)
		}
		return nil
	}
	o.must(o.st.InsertTenant(t.Context(), store.Tenant{Key: o.tenant, Organisation: organisation}, nil))
	o.must(o.st.InsertEndpoint(t.Context(), store.Endpoint{Key: o.ep, Tenant: o.tenant}, nil))
	batch, ends := store.Batch{Now: time.Now()}, store.Batch{Now: time.Now()}
	for range events {
		batch.Accepts = append(batch.Accepts, store.Accept{Tenant: o.tenant, RouteVersion: 2, Type: "a", Endpoints: []store.EndpointKey{o.ep}})
	}
	for _, verdict := range must[[]store.Verdict](t)(o.st.Commit(t.Context(), &batch)) {
		o.events = append(o.events, verdict.Event)
		ends.Outcomes = append(ends.Outcomes, store.Outcome{
			Tenant: o.tenant, Endpoint: o.ep, Event: verdict.Event, State: webhook.Succeeded,
			Attempt: &store.Attempt{Number: 1, Succeeded: true, StatusCode: 200, StartedAt: time.Now()},
		})
	}
	must[[]store.Verdict](t)(o.st.Commit(t.Context(), &ends))
	w := &world{told: make(map[any]bool), reread: make(map[store.EndpointKey]bool)}
	parts := w.parts()
	parts.Store = o.st
	parts.Told = func(time.Time, *Made) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.made = append(o.made, time.Now())
	}
	parts.Busy = func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.busy
	}
	o.runner = New(parts, limits)
	return o
}

func (o *office) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

// steps are when something was made, and calls how much was asked of the store, so far.
func (o *office) counts() (steps []time.Time, calls int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.made), o.calls
}

// insert stores a job that resends everything.
func (o *office) insert(spec Spec) store.Job {
	o.Helper()
	return must[store.Job](o.T)(o.st.InsertJob(o.Context(), store.Job{
		Key: store.JobKey(100 + must[int64](o.T)(o.st.NewKey(o.Context()))), Organisation: organisation, Tenant: o.tenant, Kind: webhook.JobResend,
		Spec: spec.Encode(), CreatedAt: time.Now(), JobProgress: store.JobProgress{UpdatedAt: time.Now()},
	}, nil))
}

// run runs the Runner until the end of the test.
func (o *office) run() {
	ctx, cancel := context.WithCancel(o.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.runner.Run(ctx)
	}()
	o.Cleanup(func() { cancel(); <-ended })
}

func (o *office) job(key store.JobKey) store.Job {
	o.Helper()
	return must[store.Job](o.T)(o.st.Job(o.Context(), organisation, key))
}

func TestRateIsKeptAndEven(t *testing.T) {
	for _, rate := range []int{1, 3, 10, 100, 1000} {
		t.Run(fmt.Sprint(rate, " a second"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, 200, Limits{Untried: 1000})
				start := time.Now()
				job := o.insert(Spec{Rate: rate})
				o.run()
				time.Sleep(time.Duration(200)*time.Second/time.Duration(rate) + time.Second)
				if got := o.job(job.Key); got.State != webhook.JobFinished || got.Made != 200 {
					t.Fatalf("after its time: %+v", got)
				}
				steps, _ := o.counts()
				if took, least := steps[len(steps)-1].Sub(start), 72*time.Second/time.Duration(rate); took < least {
					t.Errorf("it took %v, want %v at least", took, least)
				}
				for i, at := range steps[1:] {
					if gap := at.Sub(steps[i]); gap > time.Second {
						t.Errorf("nothing was sent for %v", gap)
					}
				}
			})
		})
	}
}

func TestJobYieldsToWhatIsPublishedAndStillGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 1000, Limits{Untried: 10_000})
		o.busy = true
		job := o.insert(Spec{Rate: 1 << 20})
		o.run()
		time.Sleep(5*time.Second + time.Millisecond)
		if steps, _ := o.counts(); len(steps) < 4 || len(steps) > 6 {
			t.Errorf("%d steps in 5 seconds while there is more to do, want one a second", len(steps))
		}
		o.mu.Lock()
		o.busy = false
		o.mu.Unlock()
		time.Sleep(time.Second)
		if got := o.job(job.Key); got.State != webhook.JobFinished || got.Made != 1000 {
			t.Errorf("a second after that was over: %+v", got)
		}
	})
}

func TestRunnerWithoutJobsAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 1, Limits{})
		o.run()
		time.Sleep(time.Second)
		_, before := o.counts()
		time.Sleep(1000 * time.Hour)
		if _, after := o.counts(); after != before {
			t.Errorf("asked %d things of the store", after-before)
		}
	})
}

func TestJobThatIsAddedBeginsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 10, Limits{})
		o.run()
		time.Sleep(time.Hour)
		added := o.insert(Spec{Rate: 100})
		o.runner.Add(added)
		doubted := o.insert(Spec{Rate: 100})
		o.runner.Look()
		time.Sleep(time.Second)
		for _, key := range []store.JobKey{added.Key, doubted.Key} {
			if got := o.job(key); got.State != webhook.JobFinished || got.Made != 10 {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestJobOfANewerVersionFailsAndMakesNothing(t *testing.T) {
	for spec, kind := range map[string]webhook.JobKind{
		"": webhook.JobResend, "{": webhook.JobResend, `{"rate":1,"filter":{},"unheardOf":true}`: webhook.JobResend, `{"rate":1,"filter":{}}`: 200,
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t, 10, Limits{})
			job := must[store.Job](t)(o.st.InsertJob(t.Context(), store.Job{
				Key: 100, Organisation: organisation, Tenant: o.tenant, Kind: kind, Spec: []byte(spec),
			}, nil))
			failures := 2
			o.strike = func(operation string) error { // and it is not taken for another when that fails
				if operation == "StepJob" && failures > 0 {
					failures--
					return errDisk
				}
				return nil
			}
			o.run()
			time.Sleep(time.Minute)
			got := o.job(job.Key)
			if got.State != webhook.JobFailed || got.Made != 0 || failures != 0 || !strings.Contains(got.Error, "run the version that stored it") {
				t.Errorf("%q: %+v", spec, got)
			}
		})
	}
}

func TestOldJobsAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 1, Limits{})
		o.run()
		old := o.insert(Spec{Rate: 1})
		o.runner.Add(old)
		time.Sleep(KeepEnded - time.Hour)
		o.runner.Add(o.insert(Spec{Rate: 1}))
		time.Sleep(time.Minute)
		if got := o.job(old.Key); got.State != webhook.JobFinished {
			t.Errorf("%+v", got)
		}
		time.Sleep(2 * time.Hour)
		o.runner.Add(o.insert(Spec{Rate: 1}))
		time.Sleep(time.Minute)
		if _, err := o.st.Job(t.Context(), organisation, old.Key); err == nil {
			t.Error("it is there after its time")
		}
	})
}

func TestPreviewCountsAndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 500, Limits{})
		job := store.Job{Organisation: organisation, Tenant: o.tenant, Kind: webhook.JobResend, Spec: (&Spec{}).Encode()}
		before := o.calls
		if got := must[Preview](t)(o.runner.Preview(t.Context(), job)); got != (Preview{Examined: 500, Matched: 500, Exact: true}) {
			t.Errorf("%+v", got)
		}
		if calls := o.calls - before; calls > 10 {
			t.Errorf("it took %d calls of the store", calls)
		}
		for range 600 { // endpoints of which each costs a call or two
			ep := store.Endpoint{Key: store.EndpointKey(1000 + must[int64](t)(o.st.NewKey(t.Context()))), Tenant: o.tenant}
			o.must(o.st.InsertEndpoint(t.Context(), ep, nil))
		}
		before = o.calls
		if got := must[Preview](t)(o.runner.Preview(t.Context(), job)); got.Exact || got.Matched != 500 {
			t.Errorf("with hundreds of endpoints: %+v", got)
		}
		if calls := o.calls - before; calls > 2*mostPreviewPages+2 {
			t.Errorf("it took %d calls of the store", calls)
		}
		job.Spec = []byte("{")
		if _, err := o.runner.Preview(t.Context(), job); err == nil {
			t.Error("a spec that can't be read was previewed")
		}
	})
}
