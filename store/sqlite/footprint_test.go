package sqlite_test

import (
	"context"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

// TestFootprintIsWhatSQLiteCounts compares with what SQLite finds by reading every page.
func TestFootprintIsWhatSQLiteCounts(t *testing.T) {
	h := newHoard(t, 1)
	h.must(h.Script(t.Context(), "PRAGMA synchronous = OFF"))
	for range 3 {
		h.tenant(webhook.Retention{})
	}
	check := func(what string) {
		t.Helper()
		got, err := h.Footprint(t.Context())
		h.must(err)
		want := h.PageBytes(t.Context())
		for table, bytes := range want {
			if table == "sqlite_schema" {
				table = "schema"
			}
			if got.Tables[table] != bytes {
				t.Errorf("%s: table %s takes %d bytes, want %d", what, table, got.Tables[table], bytes)
			}
		}
		var sum int64
		for _, bytes := range got.Tables {
			sum += bytes
		}
		if sum += got.Unused; sum != got.Total {
			t.Errorf("%s: all of it comes to %d bytes, want %d", what, sum, got.Total)
		}
	}
	check("empty")
	for range 60 {
		h.publish(100)
	}
	check("6,000 events")
	_, err := h.Sweep(t.Context(), h.now.Add(60*24*time.Hour), webhook.Retention{Payloads: 1, Attempts: 1, Events: 1}, 100*time.Millisecond)
	h.must(err)
	check("some swept")
	got, err := h.Footprint(context.WithoutCancel(t.Context()))
	h.must(err)
	if got.Unused == 0 || got.Log == 0 {
		t.Errorf("%d bytes unused, %d of log", got.Unused, got.Log)
	}
	h.must(h.Close())
}
