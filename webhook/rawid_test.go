package webhook_test

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

// The text and bytes are the example in the README of github.com/segmentio/ksuid, whose
// identifiers have the same alphabet and length.
func TestRawIDIsWrittenLikeAKSUID(t *testing.T) {
	want, err := hex.DecodeString("0669f7efb5a1cd34b5f99d1154fb6853345c9735")
	if err != nil {
		t.Fatal(err)
	}
	const text = "msg_0ujtsYcgvSTl8PAuAdqWYSMnLOv"
	raw, err := webhook.ParseRawID("msg_", text)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw[:], want) {
		t.Errorf("ParseRawID = %x, want %x", raw, want)
	}
	if got := raw.Format("msg_"); got != text {
		t.Errorf("Format = %q, want %q", got, text)
	}
}

func TestRawIDKeepsItsTimeToFourMilliseconds(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 891_234_567, time.UTC)
	raw := webhook.MakeRawID(at, [15]byte{1, 2, 3})
	if got, want := raw.Time(), at.Truncate(4*time.Millisecond); !got.Equal(want) {
		t.Errorf("Time = %v, want %v", got, want)
	}
	if got := raw.Rest(); got != [15]byte{1, 2, 3} {
		t.Errorf("Rest = %v", got)
	}
}
