package neohook_test

import (
	"fmt"
	"testing"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/webhook"
)

// BenchmarkPause pauses and resumes while so many deliveries wait at an endpoint whose
// receiver does not answer, over SQLite.
func BenchmarkPause(b *testing.B) {
	for _, waiting := range []int{100, 100_000} {
		eng, endpoint := waitingAt(b, waiting)
		set := func(b *testing.B, paused bool) {
			b.Helper()
			_, err := eng.UpdateEndpoint(b.Context(), "acme", endpoint, func(ep *webhook.Endpoint) error {
				ep.Paused = paused
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("endpoint/waiting=%d", waiting), func(b *testing.B) {
			for b.Loop() {
				set(b, true)
				set(b, false)
			}
		})
		b.Run(fmt.Sprintf("everything/waiting=%d", waiting), func(b *testing.B) {
			for b.Loop() {
				if err := eng.Pause(b.Context()); err != nil {
					b.Fatal(err)
				}
				if err := eng.Resume(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func waitingAt(b *testing.B, waiting int) (*neohook.Engine, webhook.EndpointID) {
	b.Helper()
	adapter := memadapter.New(memadapter.Reply{Delay: memadapter.Never})
	eng, _ := start(b, openStore(b, b.TempDir()), neohook.Options{Adapter: adapter, EndpointConcurrency: 1, Grace: 1})
	if _, err := eng.CreateTenant(b.Context(), webhook.Tenant{Name: "acme", UID: "acme"}); err != nil {
		b.Fatal(err)
	}
	endpoint, err := eng.CreateEndpoint(b.Context(), "acme", webhook.Endpoint{URL: "https://acme.example"})
	if err != nil {
		b.Fatal(err)
	}
	const batch = 1000
	for published := 0; published < waiting; published += batch {
		events := make([]webhook.Event, min(batch, waiting))
		for i := range events {
			events[i] = webhook.Event{Type: "a", Payload: []byte(`{}`)}
		}
		accepted, err := eng.PublishBatch(b.Context(), "acme", events)
		if err != nil {
			b.Fatal(err)
		}
		for _, one := range accepted {
			if one.Err != nil {
				b.Fatal(one.Err)
			}
		}
	}
	return eng, endpoint.ID
}
