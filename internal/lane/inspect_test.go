package lane

import (
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

func TestAnInspectionTellsHowAnEndpointIsDoing(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := New(Limits{Attempts: 100, Unrecorded: 100, Rows: 100, Bytes: 100, Page: 10})
	inspect := func(what string, want Inspection) {
		t.Helper()
		if got := b.Inspect(now, 1); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	inspect("no lane", Inspection{})
	event := store.EventKey(0)
	attempt := func(result Result) (d Delivery, given bool) {
		event++
		b.Offer(now, Delivery{Tenant: 1, Endpoint: 1, Event: event}, Settings{Concurrency: 4})
		b.Advance(now)
		if d, given = b.Begin(now); given && result != (Result{}) {
			b.Finish(now, d, result)
			b.Record(now, d, time.Time{})
		}
		return d, given
	}
	flying, _ := attempt(Result{})
	inspect("in flight", Inspection{Room: 4, InFlight: 1})
	b.Finish(now, flying, Result{Verdict: Throttled, Ends: true, HoldUntil: now.Add(time.Minute)})
	b.Record(now, flying, time.Time{})
	inspect("asked for quiet", Inspection{Failures: 1, Recent: 1, RecentFailed: 1, Room: 2, QuietUntil: now.Add(time.Minute)})
	now = now.Add(time.Hour)
	attempt(Result{Verdict: Success, Ends: true})
	inspect("works", Inspection{Recent: 2, RecentFailed: 1, Room: 3})
	for range openAfter {
		attempt(Result{Verdict: Failure, Ends: true})
	}
	open := Inspection{BreakerOpen: true, Opens: now.Add(firstPause), Failures: openAfter, Recent: 2 + openAfter, RecentFailed: 1 + openAfter, Room: 3}
	inspect("open", open)
	now = now.Add(firstPause)
	attempt(Result{})
	open.Probing, open.Opens, open.InFlight = true, time.Time{}, 1
	inspect("probing", open)
}
