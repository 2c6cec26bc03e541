package neohook_test

import (
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// sendingOf counts the deliveries that have an attempt in flight.
func sendingOf(t *testing.T, eng *neohook.Engine, events []webhook.Event, endpoint webhook.EndpointID) (count int) {
	t.Helper()
	for _, event := range events {
		if must[webhook.Standing](t)(eng.Delivery(t.Context(), "acme", event.ID, endpoint)).State == webhook.Sending {
			count++
		}
	}
	return count
}

func TestAnEndpointsOwnConcurrencyCounts(t *testing.T) {
	adapter := newProbe()
	eng, _ := start(t, openStore(t, t.TempDir()), neohook.Options{Adapter: adapter, EndpointConcurrency: 5, Grace: time.Nanosecond})
	createTenant(t, eng, "acme")
	for own, want := range map[int]int{0: 5, 2: 2, 20: 20} {
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://a.example/", Concurrency: own})
		var events []webhook.Event
		for range 30 {
			events = append(events, publish(t, eng, "acme", `{}`))
		}
		// Whatever may begin has begun when Publish returns.
		if got := sendingOf(t, eng, events, endpoint.ID); got != want {
			t.Errorf("%d of its own: %d attempts in flight, want %d", own, got, want)
		}
		must[webhook.Endpoint](t)(eng.UpdateEndpoint(t.Context(), "acme", endpoint.ID, func(ep *webhook.Endpoint) error { ep.Concurrency = 25; return nil }))
		if got := sendingOf(t, eng, events, endpoint.ID); got != 25 {
			t.Errorf("%d of its own, then 25: %d attempts in flight", own, got)
		}
		if err := eng.DeleteEndpoint(t.Context(), "acme", endpoint.ID); err != nil {
			t.Fatal(err)
		}
	}
}
