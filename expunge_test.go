package neohook_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func TestExpungedPayloadIsNotSentAnyMore(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{Delay: memadapter.Never})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{time.Hour}})
		createTenant(t, eng, "acme")
		createTenant(t, eng, "other")
		for range 2 { // one in flight, others held in memory
			createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Concurrency: 1, Timeout: 5 * time.Minute})
		}
		first, second, third := publish(t, eng, "acme", `{"n":1}`), publish(t, eng, "acme", `{"n":2}`), publish(t, eng, "acme", `{"n":3}`)
		time.Sleep(time.Second)
		ctx := t.Context()
		wantErr(t, "by another tenant", eng.ExpungePayload(ctx, "other", first.ID), neohook.ErrNotFound)
		for _, event := range []webhook.EventID{second.ID, second.ID, first.ID} { // once more is no error
			begun := time.Now()
			if err := eng.ExpungePayload(ctx, "acme", event); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("it took %v, while a receiver does not answer", took)
			}
		}
		if found := must[webhook.Event](t)(eng.Event(ctx, "acme", first.ID)); found.Payload != nil {
			t.Errorf("the payload is %s", found.Payload)
		}
		for _, event := range []webhook.EventID{first.ID, second.ID} {
			for _, got := range must[neohook.List[webhook.Standing]](t)(eng.DeliveriesOfEvent(ctx, "acme", event, neohook.Page{})).Items {
				if got.State != webhook.Cancelled || got.Reason != webhook.PayloadExpunged {
					t.Errorf("it stands at %+v", got)
				}
			}
		}
		time.Sleep(24 * time.Hour)
		if got := len(begun(adapter, first.ID, "")); got != 2 {
			t.Errorf("the first was sent %d times, want once at each endpoint, before", got)
		}
		if got := len(begun(adapter, second.ID, "")); got != 0 {
			t.Errorf("the second was sent %d times", got)
		}
		if got := len(begun(adapter, third.ID, "")); got == 0 {
			t.Error("the third is not sent")
		}
		ended := eng.Stats(ctx).Attempts.Ended[neohook.Ending{State: webhook.Cancelled, Reason: webhook.PayloadExpunged}]
		if ended != 4 {
			t.Errorf("%d deliveries are counted as ended, want 4", ended)
		}
		err := eng.Resend(ctx, "acme", first.ID, createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://new.example"}).ID)
		if err == nil {
			t.Error("it can be sent again")
		}
	})
}

func TestExpungedEventIsGone(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{StatusCode: 500, Body: []byte("broken")})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{time.Hour}})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		event := publish(t, eng, "acme", `{}`)
		time.Sleep(time.Minute)
		ctx := t.Context()
		attempts := must[neohook.List[webhook.Attempt]](t)(eng.AttemptsOfEvent(ctx, "acme", event.ID, neohook.AttemptFilter{WithResponse: true}, neohook.Page{})).Items
		if len(attempts) != 1 || string(attempts[0].Response) != "broken" {
			t.Fatalf("attempts %+v", attempts)
		}
		wantErr(t, "of no attempt", eng.ExpungeResponse(ctx, "acme", event.ID, webhook.NewAttemptID()), neohook.ErrNotFound)
		if err := eng.ExpungeResponse(ctx, "acme", event.ID, attempts[0].ID); err != nil {
			t.Fatal(err)
		}
		if got := must[webhook.Attempt](t)(eng.Attempt(ctx, "acme", event.ID, attempts[0].ID)); !got.Expunged || got.Response != nil {
			t.Errorf("the attempt is %+v", got)
		}
		if err := eng.ExpungeEvent(ctx, "acme", event.ID); err != nil {
			t.Fatal(err)
		}
		_, err := eng.Event(ctx, "acme", event.ID)
		wantErr(t, "the event", err, neohook.ErrNotFound)
		wantErr(t, "once more", eng.ExpungeEvent(ctx, "acme", event.ID), neohook.ErrNotFound)
		time.Sleep(24 * time.Hour)
		if got := len(adapter.Requests()); got != 1 {
			t.Errorf("it was sent %d times, want once, before", got)
		}
		if got := must[neohook.List[webhook.Attempt]](t)(eng.AttemptsAtEndpoint(ctx, "acme", endpoint.ID, neohook.AttemptFilter{}, neohook.Page{})).Items; len(got) != 0 {
			t.Errorf("attempts at the endpoint: %+v", got)
		}
	})
}

func TestAllOfATenantIsExpunged(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{StatusCode: 500})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{time.Hour, time.Hour}})
		ctx := t.Context()
		acme, other := createTenant(t, eng, "acme"), createTenant(t, eng, "other")
		var events []webhook.Event
		for _, tenant := range []webhook.TenantID{acme.ID, other.ID} {
			createEndpoint(t, eng, tenant, webhook.Endpoint{URL: "https://acme.example"})
		}
		for range 10 {
			events = append(events, publish(t, eng, acme.ID, `{}`))
			publish(t, eng, other.ID, `{}`)
		}
		time.Sleep(time.Minute)
		_, err := eng.ExpungePayloads(ctx, "nobody")
		wantErr(t, "of nobody", err, neohook.ErrNotFound)
		job := must[webhook.Job](t)(eng.ExpungePayloads(ctx, "acme"))
		later := publish(t, eng, acme.ID, `{}`)
		time.Sleep(time.Minute)
		job = must[webhook.Job](t)(eng.Job(ctx, job.ID))
		if job.Kind != webhook.JobExpunge || job.State != webhook.JobFinished || job.Progress.Made != 10 || job.Tenant != acme.ID {
			t.Errorf("the job is %+v", job)
		}
		if got := must[webhook.Event](t)(eng.Event(ctx, "acme", later.ID)); got.Payload == nil {
			t.Error("the payload of an event that was published later is gone")
		}
		for _, event := range events {
			if got := must[webhook.Event](t)(eng.Event(ctx, "acme", event.ID)); got.Payload != nil {
				t.Errorf("the payload is %s", got.Payload)
			}
		}
		if err := eng.ExpungeTenant(ctx, "acme"); err != nil {
			t.Fatal(err)
		}
		_, err = eng.Tenant(ctx, "acme")
		wantErr(t, "the tenant", err, neohook.ErrNotFound)
		wantErr(t, "once more", eng.ExpungeTenant(ctx, acme.ID), neohook.ErrNotFound)
		if again := createTenant(t, eng, "acme"); len(must[neohook.List[webhook.Event]](t)(eng.Events(ctx, again.ID, neohook.EventFilter{}, neohook.Page{})).Items) != 0 {
			t.Error("the next tenant of that UID has events")
		}
		if err := eng.DeleteTenant(ctx, other.ID); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "a deleted tenant by its UID", eng.ExpungeTenant(ctx, "other"), neohook.ErrNotFound)
		wantErr(t, "by another organisation", eng.In("org_other").ExpungeTenant(ctx, other.ID), neohook.ErrNotFound)
		if err := eng.ExpungeTenant(ctx, other.ID); err != nil {
			t.Errorf("a deleted tenant by its id: %v", err)
		}
		before := len(adapter.Requests())
		time.Sleep(24 * time.Hour)
		if got := len(adapter.Requests()); got != before {
			t.Errorf("%d requests were made afterwards", got-before)
		}
	})
}

// TestExpungeOfUnknownFateIsRepeated has the commit break off; what is open then is not
// lost, and what is gone is not sent.
func TestExpungeOfUnknownFateIsRepeated(t *testing.T) {
	for name, fault := range map[string]struct {
		moment memstore.Moment
		err    error
		sent   int
	}{
		"it was stored":     {memstore.After, store.ErrCommitUnknown, 0},
		"it was not stored": {memstore.Before, store.ErrCommitUnknown, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) {
				st, adapter := memstore.New(), memadapter.New(memadapter.Reply{Delay: time.Minute})
				broken := true
				st.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
					if operation == "ExpungePayload" && moment == fault.moment && broken {
						broken = false
						return fault.err
					}
					return nil
				}
				eng, _ := startFake(t, st, adapter, neohook.Options{})
				createTenant(t, eng, "acme")
				createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Concurrency: 1, Timeout: 5 * time.Minute})
				publish(t, eng, "acme", `{}`)
				waits, last := publish(t, eng, "acme", `{}`), publish(t, eng, "acme", `{}`)
				time.Sleep(time.Second)
				if err := eng.ExpungePayload(t.Context(), "acme", waits.ID); !errors.Is(err, store.ErrCommitUnknown) {
					t.Fatalf("%v, want %v", err, store.ErrCommitUnknown)
				}
				time.Sleep(time.Hour)
				if got := len(begun(adapter, waits.ID, "")); got != fault.sent {
					t.Errorf("sent %d times, want %d", got, fault.sent)
				}
				if got := len(begun(adapter, last.ID, "")); got != 1 {
					t.Errorf("the next was sent %d times", got)
				}
				if err := eng.ExpungePayload(t.Context(), "acme", waits.ID); err != nil {
					t.Errorf("asked again: %v", err)
				}
			})
		})
	}
}

// TestExpungedBytesAreInNoFileOfARunningEngine searches the data folder while events are
// accepted and delivered.
func TestExpungedBytesAreInNoFileOfARunningEngine(t *testing.T) {
	folder := t.TempDir()
	eng, stop := start(t, openStore(t, folder), neohook.Options{Adapter: memadapter.New()})
	createTenant(t, eng, "acme")
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
	ctx, cancel := context.WithCancel(t.Context())
	busy := make(chan struct{})
	go func() {
		defer close(busy)
		for ctx.Err() == nil {
			_, err := eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "a", Payload: bytes.Repeat([]byte("."), 2000)})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
	for n := range 5 {
		secret := bytes.Repeat([]byte{'s', 'e', 'c', 'r', 'e', 't', byte('0' + n)}, 1+n*500)
		event := must[webhook.Event](t)(eng.Publish(ctx, webhook.Event{Tenant: "acme", Type: "a", Payload: secret}))
		if err := eng.ExpungePayload(ctx, "acme", event.ID); err != nil {
			t.Fatal(err)
		}
		files := must[[]os.DirEntry](t)(os.ReadDir(folder))
		for _, file := range files {
			if text := must[[]byte](t)(os.ReadFile(filepath.Join(folder, file.Name()))); bytes.Contains(text, secret[:7]) {
				t.Errorf("payload %d is in %s", n, file.Name())
			}
		}
	}
	cancel()
	<-busy
	stop()
}

// TestPayloadsAreExpungedTogether breaks off behind the first of three: what is done is not
// sent, what is not is, and who asks again gets all of them done.
func TestPayloadsAreExpungedTogether(t *testing.T) {
	errDisk := errors.New("disk error")
	for name, fault := range map[string]struct {
		moment memstore.Moment
		err    error
		sent   int
	}{
		"nothing breaks":                   {memstore.Before, nil, 0},
		"an error":                         {memstore.Before, errDisk, 2},
		"a commit of unknown fate, stored": {memstore.After, store.ErrCommitUnknown, 1},
		"a commit of unknown fate":         {memstore.Before, store.ErrCommitUnknown, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) {
				st, adapter := memstore.New(), memadapter.New(memadapter.Reply{Delay: time.Minute})
				calls := 0
				st.Faults = func(_ context.Context, operation string, moment memstore.Moment) error {
					if operation != "ExpungePayload" || moment != fault.moment {
						return nil
					}
					if calls++; calls == 2 {
						return fault.err
					}
					return nil
				}
				eng, _ := startFake(t, st, adapter, neohook.Options{})
				createTenant(t, eng, "acme")
				createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Concurrency: 1, Timeout: 5 * time.Minute})
				publish(t, eng, "acme", `{}`)
				var waiting []webhook.EventID
				for range 3 {
					waiting = append(waiting, publish(t, eng, "acme", `{}`).ID)
				}
				time.Sleep(time.Second)
				ask := append(slices.Clone(waiting), "nobody", "msg_nonsense", waiting[0])
				found, err := eng.ExpungePayloadsOf(t.Context(), "acme", ask)
				if !errors.Is(err, fault.err) {
					t.Fatalf("%v, want %v", err, fault.err)
				}
				if want := []bool{true, true, true, false, false, true}; fault.err == nil && !slices.Equal(found, want) {
					t.Errorf("found %v, want %v", found, want)
				}
				time.Sleep(time.Hour)
				sent := 0
				for _, id := range waiting {
					sent += len(begun(adapter, id, ""))
				}
				if sent != fault.sent {
					t.Errorf("%d were sent, want %d", sent, fault.sent)
				}
				if _, err := eng.ExpungePayloadsOf(t.Context(), "acme", ask); err != nil {
					t.Errorf("asked again: %v", err)
				}
				for _, id := range waiting {
					if got := must[webhook.Event](t)(eng.Event(t.Context(), "acme", id)); got.Payload != nil {
						t.Errorf("the payload is %s", got.Payload)
					}
				}
			})
		})
	}
	inFakeTime(t, func(t *testing.T) {
		eng, _ := startFake(t, memstore.New(), memadapter.New(), neohook.Options{})
		createTenant(t, eng, "acme")
		_, err := eng.ExpungePayloadsOf(t.Context(), "acme", make([]webhook.EventID, neohook.MaxExpungedEvents+1))
		wantFields(t, "too many", err, "events")
		_, err = eng.ExpungePayloadsOf(t.Context(), "nobody", nil)
		wantErr(t, "of nobody", err, neohook.ErrNotFound)
	})
}
