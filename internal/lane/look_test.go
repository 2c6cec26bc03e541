package lane

import (
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

func TestALookTellsWhatIsInFlightAndWhatKeepsTheRest(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := New(Limits{Attempts: 100, Unrecorded: 100, Rows: 100, Bytes: 100, Page: 10})
	settings := Settings{Concurrency: 1}
	look := func(what string, now time.Time, event int, want Sight) {
		t.Helper()
		if got := b.Look(now, 1, store.EventKey(event)); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	look("no lane", start, 1, Sight{})
	for event := 1; event <= 3; event++ {
		b.Offer(start, Delivery{Tenant: 1, Endpoint: 1, Event: store.EventKey(event)}, settings)
	}
	d, _ := b.Begin(start)
	look("in flight", start, 1, Sight{SendingSince: start})
	look("behind it", start, 2, Sight{})

	quiet := start.Add(time.Minute)
	b.Finish(start, d, Result{Verdict: Throttled, Ends: true, HoldUntil: quiet})
	b.Record(start, d, time.Time{})
	look("the receiver asked for quiet", start, 2, Sight{Wait: ForReceiver, Until: quiet})
	look("that is only in the store", start, 99, Sight{Wait: ForReceiver, Until: quiet})
	look("which is over", quiet, 2, Sight{})

	b.Configure(start, 1, Settings{Concurrency: 1, Closed: true})
	look("closed", start, 2, Sight{})
	b.Configure(start, 1, Settings{Concurrency: 1, Paused: true})
	look("paused", start, 2, Sight{Wait: ForResume})
	look("paused and only in the store", start, 99, Sight{Wait: ForResume})
	b.Configure(start, 1, settings)
	b.Pause(start, true)
	look("everything is paused", start, 2, Sight{Wait: ForResume})
	b.Pause(start, false)

	now := quiet
	for range openAfter {
		b.Offer(now, Delivery{Tenant: 1, Endpoint: 1, Event: 1000}, settings)
		b.Advance(now)
		d, given := b.Begin(now)
		if !given {
			break // the breaker is open
		}
		b.Finish(now, d, Result{Verdict: Failure})
		b.Record(now, d, now)
	}
	look("the breaker is open", now, 2, Sight{Wait: ForBreaker, Until: now.Add(firstPause)})
	look("that is only in the store", now, 99, Sight{Wait: ForBreaker, Until: now.Add(firstPause)})
	now = now.Add(firstPause)
	b.Advance(now)
	probe, given := b.Begin(now)
	if !given {
		t.Fatal("no probe")
	}
	look("the probe", now, int(probe.Event), Sight{SendingSince: now, Wait: ForBreaker, Until: now})
	b.Finish(now, probe, Result{Verdict: Success, Ends: true})
	look("it worked", now, 99, Sight{})
}
