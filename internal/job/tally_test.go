package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// house is an organisation with some tenants, and jobs that are for all of it, or for all
// of one tenant.
type house struct {
	*testing.T
	st      *memstore.Store
	tenants []store.TenantKey
	calls   int
	strike  func(operation string, moment memstore.Moment) error

	mu       sync.Mutex
	expunges map[store.ExpungeKey][]chan struct{}
}

func newHouse(t *testing.T) *house {
	h := &house{T: t, st: memstore.New(), expunges: make(map[store.ExpungeKey][]chan struct{})}
	ctx := t.Context()
	for n := range 4 {
		tenant := store.TenantKey(must[int64](t)(h.st.NewKey(ctx)))
		h.check(h.st.InsertTenant(ctx, store.Tenant{Key: tenant, Organisation: organisation, UID: fmt.Sprint("tenant-", n)}, nil))
		h.tenants = append(h.tenants, tenant)
		ep := store.EndpointKey(must[int64](t)(h.st.NewKey(ctx)))
		listens := store.Endpoint{Key: ep, Tenant: tenant}
		for m := range n {
			listens.EventTypes = append(listens.EventTypes, fmt.Sprint("type-", m))
		}
		h.check(h.st.InsertEndpoint(ctx, listens, nil))
		batch := store.Batch{Now: time.Now()}
		for range n {
			batch.Accepts = append(batch.Accepts, store.Accept{
				Tenant: tenant, RouteVersion: 2, Type: "a", Payload: []byte("{}"), Endpoints: []store.EndpointKey{ep},
			})
		}
		must[[]store.Verdict](t)(h.st.Commit(ctx, &batch))
	}
	return h
}

func (h *house) check(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// faults strikes where it is asked to.
func (h *house) faults(_ context.Context, operation string, moment memstore.Moment) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if moment == memstore.Before {
		h.calls++
	}
	if h.strike == nil {
		return nil
	}
	return h.strike(operation, moment)
}

func (h *house) parts() Parts {
	return Parts{
		Store: h.st, Busy: func() bool { return false }, Expunge: h.expunge,
		ID: func(job *store.Job) webhook.JobID { return webhook.JobID(fmt.Sprint(webhook.JobPrefix, job.Key)) },
		TenantID: func(t *store.Tenant) webhook.TenantID {
			return webhook.TenantID(fmt.Sprint(webhook.TenantPrefix, t.Key))
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

// expunge is the Keeper's Done.
func (h *house) expunge(asked store.Expunge) <-chan struct{} {
	done := make(chan struct{})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expunges[asked.Key] = append(h.expunges[asked.Key], done)
	return done
}

// keep is the Keeper: it carries out a step of each Expunge.
func (h *house) keep() {
	asked, err := h.st.Expunges(h.Context(), 0, 9)
	there := make(map[store.ExpungeKey]bool)
	for _, one := range asked {
		there[one.Key] = true
		_, _, _ = h.st.ExpungeStep(h.Context(), time.Now(), one.Key, 0)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, waiting := range h.expunges {
		if err == nil && !there[key] {
			for _, done := range waiting {
				close(done)
			}
			delete(h.expunges, key)
		}
	}
}

// run runs a job to its end, by two nodes after each other where they crash, in fake time.
func (h *house) run(kind webhook.JobKind, tenant store.TenantKey, spec Spec) store.Job {
	h.Helper()
	job := must[store.Job](h.T)(h.st.InsertJob(h.Context(), store.Job{
		Key: store.JobKey(must[int64](h.T)(h.st.NewKey(h.Context()))), Organisation: organisation, Tenant: tenant, Kind: kind,
		Spec: spec.Encode(), CreatedAt: time.Now(), JobProgress: store.JobProgress{UpdatedAt: time.Now()},
	}, nil))
	h.st.Faults = h.faults
	for range 9 {
		ctx, cancel := context.WithCancel(h.Context())
		var running sync.WaitGroup
		for range 2 {
			runner := New(h.parts(), Limits{})
			running.Go(func() { runner.Run(ctx) })
		}
		var err error
		for range 200 {
			time.Sleep(time.Second)
			h.keep()
			var now store.Job
			if now, err = h.st.Job(h.Context(), organisation, job.Key); err == nil && now.State != webhook.JobRunning {
				cancel()
				running.Wait()
				h.strike = nil
				return now
			}
			if errors.Is(err, store.ErrClosed) {
				break
			}
		}
		cancel()
		running.Wait()
		h.st = h.st.Reopen()
		h.st.Faults = h.faults
		h.expunges = make(map[store.ExpungeKey][]chan struct{})
	}
	h.Fatal("the job has no end")
	return job
}

// TestJobThatCountsFindsAllWhateverStrikes lets each call of the store fail, or be the last
// of its process.
func TestJobThatCountsFindsAllWhateverStrikes(t *testing.T) {
	name := func(h *house, n int) webhook.TenantID {
		return webhook.TenantID(fmt.Sprint(webhook.TenantPrefix, h.tenants[n]))
	}
	for _, kind := range []webhook.JobKind{webhook.JobUsage, webhook.JobSubscriptions, webhook.JobExpunge} {
		for _, fault := range faults {
			for n := 1; ; n++ {
				met := 0
				synctest.Test(t, func(t *testing.T) {
					h := newHouse(t)
					h.strike = fault.at(n)
					var tenant store.TenantKey
					spec, end := Spec{}, time.Now().Add(24*time.Hour)
					spec.Count = Count{Unit: store.Day, From: store.Day.Start(time.Now()), To: store.Day.Start(end)}
					if kind == webhook.JobExpunge {
						tenant, spec = h.tenants[3], Spec{}
					}
					job := h.run(kind, tenant, spec)
					met = h.calls
					var got, want any
					switch kind {
					case webhook.JobUsage:
						got = must[[]Usage](t)(Found[Usage](job.Result))
						want = []Usage{{name(h, 0), "tenant-0", 0}, {name(h, 1), "tenant-1", 1}, {name(h, 2), "tenant-2", 2}, {name(h, 3), "tenant-3", 3}}
					case webhook.JobSubscriptions:
						got = must[[]Subscriptions](t)(Found[Subscriptions](job.Result))
						want = []Subscriptions{
							{name(h, 0), "tenant-0", nil, true}, {name(h, 1), "tenant-1", []string{"type-0"}, false},
							{name(h, 2), "tenant-2", []string{"type-0", "type-1"}, false}, {name(h, 3), "tenant-3", []string{"type-0", "type-1", "type-2"}, false},
						}
					case webhook.JobExpunge:
						got, want = job.Made, int64(3)
						if left := must[[]store.Expunge](t)(h.st.Expunges(t.Context(), 0, 9)); len(left) != 0 {
							t.Errorf("not done: %+v", left)
						}
					}
					if job.State != webhook.JobFinished || !reflect.DeepEqual(got, want) {
						t.Errorf("%v, %s at call %d: %v for %q, found %+v, want %+v", kind, fault.what, n, job.State, job.Error, got, want)
					}
				})
				if t.Failed() || n > met {
					break
				}
			}
		}
	}
}

func TestJobThatFindsTooMuchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		var types []string
		for n := range 40_000 {
			types = append(types, fmt.Sprintf("%0250d", n))
		}
		h.check(h.st.InsertEndpoint(t.Context(), store.Endpoint{Key: 999_999, Tenant: h.tenants[0], EventTypes: types}, nil))
		job := h.run(webhook.JobSubscriptions, 0, Spec{})
		if job.State != webhook.JobFailed || job.Error != resultTooLarge || job.Result != nil {
			t.Errorf("%v for %q with %d bytes", job.State, job.Error, len(job.Result))
		}
	})
}

func TestJobThatDeletesPayloadsOfADeletedTenantEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.strike = func(operation string, moment memstore.Moment) error {
			if operation == "InsertExpunge" && moment == memstore.Before {
				return store.ErrNotFound
			}
			return nil
		}
		if job := h.run(webhook.JobExpunge, h.tenants[0], Spec{}); job.State != webhook.JobCancelled || job.Error != tenantDeleted {
			t.Errorf("%v for %q", job.State, job.Error)
		}
	})
}

func TestResultOfAnotherVersionIsAnError(t *testing.T) {
	if found, err := Found[Usage]([]byte(`{"of":"another"}`)); err == nil {
		t.Errorf("found %+v", found)
	}
}
