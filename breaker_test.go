package neohook_test

import (
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func TestBreakerSparesADeadEndpointForHoursAndClosesOnTheFirstSuccess(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New(memadapter.Reply{StatusCode: 500})
		eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example"})
		start := time.Now()
		const events = 100
		for range events {
			publish(t, eng, "acme", `{}`)
		}
		const dead = 3 * time.Hour
		time.Sleep(dead)
		adapter.Script(memadapter.Reply{})
		time.Sleep(48 * time.Hour)

		got := after(start, begun(adapter, "", ""))
		var failed []time.Duration
		for _, passed := range got {
			if passed < dead {
				failed = append(failed, passed)
			}
		}
		// Twenty failures and what was in flight beside them, then a probe at a time.
		first := slices.IndexFunc(failed, func(passed time.Duration) bool { return passed > 0 })
		if first < 20 || first >= 20+10 {
			t.Fatalf("%d attempts failed before the breaker opened, want 20 and less than 10 beside", first)
		}
		next, pause := time.Duration(0), 5*time.Second
		for _, passed := range failed[first:] {
			if next += pause; passed != next {
				t.Fatalf("a probe began after %v, want %v; all: %v", passed, next, failed[first:])
			}
			pause = min(2*pause, 5*time.Minute)
		}
		if next < dead-pause {
			t.Errorf("the last probe began after %v", next)
		}
		// No delivery has spent its schedule on the breaker's account, and all arrive once
		// the receiver is back.
		probe := next + pause
		if at := got[len(failed)]; at != probe {
			t.Errorf("the probe that closes began after %v, want %v", at, probe)
		}
		succeeded, soon := 0, 0
		for _, passed := range got[len(failed):] {
			succeeded++
			if passed == probe {
				soon++
			}
		}
		// What never was tried, and what came due while the breaker was open, goes at once.
		if succeeded != events || soon < events-10 {
			t.Errorf("%d of %d were delivered after the breaker closed, %d at once", succeeded, events, soon)
		}
	})
}
