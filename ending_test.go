package neohook_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func TestRunLetsAttemptsInFlightGoOnForItsGrace(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		const grace = 20 * time.Second
		st, adapter := memstore.New(), memadapter.New()
		opts := neohook.Options{Grace: grace}
		eng, stop := startFake(t, st, adapter, opts)
		createTenant(t, eng, "acme")
		soon := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://soon.example"})
		late := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://late.example"})
		adapter.ScriptFor(soon.ID, memadapter.Reply{Delay: 15 * time.Second})
		adapter.ScriptFor(late.ID, memadapter.Reply{Delay: 25 * time.Second})
		const events = 15 // ten in flight at each endpoint, five behind them
		for range events {
			publish(t, eng, "acme", `{}`)
		}
		time.Sleep(time.Second)
		told := time.Now()
		stop()
		if took := time.Since(told); took != grace {
			t.Errorf("Run took %v to end, want its grace of %v", took, grace)
		}
		if n := len(adapter.Requests()); n != 20 {
			t.Errorf("%d attempts had begun, want the 20 that were in flight", n)
		}
		_, err := eng.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "a", Payload: []byte(`{}`)})
		if err == nil {
			t.Error("an event was accepted after the end")
		}

		adapter.Script(memadapter.Reply{})
		adapter.ScriptFor(late.ID)
		startFake(t, st, adapter, opts)
		time.Sleep(time.Hour)
		for _, of := range []struct {
			endpoint webhook.EndpointID
			sent     int
		}{{soon.ID, events}, {late.ID, events + 10}} {
			if n := len(begun(adapter, "", of.endpoint)); n != of.sent {
				t.Errorf("%d attempts in all, want %d: what ended in time is not sent again, what was cut off is", n, of.sent)
			}
		}
		for _, request := range adapter.Requests() {
			if request.Delivery.Attempt != 1 {
				t.Errorf("attempt %d: what was cut off counts", request.Delivery.Attempt)
			}
		}
	})
}

func TestEventsAreAcceptedUntilTheLastAttemptHasEnded(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New(memadapter.Reply{Delay: 10 * time.Second})
		eng, stop := startFake(t, st, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		publish(t, eng, "acme", `{}`)
		time.Sleep(time.Second)
		ended := make(chan struct{})
		go func() { stop(); close(ended) }()
		time.Sleep(time.Second)
		meanwhile := publish(t, eng, "acme", `{}`)
		<-ended
		if len(begun(adapter, meanwhile.ID, "")) != 0 {
			t.Error("an attempt began after Run was told to end")
		}
		startFake(t, st, adapter, neohook.Options{})
		time.Sleep(time.Minute)
		if n := len(begun(adapter, meanwhile.ID, "")); n != 1 {
			t.Errorf("%d attempts of what was accepted at the end, want 1", n)
		}
	})
}

func TestBacklogBeyondMemoryIsSentInOrderAfterARestart(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New(memadapter.Reply{StatusCode: 503, RetryAfter: time.Hour}, memadapter.Reply{})
		opts := neohook.Options{MaxMemoryBytes: 16 << 10, EndpointConcurrency: 1}
		eng, stop := startFake(t, st, adapter, opts)
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		var want []webhook.EventID
		for range 1000 {
			want = append(want, publish(t, eng, "acme", `{"text":"a hundred bytes and some, so that a thousand of them do not fit into the memory there is"}`).ID)
		}
		stop()
		startFake(t, st, adapter, opts)
		ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
		defer cancel()
		if err := adapter.Wait(ctx, len(want)+1); err != nil {
			t.Fatal(err)
		}
		var got []webhook.EventID
		for _, request := range adapter.Requests()[1:] {
			if request.Delivery.Attempt == 1 {
				got = append(got, request.Delivery.Event)
			}
		}
		if !slices.Equal(got, want[1:]) {
			t.Errorf("%d events arrived, and not in the order of their acceptance", len(got))
		}
	})
}
