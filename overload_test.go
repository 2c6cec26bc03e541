package neohook_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// tryPublish is publish where an error is expected, or may be.
func tryPublish(t *testing.T, eng *neohook.Engine, tenant webhook.TenantID) error {
	t.Helper()
	_, err := eng.Publish(t.Context(), webhook.Event{Tenant: tenant, Type: "a", Payload: []byte("{}")})
	return err
}

// disk is a store that can tell what is free.
type disk struct {
	*memstore.Store
	free  atomic.Int64
	asked atomic.Int64
}

func (d *disk) FreeBytes() (int64, error) {
	d.asked.Add(1)
	return d.free.Load(), nil
}

func TestFullDiskStopsPublishingWhileOutcomesAreStillRecorded(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := &disk{Store: memstore.New()}, memadapter.New()
		st.free.Store(1 << 30)
		adapter.Script(memadapter.Reply{StatusCode: 500}, memadapter.Reply{StatusCode: 204})
		eng, _ := startFake(t, st, adapter, neohook.Options{MinFreeBytes: 1 << 20, Schedule: webhook.Schedule{time.Hour}})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		event := publish(t, eng, "acme", `{}`)
		synctest.Wait()

		st.free.Store(1<<20 - 1)
		time.Sleep(time.Second)
		var overloaded *neohook.OverloadedError
		if err := tryPublish(t, eng, "acme"); !errors.As(err, &overloaded) || overloaded.Cause != neohook.DiskFull || overloaded.RetryAfter < time.Second {
			t.Fatalf("err = %v, want that the disk is full", err)
		}
		asked := st.asked.Load()
		for range 1000 {
			_ = tryPublish(t, eng, "acme")
		}
		if n := st.asked.Load() - asked; n != 0 {
			t.Errorf("within a second the disk was asked %d times more", n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		attempts, err := eng.AttemptsOfEvent(t.Context(), "acme", event.ID, neohook.AttemptFilter{}, neohook.Page{})
		if err != nil || len(attempts.Items) != 2 {
			t.Errorf("%d attempts are recorded, %v; want both", len(attempts.Items), err)
		}
		if s := eng.Stats(t.Context()); s.Store.FreeBytes != 1<<20-1 || s.Publish.Refused[neohook.Refusal(neohook.DiskFull)] != 1001 {
			t.Errorf("told are %d free bytes and refusals %v", s.Store.FreeBytes, s.Publish.Refused)
		}
		st.free.Store(1 << 20)
		time.Sleep(time.Second)
		if err := tryPublish(t, eng, "acme"); err != nil {
			t.Errorf("with space again: %v", err)
		}
	})
}

func TestPublisherOfAStalledStoreIsToldWhenToComeAgain(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st := memstore.New()
		stalled := make(chan struct{})
		st.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
			if operation == "Commit" && moment == memstore.Before {
				<-stalled
			}
			return nil
		}
		eng, _ := startFake(t, st, memadapter.New(), neohook.Options{PublishWait: 3 * time.Second})
		createTenant(t, eng, "acme")
		first := make(chan error)
		go func() { first <- tryPublish(t, eng, "acme") }()
		synctest.Wait() // it is being committed
		begun := time.Now()
		var overloaded *neohook.OverloadedError
		if err := tryPublish(t, eng, "acme"); !errors.As(err, &overloaded) || !errors.Is(err, neohook.ErrOverloaded) {
			t.Fatalf("err = %v, want ErrOverloaded", err)
		}
		if waited := time.Since(begun); waited != 3*time.Second || overloaded.RetryAfter != 3*time.Second || overloaded.Cause != neohook.QueueFull {
			t.Errorf("told %+v after %v, want 3 s", overloaded, waited)
		}
		close(stalled)
		if err := <-first; err != nil {
			t.Errorf("the one that was being committed: %v", err)
		}
	})
}

func TestTenantWithAFullBacklogIsRefusedAloneUntilSomeHasEnded(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		adapter.Script(memadapter.Reply{StatusCode: 500})
		opts := neohook.Options{MaxTenantBacklog: 7, Schedule: webhook.Schedule{24 * time.Hour}, DisableAfter: -1}
		eng, stop := startFake(t, st, adapter, opts)
		for _, tenant := range []string{"acme", "other"} {
			createTenant(t, eng, tenant)
			for range 2 { // endpoints, so two deliveries for an event
				createEndpoint(t, eng, webhook.TenantID(tenant), webhook.Endpoint{URL: "https://acme.example"})
			}
		}
		fill := func() (accepted int) {
			for {
				err := tryPublish(t, eng, "acme")
				var limit *neohook.LimitError
				if errors.As(err, &limit) && errors.Is(err, neohook.ErrBacklogFull) && limit.Limit == 7 {
					return accepted
				}
				if err != nil || accepted > 100 {
					t.Fatalf("after %d events: %v", accepted, err)
				}
				accepted++
				synctest.Wait()
			}
		}
		if n := fill(); n != 3 {
			t.Errorf("%d events of two deliveries went in, want 3", n)
		}
		if err := tryPublish(t, eng, "other"); err != nil {
			t.Errorf("another tenant: %v", err)
		}
		stop()
		eng, _ = startFake(t, st, adapter, opts) // and what was open is counted
		if n := fill(); n != 0 {
			t.Errorf("%d more after a restart, want none", n)
		}
		time.Sleep(25 * time.Hour) // all are exhausted
		if n := fill(); n != 3 {
			t.Errorf("%d went in once all had ended, want 3", n)
		}
	})
}

func TestTenantHasNoMoreEndpointsThanItMayHoweverManyAskAtOnce(t *testing.T) {
	st := openStore(t, t.TempDir())
	eng, _ := start(t, st, neohook.Options{MaxEndpointsPerTenant: 5})
	createTenant(t, eng, "acme")
	createTenant(t, eng, "other")
	create := func(n int) error {
		once := neohook.Once{Key: fmt.Sprint(n), Request: []byte("create")}
		_, err := eng.Once(once).CreateEndpoint(t.Context(), "acme", webhook.Endpoint{URL: "https://acme.example"})
		return err
	}
	errs := make([]error, 20)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = create(i) })
	}
	all.Wait()
	made := 0
	for i, err := range errs {
		var limit *neohook.LimitError
		switch {
		case err == nil:
			made++
			if err := create(i); err != nil {
				t.Errorf("a repeat of what was made: %v", err)
			}
		case !errors.As(err, &limit) || !errors.Is(err, neohook.ErrTooManyEndpoints) || limit.Limit != 5:
			t.Errorf("err = %v, want ErrTooManyEndpoints that names 5", err)
		}
	}
	if made != 5 {
		t.Errorf("%d endpoints were made, want 5", made)
	}
	createEndpoint(t, eng, "other", webhook.Endpoint{URL: "https://other.example"})
}

var _ store.Store = (*disk)(nil)
