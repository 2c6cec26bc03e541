package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/store"
)

// register is tokens by hash, and how often it was asked.
type register struct {
	tokens map[[32]byte]store.Token
	asked  int
}

func (r *register) Token(_ context.Context, hash [32]byte, _ time.Time) (store.Token, error) {
	r.asked++
	token, found := r.tokens[hash]
	if !found {
		return token, store.ErrNotFound
	}
	return token, nil
}

func TestTokenIsRememberedForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := sha256.Sum256([]byte("sesame"))
		source := &register{tokens: map[[32]byte]store.Token{hash: {Organisation: "org_x"}}}
		known := tokens{source: source}
		ask := func() error {
			got, err := known.organisation(t.Context(), "sesame")
			if err == nil && got != "org_x" {
				t.Errorf("organisation %q", got)
			}
			return err
		}
		for range 3 {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}
		if source.asked != 1 {
			t.Errorf("asked %d times, want once", source.asked)
		}
		delete(source.tokens, hash)
		time.Sleep(tokenTTL - time.Nanosecond)
		if err := ask(); err != nil {
			t.Errorf("within the second: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := ask(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("revoked a second ago: %v, want ErrNotFound", err)
		}
		source.tokens[hash] = store.Token{Organisation: "org_x"}
		if err := ask(); err != nil {
			t.Errorf("made just now: %v", err)
		}
	})
}

func TestTokensRememberedAreBounded(t *testing.T) {
	source := &register{tokens: make(map[[32]byte]store.Token)}
	known := tokens{source: source}
	for i := range uint64(3 * maxTokens) {
		text := string(binary.BigEndian.AppendUint64(nil, i))
		source.tokens[sha256.Sum256([]byte(text))] = store.Token{Organisation: "org_x"}
		if _, err := known.organisation(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		if _, err := known.organisation(t.Context(), "no "+text); err == nil {
			t.Fatal("a guess was accepted")
		}
	}
	if len(known.known) > maxTokens {
		t.Errorf("%d tokens remembered, want at most %d", len(known.known), maxTokens)
	}
}
