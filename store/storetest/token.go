package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// newToken is a token with everything that one can have, of the organisation.
func (w *world) newToken(tenant store.TenantKey) store.Token {
	w.Helper()
	key := store.TokenKey(w.key())
	return store.Token{
		Key: key, Hash: [32]byte{byte(key), byte(key >> 8), 7}, Organisation: organisation, Tenant: tenant,
		Name: "of a test", Scopes: []string{"read", "publish"}, CreatedAt: w.now,
	}
}

// portalToken is one for the portal of a tenant.
func (w *world) portalToken(tenant store.TenantKey, session string) store.Token {
	w.Helper()
	t := w.newToken(tenant)
	t.Portal, t.Scopes, t.Session, t.ReadOnly = true, nil, session, true
	t.Capabilities, t.FeatureFlags = []string{"ViewBase"}, []string{"beta", "eu"}
	t.ExpiresAt = w.now.Add(time.Hour)
	return t
}

func (w *world) insertTokens(tokens ...store.Token) {
	w.Helper()
	for _, t := range tokens {
		w.must(w.InsertToken(w.ctx, t, nil))
	}
}

// opens says whether each token is there at an instant, by hash and by key.
func (w *world) opens(what string, at time.Time, want bool, tokens ...store.Token) {
	w.Helper()
	var expected error
	if !want {
		expected = store.ErrNotFound
	}
	for _, t := range tokens {
		_, err := w.Token(w.ctx, t.Hash, at)
		w.is(what+", by its hash", err, expected)
		_, err = w.TokenOf(w.ctx, t.Organisation, t.Key, at)
		w.is(what+", by its key", err, expected)
	}
}

func firstTokenIsStoredOnce(w *world) {
	first, second := w.newToken(0), w.newToken(0)
	first.ExpiresAt = w.now.Add(time.Minute)
	w.opens("of a new store", w.now, false, first)
	same(w, "first stored", mustGet[bool](w)(w.InitToken(w.ctx, first)), true)
	same(w, "second stored", mustGet[bool](w)(w.InitToken(w.ctx, second)), false)
	same(w, "Token", mustGet[store.Token](w)(w.Token(w.ctx, first.Hash, w.now)), first)
	w.opens("the second", w.now, false, second)
	second.CreatedAt = first.ExpiresAt
	same(w, "stored once the first has expired", mustGet[bool](w)(w.InitToken(w.ctx, second)), true)
}

func replacedTokenOpensNothing(w *world) {
	token := func(organisation, name string) store.Token {
		t := w.newToken(0)
		t.Organisation, t.Name = organisation, name
		return t
	}
	lost, other, foreign := token(organisation, "a"), token(organisation, "b"), token("org_other", "a")
	for _, stored := range []store.Token{lost, other, foreign} {
		w.must(w.ReplaceToken(w.ctx, stored))
	}
	fresh := token(organisation, "a")
	w.must(w.ReplaceToken(w.ctx, fresh))
	w.opens("the one replaced", w.now, false, lost)
	for _, want := range []store.Token{other, foreign, fresh} {
		same(w, "kept", mustGet[store.Token](w)(w.Token(w.ctx, want.Hash, w.now)), want)
	}
	same(w, "InitToken behind it", mustGet[bool](w)(w.InitToken(w.ctx, token(organisation, "c"))), false)
}

func tokenComesBackAsStored(w *world) {
	tenant := w.tenant()
	for _, t := range []store.Token{w.newToken(0), w.newToken(tenant), w.portalToken(tenant, "sess"), w.portalToken(tenant, "")} {
		w.insertTokens(t)
		same(w, "Token", mustGet[store.Token](w)(w.Token(w.ctx, t.Hash, w.now)), t)
		same(w, "TokenOf", mustGet[store.Token](w)(w.TokenOf(w.ctx, organisation, t.Key, w.now)), t)
		_, err := w.TokenOf(w.ctx, "org_other", t.Key, w.now)
		w.is("another organisation's TokenOf", err, store.ErrNotFound)
	}
}

func tokenNeedsItsTenant(w *world) {
	gone := w.tenant()
	w.must(w.DeleteTenant(w.ctx, gone, w.now))
	theirs := w.newTenant("")
	theirs.Organisation = "org_other"
	w.must(w.InsertTenant(w.ctx, theirs, nil))
	for what, tenant := range map[string]store.TenantKey{"unknown": 4_000_000, "deleted": gone, "another organisation's": theirs.Key} {
		t, once := w.newToken(tenant), w.once(1, time.Hour)
		w.is(what+" tenant", w.InsertToken(w.ctx, t, once), store.ErrNotFound)
		w.opens("for an "+what+" tenant", w.now, false, t)
		w.must(w.Replay(w.ctx, once, w.now))
	}
}

func repeatedTokenIsStoredOnce(w *world) {
	first, second, once := w.newToken(0), w.newToken(0), w.once(1, time.Hour)
	w.must(w.InsertToken(w.ctx, first, once))
	w.replayed("the repeat", w.InsertToken(w.ctx, second, once), store.ReplayError{Answer: []byte("answer")})
	w.opens("the second", w.now, false, second)
}

func tokensPageBothWays(w *world) {
	tenant, neighbour := w.tenant(), w.tenant()
	var all, portal []store.Token
	for range 3 {
		all = append(all, w.newToken(0), w.newToken(tenant), w.newToken(neighbour))
		portal = append(portal, w.portalToken(tenant, "a"), w.portalToken(neighbour, "b"))
	}
	foreign, expired := w.newToken(0), w.portalToken(tenant, "a")
	foreign.Organisation = "org_other"
	expired.ExpiresAt = w.now
	w.insertTokens(append(append([]store.Token{foreign, expired}, portal...), all...)...)
	of := func(list []store.Token, tenant store.TenantKey) []store.Token {
		return slices.DeleteFunc(slices.Clone(list), func(t store.Token) bool { return tenant != 0 && t.Tenant != tenant })
	}
	for _, filter := range []store.TokenFilter{{}, {Tenant: tenant}, {Portal: true}, {Portal: true, Tenant: tenant}} {
		want := of(all, filter.Tenant)
		if filter.Portal {
			want = of(portal, filter.Tenant)
		}
		list := func(page store.Page) ([]store.Token, error) {
			return w.Tokens(w.ctx, organisation, filter, w.now, page)
		}
		key := func(t store.Token) int64 { return int64(t.Key) }
		keys := make([]int64, len(want))
		for i, t := range want {
			keys[i] = key(t)
		}
		same(w, "whole", mustGet[[]store.Token](w)(list(store.Page{Limit: 100})), want)
		for _, limit := range []int{1, 2, 100} {
			same(w, fmt.Sprint("up by ", limit), pages(w, limit, false, list, key), keys)
			same(w, fmt.Sprint("down by ", limit), pages(w, limit, true, list, key), reversed(keys))
		}
	}
}

func expiredTokenIsNotThere(w *world) {
	t := w.portalToken(w.tenant(), "")
	w.insertTokens(t)
	w.opens("before", t.ExpiresAt.Add(-time.Microsecond), true, t)
	w.opens("from then on", t.ExpiresAt, false, t)
	listed, err := w.Tokens(w.ctx, organisation, store.TokenFilter{Portal: true}, t.ExpiresAt, store.Page{Limit: 9})
	same(w, "listed", len(mustGet[[]store.Token](w)(listed, err)), 0)
	w.is("deleted", w.DeleteToken(w.ctx, organisation, t.Key, t.ExpiresAt), store.ErrNotFound)
	for second := range 20 { // each forgets some of what has expired
		fresh := w.newToken(0)
		fresh.CreatedAt = t.ExpiresAt.Add(time.Duration(second) * time.Second)
		w.insertTokens(fresh)
		w.opens("stored after another had expired", fresh.CreatedAt, true, fresh)
	}
}

func deletedTokenIsNotThere(w *world) {
	t, other := w.newToken(0), w.newToken(0)
	w.insertTokens(t, other)
	w.is("another organisation's", w.DeleteToken(w.ctx, "org_other", t.Key, w.now), store.ErrNotFound)
	w.opens("kept", w.now, true, t)
	w.must(w.DeleteToken(w.ctx, organisation, t.Key, w.now))
	w.opens("deleted", w.now, false, t)
	w.opens("the other", w.now, true, other)
	w.is("again", w.DeleteToken(w.ctx, organisation, t.Key, w.now), store.ErrNotFound)
}

func deletedTenantTakesItsTokensAlong(w *world) {
	tenant, neighbour := w.tenant(), w.tenant()
	portal, confined := w.portalToken(tenant, ""), w.newToken(tenant)
	kept, free := w.newToken(neighbour), w.newToken(0)
	w.insertTokens(portal, confined, kept, free)
	w.must(w.DeleteTenant(w.ctx, tenant, w.now))
	w.opens("of the deleted", w.now, false, portal, confined)
	w.opens("of others", w.now, true, kept, free)
}

func expiringEndsATenantsTokens(w *world) {
	tenant, neighbour := w.tenant(), w.tenant()
	portal, confined := w.portalToken(tenant, "a"), w.newToken(tenant)
	sooner := w.portalToken(tenant, "a")
	sooner.ExpiresAt = w.now.Add(time.Minute)
	others := []store.Token{w.portalToken(neighbour, "a"), w.newToken(0)}
	w.insertTokens(append([]store.Token{portal, confined, sooner}, others...)...)
	at := w.now.Add(10 * time.Minute)
	w.must(w.ExpireTokens(w.ctx, tenant, store.Expiry{Now: w.now, At: at}))
	w.opens("until then", at.Add(-time.Microsecond), true, portal, confined)
	w.opens("from then on", at, false, portal, confined)
	w.opens("one that is sooner", sooner.ExpiresAt, false, sooner)
	w.opens("others", at, true, others...)
	w.must(w.ExpireTokens(w.ctx, tenant, store.Expiry{Now: w.now, At: at.Add(time.Minute)}))
	w.opens("expired again, later", at, false, portal, confined)
	fresh := w.portalToken(tenant, "a")
	w.insertTokens(fresh)
	w.opens("made afterwards", at, true, fresh)
}

func expiringSessionsEndsTheirTokens(w *world) {
	tenant, neighbour := w.tenant(), w.tenant()
	a, b, c := w.portalToken(tenant, "a"), w.portalToken(tenant, "b"), w.portalToken(tenant, "c")
	none, theirs := w.portalToken(tenant, ""), w.portalToken(neighbour, "a")
	w.insertTokens(a, b, c, none, theirs)
	w.must(w.ExpireTokens(w.ctx, tenant, store.Expiry{Now: w.now, At: w.now, Sessions: []string{"a", "c", "", "x"}}))
	w.opens("of the sessions", w.now, false, a, c)
	w.opens("of others", w.now, true, b, none, theirs)
	signed := store.SignedToken{Hash: [32]byte{1}, Tenant: tenant, IssuedAt: w.now.Add(-time.Hour)}
	same(w, "signed tokens, which have no session", mustGet[bool](w)(w.Refused(w.ctx, signed, w.now)), false)
}

func expiringEndsATenantsSignedTokens(w *world) {
	tenant, neighbour := w.tenant(), w.tenant()
	minute := func(n int) time.Time { return w.now.Add(time.Duration(n) * time.Minute) }
	refused := func(what string, tenant store.TenantKey, issued, now time.Time, want bool) {
		w.Helper()
		same(w, what, mustGet[bool](w)(w.Refused(w.ctx, store.SignedToken{Tenant: tenant, IssuedAt: issued}, now)), want)
	}
	refused("of a new store", tenant, time.Time{}, w.now, false)
	w.must(w.ExpireTokens(w.ctx, tenant, store.Expiry{Now: minute(0), At: minute(10)}))
	refused("until then", tenant, minute(-5), minute(10).Add(-time.Microsecond), false)
	refused("from then on", tenant, minute(-5), minute(10), true)
	refused("issued just then", tenant, minute(0), minute(10), true)
	refused("issued afterwards", tenant, minute(0).Add(time.Microsecond), minute(10), false)
	refused("issued nobody knows when", tenant, time.Time{}, minute(10), true)
	refused("of another tenant", neighbour, minute(-5), minute(10), false)
	refused("of no tenant", 0, minute(-5), minute(10), false)

	// Later calls: each ends what it says, and takes nothing of the others back.
	w.must(w.ExpireTokens(w.ctx, tenant, store.Expiry{Now: minute(1), At: minute(30)}))
	w.must(w.ExpireTokens(w.ctx, tenant, store.Expiry{Now: minute(2), At: minute(20)}))
	for _, then := range []struct{ now, issuedBy int }{{9, -100}, {10, 0}, {19, 0}, {20, 2}, {29, 2}, {30, 2}, {99, 2}} {
		for issued := -1; issued < 4; issued++ {
			refused("after three calls", tenant, minute(issued), minute(then.now), issued <= then.issuedBy)
		}
	}
	w.must(w.ExpireTokens(w.ctx, tenant, store.Expiry{Now: minute(40), At: minute(40)}))
	refused("all that was before", tenant, minute(40), minute(40), true)
	w.must(w.ExpireTokens(w.ctx, tenant, store.Expiry{Now: minute(41), At: minute(60)}))
	refused("while another is to come", tenant, minute(40), minute(50), true)
	refused("issued between them", tenant, minute(41), minute(50), false)
	w.must(w.DeleteTenant(w.ctx, neighbour, minute(50)))
	refused("after another tenant's end", tenant, minute(40), minute(50), true)
}

func refusedTokenIsRefusedUntilItExpires(w *world) {
	refused := func(what string, hash byte, now time.Time, want bool) {
		w.Helper()
		same(w, what, mustGet[bool](w)(w.Refused(w.ctx, store.SignedToken{Hash: [32]byte{hash}, IssuedAt: w.now}, now)), want)
	}
	refused("of a new store", 1, w.now, false)
	end := w.now.Add(time.Hour)
	w.must(w.RefuseToken(w.ctx, [32]byte{1}, end, w.now))
	w.must(w.RefuseToken(w.ctx, [32]byte{1}, end, w.now))
	w.must(w.RefuseToken(w.ctx, [32]byte{2}, time.Time{}, w.now))
	refused("refused", 1, end.Add(-time.Microsecond), true)
	refused("once it has expired", 1, end, false)
	refused("for ever", 2, end.AddDate(100, 0, 0), true)
	refused("another", 3, w.now, false)
	w.must(w.RefuseToken(w.ctx, [32]byte{4}, end.Add(time.Hour), end))
	refused("for ever, after others were forgotten", 2, end, true)
}
