// Package recordtest is for tests of what works with stored rows.
package recordtest

import (
	"testing"

	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/seal"
)

// New returns a translator with secrets of its own, as a new store has one.
func New(tb testing.TB) *record.Translator {
	tb.Helper()
	text, err := seal.Generate()
	if err != nil {
		tb.Fatal(err)
	}
	keyset, err := seal.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	ids, err := ident.New(ident.NewSecret())
	if err != nil {
		tb.Fatal(err)
	}
	return &record.Translator{IDs: ids, Keyset: keyset}
}
