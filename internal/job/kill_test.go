package job

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

var kinds = []webhook.JobKind{webhook.JobRecover, webhook.JobReplayMissing, webhook.JobResend, webhook.JobCancel}

// plan is a job over a random world, with bounds so small that all of them are met.
func plan(w *world) (endpoint store.EndpointKey, spec Spec) {
	start := time.Now()
	since := start.Add(-time.Duration(w.rng.IntN(40)) * time.Minute)
	spec = Spec{Rate: 1 + w.rng.IntN(100)}
	switch w.kind {
	case webhook.JobRecover:
		spec.Filter = Recover(since, start.Add(-time.Duration(w.rng.IntN(5))*time.Minute))
	case webhook.JobReplayMissing:
		spec.Filter = ReplayMissing(since, start)
	default:
		spec.Filter = w.randomFilter(since, start)
	}
	if (w.kind == webhook.JobRecover || w.kind == webhook.JobReplayMissing || w.one(2)) && len(w.endpoints) > 0 {
		endpoint = w.endpoints[w.rng.IntN(len(w.endpoints))].Key
	}
	if w.one(3) { // whatever the API allows
		endpoint = 0
	}
	w.nodes = 1
	if w.one(4) {
		w.nodes = 2
	}
	w.limits = Limits{Batch: 1 + w.rng.IntN(5), Untried: 1 + w.rng.IntN(4), Open: 1 + w.rng.IntN(12), Examine: 1 + w.rng.IntN(1000)}
	return endpoint, spec
}

func (w *world) randomFilter(since, start time.Time) (f store.DeliveryFilter) {
	states := []webhook.State{webhook.Pending, webhook.Waiting, webhook.Succeeded, webhook.Exhausted, webhook.Cancelled}
	if w.kind == webhook.JobCancel {
		states = states[:2]
	}
	for _, state := range states {
		if w.one(2) {
			f.States = append(f.States, state)
		}
	}
	if f.States == nil {
		f.States = states
	}
	if w.one(4) {
		f.Types = []string{"a"}
	}
	if w.one(6) {
		f.Channel = "eu"
	}
	if w.one(6) {
		f.Tag = "t"
	}
	if w.one(6) {
		f.From = since
	}
	if w.one(6) {
		f.To = start.Add(-time.Duration(w.rng.IntN(10)) * time.Minute)
	}
	switch w.rng.IntN(8) {
	case 0:
		f.StatusClass = 400
	case 1:
		f.NoStatus = true
	case 2:
		f.Attempted = true
	}
	return f
}

// fault is what strikes at a call of the store.
type fault struct {
	what  string
	err   error
	after bool
	steps bool // only where a step is stored
}

var faults = []fault{
	{"a crash before", memstore.Crash, false, false},
	{"a crash behind", memstore.Crash, true, false},
	{"an error", errDisk, false, false},
	{"a commit of unknown fate that was not stored", store.ErrCommitUnknown, false, true},
	{"a commit of unknown fate that was stored", store.ErrCommitUnknown, true, true},
}

// at strikes once, at the n-th call or behind it.
func (f *fault) at(n int) func(string, memstore.Moment) error {
	calls, struck := 0, false
	return func(operation string, moment memstore.Moment) error {
		if moment == memstore.Before {
			calls++
		}
		if calls < n || struck || f.after != (moment == memstore.After) || f.steps && operation != "StepJob" {
			return nil
		}
		struck = true
		return f.err
	}
}

// oneRun runs a job over the world of a seed, and judges it. It returns how often the store
// was called.
func oneRun(t *testing.T, seed uint64, kind webhook.JobKind, strike func(string, memstore.Moment) error) (calls int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
		w := newWorld(t, seed, kind)
		for range w.rng.IntN(3) {
			w.publish(1+w.rng.IntN(2), true)
			w.publish(1, false)
		}
		endpoint, spec := plan(w)
		w.start(endpoint, spec)
		w.strike = strike
		w.run()
		w.judge()
		calls = w.calls
	})
	return calls
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Each kind of job meets each fault at each of its calls of the store, and goes on.
func TestJobKilledAtEveryStepVisitsEachExactlyOnce(t *testing.T) {
	for _, kind := range kinds {
		for seed := range number(t, "JOB_KILLS", 2) {
			calls := oneRun(t, seed, kind, nil)
			for i := range faults {
				for n := 1; n <= calls; n++ {
					oneRun(t, seed, kind, faults[i].at(n))
					if t.Failed() {
						t.Fatalf("%v over world %d, with %s call %d of %d", kind, seed, faults[i].what, n, calls)
					}
				}
			}
		}
	}
}

// A run that fails is tried again by JOB_SEED=n go test -run TestJobsOverRandomWorlds ./internal/job
func TestJobsOverRandomWorldsVisitEachExactlyOnce(t *testing.T) {
	first, count := uint64(1), number(t, "JOB_RUNS", 400)
	if one := number(t, "JOB_SEED", 0); one != 0 {
		first, count = one, 1
	}
	for seed := first; seed < first+count; seed++ {
		for _, kind := range kinds {
			t.Run(fmt.Sprintf("JOB_SEED=%d/%v", seed, kind), func(t *testing.T) {
				struck := uint64(0)
				oneRun(t, seed, kind, func(operation string, moment memstore.Moment) error {
					struck = struck*6364136223846793005 + seed + 1442695040888963407
					f := &faults[struck>>33%uint64(len(faults))]
					if struck>>40%40 != 0 || f.after != (moment == memstore.After) || f.steps && operation != "StepJob" {
						return nil
					}
					return f.err
				})
			})
		}
	}
}
