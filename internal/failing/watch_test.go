package failing

import (
	"context"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

var birth = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const day = 24 * time.Hour

func attempt(at time.Duration, succeeded bool) store.Outcome {
	return store.Outcome{
		Tenant: 1, Endpoint: 2, State: webhook.Waiting,
		Attempt: &store.Attempt{StartedAt: birth.Add(at - time.Second), Duration: time.Second, Succeeded: succeeded},
	}
}

// taken returns the notices there are.
func taken(w *Watch) (notices []Notice) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.mu.Lock()
	waiting := len(w.notices) > 0
	w.mu.Unlock()
	if waiting {
		notices = w.Next(ctx)
	}
	return notices
}

func TestItIsStoredAndToldOnlyWhenItChanges(t *testing.T) {
	w := New(5 * day)
	since := func(told int) *store.Failing { return &store.Failing{Since: birth, Told: told} }
	for i, step := range []struct {
		at        time.Duration
		succeeded bool
		want      *store.Failing
		notice    int
	}{
		{-2 * day, true, nil, 0}, // works
		{-day, true, nil, 0},
		{0, false, since(0), 0},
		{time.Hour, false, nil, 0},
		{day * 5 / 2, false, since(50), 50},
		{3 * day, false, nil, 0},
		{day * 9 / 2, false, since(90), 90},
		{day*5 - 1, false, nil, 0},
		{day * 5, false, nil, 100},
		{day*5 + 1, false, nil, 100}, // it could not be disabled
		{6 * day, true, &store.Failing{}, 0},
		{7 * day, true, nil, 0},
	} {
		o := attempt(step.at, step.succeeded)
		w.Judge(&o)
		if (o.Failing == nil) != (step.want == nil) || o.Failing != nil && *o.Failing != *step.want {
			t.Errorf("step %d: stores %+v, want %+v", i, o.Failing, step.want)
		}
		switch notices := taken(w); {
		case step.notice == 0 && len(notices) > 0:
			t.Errorf("step %d: tells %+v", i, notices)
		case step.notice == 0:
		case len(notices) != 1 || notices[0] != Notice{1, 2, birth, birth.Add(step.at), step.notice}:
			t.Errorf("step %d: tells %+v, want %d percent", i, notices, step.notice)
		}
	}
}

func TestASilenceThatEndsWithAFailureIsToldInOneNotice(t *testing.T) {
	w := New(5 * day)
	for _, at := range []time.Duration{0, day * 24 / 5} {
		o := attempt(at, false)
		w.Judge(&o)
	}
	if notices := taken(w); len(notices) != 1 || notices[0].Percent != 90 {
		t.Errorf("told %+v, want 90 percent once", notices)
	}
}

func TestWhatSaysNothingOfTheEndpointIsLeftAlone(t *testing.T) {
	w := New(5 * day)
	manual, manualSuccess := attempt(0, false), attempt(0, true)
	manual.Attempt.Trigger, manualSuccess.Attempt.Trigger = webhook.Manual, webhook.Manual
	gone := attempt(0, false)
	gone.State, gone.Reason = webhook.Cancelled, webhook.ReceiverGone
	unsent := store.Outcome{Endpoint: 2, State: webhook.Cancelled, Reason: webhook.FilterChanged}
	for name, o := range map[string]store.Outcome{"manual": manual, "gone": gone, "not sent": unsent} {
		w.Judge(&o)
		if o.Failing != nil || len(w.failing) != 0 {
			t.Errorf("%s: %+v", name, o.Failing)
		}
	}
	first := attempt(0, false)
	w.Judge(&first)
	w.Judge(&manualSuccess)
	if manualSuccess.Failing != nil || len(w.failing) != 1 {
		t.Error("a manual success counted")
	}
}

func TestNeverIsNeverButIsKept(t *testing.T) {
	w := New(-1)
	for i, at := range []time.Duration{0, 1000 * day} {
		o := attempt(at, false)
		if w.Judge(&o); (o.Failing != nil) != (i == 0) || len(taken(w)) > 0 {
			t.Errorf("after %v: stores %+v", at, o.Failing)
		}
	}
}

func TestItGoesOnFromWhatWasStored(t *testing.T) {
	st := memstore.New()
	ctx := t.Context()
	const tenant store.TenantKey = 1
	if err := st.InsertTenant(ctx, store.Tenant{Key: tenant, Organisation: "org_x"}, nil); err != nil {
		t.Fatal(err)
	}
	batch := store.Batch{Now: birth}
	const endpoints = 2345 // more than are read at a time
	for key := store.EndpointKey(1); key <= endpoints; key++ {
		if err := st.InsertEndpoint(ctx, store.Endpoint{Key: key, Tenant: tenant}, nil); err != nil {
			t.Fatal(err)
		}
		batch.Outcomes = append(batch.Outcomes, store.Outcome{Endpoint: key, Failing: &store.Failing{Since: birth, Told: 50}})
	}
	if _, err := st.Commit(ctx, &batch); err != nil {
		t.Fatal(err)
	}
	w := New(5 * day)
	if err := w.Load(ctx, st); err != nil {
		t.Fatal(err)
	}
	if len(w.failing) != endpoints {
		t.Fatalf("%d loaded, want %d", len(w.failing), endpoints)
	}
	o := attempt(3*day, false)
	if w.Judge(&o); o.Failing != nil || len(taken(w)) > 0 {
		t.Errorf("told again at 50 percent: %+v", o.Failing)
	}
	o = attempt(4*day, false)
	w.Forget(2)
	if w.Judge(&o); o.Failing == nil || !o.Failing.Since.Equal(birth.Add(4*day)) {
		t.Errorf("after it was forgotten: %+v", o.Failing)
	}
}
