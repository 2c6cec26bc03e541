package neohook_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// standing waits until a delivery is in a state.
func standing(t *testing.T, eng *neohook.Engine, event webhook.Event, endpoint webhook.EndpointID, want webhook.State) webhook.Standing {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		got, err := eng.Delivery(t.Context(), event.Tenant, event.ID, endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if got.State == want {
			return got
		}
		select {
		case <-deadline:
			t.Fatalf("it stands at %+v, want %v", got, want)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// The story of deliveries at one endpoint after another, over SQLite: each state that a
// delivery can have is seen, with what belongs to it.
func TestADeliveryTellsWhereItStands(t *testing.T) {
	adapter := newProbe()
	eng, _ := start(t, openStore(t, t.TempDir()), neohook.Options{
		Adapter: adapter, Schedule: webhook.Schedule{time.Hour}, Jitter: -1, EndpointConcurrency: 1, Grace: time.Nanosecond,
	})
	createTenant(t, eng, "acme")
	ctx := t.Context()
	answer := func(status int) {
		<-adapter.attempts
		result := webhook.Result{Success: status == 200, StatusCode: status}
		if status == http.StatusTooManyRequests {
			result.RetryAfter = time.Minute
		}
		adapter.answers <- result
	}

	first := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "first", URL: "https://a.example/", Schedule: webhook.Schedule{}})
	a, b := publish(t, eng, "acme", `{}`), publish(t, eng, "acme", `{}`)
	sending := standing(t, eng, a, first.ID, webhook.Sending)
	if sending.SendingSince.Before(a.AcceptedAt.Add(-time.Second)) || time.Since(sending.SendingSince) > time.Minute || sending.Tried != 0 {
		t.Errorf("sending: %+v", sending)
	}
	if sending.Event != a.ID || sending.Endpoint != first.ID || !sending.AcceptedAt.Equal(a.AcceptedAt) || sending.ID == "" {
		t.Errorf("of event %s at %s: %+v", a.ID, first.ID, sending)
	}
	pending := standing(t, eng, b, "first", webhook.Pending)
	if !pending.DueAt.IsZero() || pending.Tried != 0 || len(pending.Attempts) != 0 || pending.Endpoint != first.ID {
		t.Errorf("pending: %+v", pending)
	}
	answer(200)
	done := standing(t, eng, a, first.ID, webhook.Succeeded)
	if done.Tried != 1 || len(done.Attempts) != 1 || !done.Attempts[0].Succeeded || done.EndedAt.Before(a.AcceptedAt) || !done.SendingSince.IsZero() {
		t.Errorf("succeeded: %+v", done)
	}
	answer(500)
	if spent := standing(t, eng, b, first.ID, webhook.Exhausted); spent.Tried != 1 || spent.EndedAt.IsZero() || spent.Attempts[0].StatusCode != 500 {
		t.Errorf("exhausted: %+v", spent)
	}
	if err := eng.DeleteEndpoint(ctx, "acme", first.ID); err != nil {
		t.Fatal(err)
	}
	if got := must[webhook.Standing](t)(eng.Delivery(ctx, "acme", b.ID, first.ID)); got.State != webhook.Exhausted {
		t.Errorf("at a deleted endpoint: %+v", got)
	}
	_, err := eng.Delivery(ctx, "acme", b.ID, "first")
	wantErr(t, "by the UID of a deleted one", err, neohook.ErrNotFound)

	quiet := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://b.example/"})
	c := publish(t, eng, "acme", `{}`)
	answer(429)
	waiting := standing(t, eng, c, quiet.ID, webhook.Waiting)
	if wait := waiting.DueAt.Sub(waiting.Attempts[0].StartedAt); wait < time.Hour || wait > time.Hour+time.Minute || waiting.Tried != 1 || waiting.Reason != "" {
		t.Errorf("waiting: %+v", waiting)
	}
	d := publish(t, eng, "acme", `{}`)
	parked := standing(t, eng, d, quiet.ID, webhook.Parked)
	if wait := time.Until(parked.DueAt); parked.Reason != webhook.QuietAsked || wait <= 0 || wait > time.Minute || parked.Tried != 0 {
		t.Errorf("parked: %+v", parked)
	}
	must[webhook.Endpoint](t)(eng.UpdateEndpoint(ctx, "acme", quiet.ID, func(ep *webhook.Endpoint) error { ep.Disabled = true; return nil }))
	for _, event := range []webhook.Event{c, d} {
		ended := standing(t, eng, event, quiet.ID, webhook.Cancelled)
		if ended.Reason != webhook.EndpointDisabled || ended.EndedAt.IsZero() || !ended.DueAt.IsZero() {
			t.Errorf("cancelled: %+v", ended)
		}
	}

	broken := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://c.example/", Schedule: webhook.Schedule{}})
	for range 20 {
		publish(t, eng, "acme", `{}`)
		answer(http.StatusInternalServerError)
	}
	e := publish(t, eng, "acme", `{}`)
	parked = standing(t, eng, e, broken.ID, webhook.Parked)
	if wait := time.Until(parked.DueAt); parked.Reason != webhook.BreakerOpen || wait <= 0 || wait > 5*time.Second {
		t.Errorf("parked: %+v", parked)
	}

	_, err = eng.Delivery(ctx, "acme", e.ID, first.ID)
	wantErr(t, "of an event that was never for it", err, neohook.ErrNotFound)
	createTenant(t, eng, "other")
	_, err = eng.Delivery(ctx, "other", e.ID, broken.ID)
	wantErr(t, "of another tenant's event", err, neohook.ErrNotFound)
	_, err = eng.DeliveriesOfEvent(ctx, "other", e.ID, neohook.Page{})
	wantErr(t, "of another tenant's event", err, neohook.ErrNotFound)
}

func TestDeliveriesOfAnEventAreListedWithTheirStates(t *testing.T) {
	adapter := new(scripted)
	adapter.status.Store(500)
	eng, _ := start(t, openStore(t, t.TempDir()), neohook.Options{Adapter: adapter, Jitter: -1})
	createTenant(t, eng, "acme")
	waits := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://a.example/", Schedule: webhook.Schedule{time.Hour}})
	ends := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://b.example/", Schedule: webhook.Schedule{0, 0}})
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://c.example/", EventTypes: []string{"other"}})
	gone := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://d.example/", Schedule: webhook.Schedule{time.Hour}})
	event := publish(t, eng, "acme", `{}`)
	standing(t, eng, event, waits.ID, webhook.Waiting)
	standing(t, eng, event, gone.ID, webhook.Waiting)
	timeline := standing(t, eng, event, ends.ID, webhook.Exhausted).Attempts
	for i, attempt := range timeline {
		if attempt.Number != i+1 || attempt.Endpoint != ends.ID || attempt.StatusCode != 500 {
			t.Errorf("attempt %d: %+v", i, attempt)
		}
	}
	if len(timeline) != 3 {
		t.Errorf("%d attempts, want 3", len(timeline))
	}
	if err := eng.DeleteEndpoint(t.Context(), "acme", gone.ID); err != nil {
		t.Fatal(err)
	}
	standing(t, eng, event, gone.ID, webhook.Cancelled)

	var got []webhook.Standing
	page := neohook.Page{Limit: 2}
	for {
		list := must[neohook.List[webhook.Standing]](t)(eng.DeliveriesOfEvent(t.Context(), "acme", event.ID, page))
		got = append(got, list.Items...)
		if list.Done {
			break
		}
		page.After = list.Last
	}
	type state struct {
		endpoint webhook.EndpointID
		state    webhook.State
		reason   webhook.Reason
		tried    int
	}
	var states []state
	for _, s := range got {
		states = append(states, state{s.Endpoint, s.State, s.Reason, s.Tried})
	}
	want := []state{
		{waits.ID, webhook.Waiting, "", 1}, {ends.ID, webhook.Exhausted, "", 3},
		{gone.ID, webhook.Cancelled, webhook.EndpointDeleted, 1},
	}
	if !slices.Equal(states, want) {
		t.Errorf("listed %+v\nwant   %+v", states, want)
	}
}
