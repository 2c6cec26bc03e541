package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

func TestRecountCommand(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	command := func() (int, string, string) {
		var out, errs strings.Builder
		code := run(t.Context(), []string{"recount", "--data", folder}, nil, console{out: &out, err: &errs})
		return code, out.String(), errs.String()
	}
	if code, _, said := command(); code != 1 || !strings.Contains(said, folder+" has no database") {
		t.Errorf("before a first start: exit code %d, %q; want to be told that there is nothing", code, said)
	}
	st := openFolder(t, folder)
	if err := st.InsertTenant(t.Context(), store.Tenant{Key: 1, Organisation: "org"}, nil); err != nil {
		t.Fatal(err)
	}
	accept := store.Accept{Tenant: 1, RouteVersion: 1, Type: "a"}
	if _, err := st.Commit(t.Context(), &store.Batch{Now: time.Now(), Accepts: []store.Accept{accept, accept}}); err != nil {
		t.Fatal(err)
	}
	if code, _, said := command(); code != 1 || !strings.Contains(said, "is in use by another neohook: stop that one") {
		t.Errorf("beside a server: exit code %d, %q; want to be told to stop it", code, said)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if code, out, said := command(); code != 0 || out != "Counted 2 events and 0 attempts anew: all 1 stored sums were right.\n" {
		t.Errorf("exit code %d, %q, %q", code, out, said)
	}
}

func TestRecountTellsWhatItHasChanged(t *testing.T) {
	var off store.Counts
	off[store.EventsAccepted], off[store.AttemptsFailed4xx], off[store.LatencyFirst] = 3, -1, 7
	var out strings.Builder
	err := tellRecounted(&out, &store.Recounted{Events: 9, Attempts: 8, Rollups: 7, Wrong: 2, Off: map[store.Unit]store.Counts{store.Hour: off}})
	want := "Counted 9 events and 8 attempts anew: 2 of 7 stored sums were wrong, and are right now.\n" +
		"Changed in the sums by hour: events accepted +3, attempts failed with 4xx -1.\n"
	if err != nil || out.String() != want {
		t.Errorf("said %q, %v; want %q", out.String(), err, want)
	}
}
