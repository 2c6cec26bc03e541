package storetest

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/neohook/neohook/store"
)

// soon is an instant within some minutes, or none.
func (p *pair) soon() time.Time {
	if p.chance(30) {
		return time.Time{}
	}
	return p.now.Add(time.Duration(rapid.IntRange(0, 300).Draw(p.T, "seconds")) * time.Second)
}

func (p *pair) insertToken(rt *rapid.T) {
	p.T = rt
	key := store.TokenKey(p.key())
	t := store.Token{
		Key: key, Hash: [32]byte{byte(key), byte(key >> 8), byte(key >> 16), 1}, Organisation: p.organisation(),
		Name: p.pick("a", "b"), Portal: p.chance(60), ReadOnly: p.chance(50), CreatedAt: p.now, ExpiresAt: p.soon(),
	}
	if p.chance(80) {
		t.Tenant = p.tenant().Key
	}
	if t.Portal {
		t.Capabilities, t.FeatureFlags, t.Session = []string{p.pick("x", "y")}, []string{p.pick("x", "y")}, p.pick("", "s", "t")
	} else {
		t.Scopes = []string{p.pick("admin", "read")}
	}
	insert := func(st store.Store) error { return st.InsertToken(p.Context(), t, nil) }
	switch rapid.IntRange(0, 9).Draw(rt, "way") {
	case 0:
		insert = func(st store.Store) error { return st.ReplaceToken(p.Context(), t) }
	case 1:
		insert = func(st store.Store) error {
			_, err := st.InitToken(p.Context(), t)
			return err
		}
	case 2, 3, 4:
		once := p.once('k')
		insert = func(st store.Store) error { return st.InsertToken(p.Context(), t, once) }
	}
	_ = p.change("InsertToken", insert)
	p.tokens = append(p.tokens, t)
}

func (p *pair) token() store.Token {
	if len(p.tokens) == 0 {
		return store.Token{Key: 999_999_999, Organisation: "org_a"}
	}
	return rapid.SampledFrom(p.tokens[max(0, len(p.tokens)-20):]).Draw(p.T, "token")
}

func (p *pair) endTokens(rt *rapid.T) {
	p.T = rt
	t, tenant, organisation, until := p.token(), p.tenant().Key, p.organisation(), p.soon()
	switch rapid.IntRange(0, 2).Draw(rt, "way") {
	case 0:
		_ = p.change("DeleteToken", func(st store.Store) error { return st.DeleteToken(p.Context(), organisation, t.Key, p.now) })
	case 1:
		_ = p.change("RefuseToken", func(st store.Store) error { return st.RefuseToken(p.Context(), t.Hash, until, p.now) })
	default:
		e := store.Expiry{Now: p.now, At: slices.MaxFunc([]time.Time{p.now, until}, time.Time.Compare)}
		if p.chance(30) {
			e.Sessions = []string{p.pick("s", "t", ""), p.pick("s", "none")}
		}
		_ = p.change("ExpireTokens", func(st store.Store) error { return st.ExpireTokens(p.Context(), tenant, e) })
	}
}

func (p *pair) readTokens(rt *rapid.T) {
	p.T = rt
	t, organisation := p.token(), p.organisation()
	filter := store.TokenFilter{Portal: p.chance(50)}
	if p.chance(50) {
		filter.Tenant = p.tenant().Key
	}
	page := store.Page{Limit: rapid.IntRange(1, 4).Draw(rt, "limit"), Descending: p.chance(50)}
	if p.chance(50) {
		page.After = int64(t.Key)
	}
	signed := store.SignedToken{Hash: t.Hash, Tenant: p.tenant().Key}
	if p.chance(80) {
		signed.IssuedAt = p.now.Add(-time.Duration(rapid.IntRange(0, 600).Draw(rt, "age")) * time.Second)
	}
	read(p, "Token", func(st store.Store) (store.Token, error) { return st.Token(p.Context(), t.Hash, p.now) })
	read(p, "TokenOf", func(st store.Store) (store.Token, error) { return st.TokenOf(p.Context(), organisation, t.Key, p.now) })
	read(p, "Tokens", func(st store.Store) ([]store.Token, error) {
		return st.Tokens(p.Context(), organisation, filter, p.now, page)
	})
	read(p, "Refused", func(st store.Store) (bool, error) { return st.Refused(p.Context(), signed, p.now) })
}
