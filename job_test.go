package neohook_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// ended waits until a job has ended, and looks every second of fake time.
func ended(t *testing.T, eng *neohook.Engine, job webhook.Job) webhook.Job {
	t.Helper()
	for range 1000 {
		got := must[webhook.Job](t)(eng.Job(t.Context(), job.ID))
		if got.State != webhook.JobRunning {
			return got
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("it never ends: %+v", must[webhook.Job](t)(eng.Job(t.Context(), job.ID)))
	return webhook.Job{}
}

// progress checks what a job says of itself.
func progress(t *testing.T, job webhook.Job, state webhook.JobState, examined, matched, made, succeeded, failed int64) {
	t.Helper()
	p := job.Progress
	got, want := []int64{p.Examined, p.Matched, p.Made, p.Succeeded, p.Failed}, []int64{examined, matched, made, succeeded, failed}
	if job.State != state || !slices.Equal(got, want) {
		t.Errorf("it is %v (%q) and has examined, matched, made, seen succeed and fail %v; want %v and %v", job.State, job.Error, got, state, want)
	}
}

// sentTo are the events that were sent to an endpoint from an instant on.
func sentTo(adapter *memadapter.Adapter, endpoint webhook.EndpointID, since time.Time) (events []webhook.EventID) {
	for _, request := range adapter.Requests() {
		if request.Endpoint.ID == endpoint && !request.At.Before(since) {
			events = append(events, request.Delivery.Event)
		}
	}
	return events
}

func ids(events []webhook.Event) (ids []webhook.EventID) {
	for _, event := range events {
		ids = append(ids, event.ID)
	}
	return ids
}

func TestRecoverSendsWhatHasFailedAndNotSucceeded(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, stop := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Schedule: webhook.Schedule{time.Hour}})
		other := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://other.example"})
		var events []webhook.Event
		for i := range 12 { // the first four succeed, the next fail twice, the last wait
			status := 500
			if i < 4 {
				status = 200
			}
			adapter.ScriptFor(endpoint.ID, memadapter.Reply{StatusCode: status})
			events = append(events, publish(t, eng, "acme", fmt.Sprint(`{"n":`, i, `}`)))
			if time.Sleep(time.Minute); i == 7 {
				time.Sleep(2 * time.Hour)
			}
		}
		since := events[2].AcceptedAt
		window := neohook.Window{Since: since, Rate: 10}
		preview := must[neohook.Preview](t)(eng.PreviewRecover(t.Context(), "acme", endpoint.ID, window))
		if preview.Matched != 8 || !preview.Exact {
			t.Errorf("preview %+v, want 8, exactly", preview)
		}
		adapter.ScriptFor(endpoint.ID, memadapter.Reply{StatusCode: 500}, memadapter.Reply{StatusCode: 200})
		start := time.Now()
		job := must[webhook.Job](t)(eng.Recover(t.Context(), "acme", endpoint.ID, window))
		if job.Kind != webhook.JobRecover || job.State != webhook.JobRunning || job.Endpoint != endpoint.ID || job.Tenant != events[0].Tenant || job.Rate != 10 {
			t.Errorf("started %+v", job)
		}
		progress(t, ended(t, eng, job), webhook.JobFinished, 8, 8, 8, 7, 0)
		if got := sentTo(adapter, endpoint.ID, start); !slices.Equal(got, ids(events[4:])) {
			t.Errorf("sent again: %v, want %v", got, ids(events[4:]))
		}
		time.Sleep(2 * time.Hour) // the first of them is tried again by the endpoint's schedule
		progress(t, must[webhook.Job](t)(eng.Job(t.Context(), job.ID)), webhook.JobFinished, 8, 8, 8, 8, 0)
		for i, event := range events {
			stands := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, endpoint.ID))
			wantState, recovered := webhook.Succeeded, false
			if i >= 4 && i < 8 {
				wantState, recovered = webhook.Exhausted, true
			}
			if stands.State != wantState || stands.RecoveredAt.IsZero() == recovered {
				t.Errorf("event %d stands at %v, recovered at %v; want %v, and recovered: %v", i, stands.State, stands.RecoveredAt, wantState, recovered)
			}
		}
		if got := sentTo(adapter, other.ID, start); len(got) > 0 {
			t.Errorf("sent to another endpoint: %v", got)
		}
		again := must[webhook.Job](t)(eng.Recover(t.Context(), "acme", endpoint.ID, window))
		progress(t, ended(t, eng, again), webhook.JobFinished, 4, 0, 0, 0, 0)
		stop()
	})
}

func TestReplayMissingSendsWhatTheEndpointNeverSaw(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://first.example"})
		event := func(of webhook.Event) webhook.Event {
			t.Helper()
			of.Tenant, of.Payload = "acme", []byte("{}")
			return must[webhook.Event](t)(eng.Publish(t.Context(), of))
		}
		before := event(webhook.Event{Type: "paid"})
		time.Sleep(3 * time.Hour)
		since := time.Now()
		missing := []webhook.Event{event(webhook.Event{Type: "paid"}), event(webhook.Event{Type: "paid"})}
		event(webhook.Event{Type: "other"})
		deferred := event(webhook.Event{Type: "paid", DeliverAt: since.Add(48 * time.Hour)})
		called := event(webhook.Event{Type: "paid", DeliverAt: since.Add(24 * time.Hour)})
		if err := eng.CancelEvent(t.Context(), "acme", called.ID); err != nil {
			t.Fatal(err)
		}
		late := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://late.example", EventTypes: []string{"paid"}})
		event(webhook.Event{Type: "paid"}) // which it saw
		// One that was cancelled before it was tried, as the endpoint was disabled.
		pause := func(paused, disabled bool) {
			t.Helper()
			must[webhook.Endpoint](t)(eng.UpdateEndpoint(t.Context(), "acme", late.ID, func(ep *webhook.Endpoint) error {
				ep.Paused, ep.Disabled = paused, disabled
				return nil
			}))
			time.Sleep(time.Second)
		}
		pause(true, false)
		untried, unwanted := event(webhook.Event{Type: "paid"}), event(webhook.Event{Type: "paid"})
		if err := eng.CancelDelivery(t.Context(), "acme", unwanted.ID, late.ID); err != nil {
			t.Fatal(err)
		}
		pause(true, true)
		_, err := eng.ReplayMissing(t.Context(), "acme", late.ID, neohook.Window{Since: since})
		wantErr(t, "to a disabled endpoint", err, neohook.ErrEndpointDisabled)
		pause(false, false)

		start := time.Now()
		window := neohook.Window{Since: since}
		if preview := must[neohook.Preview](t)(eng.PreviewReplayMissing(t.Context(), "acme", late.ID, window)); preview.Matched != 3 || !preview.Exact {
			t.Errorf("preview %+v, want 3, exactly", preview)
		}
		job := must[webhook.Job](t)(eng.ReplayMissing(t.Context(), "acme", late.ID, window))
		progress(t, ended(t, eng, job), webhook.JobFinished, 8, 3, 3, 3, 0)
		want := []webhook.EventID{missing[0].ID, missing[1].ID, untried.ID}
		if got := sentTo(adapter, late.ID, start); !slices.Equal(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
		for _, event := range missing {
			if stands := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, late.ID)); stands.State != webhook.Succeeded || stands.Tried != 1 {
				t.Errorf("one without a delivery stands at %+v, want one that has succeeded", stands)
			}
		}
		if _, err := eng.Delivery(t.Context(), "acme", before.ID, late.ID); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("delivery of an event from before: %v, want none", err)
		}
		progress(t, ended(t, eng, must[webhook.Job](t)(eng.ReplayMissing(t.Context(), "acme", late.ID, window))), webhook.JobFinished, 8, 0, 0, 0, 0)
		time.Sleep(72 * time.Hour)
		if got := sentTo(adapter, late.ID, start); !slices.Equal(got, append(want, deferred.ID)) {
			t.Errorf("sent in the end %v, want %v", got, append(want, deferred.ID))
		}
	})
}

func TestResendWhereSendsASelectionOnce(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{}})
		createTenant(t, eng, "acme")
		var endpoints []webhook.Endpoint
		for i := range 3 {
			endpoints = append(endpoints, createEndpoint(t, eng, "acme", webhook.Endpoint{UID: fmt.Sprint("e", i), URL: "https://acme.example"}))
			adapter.ScriptFor(endpoints[i].ID, memadapter.Reply{StatusCode: []int{404, 500, 200}[i]})
		}
		var events []webhook.Event
		for i := range 6 {
			events = append(events, must[webhook.Event](t)(eng.Publish(t.Context(), webhook.Event{
				Tenant: "acme", Type: "paid", Tags: []string{"odd"}[:i%2], Payload: []byte("{}"),
			})))
		}
		time.Sleep(time.Minute)
		start := time.Now()
		job := must[webhook.Job](t)(eng.ResendWhere(t.Context(), "acme", neohook.Selection{
			DeliveryFilter: neohook.DeliveryFilter{States: []webhook.State{webhook.Exhausted}, StatusClass: 500, Tag: "odd"},
		}))
		progress(t, ended(t, eng, job), webhook.JobFinished, 12, 3, 3, 0, 3)
		for i, endpoint := range endpoints {
			var want []webhook.EventID
			if i == 1 {
				want = []webhook.EventID{events[1].ID, events[3].ID, events[5].ID}
			}
			if got := sentTo(adapter, endpoint.ID, start); !slices.Equal(got, want) {
				t.Errorf("sent to endpoint %d: %v, want %v", i, got, want)
			}
		}
		all := neohook.Selection{Endpoint: "e2", DeliveryFilter: neohook.DeliveryFilter{States: []webhook.State{webhook.Succeeded}}}
		if preview := must[neohook.Preview](t)(eng.PreviewResendWhere(t.Context(), "acme", all)); preview != (neohook.Preview{Examined: 6, Matched: 6, Exact: true}) {
			t.Errorf("preview %+v", preview)
		}
		progress(t, ended(t, eng, must[webhook.Job](t)(eng.ResendWhere(t.Context(), "acme", all))), webhook.JobFinished, 6, 6, 6, 6, 0)
	})
}

func TestCancelWhereEndsWhatIsOpen(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{24 * time.Hour}})
		createTenant(t, eng, "acme")
		acting, operational, err := eng.Operational(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		told := must[webhook.Endpoint](t)(acting.CreateEndpoint(t.Context(), operational, webhook.Endpoint{URL: "https://operator.example", EventTypes: []string{"message.cancelled"}}))
		failing := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://failing.example"})
		working := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://working.example"})
		adapter.ScriptFor(failing.ID, memadapter.Reply{StatusCode: 500})
		var events []webhook.Event
		for range 5 {
			events = append(events, publish(t, eng, "acme", "{}"))
		}
		time.Sleep(time.Minute)
		start := time.Now()
		job := must[webhook.Job](t)(eng.CancelWhere(t.Context(), "acme", neohook.Selection{}))
		progress(t, ended(t, eng, job), webhook.JobFinished, 5, 5, 5, 0, 0)
		time.Sleep(72 * time.Hour)
		if got := sentTo(adapter, failing.ID, start); len(got) > 0 {
			t.Errorf("sent after it was cancelled: %v", got)
		}
		for _, event := range events {
			if stands := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, failing.ID)); stands.State != webhook.Cancelled || stands.Reason != webhook.CancelAsked {
				t.Errorf("it stands at %+v, want cancelled on request", stands)
			}
			if stands := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, working.ID)); stands.State != webhook.Succeeded {
				t.Errorf("at another endpoint it stands at %+v", stands)
			}
		}
		if got := sentTo(adapter, told.ID, start); len(got) != len(events) {
			t.Errorf("operators were told of %d, want %d", len(got), len(events))
		}
	})
}

func TestJobGoesOnAfterARestartAndEndsWhenCancelled(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		opts := neohook.Options{Schedule: webhook.Schedule{}}
		eng, stop := startFake(t, st, adapter, opts)
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		adapter.Script(memadapter.Reply{StatusCode: 500})
		since := time.Now()
		var events []webhook.Event
		for range 60 {
			events = append(events, publish(t, eng, "acme", "{}"))
		}
		time.Sleep(24 * time.Hour) // the breaker lets few through
		adapter.Script(memadapter.Reply{})
		start := time.Now()
		job := must[webhook.Job](t)(eng.Recover(t.Context(), "acme", endpoint.ID, neohook.Window{Since: since, Rate: 2}))
		time.Sleep(10 * time.Second)
		running := must[webhook.Job](t)(eng.Job(t.Context(), job.ID))
		if running.State != webhook.JobRunning || running.Progress.Made < 15 || running.Progress.Made > 25 || running.Progress.Endpoint != endpoint.ID {
			t.Errorf("after 10 seconds at 2 a second: %+v", running)
		}
		stop()

		eng, _ = startFake(t, st, adapter, opts)
		time.Sleep(5 * time.Second)
		before := must[webhook.Job](t)(eng.CancelJob(t.Context(), job.ID))
		if before.State != webhook.JobCancelled || before.Error == "" || before.EndedAt.IsZero() || before.Progress.Made <= running.Progress.Made {
			t.Errorf("cancelled: %+v", before)
		}
		time.Sleep(time.Minute)
		after := must[webhook.Job](t)(eng.CancelJob(t.Context(), job.ID))
		if after.Progress.Made != before.Progress.Made || after.Progress.Succeeded != after.Progress.Made || !after.EndedAt.Equal(before.EndedAt) {
			t.Errorf("a minute after it was cancelled: %+v, then %+v", after, before)
		}
		rest := must[webhook.Job](t)(eng.Recover(t.Context(), "acme", endpoint.ID, neohook.Window{Since: since, Rate: neohook.MaxJobRate}))
		ended(t, eng, rest)
		if got := sentTo(adapter, endpoint.ID, start); !slices.Equal(got, ids(events)) {
			t.Errorf("sent again: %d, want each of the %d once and in order", len(got), len(events))
		}
	})
}

func TestJobEndsWithItsEndpointOrTenant(t *testing.T) {
	for name, test := range map[string]struct {
		end   func(t *testing.T, eng *neohook.Engine, endpoint webhook.EndpointID) error
		state webhook.JobState
		why   string
	}{
		"the endpoint is deleted": {func(t *testing.T, eng *neohook.Engine, endpoint webhook.EndpointID) error {
			return eng.DeleteEndpoint(t.Context(), "acme", endpoint)
		}, webhook.JobCancelled, "the endpoint was deleted"},
		"the tenant is deleted": {func(t *testing.T, eng *neohook.Engine, _ webhook.EndpointID) error {
			return eng.DeleteTenant(t.Context(), "acme")
		}, webhook.JobCancelled, "the tenant was deleted"},
		"the endpoint is disabled": {func(t *testing.T, eng *neohook.Engine, endpoint webhook.EndpointID) error {
			_, err := eng.UpdateEndpoint(t.Context(), "acme", endpoint, func(ep *webhook.Endpoint) error {
				ep.Disabled = true
				return nil
			})
			return err
		}, webhook.JobFailed, "the endpoint is disabled: enable it, and start a new job for what is left"},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) {
				adapter := memadapter.New()
				eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{}})
				createTenant(t, eng, "acme")
				endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
				for range 20 {
					publish(t, eng, "acme", "{}")
				}
				time.Sleep(time.Minute)
				selection := neohook.Selection{Endpoint: endpoint.ID, DeliveryFilter: neohook.DeliveryFilter{States: []webhook.State{webhook.Succeeded}}, Rate: 1}
				job := must[webhook.Job](t)(eng.ResendWhere(t.Context(), "acme", selection))
				time.Sleep(5 * time.Second)
				if err := test.end(t, eng, endpoint.ID); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				got := must[webhook.Job](t)(eng.Job(t.Context(), job.ID))
				if got.State != test.state || got.Error != test.why || got.Endpoint != endpoint.ID || got.Progress.Made > 7 {
					t.Errorf("%+v, want %v for %q", got, test.state, test.why)
				}
			})
		})
	}
}

func TestEndpointThatHangsHoldsUpNoOtherInAJob(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{}})
		createTenant(t, eng, "acme")
		hanging := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hanging.example", Concurrency: 1})
		working := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://working.example"})
		const count = 600 // more than may wait for their first attempt
		for range count {
			publish(t, eng, "acme", "{}")
		}
		time.Sleep(10 * time.Minute)
		adapter.ScriptFor(hanging.ID, memadapter.Reply{Delay: memadapter.Never})
		start := time.Now()
		job := must[webhook.Job](t)(eng.ResendWhere(t.Context(), "acme", neohook.Selection{
			DeliveryFilter: neohook.DeliveryFilter{States: []webhook.State{webhook.Succeeded}}, Rate: neohook.MaxJobRate,
		}))
		time.Sleep(time.Minute)
		if got := len(sentTo(adapter, working.ID, start)); got != count {
			t.Errorf("beside an endpoint that hangs, %d of %d were sent to another in a minute", got, count)
		}
		got := must[webhook.Job](t)(eng.Job(t.Context(), job.ID))
		if got.State != webhook.JobRunning || got.Progress.Made < count+256 || got.Progress.Made > count+300 {
			t.Errorf("it has made %d and is %v, want some %d of those that can't be sent to wait, and it with them", got.Progress.Made, got.State, 256)
		}
		must[webhook.Job](t)(eng.CancelJob(t.Context(), job.ID))
	})
}

func TestJobsAreListedAndBounded(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		eng, _ := startFake(t, memstore.New(), memadapter.New(), neohook.Options{})
		createTenant(t, eng, "acme")
		createTenant(t, eng, "other")
		if err := eng.Pause(t.Context()); err != nil { // nothing ends
			t.Fatal(err)
		}
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		for range 2 {
			publish(t, eng, "acme", "{}")
		}
		all := neohook.Selection{DeliveryFilter: neohook.DeliveryFilter{States: []webhook.State{webhook.Pending}}, Rate: 1}
		var started []webhook.JobID
		begin := func(tenant webhook.TenantID) {
			t.Helper()
			started = append(started, must[webhook.Job](t)(eng.CancelWhere(t.Context(), tenant, all)).ID)
			time.Sleep(time.Minute)
		}
		begin("acme")
		begin("other")
		begin("acme")
		list := func(filter neohook.JobFilter, page neohook.Page) (got []webhook.JobID) {
			t.Helper()
			found := must[neohook.List[webhook.Job]](t)(eng.Jobs(t.Context(), filter, page))
			for _, job := range found.Items {
				got = append(got, job.ID)
			}
			return got
		}
		for name, test := range map[string]struct {
			filter neohook.JobFilter
			page   neohook.Page
			want   []webhook.JobID
		}{
			"all":        {neohook.JobFilter{}, neohook.Page{}, started},
			"a tenant's": {neohook.JobFilter{Tenant: "acme"}, neohook.Page{}, []webhook.JobID{started[0], started[2]}},
			"running":    {neohook.JobFilter{States: []webhook.JobState{webhook.JobRunning}}, neohook.Page{}, nil},
			"a kind":     {neohook.JobFilter{Kinds: []webhook.JobKind{webhook.JobCancel}}, neohook.Page{Limit: 2}, started[:2]},
			"behind":     {neohook.JobFilter{}, neohook.Page{After: string(started[0])}, started[1:]},
			"down":       {neohook.JobFilter{}, neohook.Page{Descending: true, Limit: 1}, started[2:]},
		} {
			if got := list(test.filter, test.page); !slices.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
		}
		publish(t, eng, "acme", "{}")
		slow := neohook.Selection{DeliveryFilter: neohook.DeliveryFilter{States: []webhook.State{webhook.Pending}}, Endpoint: endpoint.ID}
		for range 500 { // as many as keep a job waiting
			publish(t, eng, "acme", "{}")
		}
		for range 20 {
			must[webhook.Job](t)(eng.ResendWhere(t.Context(), "acme", slow))
		}
		_, err := eng.ResendWhere(t.Context(), "acme", slow)
		var limit *neohook.LimitError
		if !errors.As(err, &limit) || !errors.Is(err, neohook.ErrTooManyJobs) || limit.Limit != 20 {
			t.Errorf("one more than may run: %v", err)
		}
		must[webhook.Job](t)(eng.CancelWhere(t.Context(), "other", all))
	})
}

func TestJobIsStartedOnce(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		event := publish(t, eng, "acme", "{}")
		time.Sleep(time.Minute)
		start := time.Now()
		once := eng.Once(neohook.Once{Key: "k", Request: []byte("r")})
		selection := neohook.Selection{DeliveryFilter: neohook.DeliveryFilter{States: []webhook.State{webhook.Succeeded}}}
		first := must[webhook.Job](t)(once.ResendWhere(t.Context(), "acme", selection))
		finished := ended(t, eng, first)
		repeat := must[webhook.Job](t)(once.ResendWhere(t.Context(), "acme", selection))
		if !reflect.DeepEqual(repeat, finished) {
			t.Errorf("a repeat returns %+v, want what has become of the first: %+v", repeat, finished)
		}
		if got := sentTo(adapter, endpoint.ID, start); !slices.Equal(got, []webhook.EventID{event.ID}) {
			t.Errorf("sent %v", got)
		}
		_, err := eng.Once(neohook.Once{Key: "k", Request: []byte("another")}).ResendWhere(t.Context(), "acme", selection)
		wantErr(t, "another request", err, neohook.ErrKeyReused)
	})
}

func TestJobsThatCannotBe(t *testing.T) {
	eng := newEngine(t, memstore.New(), neohook.Options{})
	createTenant(t, eng, "acme")
	endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
	createTenant(t, eng, "other")
	past := time.Now().Add(-time.Hour)
	window := func(w neohook.Window) error {
		_, err := eng.Recover(t.Context(), "acme", endpoint.ID, w)
		_, replay := eng.PreviewReplayMissing(t.Context(), "acme", endpoint.ID, w)
		if fmt.Sprint(err) != fmt.Sprint(replay) {
			t.Errorf("Recover says %v, and PreviewReplayMissing %v", err, replay)
		}
		return err
	}
	resend := func(s neohook.Selection) error {
		_, err := eng.ResendWhere(t.Context(), "acme", s)
		return err
	}
	cancel := func(s neohook.Selection) error {
		_, err := eng.CancelWhere(t.Context(), "acme", s)
		return err
	}
	states := func(states ...webhook.State) neohook.Selection {
		return neohook.Selection{DeliveryFilter: neohook.DeliveryFilter{States: states}}
	}
	for name, test := range map[string]struct {
		err   error
		field string
	}{
		"no since":             {window(neohook.Window{}), "since"},
		"since in the future":  {window(neohook.Window{Since: time.Now().Add(time.Hour)}), "since"},
		"until before since":   {window(neohook.Window{Since: past, Until: past.Add(-time.Hour)}), "until"},
		"too high a rate":      {window(neohook.Window{Since: past, Rate: neohook.MaxJobRate + 1}), "rate"},
		"negative rate":        {resend(neohook.Selection{Rate: -1}), "rate"},
		"no state to resend":   {resend(neohook.Selection{}), "states"},
		"state of memory":      {resend(states(webhook.Succeeded, webhook.Parked)), "states[1]"},
		"state that has ended": {cancel(states(webhook.Exhausted)), "states[0]"},
	} {
		var bad *webhook.InvalidError
		if !errors.As(test.err, &bad) || !slices.ContainsFunc(bad.Fields, func(f webhook.FieldError) bool { return f.Field == test.field }) {
			t.Errorf("%s: %v, want a fault at %s", name, test.err, test.field)
		}
	}
	_, err := eng.Recover(t.Context(), "other", endpoint.ID, neohook.Window{Since: past})
	wantErr(t, "another tenant's endpoint", err, neohook.ErrNotFound)
	_, err = eng.Recover(t.Context(), "acme", "", neohook.Window{Since: past})
	wantErr(t, "no endpoint", err, neohook.ErrNotFound)
	_, err = eng.Recover(t.Context(), "nobody", endpoint.ID, neohook.Window{Since: past})
	wantErr(t, "no tenant", err, neohook.ErrNotFound)
	job := must[webhook.Job](t)(eng.Recover(t.Context(), "acme", endpoint.ID, neohook.Window{Since: past}))
	foreign := eng.In("org_other")
	_, err = foreign.Job(t.Context(), job.ID)
	wantErr(t, "another organisation's job", err, neohook.ErrNotFound)
	_, err = foreign.CancelJob(t.Context(), job.ID)
	wantErr(t, "to cancel another organisation's job", err, neohook.ErrNotFound)
	_, err = eng.Job(t.Context(), "qtask_nonsense")
	wantErr(t, "no job", err, neohook.ErrNotFound)
	_, err = neohook.New(t.Context(), memstore.New(), neohook.Options{JobRate: neohook.MaxJobRate + 1})
	if err == nil {
		t.Error("a JobRate beyond the bound was taken")
	}
}
