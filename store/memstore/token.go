package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

func cleanToken(t store.Token) store.Token {
	t.Scopes, t.Capabilities, t.FeatureFlags = list(t.Scopes), list(t.Capabilities), list(t.FeatureFlags)
	t.CreatedAt = instant(t.CreatedAt)
	if t.ExpiresAt = instant(t.ExpiresAt); t.ExpiresAt.IsZero() {
		t.ExpiresAt = time.Time{}
	}
	return t
}

// lives says whether a token is there as of now.
func lives(t *store.Token, now time.Time) bool {
	return t.ExpiresAt.IsZero() || t.ExpiresAt.After(instant(now))
}

func (db *state) insertToken(t store.Token) {
	at, _ := slices.BinarySearchFunc(db.tokens, t.Key, func(a store.Token, key store.TokenKey) int { return cmp.Compare(a.Key, key) })
	db.tokens = slices.Insert(db.tokens, at, cleanToken(t))
}

func (db *state) deleteTokens(which func(*store.Token) bool) (deleted int) {
	before := len(db.tokens)
	db.tokens = slices.DeleteFunc(db.tokens, func(t store.Token) bool { return which(&t) })
	return before - len(db.tokens)
}

func (db *state) findToken(now time.Time, which func(*store.Token) bool) (store.Token, error) {
	for i := range db.tokens {
		if t := &db.tokens[i]; which(t) && lives(t, now) {
			return cleanToken(*t), nil
		}
	}
	return store.Token{}, store.ErrNotFound
}

// InitToken stores first if there is no token at all, and says whether it did.
func (s *Store) InitToken(ctx context.Context, first store.Token) (bool, error) {
	return put(ctx, s, "InitToken", func(db *state) (bool, error) {
		if _, err := db.findToken(first.CreatedAt, func(*store.Token) bool { return true }); err == nil {
			return false, nil
		}
		db.insertToken(first)
		return true, nil
	})
}

// ReplaceToken stores a token in place of all those of its organisation that have its name.
func (s *Store) ReplaceToken(ctx context.Context, token store.Token) error {
	return s.write(ctx, "ReplaceToken", func(db *state) error {
		db.deleteTokens(func(t *store.Token) bool { return t.Organisation == token.Organisation && t.Name == token.Name })
		db.insertToken(token)
		return nil
	})
}

// InsertToken stores a token under its own key.
func (s *Store) InsertToken(ctx context.Context, token store.Token, once *store.Once) error {
	return s.write(ctx, "InsertToken", func(db *state) error {
		var now time.Time
		if once != nil {
			now = once.Now
		}
		if err := db.replayed(once, now); err != nil {
			return err
		}
		if token.Tenant != 0 {
			if _, err := db.tenantOf(token.Organisation, token.Tenant); err != nil {
				return err
			}
		}
		db.claimChange(once, token.Tenant)
		db.insertToken(token)
		return nil
	})
}

// Token returns the token of a hash, or ErrNotFound.
func (s *Store) Token(ctx context.Context, hash [32]byte, now time.Time) (store.Token, error) {
	return get(ctx, s, "Token", func(db *state) (store.Token, error) {
		return db.findToken(now, func(t *store.Token) bool { return t.Hash == hash })
	})
}

// TokenOf returns a token of an organisation by its key, or ErrNotFound.
func (s *Store) TokenOf(ctx context.Context, organisation string, key store.TokenKey, now time.Time) (store.Token, error) {
	return get(ctx, s, "TokenOf", func(db *state) (store.Token, error) {
		return db.findToken(now, func(t *store.Token) bool { return t.Key == key && t.Organisation == organisation })
	})
}

// Tokens lists an organisation's tokens.
func (s *Store) Tokens(ctx context.Context, organisation string, filter store.TokenFilter, now time.Time, page store.Page) ([]store.Token, error) {
	return get(ctx, s, "Tokens", func(db *state) ([]store.Token, error) {
		found := make(map[int64]store.Token)
		for _, t := range db.tokens {
			if t.Organisation == organisation && t.Portal == filter.Portal && lives(&t, now) &&
				(filter.Tenant == 0 || t.Tenant == filter.Tenant) {
				found[int64(t.Key)] = cleanToken(t)
			}
		}
		var chosen []store.Token
		for _, key := range within(sorted(found), page) {
			if len(chosen) < page.Limit {
				chosen = append(chosen, found[key])
			}
		}
		return chosen, nil
	})
}

// DeleteToken ends a token of an organisation.
func (s *Store) DeleteToken(ctx context.Context, organisation string, key store.TokenKey, now time.Time) error {
	return s.write(ctx, "DeleteToken", func(db *state) error {
		deleted := db.deleteTokens(func(t *store.Token) bool {
			return t.Key == key && t.Organisation == organisation && lives(t, now)
		})
		if deleted == 0 {
			return store.ErrNotFound
		}
		return nil
	})
}

// deleteTokensOf ends all that opens a tenant, which is being deleted.
func (db *state) deleteTokensOf(tenant store.TenantKey) {
	db.deleteTokens(func(t *store.Token) bool { return t.Tenant == tenant })
	delete(db.expiredTokens, tenant)
}

// ExpireTokens brings the expiry of a tenant's tokens forward to e.At.
func (s *Store) ExpireTokens(ctx context.Context, tenant store.TenantKey, e store.Expiry) error {
	return s.write(ctx, "ExpireTokens", func(db *state) error {
		e.Now, e.At = instant(e.Now), instant(e.At)
		for i := range db.tokens {
			t := &db.tokens[i]
			meant := len(e.Sessions) == 0 || t.Session != "" && slices.Contains(e.Sessions, t.Session)
			if t.Tenant == tenant && meant && lives(t, e.At) {
				t.ExpiresAt = e.At
			}
		}
		if len(e.Sessions) == 0 {
			db.expiredTokens[tenant] = append(db.expiredTokens[tenant], e)
		}
		return nil
	})
}

// RefuseToken makes Refused true for the signed token of a hash.
func (s *Store) RefuseToken(ctx context.Context, hash [32]byte, until, _ time.Time) error {
	return s.write(ctx, "RefuseToken", func(db *state) error {
		db.refusedTokens[hash] = instant(until)
		return nil
	})
}

// Refused says whether a signed token was refused or has expired with those of its tenant.
func (s *Store) Refused(ctx context.Context, signed store.SignedToken, now time.Time) (bool, error) {
	return get(ctx, s, "Refused", func(db *state) (bool, error) {
		now = instant(now)
		if until, refused := db.refusedTokens[signed.Hash]; refused && (until.IsZero() || until.After(now)) {
			return true, nil
		}
		return slices.ContainsFunc(db.expiredTokens[signed.Tenant], func(e store.Expiry) bool {
			return !e.At.After(now) && !e.Now.Before(instant(signed.IssuedAt))
		}), nil
	})
}
