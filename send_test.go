package neohook_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// resend sends an event once more and waits for what comes of it, a second of fake time.
func resend(t *testing.T, eng *neohook.Engine, event webhook.Event, endpoint webhook.EndpointID) {
	t.Helper()
	if err := eng.Resend(t.Context(), "acme", event.ID, endpoint); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
}

func TestResendMakesOneManualAttempt(t *testing.T) {
	tests := map[string]struct {
		schedule webhook.Schedule
		first    int // answers of the delivery's own attempt, and of the one asked for
		second   int
		want     webhook.State
		recovers bool
	}{
		"of an exhausted one, in vain":           {webhook.Schedule{}, 500, 500, webhook.Exhausted, false},
		"of an exhausted one":                    {webhook.Schedule{}, 500, 200, webhook.Exhausted, true},
		"of one that waits, in vain":             {webhook.Schedule{24 * time.Hour}, 500, 503, webhook.Waiting, false},
		"of one that waits, which is over then":  {webhook.Schedule{24 * time.Hour}, 500, 200, webhook.Succeeded, false},
		"of one that has succeeded":              {webhook.Schedule{}, 200, 200, webhook.Succeeded, false},
		"of one that has succeeded, to no avail": {webhook.Schedule{}, 200, 500, webhook.Succeeded, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) {
				adapter := memadapter.New(memadapter.Reply{StatusCode: test.first}, memadapter.Reply{StatusCode: test.second})
				eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
				createTenant(t, eng, "acme")
				endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Schedule: test.schedule})
				event := publish(t, eng, "acme", `{"n":1}`)
				time.Sleep(time.Minute)
				asked := time.Now().UTC()
				resend(t, eng, event, endpoint.ID)
				stands := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, endpoint.ID))
				if stands.State != test.want || stands.Tried != 1 {
					t.Errorf("it stands at %+v, want %v, tried once", stands, test.want)
				}
				if stands.RecoveredAt.IsZero() == test.recovers || test.recovers && stands.RecoveredAt.Sub(asked) > time.Second {
					t.Errorf("recovered at %v, asked for at %v", stands.RecoveredAt, asked)
				}
				var triggers []webhook.Trigger
				for _, attempt := range stands.Attempts {
					triggers = append(triggers, attempt.Trigger)
				}
				if !slices.Equal(triggers, []webhook.Trigger{webhook.Scheduled, webhook.Manual}) {
					t.Errorf("attempts with the triggers %v, want a scheduled and a manual one", triggers)
				}
				for _, request := range adapter.Requests() {
					if string(request.Delivery.Payload) != `{"n":1}` || request.Delivery.Event != event.ID || request.Delivery.ID != stands.ID {
						t.Errorf("sent %+v", request.Delivery)
					}
				}
				sent := 2
				if stands.State == webhook.Waiting {
					sent = 3
				}
				time.Sleep(48 * time.Hour)
				if got := len(begun(adapter, event.ID, endpoint.ID)); got != sent {
					t.Errorf("%d requests in all, want %d", got, sent)
				}
			})
		})
	}
}

func TestResendLooksAtNoFilters(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		event := publish(t, eng, "acme", `{}`)
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{
			UID: "later", URL: "https://acme.example", EventTypes: []string{"other"}, Channels: []string{"eu"},
		})
		resend(t, eng, event, "later")
		if got := begun(adapter, event.ID, endpoint.ID); len(got) != 1 {
			t.Errorf("sent %d times, want once", len(got))
		}
		if _, err := eng.Delivery(t.Context(), "acme", event.ID, endpoint.ID); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("err = %v: there is a delivery, though the event was not for the endpoint", err)
		}
	})
}

func TestRepeatedResendSendsOnce(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		other := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example/other"})
		event := publish(t, eng, "acme", `{}`)
		once := eng.Once(neohook.Once{Key: "k"})
		for range 3 {
			if err := once.Resend(t.Context(), "acme", event.ID, endpoint.ID); err != nil {
				t.Error(err)
			}
		}
		if err := once.Resend(t.Context(), "acme", event.ID, other.ID); err != nil { // another operation
			t.Error(err)
		}
		err := eng.Once(neohook.Once{Key: "k", Request: []byte("other")}).Resend(t.Context(), "acme", event.ID, endpoint.ID)
		wantErr(t, "with another request", err, neohook.ErrKeyReused)
		time.Sleep(time.Minute)
		for _, to := range []webhook.EndpointID{endpoint.ID, other.ID} {
			if got := len(begun(adapter, event.ID, to)); got != 2 {
				t.Errorf("%d requests, want the delivery's and one more", got)
			}
		}
	})
}

func TestResendRefusesWhatCanNotBeSent(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, stop := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createTenant(t, eng, "other")
		off := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "off", URL: "https://a.example", Disabled: true})
		paused := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://b.example", Paused: true})
		deleted := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://c.example"})
		if err := eng.DeleteEndpoint(t.Context(), "acme", deleted.ID); err != nil {
			t.Fatal(err)
		}
		event := publish(t, eng, "acme", `{}`)
		ctx := t.Context()
		wantErr(t, "to a disabled endpoint", eng.Resend(ctx, "acme", event.ID, off.ID), neohook.ErrEndpointDisabled)
		wantErr(t, "to a deleted endpoint", eng.Resend(ctx, "acme", event.ID, deleted.ID), neohook.ErrNotFound)
		wantErr(t, "to none", eng.Resend(ctx, "acme", event.ID, "none"), neohook.ErrNotFound)
		wantErr(t, "of no event", eng.Resend(ctx, "acme", "none", off.ID), neohook.ErrNotFound)
		wantErr(t, "for another tenant", eng.Resend(ctx, "other", event.ID, off.ID), neohook.ErrNotFound)
		for range 1000 {
			if err := eng.Resend(ctx, "acme", event.ID, paused.ID); err != nil {
				t.Fatal(err)
			}
		}
		wantErr(t, "more than may wait", eng.Resend(ctx, "acme", event.ID, paused.ID), neohook.ErrTooManySends)
		stop()
		wantErr(t, "of an engine that has ended", eng.Resend(ctx, "acme", event.ID, "b"), neohook.ErrNotFound)
		if _, err := eng.UpdateEndpoint(ctx, "acme", off.ID, func(ep *webhook.Endpoint) error { ep.Disabled = false; return nil }); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "of an engine that has ended", eng.Resend(ctx, "acme", event.ID, off.ID), neohook.ErrStopped)
		if len(adapter.Requests()) != 0 {
			t.Errorf("%d requests were made", len(adapter.Requests()))
		}
	})
}

func TestResendsNeverTurnAnEndpointOff(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{DisableAfter: time.Hour})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		event := publish(t, eng, "acme", `{}`)
		time.Sleep(time.Minute)
		for _, status := range []int{500, 500, 410, 500} {
			adapter.Script(memadapter.Reply{StatusCode: status})
			resend(t, eng, event, endpoint.ID)
			time.Sleep(2 * time.Hour)
		}
		if got := must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), "acme", endpoint.ID)); got.Disabled {
			t.Error("the endpoint was disabled")
		}
	})
}

func TestResendOutlivesARestart(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New()
		eng, stop := startFake(t, st, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		event := publish(t, eng, "acme", `{}`) // for nobody
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Paused: true})
		resend(t, eng, event, endpoint.ID)
		stop()
		eng, _ = startFake(t, st.Reopen(), adapter, neohook.Options{})
		time.Sleep(time.Hour)
		if len(adapter.Requests()) != 0 {
			t.Fatal("sent to a paused endpoint")
		}
		setPaused(t, eng, endpoint.ID, false)
		synctest.Wait()
		if len(adapter.Requests()) != 1 {
			t.Errorf("%d requests once the endpoint was resumed, want one", len(adapter.Requests()))
		}
	})
}

// TestFloodOfResendsDelaysNoEvent has as many manual sends as may wait at an endpoint that
// takes one every 100 ms, and events published to it all the while.
func TestFloodOfResendsDelaysNoEvent(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{Delay: 100 * time.Millisecond})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{EndpointConcurrency: 1})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		old := publish(t, eng, "acme", `{}`)
		time.Sleep(time.Second)
		for range 1000 {
			if err := eng.Resend(t.Context(), "acme", old.ID, endpoint.ID); err != nil {
				t.Fatal(err)
			}
		}
		var events []webhook.Event
		for range 100 {
			events = append(events, publish(t, eng, "acme", `{}`))
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(5 * time.Minute)
		for i, event := range events {
			at := begun(adapter, event.ID, endpoint.ID)
			if len(at) != 1 || at[0].Sub(event.AcceptedAt) > 300*time.Millisecond {
				t.Fatalf("event %d was sent after %v", i, fmt.Sprint(after(event.AcceptedAt, at)))
			}
		}
		if got := len(begun(adapter, old.ID, "")); got != 1001 {
			t.Errorf("the old event was sent %d times, want 1001", got)
		}
	})
}
