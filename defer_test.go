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

// defers publishes an event that is due some time from now.
func defers(t *testing.T, eng *neohook.Engine, in time.Duration, payload string) webhook.Event {
	t.Helper()
	event, err := eng.Publish(t.Context(), webhook.Event{
		Tenant: "acme", Type: "invoice.due", DeliverAt: time.Now().Add(in), Payload: []byte(payload),
	})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// payloads are what came, in order.
func payloads(adapter *memadapter.Adapter) (texts []string) {
	for _, request := range adapter.Requests() {
		texts = append(texts, string(request.Delivery.Payload))
	}
	return texts
}

func TestDeferredEventsGoOutAtTheirInstantToTheEndpointsOfThen(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		gone := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://gone.example"})
		start := time.Now()
		late := defers(t, eng, 3*time.Hour, `"late"`)
		early := defers(t, eng, time.Hour, `"early"`)
		same := defers(t, eng, time.Hour, `"early too"`)
		if shown := must[webhook.Event](t)(eng.Event(t.Context(), "acme", early.ID)); !shown.DeliverAt.Equal(start.Add(time.Hour)) || !shown.DeliverAt.Equal(early.DeliverAt) {
			t.Errorf("shown as due at %v, published as %v, want %v", shown.DeliverAt, early.DeliverAt, start.Add(time.Hour))
		}
		if err := eng.DeleteEndpoint(t.Context(), "acme", gone.ID); err != nil {
			t.Fatal(err)
		}
		hook := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		time.Sleep(time.Hour - time.Nanosecond)
		if came := adapter.Requests(); len(came) != 0 {
			t.Fatalf("%d requests came before their time", len(came))
		}
		time.Sleep(5 * time.Hour)
		for _, c := range []struct {
			event webhook.Event
			after time.Duration
		}{{early, time.Hour}, {same, time.Hour}, {late, 3 * time.Hour}} {
			if got := after(start, begun(adapter, c.event.ID, "")); !slices.Equal(got, []time.Duration{c.after}) {
				t.Errorf("%s came after %v, want %v", c.event.Payload, got, c.after)
			}
			if got := begun(adapter, c.event.ID, hook.ID); len(got) != 1 {
				t.Errorf("%s came %d times to the endpoint that is there", c.event.Payload, len(got))
			}
			standing := must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", c.event.ID, hook.ID))
			if standing.State != webhook.Succeeded || standing.Tried != 1 {
				t.Errorf("%s stands as %+v", c.event.Payload, standing)
			}
		}
	})
}

func TestWhatCameDueWhileNothingRanComesAtOnceInItsOrder(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter, st := memadapter.New(), memstore.New()
		eng, stop := startFake(t, st, adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example", Ordered: true})
		for i := range 300 {
			defers(t, eng, time.Hour-time.Duration(i%3)*time.Minute, fmt.Sprintf(`"%d, number %03d"`, 3-i%3, i))
		}
		defers(t, eng, 10*time.Hour, `"later"`)
		stop()
		time.Sleep(5 * time.Hour)
		if came := adapter.Requests(); len(came) != 0 {
			t.Fatalf("%d requests came while nothing ran", len(came))
		}
		start := time.Now()
		startFake(t, st.Reopen(), adapter, neohook.Options{})
		synctest.Wait()
		time.Sleep(time.Second)
		got := payloads(adapter)
		if len(got) != 300 || !slices.IsSorted(got) {
			t.Errorf("%d came at once, want the 300 that are due, by due time and then by acceptance: %v", len(got), got)
		}
		time.Sleep(6 * time.Hour)
		if last := adapter.Requests()[300]; string(last.Delivery.Payload) != `"later"` || last.At.Sub(start) != 5*time.Hour {
			t.Errorf("then %s came after %v, want the later one after 5h", last.Delivery.Payload, last.At.Sub(start))
		}
	})
}

func TestCancelledEventGoesToNobody(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		at := time.Now()
		event, stays, plain := defers(t, eng, time.Hour, `"no"`), defers(t, eng, time.Hour, `"yes"`), publish(t, eng, "acme", `"now"`)
		for range 2 {
			if err := eng.CancelEvent(t.Context(), "acme", event.ID); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
		}
		shown := must[webhook.Event](t)(eng.Event(t.Context(), "acme", event.ID))
		if !shown.CancelledAt.Equal(at) {
			t.Errorf("cancelled at %v, want %v: the first time", shown.CancelledAt, at)
		}
		for what, ref := range map[string]webhook.EventID{"one that was not deferred": plain.ID, "none": "no-such-event"} {
			want := neohook.ErrNotDeferred
			if what == "none" {
				want = neohook.ErrNotFound
			}
			if err := eng.CancelEvent(t.Context(), "acme", ref); !errors.Is(err, want) {
				t.Errorf("cancelling %s: %v, want %v", what, err, want)
			}
		}
		time.Sleep(2 * time.Hour)
		if err := eng.CancelEvent(t.Context(), "acme", stays.ID); !errors.Is(err, neohook.ErrNotDeferred) {
			t.Errorf("cancelling one that was sent: %v", err)
		}
		if got := payloads(adapter); !slices.Equal(got, []string{`"now"`, `"yes"`}) {
			t.Errorf("what came is %v", got)
		}
	})
}

func TestEventIsDeferredAMinuteToAYear(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		for what, c := range map[string]struct {
			in    time.Duration
			right bool
		}{
			"a moment too soon":  {time.Minute - time.Microsecond, false},
			"a minute":           {time.Minute, true},
			"a leap year":        {366 * 24 * time.Hour, true},
			"a moment too late":  {366*24*time.Hour + time.Microsecond, false},
			"in the past":        {-time.Hour, false},
			"just now":           {0, false},
			"a century too late": {100 * 366 * 24 * time.Hour, false},
		} {
			_, err := eng.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "a", DeliverAt: time.Now().Add(c.in)})
			invalid, is := errors.AsType[*webhook.InvalidError](err)
			if is != !c.right || is && invalid.Fields[0].Field != "deliverAt" || !is && err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func TestRepeatOfADeferredEventIsToldTheFirstHoweverLate(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		once := func(key string) *neohook.Organisation {
			return eng.Once(neohook.Once{Key: key, Request: []byte("the same"), KeepFor: 2 * time.Hour})
		}
		event := webhook.Event{Tenant: "acme", Type: "a", DeliverAt: time.Now().Add(time.Minute)}
		first := must[webhook.Event](t)(once("a").Publish(t.Context(), event))
		for range 3 {
			time.Sleep(50 * time.Second)
			again, err := once("a").Publish(t.Context(), event)
			if err != nil || again.ID != first.ID || !again.AcceptedAt.Equal(first.AcceptedAt) {
				t.Errorf("after %v: %v, %v", time.Since(first.AcceptedAt), again.ID, err)
			}
		}
		results := must[[]neohook.Published](t)(once("b").PublishBatch(t.Context(), "acme", []webhook.Event{event, {Type: "now"}}))
		if _, is := errors.AsType[*webhook.InvalidError](results[0].Err); !is || results[1].Err != nil {
			t.Errorf("in a batch that comes too late: %v and %v", results[0].Err, results[1].Err)
		}
		if _, err := once("c").Publish(t.Context(), event); err == nil {
			t.Error("another one was accepted with a time that has passed")
		}
		time.Sleep(time.Second)
		if came := adapter.Requests(); len(came) != 2 {
			t.Errorf("%d requests came, want one for each event", len(came))
		}
	})
}

func TestDeferredEventOfADeletedTenantEndsQuietly(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter, log := memadapter.New(), newJournal()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Logger: log.logger()})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		defers(t, eng, time.Hour, `"no"`)
		if err := eng.DeleteTenant(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		createTenant(t, eng, "acme") // another one of the name
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hook.example"})
		defers(t, eng, 2*time.Hour, `"yes"`)
		time.Sleep(5 * time.Hour)
		if got := payloads(adapter); !slices.Equal(got, []string{`"yes"`}) {
			t.Errorf("what came is %v", got)
		}
		if told := log.entries(t); len(told) != 0 {
			t.Errorf("logged %+v", told)
		}
		if late := eng.Stats(t.Context()).Deferred.Late; late != 0 {
			t.Errorf("something is late by %v", late)
		}
	})
}

func TestDeferredEventsCountTowardsTheBacklog(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st := memstore.New()
		eng, stop := startFake(t, st, memadapter.New(), neohook.Options{MaxTenantBacklog: 3})
		createTenant(t, eng, "acme")
		event := defers(t, eng, time.Hour, `1`)
		defers(t, eng, time.Hour, `2`)
		stop()
		eng, _ = startFake(t, st.Reopen(), memadapter.New(), neohook.Options{MaxTenantBacklog: 3})
		defers(t, eng, time.Hour, `3`)
		refused := func(what string, want bool) {
			t.Helper()
			_, err := eng.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "a", DeliverAt: time.Now().Add(time.Hour)})
			if errors.Is(err, neohook.ErrBacklogFull) != want {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("three wait", true)
		if err := eng.CancelEvent(t.Context(), "acme", event.ID); err != nil {
			t.Fatal(err)
		}
		refused("one was cancelled", false)
		refused("three wait again", true)
		time.Sleep(2 * time.Hour)
		for range 3 {
			refused("all have gone out, to nobody", false)
		}
	})
}
