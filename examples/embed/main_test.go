package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestEmbeddedEngineDeliversAndTheReceiverVerifies(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), filepath.Join(t.TempDir(), "neohook.db"), &out); err != nil {
		t.Fatal(err)
	}
	if want := "arrived and verified: {\"amount\": 1250}\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
