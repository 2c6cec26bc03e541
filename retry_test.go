package neohook_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func TestRetriesOverFiveDaysKeepTheDefaultScheduleWithinItsJitter(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		const takes = 3 * time.Second
		adapter := memadapter.New(memadapter.Reply{Delay: takes, StatusCode: 500})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Jitter: 0.2})
		createTenant(t, eng, "acme")
		type sent struct {
			event    webhook.Event
			endpoint webhook.EndpointID
			at       time.Time
		}
		var all []sent
		for hour := range 5 * 24 {
			channel := fmt.Sprint("hour-", hour)
			endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Channels: []string{channel}})
			at := time.Now()
			event, err := eng.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: "a", Channels: []string{channel}, Payload: []byte(`{}`)})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, sent{event, endpoint.ID, at})
			time.Sleep(time.Hour)
		}
		time.Sleep(40 * time.Hour)
		schedule := webhook.DefaultSchedule()
		var shortest, longest float64 = 2, 0
		for _, s := range all {
			at := begun(adapter, s.event.ID, s.endpoint)
			if len(at) != len(schedule)+1 || !at[0].Equal(s.at) {
				t.Fatalf("published at %v and tried at %v, want %d attempts, the first at once", s.at, at, len(schedule)+1)
			}
			for i, wait := range schedule {
				share := float64(at[i+1].Sub(at[i])-takes) / float64(wait)
				shortest, longest = min(shortest, share), max(longest, share)
				if share < 0.8 || share > 1.2 {
					t.Errorf("wait %d was %.3f of %v", i+1, share, wait)
				}
			}
		}
		t.Logf("%d deliveries failed 8 times each, waits were %.3f to %.3f of the schedule's", len(all), shortest, longest)
		if shortest > 0.81 || longest < 1.19 {
			t.Errorf("of %d waits none is near the bounds: %.3f to %.3f", len(all)*len(schedule), shortest, longest)
		}
	})
}

func TestRetryBeginsAtItsVeryInstant(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{StatusCode: 500})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		var starts []time.Time
		var events []webhook.Event
		for i := range 2 { // two at once, so that one's retry is not the only thing to wake for
			time.Sleep(time.Duration(i) * 1234567 * time.Microsecond)
			starts, events = append(starts, time.Now()), append(events, publish(t, eng, "acme", `{}`))
		}
		time.Sleep(48 * time.Hour)
		want := []time.Duration{0}
		for _, wait := range webhook.DefaultSchedule() {
			want = append(want, want[len(want)-1]+wait)
		}
		for i, event := range events {
			if got := after(starts[i], begun(adapter, event.ID, "")); !slices.Equal(got, want) {
				t.Errorf("attempts began after %v, want %v", got, want)
			}
		}
	})
}

func TestRetryOfAnEarlierEngineBeginsAtItsInstant(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		st, adapter := memstore.New(), memadapter.New(memadapter.Reply{StatusCode: 500})
		opts := neohook.Options{Schedule: webhook.Schedule{time.Hour, 10 * time.Hour}}
		eng, stop := startFake(t, st, adapter, opts)
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		start := time.Now()
		due := publish(t, eng, "acme", `{"n":1}`)
		time.Sleep(30 * time.Minute)
		stop()
		eng, stop = startFake(t, st, adapter, opts)
		overdue := publish(t, eng, "acme", `{"n":2}`)
		time.Sleep(45 * time.Minute)
		stop()
		time.Sleep(5 * time.Hour)
		startFake(t, st, adapter, opts)
		time.Sleep(48 * time.Hour)

		want := []time.Duration{0, time.Hour, 11 * time.Hour}
		if got := after(start, begun(adapter, due.ID, "")); !slices.Equal(got, want) {
			t.Errorf("attempts began after %v, want %v", got, want)
		}
		// Nobody was there when it came due: then it is sent as soon as somebody is.
		back := 75*time.Minute + 5*time.Hour
		want = []time.Duration{30 * time.Minute, back, back + 10*time.Hour}
		if got := after(start, begun(adapter, overdue.ID, "")); !slices.Equal(got, want) {
			t.Errorf("attempts of what came due in between began after %v, want %v", got, want)
		}
	})
}

func TestRetryAfterHoldsTheWholeEndpoint(t *testing.T) {
	for _, status := range []int{429, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) {
				const quiet = 90 * time.Minute
				adapter := memadapter.New(memadapter.Reply{StatusCode: status, RetryAfter: quiet}, memadapter.Reply{})
				eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
				createTenant(t, eng, "acme")
				held := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
				start := time.Now()
				publish(t, eng, "acme", `{"n":1}`)
				time.Sleep(time.Minute)
				other := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://other.example"})
				for range 3 {
					publish(t, eng, "acme", `{"n":2}`)
				}
				time.Sleep(24 * time.Hour)
				// One at a time at first, as the receiver asked for less.
				want := []time.Duration{0, quiet, quiet, quiet, quiet}
				if got := after(start, begun(adapter, "", held.ID)); !slices.Equal(got, want) {
					t.Errorf("attempts began after %v, want %v", got, want)
				}
				want = []time.Duration{time.Minute, time.Minute, time.Minute}
				if got := after(start, begun(adapter, "", other.ID)); !slices.Equal(got, want) {
					t.Errorf("attempts at another endpoint began after %v, want %v", got, want)
				}
			})
		})
	}
}

func TestReceiverMayNotAskForMoreQuietThanTwelveHours(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{StatusCode: 503, RetryAfter: 1000 * time.Hour}, memadapter.Reply{})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		start := time.Now()
		publish(t, eng, "acme", `{}`)
		time.Sleep(48 * time.Hour)
		if got, want := after(start, begun(adapter, "", "")), []time.Duration{0, 12 * time.Hour}; !slices.Equal(got, want) {
			t.Errorf("attempts began after %v, want %v", got, want)
		}
	})
}

func TestReceiverThatHangsIsCutOffAtItsTimeoutAndHarmsNobody(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{time.Minute, time.Hour}})
		createTenant(t, eng, "acme")
		hangs := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://hangs.example", Timeout: 45 * time.Second})
		works := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://works.example"})
		adapter.ScriptFor(hangs.ID, memadapter.Reply{Delay: memadapter.Never})
		start := time.Now()
		first := publish(t, eng, "acme", `{}`)
		for range 20 {
			publish(t, eng, "acme", `{}`)
			time.Sleep(time.Second)
		}
		time.Sleep(24 * time.Hour)
		want := []time.Duration{0, 45*time.Second + time.Minute, 2*45*time.Second + time.Minute + time.Hour}
		got := after(start, begun(adapter, first.ID, hangs.ID))
		if len(got) != 3 || got[0] != want[0] || got[1] < want[1] || got[2] < want[2] {
			t.Errorf("attempts began after %v, want %v or later, as one at a time is what it bears", got, want)
		}
		at := after(start, begun(adapter, "", works.ID))
		if len(at) != 21 {
			t.Fatalf("the endpoint beside it had %d attempts, want 21", len(at))
		}
		for i, passed := range at[1:] {
			if passed != time.Duration(i)*time.Second {
				t.Errorf("event %d arrived beside it after %v", i, passed)
			}
		}
		for _, a := range attempts(t, eng, first, 4) {
			if a.Endpoint == hangs.ID && a.Duration != 45*time.Second {
				t.Errorf("attempt %d took %v, want the timeout", a.Number, a.Duration)
			}
		}
	})
}
