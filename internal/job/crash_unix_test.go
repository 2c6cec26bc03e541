//go:build unix

package job

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/neohook/neohook/internal/killed"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// inLine is a Writer for a process in which nothing else is written.
type inLine struct{}

func (inLine) Do(ctx context.Context, _ []store.Lane, do func(context.Context) error) error {
	return do(ctx)
}

// onDisk runs what jobs there are over a SQLite store, and calls told at each step that
// makes something.
func onDisk(st *sqlite.Store, told func()) *Runner {
	return New(Parts{
		Store: st, Writer: inLine{}, Told: func(time.Time, *Made) { told() },
		Announce: func(string, store.TenantKey) []store.Announcement { return nil },
		Busy:     func() bool { return false },
		ID:       func(job *store.Job) webhook.JobID { return webhook.JobID(fmt.Sprint(webhook.JobPrefix, job.Key)) },
		Log:      slog.New(slog.DiscardHandler),
	}, Limits{Batch: 4, Untried: 1 << 20, Open: 1 << 20, Examine: 1 << 30})
}

func openAt(t *testing.T, folder string) *sqlite.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(folder, "neohook.db"))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// must is for what the test is not about.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// fixture is a tenant with deliveries, and a job over them.
type fixture struct {
	job       store.JobKey
	endpoints []store.EndpointKey
	events    []store.EventKey
	wanted    int // of the events, the first ones
}

const fixtureEvents = 90

// furnish stores a tenant with a job of a kind, which is for two thirds of the deliveries
// at each endpoint.
func furnish(t *testing.T, st *sqlite.Store, kind webhook.JobKind) fixture {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	key := func() int64 { return must[int64](t)(st.NewKey(ctx)) }
	tenant := store.TenantKey(key())
	if err := st.InsertTenant(ctx, store.Tenant{Key: tenant, Organisation: organisation}, nil); err != nil {
		t.Fatal(err)
	}
	f := fixture{wanted: fixtureEvents * 2 / 3}
	for range 3 {
		ep := store.Endpoint{Key: store.EndpointKey(key()), Tenant: tenant, URL: "https://example.com"}
		if err := st.InsertEndpoint(ctx, ep, nil); err != nil {
			t.Fatal(err)
		}
		f.endpoints = append(f.endpoints, ep.Key)
	}
	batch := store.Batch{Now: now}
	routes := must[store.Routes](t)(st.Routes(ctx, tenant))
	for i := range fixtureEvents {
		a := store.Accept{Tenant: tenant, RouteVersion: routes.Version, Type: "a", Payload: []byte("{}"), Endpoints: f.endpoints}
		if kind == webhook.JobReplayMissing && i < f.wanted {
			a.Endpoints = nil
		}
		batch.Accepts = append(batch.Accepts, a)
	}
	ends := store.Batch{Now: now}
	for i, verdict := range must[[]store.Verdict](t)(st.Commit(ctx, &batch)) {
		f.events = append(f.events, verdict.Event)
		if kind == webhook.JobReplayMissing || kind == webhook.JobCancel && i < f.wanted {
			continue
		}
		for _, ep := range f.endpoints {
			o := store.Outcome{Tenant: tenant, Endpoint: ep, Event: verdict.Event, State: webhook.Exhausted}
			o.Attempt = &store.Attempt{Number: 1, StartedAt: now, StatusCode: 500}
			if i >= f.wanted {
				o.State, o.Attempt.Succeeded, o.Attempt.StatusCode = webhook.Succeeded, true, 200
			}
			ends.Outcomes = append(ends.Outcomes, o)
		}
	}
	must[[]store.Verdict](t)(st.Commit(ctx, &ends))
	spec := Spec{Rate: 1 << 20}
	switch kind {
	case webhook.JobRecover:
		spec.Filter = Recover(now.Add(-time.Hour), now.Add(time.Hour))
	case webhook.JobReplayMissing:
		spec.Filter = ReplayMissing(now.Add(-time.Hour), now.Add(time.Hour))
	case webhook.JobResend:
		spec.Filter.StatusClass = 500
	}
	job := must[store.Job](t)(st.InsertJob(ctx, store.Job{
		Key: store.JobKey(key()), Organisation: organisation, Tenant: tenant, Kind: kind, Spec: spec.Encode(), CreatedAt: now,
		JobProgress: store.JobProgress{UpdatedAt: now},
	}, nil))
	f.job = job.Key
	return f
}

// TestJobsKilledOnDisk kills a process with SIGKILL that runs a job of each kind over a
// SQLite store, again and again, and lets the last one finish them.
func TestJobsKilledOnDisk(t *testing.T) {
	if folder := killed.Place(); folder != "" {
		st := openAt(t, folder)
		onDisk(st, func() { fmt.Println("step") }).Run(t.Context())
		return
	}
	folder := t.TempDir()
	st := openAt(t, folder)
	fixtures := make(map[webhook.JobKind]fixture)
	for _, kind := range kinds {
		fixtures[kind] = furnish(t, st, kind)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	for _, steps := range []int{1, 9, 25, 2, 40} {
		killed.After(t, folder, steps)
	}
	st = openAt(t, folder)
	defer st.Close()
	if left := must[[]store.Job](t)(st.RunningJobs(t.Context(), 0, 9)); len(left) == 0 {
		t.Error("they had all finished before the last process was killed")
	}
	finish(t, st)
	for kind, f := range fixtures {
		f.judge(t, st, kind)
	}
}

// finish runs the jobs to their ends.
func finish(t *testing.T, st *sqlite.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		onDisk(st, func() {}).Run(ctx)
	}()
	deadline := time.After(time.Minute)
	for len(must[[]store.Job](t)(st.RunningJobs(t.Context(), 0, 1))) > 0 {
		select {
		case <-deadline:
			t.Fatal("the jobs never end")
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	<-ended
}

// judge wants each delivery that the job is for to have been visited once, and no other.
func (f *fixture) judge(t *testing.T, st *sqlite.Store, kind webhook.JobKind) {
	t.Helper()
	job := must[store.Job](t)(st.Job(t.Context(), organisation, f.job))
	if want := int64(f.wanted * len(f.endpoints)); job.State != webhook.JobFinished || job.Made != want || job.Matched != want {
		t.Errorf("%v: %+v, want %d matched and made", kind, job, want)
	}
	for _, ep := range f.endpoints {
		sends := make(map[store.EventKey]int)
		for _, send := range must[[]store.Send](t)(st.SendsOf(t.Context(), ep, store.Moment{}, 1000)) {
			sends[send.Event]++
		}
		for i, event := range f.events {
			record := must[store.DeliveryRecord](t)(st.Delivery(t.Context(), ep, event))
			visits := sends[event]
			if kind == webhook.JobReplayMissing && record.State == webhook.Waiting || kind == webhook.JobCancel && record.State == webhook.Cancelled {
				visits++
			}
			if want := min(1, max(0, f.wanted-i)); visits != want {
				t.Errorf("%v: event %d of %d at endpoint %d was visited %d times, want %d", kind, i, len(f.events), ep, visits, want)
			}
		}
	}
}
