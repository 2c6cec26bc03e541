package adaptertest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/neohook/neohook/webhook"
)

func verifies(t testing.TB, b Bench) {
	endpoint := b.Taking.endpoint()
	for name, payload := range map[string][]byte{"the adapter's own payload": nil, "a payload": []byte(`{"test": true}`)} {
		result := b.Adapter.Verify(t.Context(), endpoint, payload)
		checkResult(t, result)
		if !result.Success {
			t.Errorf("%s: the verification failed: %s", name, result.ErrorMessage())
		}
	}
}

func tellsHealth(t testing.TB, b Bench) {
	health := b.Adapter.Health(t.Context())
	checkHealth(t, health)
	if health.Status != webhook.Healthy {
		t.Errorf("a fresh adapter is %q for %q, want %q", health.Status, health.Reasons, webhook.Healthy)
	}
}

func checkHealth(t testing.TB, health webhook.Health) {
	t.Helper()
	switch health.Status {
	case webhook.Healthy:
		if len(health.Reasons) > 0 {
			t.Errorf("healthy, with the reasons %q", health.Reasons)
		}
	case webhook.Degraded, webhook.Unhealthy:
		if len(health.Reasons) == 0 {
			t.Errorf("%s, without a reason", health.Status)
		}
	default:
		t.Errorf("health = %q", health.Status)
	}
}

func concurrently(t testing.TB, b Bench) {
	const senders, each = 16, 8
	endpoint := b.Taking.endpoint()
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for n := range each {
				result := b.Adapter.Deliver(t.Context(), delivery(endpoint, fmt.Sprintf(`{"n":%d}`, sender*each+n)), endpoint)
				if !result.Success {
					t.Errorf("the delivery failed: %s", result.ErrorMessage())
				}
				b.Adapter.Health(t.Context())
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for range senders * each {
		seen[string(arrival(t, &b.Taking))] = true
	}
	if len(seen) != senders*each {
		t.Errorf("%d different payloads arrived, want %d", len(seen), senders*each)
	}
	noMore(t, &b.Taking)
}
