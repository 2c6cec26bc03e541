package neohook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

var adminToken = access.Token{Name: "ci", Scopes: []access.Scope{access.Admin}}

// issue makes a token that has to be right.
func issue(t *testing.T, org *neohook.Organisation, token access.Token) (access.Token, access.Text) {
	t.Helper()
	made, text, err := org.CreateToken(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return made, text
}

func succeed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// opens checks whether a token is taken.
func opens(t *testing.T, eng *neohook.Engine, what string, text access.Text, want bool) {
	t.Helper()
	_, err := eng.Authenticate(t.Context(), string(text))
	if want && err != nil || !want && !errors.Is(err, access.ErrInvalid) {
		t.Errorf("%s: %v, want it taken: %v", what, err, want)
	}
}

func TestTokenStandsForWhatItWasMadeFor(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		acme := must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		expires := time.Now().Add(time.Hour).Truncate(time.Microsecond).UTC()
		wanted := []access.Token{
			adminToken,
			{Name: "publisher", Tenant: "acme", Scopes: []access.Scope{access.Publisher}, ExpiresAt: expires},
			{Tenant: acme.ID, Portal: true, Capabilities: []access.Capability{access.CanViewBase}, FeatureFlags: []string{"beta"}, Session: "s", ReadOnly: true},
		}
		for _, want := range wanted {
			made, text := issue(t, eng.Organisation, want)
			caller := must[access.Caller](t)(eng.Authenticate(ctx, string(text)))
			if !strings.HasPrefix(string(made.ID), "tok_") || time.Since(made.CreatedAt) > time.Minute {
				t.Errorf("made %+v", made)
			}
			if want.Tenant != "" {
				want.Tenant = acme.ID
			}
			want.ID, want.CreatedAt, want.Organisation = made.ID, made.CreatedAt, neohook.DefaultOrganisation
			if !reflect.DeepEqual(made, want) {
				t.Errorf("made\n%+v, want\n%+v", made, want)
			}
			if got := must[access.Token](t)(eng.Token(ctx, made.ID)); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v, want\n%+v", got, want)
			}
			if caller.Organisation != neohook.DefaultOrganisation || caller.Tenant != want.Tenant || caller.Rights != want.Rights() {
				t.Errorf("caller %+v of %+v", caller, want)
			}
			if _, err := eng.In("org_other").Token(ctx, made.ID); !errors.Is(err, neohook.ErrNotFound) {
				t.Errorf("another organisation's: %v", err)
			}
			if err := eng.In("org_other").RevokeToken(ctx, made.ID); !errors.Is(err, neohook.ErrNotFound) {
				t.Errorf("revoked by another organisation: %v", err)
			}
			opens(t, eng, "after all", text, true)
		}
		own := must[neohook.List[access.Token]](t)(eng.Tokens(ctx, neohook.TokenFilter{}, neohook.Page{}))
		portal := must[neohook.List[access.Token]](t)(eng.Tokens(ctx, neohook.TokenFilter{Portal: true, Tenant: "acme"}, neohook.Page{}))
		if len(own.Items) != 2 || own.Items[0].Name != "ci" || own.Items[1].Tenant != acme.ID || len(portal.Items) != 1 || portal.Items[0].Session != "s" {
			t.Errorf("listed %+v and %+v", own, portal)
		}
		one := must[neohook.List[access.Token]](t)(eng.Tokens(ctx, neohook.TokenFilter{}, neohook.Page{Limit: 1}))
		two := must[neohook.List[access.Token]](t)(eng.Tokens(ctx, neohook.TokenFilter{}, neohook.Page{Limit: 1, After: one.Last}))
		if one.Done || !two.Done || two.Items[0].Name != "publisher" {
			t.Errorf("pages %+v and %+v", one, two)
		}
	})
}

func TestTokenThatCanNotBeIsNotMade(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		foreign := must[webhook.Tenant](t)(eng.In("org_other").CreateTenant(ctx, webhook.Tenant{UID: "theirs", Name: "Theirs"}))
		past := adminToken
		past.ExpiresAt = time.Now()
		confined := func(ref webhook.TenantID) access.Token {
			return access.Token{Tenant: ref, Scopes: []access.Scope{access.Reader}}
		}
		for name, test := range map[string]struct {
			token access.Token
			field string
			err   error
		}{
			"nothing":               {access.Token{}, "scopes", nil},
			"expired":               {past, "expiresAt", nil},
			"expired nothing":       {access.Token{ExpiresAt: time.Now()}, "scopes", nil},
			"of nobody":             {confined("nobody"), "", neohook.ErrNotFound},
			"of another's":          {confined(foreign.ID), "", neohook.ErrNotFound},
			"of another's, by name": {confined("theirs"), "", neohook.ErrNotFound},
		} {
			_, text, err := eng.CreateToken(ctx, test.token)
			var invalid *webhook.InvalidError
			if test.err != nil && !errors.Is(err, test.err) || test.field != "" && (!errors.As(err, &invalid) || invalid.Fields[0].Field != test.field) || text != "" {
				t.Errorf("%s: %q, %v", name, string(text), err)
			}
		}
		if _, _, err := eng.In("bad").CreateToken(ctx, adminToken); !errors.Is(err, webhook.ErrMalformedID) {
			t.Errorf("in no organisation: %v", err)
		}
		if list := must[neohook.List[access.Token]](t)(eng.Tokens(ctx, neohook.TokenFilter{}, neohook.Page{})); len(list.Items) != 0 {
			t.Errorf("there are %+v", list.Items)
		}
	})
}

func TestEndedTokenOpensNothing(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		ctx := t.Context()
		must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "other", Name: "Other"}))
		portal := func(tenant webhook.TenantID, session string) access.Token {
			return access.Token{Tenant: tenant, Portal: true, Session: session}
		}
		revoked, revokedText := issue(t, eng.Organisation, adminToken)
		_, loggedOut := issue(t, eng.Organisation, adminToken)
		_, kept := issue(t, eng.Organisation, adminToken)
		_, session := issue(t, eng.Organisation, portal("acme", "s"))
		_, later := issue(t, eng.Organisation, portal("acme", "t"))
		_, neighbour := issue(t, eng.Organisation, portal("other", "s"))
		for _, text := range []access.Text{revokedText, loggedOut, kept, session, later, neighbour} {
			opens(t, eng, "fresh", text, true)
		}
		succeed(t, eng.RevokeToken(ctx, revoked.ID))
		succeed(t, eng.Logout(ctx, string(loggedOut)))
		succeed(t, eng.ExpireTokens(ctx, "acme", 0, "s"))
		opens(t, eng, "revoked", revokedText, false)
		opens(t, eng, "logged out", loggedOut, false)
		opens(t, eng, "of the session", session, false)
		for _, text := range []access.Text{kept, later, neighbour} {
			opens(t, eng, "kept", text, true)
		}
		succeed(t, eng.ExpireTokens(ctx, "acme", 0))
		opens(t, eng, "of the tenant", later, false)
		succeed(t, eng.DeleteTenant(ctx, "other"))
		if err := eng.RevokeToken(ctx, revoked.ID); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
		if err := eng.ExpireTokens(ctx, "nobody", 0); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("expired for nobody: %v", err)
		}
		var invalid *webhook.InvalidError
		if err := eng.ExpireTokens(ctx, "acme", -1); !errors.As(err, &invalid) {
			t.Errorf("expired in the past: %v", err)
		}
		if err := eng.RevokeToken(ctx, "tok_nonsense"); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("revoked nonsense: %v", err)
		}
	})
}

func TestTokensEndByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, memstore.New(), neohook.Options{})
		ctx := t.Context()
		must[webhook.Tenant](t)(eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}))
		soon := access.Token{Tenant: "acme", Portal: true, ExpiresAt: time.Now().Add(time.Minute)}
		_, first := issue(t, eng.Organisation, soon)
		soon.ExpiresAt = time.Now().Add(time.Hour)
		made, second := issue(t, eng.Organisation, soon)
		succeed(t, eng.ExpireTokens(ctx, "acme", 10*time.Minute))
		time.Sleep(time.Minute - time.Microsecond)
		opens(t, eng, "before", first, true)
		time.Sleep(time.Microsecond)
		opens(t, eng, "at its expiry", first, false)
		opens(t, eng, "the other", second, true)
		time.Sleep(9 * time.Minute)
		opens(t, eng, "at the end that all were given", second, false)
		if _, err := eng.Token(ctx, made.ID); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("the expired one: %v", err)
		}
		_, deleted := issue(t, eng.Organisation, access.Token{Tenant: "acme", Scopes: []access.Scope{access.Reader}})
		opens(t, eng, "fresh", deleted, true)
		succeed(t, eng.DeleteTenant(ctx, "acme"))
		time.Sleep(time.Second)
		opens(t, eng, "a second after its tenant was deleted", deleted, false)
	})
}

func TestRepeatIsGivenTheSameToken(t *testing.T) {
	onEachStore(t, func(t *testing.T, eng *neohook.Engine, _ store.Store) {
		once := eng.Once(neohook.Once{Key: "k", Request: []byte("body")})
		first, text := issue(t, once, adminToken)
		again, textAgain := issue(t, once, adminToken)
		if !reflect.DeepEqual(again, first) || textAgain != text {
			t.Errorf("%+v %q again, first %+v %q", again, string(textAgain), first, string(text))
		}
		if _, _, err := eng.Once(neohook.Once{Key: "k", Request: []byte("other")}).CreateToken(t.Context(), adminToken); !errors.Is(err, neohook.ErrKeyReused) {
			t.Errorf("another request: %v", err)
		}
	})
}

// The text is in no file, not even while its idempotency key is kept.
func TestTextOfATokenIsNowhereStored(t *testing.T) {
	folder := t.TempDir()
	st := must[*sqlite.Store](t)(sqlite.Open(t.Context(), filepath.Join(folder, "neohook.db")))
	eng := newEngine(t, st, neohook.Options{})
	_, text := issue(t, eng.Once(neohook.Once{Key: "k", Request: []byte("body")}), adminToken)
	look := func() {
		files := must[[]os.DirEntry](t)(os.ReadDir(folder))
		for _, file := range files {
			content := must[[]byte](t)(os.ReadFile(filepath.Join(folder, file.Name())))
			if bytes.Contains(content, []byte(text[4:20])) {
				t.Errorf("%s has it", file.Name())
			}
		}
		if len(files) < 2 {
			t.Errorf("only %d files", len(files))
		}
	}
	look()
	succeed(t, st.Close())
	look()
}

func ExampleOrganisation_CreateToken() {
	ctx := context.Background()
	keyset, err := neohook.NewKeyset()
	check(err)
	eng, err := neohook.New(ctx, memstore.New(), neohook.Options{Keyset: keyset})
	check(err)
	_, err = eng.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"})
	check(err)

	// For the service that publishes what happens at Acme, and can do nothing else.
	token, text, err := eng.CreateToken(ctx, access.Token{
		Name: "invoicing", Tenant: "acme", Scopes: []access.Scope{access.Publisher},
		ExpiresAt: time.Now().AddDate(1, 0, 0),
	})
	check(err)
	fmt.Println(string(text)[:4], text) // a Text hides itself: convert it to hand it over
	caller, err := eng.Authenticate(ctx, string(text))
	check(err)
	fmt.Println(caller.Rights)
	check(eng.RevokeToken(ctx, token.ID))
	_, err = eng.Authenticate(ctx, string(text))
	fmt.Println(err)
	// Output:
	// nhk_ [redacted]
	// publish
	// token is not valid
}
