package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
)

// crammed is a store that has no room while it is full.
type crammed struct {
	store.Store
	full atomic.Bool
}

func (s *crammed) Commit(ctx context.Context, batch *store.Batch) ([]store.Verdict, error) {
	if s.full.Load() {
		return nil, fmt.Errorf("write: %w", store.ErrFull)
	}
	return s.Store.Commit(ctx, batch)
}

// The log hears of a full disk when it begins and when it ends; every line has the id of
// its request.
func TestLogHearsOfAFullDiskOnce(t *testing.T) {
	st := &crammed{Store: memstore.New()}
	w := newWorld(t, worldOptions{store: st})
	w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
	send := func(want int) string {
		t.Helper()
		got := w.call(http.MethodPost, "/api/v1/app/acme/msg", `{"eventType":"a","payload":{}}`, nil)
		if got.status != want || want == 503 && !strings.Contains(got.body, `"storage_full"`) {
			t.Fatalf("%d %s, want %d", got.status, got.body, want)
		}
		return got.header.Get("neohook-request-id")
	}
	st.full.Store(true)
	first := send(503)
	for range 5 {
		send(503)
	}
	st.full.Store(false)
	last := send(202)
	send(202)

	var failed, again []string
	for line := range strings.Lines(w.logged.String()) {
		switch {
		case strings.Contains(line, "level=ERROR"):
			failed = append(failed, line)
		case strings.Contains(line, `msg="the store has room again"`):
			again = append(again, line)
		}
		if strings.Contains(line, "storage_full") && !strings.Contains(line, "request_id=") {
			t.Errorf("no id in %s", line)
		}
	}
	if len(failed) != 1 || !strings.Contains(failed[0], "request_id="+first) || !strings.Contains(failed[0], "status=503") {
		t.Errorf("errors %q, want one, of the first", failed)
	}
	if len(again) != 1 || !strings.Contains(again[0], "refused=6") || !strings.Contains(again[0], "request_id="+last) {
		t.Errorf("ends %q, want one that counts six", again)
	}
}
