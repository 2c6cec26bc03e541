package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestAnOrderAndItsEventAreStoredTogetherOrNotAtAll(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), filepath.Join(t.TempDir(), "shop.db"), &out); err != nil {
		t.Fatal(err)
	}
	const want = `order 1 is stored
heard of: {"item":"teapot","order":1,"pieces":2}
refused: 4 pieces of teapot: constraint failed: CHECK constraint failed: pieces >= 0 (275)
order 2 is stored
heard of: {"item":"teapot","order":2,"pieces":3}
`
	if out.String() != want {
		t.Errorf("printed\n%s, want\n%s", out.String(), want)
	}
}
