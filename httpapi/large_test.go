package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/neohook/neohook/store"
)

// A list of attempts with their messages once took as much memory as its limit allowed
// payloads: 250 MiB for one request.
func TestAttemptsWithLargeMessagesComeInShortPages(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		w.id("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
		w.id("POST", "/api/v1/app/acme/endpoint", `{"url":"https://receiver.example","uid":"orders"}`)
		const count = 20
		for range count {
			w.id("POST", "/api/v1/app/acme/msg?with_content=false", fmt.Sprintf(`{"eventType":"order.made","payload":{"pad":%q}}`, strings.Repeat("x", 1_000_000)))
			w.await(1)
		}
		seen := make(map[string]bool)
		path := "/api/v1/app/acme/attempt/endpoint/orders?with_msg=true&limit=250"
		for next, done := "", false; !done; {
			page := w.must("GET", path+next, "")
			items, _ := page["data"].([]any)
			if len(items) == 0 || len(items) > 8 {
				t.Fatalf("a page of %d attempts with a megabyte each, want 1 to 8", len(items))
			}
			for _, item := range items {
				attempt, _ := item.(map[string]any)
				id, _ := attempt["id"].(string)
				if message, _ := attempt["msg"].(map[string]any); message["id"] != attempt["msgId"] {
					t.Errorf("attempt %s comes with message %v", id, message["id"])
				}
				seen[id] = true
			}
			done, _ = page["done"].(bool)
			iterator, _ := page["iterator"].(string)
			next = "&iterator=" + iterator
		}
		if len(seen) != count {
			t.Errorf("the pages hold %d attempts, want %d", len(seen), count)
		}
	})
}
