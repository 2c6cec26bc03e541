package neohook_test

import (
	"context"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func TestCancelledDeliveryIsNotSentAnyMore(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{StatusCode: 500}, memadapter.Reply{})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{time.Hour, time.Hour}})
		createTenant(t, eng, "acme")
		createTenant(t, eng, "other")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "a", URL: "https://acme.example", Ordered: true})
		waits, next := publish(t, eng, "acme", `{}`), publish(t, eng, "acme", `{}`)
		time.Sleep(time.Minute)
		ctx := t.Context()
		wantErr(t, "by another tenant", eng.CancelDelivery(ctx, "other", waits.ID, endpoint.ID), neohook.ErrNotFound)
		for range 2 { // the second changes nothing
			if err := eng.CancelDelivery(ctx, "acme", waits.ID, "a"); err != nil {
				t.Fatal(err)
			}
		}
		got := must[webhook.Standing](t)(eng.Delivery(ctx, "acme", waits.ID, endpoint.ID))
		if got.State != webhook.Cancelled || got.Reason != webhook.CancelAsked || got.Tried != 1 || got.EndedAt.IsZero() {
			t.Errorf("it stands at %+v", got)
		}
		time.Sleep(time.Second)
		if got := len(begun(adapter, next.ID, endpoint.ID)); got != 1 {
			t.Errorf("the next in order was sent %d times after the one before was cancelled", got)
		}
		time.Sleep(24 * time.Hour)
		if got := len(begun(adapter, waits.ID, endpoint.ID)); got != 1 {
			t.Errorf("sent %d times, want only before it was cancelled", got)
		}
		wantErr(t, "one that succeeded", eng.CancelDelivery(ctx, "acme", next.ID, "a"), neohook.ErrDeliveryEnded)
		later := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://later.example"})
		wantErr(t, "one that never was", eng.CancelDelivery(ctx, "acme", next.ID, later.ID), neohook.ErrNotFound)
		if ended := eng.Stats(ctx).Attempts.Ended[neohook.Ending{State: webhook.Cancelled, Reason: webhook.CancelAsked}]; ended != 1 {
			t.Errorf("%d deliveries are counted as cancelled, want 1", ended)
		}
	})
}

func TestAttemptInFlightChangesACancelledDeliveryNoMore(t *testing.T) {
	for name, status := range map[string]int{"success": 200, "failure": 500} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) {
				adapter := memadapter.New(memadapter.Reply{StatusCode: status, Delay: 10 * time.Second})
				eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
				createTenant(t, eng, "acme")
				endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
				event := publish(t, eng, "acme", `{}`)
				time.Sleep(time.Second)
				if err := eng.CancelDelivery(t.Context(), "acme", event.ID, endpoint.ID); err != nil {
					t.Fatal(err)
				}
				time.Sleep(24 * time.Hour)
				got := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, endpoint.ID))
				if got.State != webhook.Cancelled || len(got.Attempts) != 1 || got.Attempts[0].StatusCode != status {
					t.Errorf("it stands at %+v, want it cancelled, with the attempt in its log", got)
				}
				if sent := len(adapter.Requests()); sent != 1 {
					t.Errorf("sent %d times", sent)
				}
			})
		})
	}
}

// TestCancellingAgainReachesTheLaneWhereTheFirstOneBrokeOff has a store that cancels, and
// does not know.
func TestCancellingAgainReachesTheLaneWhereTheFirstOneBrokeOff(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New(memadapter.Reply{StatusCode: 500})
		broken := true
		st.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
			if operation == "Cancel" && moment == memstore.After && broken {
				broken = false
				return store.ErrCommitUnknown
			}
			return nil
		}
		eng, _ := startFake(t, st, adapter, neohook.Options{Schedule: webhook.Schedule{time.Hour}})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		event := publish(t, eng, "acme", `{}`)
		time.Sleep(time.Minute)
		wantErr(t, "the first time", eng.CancelDelivery(t.Context(), "acme", event.ID, endpoint.ID), store.ErrCommitUnknown)
		if err := eng.CancelDelivery(t.Context(), "acme", event.ID, endpoint.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if got := len(adapter.Requests()); got != 1 {
			t.Errorf("sent %d times, want only before it was cancelled", got)
		}
	})
}

// TestAttemptInFlightAtACancelOfUnknownFateIsTheLast has nobody who asks again, and an
// attempt that fails after the delivery was cancelled.
func TestAttemptInFlightAtACancelOfUnknownFateIsTheLast(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New(memadapter.Reply{StatusCode: 500, Delay: 10 * time.Second})
		st.Faults = func(_ context.Context, operation string, at memstore.Moment) error {
			if operation == "Cancel" && at == memstore.After {
				return store.ErrCommitUnknown
			}
			return nil
		}
		eng, _ := startFake(t, st, adapter, neohook.Options{Schedule: webhook.Schedule{time.Minute, time.Hour}})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		event := publish(t, eng, "acme", `{}`)
		time.Sleep(time.Second)
		wantErr(t, "cancelled", eng.CancelDelivery(t.Context(), "acme", event.ID, endpoint.ID), store.ErrCommitUnknown)
		time.Sleep(24 * time.Hour)
		if got := len(adapter.Requests()); got != 1 {
			t.Errorf("sent %d times, want only before it was cancelled", got)
		}
	})
}

// TestCancelOfUnknownFateReachesTheLane has a store that breaks off, and nobody who asks
// again: what was cancelled is not sent, and what was not is.
func TestCancelOfUnknownFateReachesTheLane(t *testing.T) {
	for moment, want := range map[memstore.Moment]int{memstore.After: 1, memstore.Before: 2} {
		inFakeTime(t, func(t *testing.T) {
			st, adapter := memstore.New(), memadapter.New(memadapter.Reply{StatusCode: 500})
			st.Faults = func(_ context.Context, operation string, at memstore.Moment) error {
				if operation == "Cancel" && at == moment {
					return store.ErrCommitUnknown
				}
				return nil
			}
			eng, _ := startFake(t, st, adapter, neohook.Options{Schedule: webhook.Schedule{time.Hour}})
			createTenant(t, eng, "acme")
			endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
			cancelled, other := publish(t, eng, "acme", `{}`), publish(t, eng, "acme", `{}`)
			time.Sleep(time.Minute)
			wantErr(t, "cancel", eng.CancelDelivery(t.Context(), "acme", cancelled.ID, endpoint.ID), store.ErrCommitUnknown)
			time.Sleep(24 * time.Hour)
			for event, want := range map[webhook.EventID]int{cancelled.ID: want, other.ID: 2} {
				if got := len(begun(adapter, event, endpoint.ID)); got != want {
					t.Errorf("moment %v: sent %d times, want %d", moment, got, want)
				}
			}
		})
	}
}
