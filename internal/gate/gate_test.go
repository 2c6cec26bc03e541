package gate

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// counted is a store that counts the tokens it was asked for.
type counted struct {
	*memstore.Store
	asked int
}

func (s *counted) Token(ctx context.Context, hash [32]byte, now time.Time) (store.Token, error) {
	s.asked++
	return s.Store.Token(ctx, hash, now)
}

// rig is a gate over a store.
type rig struct {
	*testing.T
	*Gate
	store *counted
	keys  store.TokenKey
}

func newRig(t *testing.T, jwt access.JWT) *rig {
	t.Helper()
	ids, err := ident.New(make([]byte, ident.SecretBytes))
	if err != nil {
		t.Fatal(err)
	}
	st := &counted{Store: memstore.New()}
	gate, err := New(st, &record.Translator{IDs: ids}, jwt)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{T: t, Gate: gate, store: st}
}

// tenant stores a tenant of org_x.
func (r *rig) tenant() (store.TenantKey, webhook.TenantID) {
	r.Helper()
	key, err := r.store.NewKey(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	t := store.Tenant{Key: store.TenantKey(key), Organisation: "org_x", Name: "Acme", CreatedAt: time.Now(), Version: 1}
	if err := r.store.InsertTenant(r.Context(), t, nil); err != nil {
		r.Fatal(err)
	}
	return t.Key, r.records.IDs.Tenant(t.CreatedAt, t.Key)
}

// token stores a token of org_x.
func (r *rig) token(text access.Text, change func(*store.Token)) store.TokenKey {
	r.Helper()
	r.keys++
	t := store.Token{Key: r.keys, Hash: text.Hash(), Organisation: "org_x", Scopes: []string{"read"}, CreatedAt: time.Now()}
	if change != nil {
		change(&t)
	}
	if err := r.store.InsertToken(r.Context(), t, nil); err != nil {
		r.Fatal(err)
	}
	return r.keys
}

func (r *rig) admits(what string, text access.Text, want bool) {
	r.Helper()
	_, err := r.Caller(r.Context(), string(text))
	if want && err != nil || !want && !errors.Is(err, access.ErrInvalid) {
		r.Errorf("%s: %v, want it admitted: %v", what, err, want)
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func TestTokenIsRememberedForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, access.JWT{})
		text := access.NewText()
		key := r.token(text, nil)
		for range 3 {
			r.admits("known", text, true)
		}
		if r.store.asked != 1 {
			t.Errorf("asked %d times, want once", r.store.asked)
		}
		r.must(r.store.DeleteToken(t.Context(), "org_x", key, time.Now()))
		time.Sleep(trust - time.Nanosecond)
		r.admits("ended elsewhere within the second", text, true)
		time.Sleep(time.Nanosecond)
		r.admits("ended elsewhere a second ago", text, false)
		r.token(text, nil)
		r.admits("made just now", text, true)
	})
}

func TestTokenEndedHereIsRefusedAtOnce(t *testing.T) {
	r := newRig(t, access.JWT{})
	text, other := access.NewText(), access.NewText()
	key := r.token(text, nil)
	r.token(other, nil)
	r.admits("known", text, true)
	r.admits("the other", other, true)
	r.must(r.End(t.Context(), string(text)))
	r.admits("ended", text, false)
	r.admits("the other", other, true)
	if _, err := r.store.TokenOf(t.Context(), "org_x", key, time.Now()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the store has it still: %v", err)
	}
	if err := r.End(t.Context(), string(text)); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("ended twice: %v, want ErrInvalid", err)
	}
}

// stalling holds a look-up open, so that the token can end in the middle of it.
type stalling struct {
	Store
	found, proceed chan struct{}
}

func (s *stalling) Token(ctx context.Context, hash [32]byte, now time.Time) (store.Token, error) {
	token, err := s.Store.Token(ctx, hash, now)
	s.found <- struct{}{}
	<-s.proceed
	return token, err
}

func TestTokenThatEndsWhileItIsLookedUpIsNotRemembered(t *testing.T) {
	r := newRig(t, access.JWT{})
	text := access.NewText()
	key := r.token(text, nil)
	slow := &stalling{Store: r.store, found: make(chan struct{}), proceed: make(chan struct{})}
	r.Gate.store = slow
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		r.admits("looked up before it ended", text, true)
	}()
	<-slow.found
	r.must(r.store.DeleteToken(t.Context(), "org_x", key, time.Now()))
	r.Forget()
	close(slow.proceed)
	<-answered
	r.Gate.store = r.store
	r.admits("afterwards", text, false)
}

func TestExpiryCountsWithinTheSecondToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, access.JWT{})
		text := access.NewText()
		r.token(text, func(t *store.Token) { t.ExpiresAt = time.Now().Add(trust / 2) })
		r.admits("before", text, true)
		time.Sleep(trust/2 - time.Microsecond)
		r.admits("just before", text, true)
		time.Sleep(time.Microsecond)
		r.admits("expired", text, false)
	})
}

func TestTokensRememberedAreBounded(t *testing.T) {
	r := newRig(t, access.JWT{})
	for i := range uint64(maxKnown + 100) {
		text := access.Text(binary.BigEndian.AppendUint64(nil, i))
		r.token(text, nil)
		r.admits("known", text, true)
		r.admits("a guess", "no "+text, false)
	}
	if len(r.known) > maxKnown {
		t.Errorf("%d tokens remembered, want at most %d", len(r.known), maxKnown)
	}
}

func TestMistypedTokenIsRefusedUnseen(t *testing.T) {
	r := newRig(t, access.JWT{})
	text := string(access.NewText())
	for _, wrong := range []string{text[:len(text)-1], text + "0", text[:10] + "-" + text[11:], access.TextPrefix, string(make([]byte, maxText+1))} {
		r.admits("mistyped", access.Text(wrong), false)
	}
	if r.store.asked != 0 {
		t.Errorf("the store was asked %d times", r.store.asked)
	}
}

func TestCallerIsWhatTheTokenSays(t *testing.T) {
	r := newRig(t, access.JWT{})
	key, id := r.tenant()
	tests := map[string]struct {
		change func(*store.Token)
		want   access.Caller
		rights string
	}{
		"admin":    {func(t *store.Token) { t.Scopes = []string{"admin"} }, access.Caller{}, "view view_secret view_headers manage_secret manage_endpoint create_attempts publish administer"},
		"read":     {func(t *store.Token) { t.Scopes = []string{"read"} }, access.Caller{}, "view"},
		"both":     {func(t *store.Token) { t.Scopes = []string{"read", "publish"} }, access.Caller{}, "view publish"},
		"unknown":  {func(t *store.Token) { t.Scopes = []string{"later"} }, access.Caller{}, ""},
		"confined": {func(t *store.Token) { t.Scopes, t.Tenant = []string{"publish"}, key }, access.Caller{Tenant: id}, "publish"},
		"portal": {func(t *store.Token) {
			t.Scopes, t.Portal, t.Tenant, t.FeatureFlags = nil, true, key, []string{"beta"}
		}, access.Caller{Tenant: id, FeatureFlags: []string{"beta"}}, "view view_secret view_headers manage_secret manage_endpoint create_attempts"},
	}
	for name, test := range tests {
		text := access.NewText()
		r.token(text, test.change)
		got, err := r.Caller(t.Context(), string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Organisation != "org_x" || got.Tenant != test.want.Tenant || got.Rights.String() != test.rights || len(got.FeatureFlags) != len(test.want.FeatureFlags) {
			t.Errorf("%s: %+v with %v, want %+v with %s", name, got, got.Rights, test.want, test.rights)
		}
	}
}
