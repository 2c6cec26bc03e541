package adaptertest

import (
	"context"
	"testing"

	"github.com/neohook/neohook/webhook"
)

func endedBefore(t testing.TB, b Bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	endpoint := b.Taking.endpoint()
	checkRefused(t, b.Adapter.Deliver(ctx, delivery(endpoint, `{}`), endpoint), webhook.FaultCancelled)
	checkRefused(t, b.Adapter.Verify(ctx, endpoint, nil), webhook.FaultCancelled)
	noMore(t, &b.Taking)
	checkHealth(t, b.Adapter.Health(ctx))
}

// send begins a delivery and returns once it has arrived.
func send(ctx context.Context, t testing.TB, b Bench, to *Receiver) <-chan webhook.Result {
	t.Helper()
	endpoint := to.endpoint()
	results := make(chan webhook.Result, 1)
	go func() { results <- b.Adapter.Deliver(ctx, delivery(endpoint, `{}`), endpoint) }()
	arrival(t, to)
	return results
}

func endsWithContext(t testing.TB, b Bench) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results := send(ctx, t, b, b.Silent)
	cancel()
	checkRefused(t, <-results, webhook.FaultCancelled)
}

func endsAtTimeout(t testing.TB, b Bench) {
	endpoint := b.Silent.endpoint()
	endpoint.Timeout = webhook.MinTimeout
	result := b.Adapter.Deliver(t.Context(), delivery(endpoint, `{}`), endpoint)
	checkSent(t, result)
	if result.Fault == nil || result.Fault.Kind != webhook.FaultTimeout {
		t.Errorf("fault = %+v, want one of the kind %q", result.Fault, webhook.FaultTimeout)
	}
	if took := result.Duration(); took < webhook.MinTimeout {
		t.Errorf("it gave up after %v, want no less than the timeout of %v", took, webhook.MinTimeout)
	}
}

func closeAdapter(t testing.TB, b Bench) {
	t.Helper()
	if err := b.Adapter.(interface{ Close() error }).Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func closes(t testing.TB, b Bench) {
	endpoint := b.Taking.endpoint()
	b.Adapter.Deliver(t.Context(), delivery(endpoint, `{}`), endpoint)
	arrival(t, &b.Taking)
	closeAdapter(t, b)
	closeAdapter(t, b) // a second time does nothing
	checkRefused(t, b.Adapter.Deliver(t.Context(), delivery(endpoint, `{}`), endpoint), webhook.FaultClosed)
	checkRefused(t, b.Adapter.Verify(t.Context(), endpoint, nil), webhook.FaultClosed)
	noMore(t, &b.Taking)
	health := b.Adapter.Health(t.Context())
	checkHealth(t, health)
	if health.Status != webhook.Unhealthy {
		t.Errorf("a closed adapter is %q, want %q", health.Status, webhook.Unhealthy)
	}
}

// closesInFlight needs an end of what is in flight; whether Close waits for its answer,
// its timeout, or cuts it short is the adapter's to say.
func closesInFlight(t testing.TB, b Bench) {
	b.Silent.Endpoint.Timeout = webhook.MinTimeout
	results := send(t.Context(), t, b, b.Silent)
	closeAdapter(t, b)
	select {
	case result := <-results:
		checkResult(t, result)
		if result.Success {
			t.Error("success = true for a delivery that was not answered")
		}
	case <-t.Context().Done():
		t.Error("the delivery did not end")
	}
}
