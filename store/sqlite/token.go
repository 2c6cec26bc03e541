package sqlite

import (
	"context"
	"time"

	"github.com/neohook/neohook/store"
)

const (
	tokenColumns = `key, hash, organisation, tenant, name, scopes, portal, capabilities, read_only, feature_flags,
		session, created_at, expires_at`
	tokenLives      = `(expires_at IS NULL OR expires_at > ?2)`
	tokenSQL        = `SELECT ` + tokenColumns + ` FROM token WHERE hash = ?1 AND ` + tokenLives
	tokenOfSQL      = `SELECT ` + tokenColumns + ` FROM token WHERE key = ?1 AND ` + tokenLives + ` AND organisation = ?3`
	tokensSQL       = `SELECT ` + tokenColumns + ` FROM token WHERE organisation = ?1 AND ` + tokenLives + ` AND portal = ?3`
	tokensTenantSQL = `SELECT ` + tokenColumns + ` FROM token WHERE organisation = ?1 AND ` + tokenLives + ` AND portal = ?3 AND tenant = ?6`
	tokensUp        = ` AND key > ?4 ORDER BY key LIMIT ?5`
	tokensDown      = ` AND key < ?4 ORDER BY key DESC LIMIT ?5`

	tokensUpSQL         = tokensSQL + tokensUp
	tokensDownSQL       = tokensSQL + tokensDown
	tokensTenantUpSQL   = tokensTenantSQL + tokensUp
	tokensTenantDownSQL = tokensTenantSQL + tokensDown
)

func scanToken(r *row) store.Token {
	return store.Token{
		Key: store.TokenKey(r.int()), Hash: [32]byte(r.blob()), Organisation: r.text(),
		Tenant: store.TenantKey(r.int()), Name: r.text(), Scopes: r.strings(), Portal: r.bool(), Capabilities: r.strings(),
		ReadOnly: r.bool(), FeatureFlags: r.strings(), Session: r.text(), CreatedAt: r.time(), ExpiresAt: r.timeOrZero(),
	}
}

// Token returns the token of a hash, or ErrNotFound.
func (s *Store) Token(ctx context.Context, hash [32]byte, now time.Time) (store.Token, error) {
	return readFirst(ctx, s, scanToken, tokenSQL, hash[:], micros(now))
}

// TokenOf returns a token of an organisation by its key, or ErrNotFound.
func (s *Store) TokenOf(ctx context.Context, organisation string, key store.TokenKey, now time.Time) (store.Token, error) {
	return readFirst(ctx, s, scanToken, tokenOfSQL, int64(key), micros(now), organisation)
}

// Tokens lists an organisation's tokens.
func (s *Store) Tokens(ctx context.Context, organisation string, filter store.TokenFilter, now time.Time, page store.Page) ([]store.Token, error) {
	args := []any{organisation, micros(now), integer(filter.Portal), int64(0), int64(page.Limit)}
	var query string
	if filter.Tenant == 0 {
		query, args[3] = walk(page, tokensUpSQL, tokensDownSQL)
	} else {
		query, args[3] = walk(page, tokensTenantUpSQL, tokensTenantDownSQL)
		args = append(args, int64(filter.Tenant))
	}
	return readAll(ctx, s, scanToken, query, args...)
}

const (
	anyTokenSQL        = `SELECT 1 FROM token WHERE expires_at IS NULL OR expires_at > ? LIMIT 1`
	insertTokenSQL     = `INSERT INTO token (` + tokenColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	deleteNamedSQL     = `DELETE FROM token WHERE organisation = ? AND name = ?`
	deleteTokenSQL     = `DELETE FROM token WHERE key = ?1 AND ` + tokenLives + ` AND organisation = ?3`
	deleteOfTenantSQL  = `DELETE FROM token WHERE tenant = ?`
	sweepTokensSQL     = `DELETE FROM token WHERE key IN (SELECT key FROM token WHERE expires_at <= ?1 LIMIT 10)`
	sweepRefusedSQL    = `DELETE FROM refused_token WHERE hash IN (SELECT hash FROM refused_token WHERE expires_at <= ?1 LIMIT 10)`
	tenantOfTokenSQL   = `SELECT 1 FROM tenant WHERE key = ? AND organisation = ? AND deleted_at IS NULL`
	forgetExpiriesSQL  = `DELETE FROM token_expiry WHERE tenant = ?`
	expireTokensSQL    = `UPDATE token SET expires_at = ?2 WHERE tenant = ?1 AND ` + tokenLives
	expireSessionsSQL  = expireTokensSQL + ` AND session IN (SELECT value FROM json_each(?3))`
	coveringExpirySQL  = `SELECT 1 FROM token_expiry WHERE tenant = ?1 AND refused_at <= ?2 AND issued_at >= ?3`
	coveredExpiriesSQL = `DELETE FROM token_expiry WHERE tenant = ?1 AND refused_at >= ?2 AND issued_at <= ?3`
	insertExpirySQL    = `INSERT INTO token_expiry (tenant, refused_at, issued_at) VALUES (?, ?, ?)`
	passedExpiriesSQL  = `DELETE FROM token_expiry WHERE tenant = ?1 AND refused_at <= ?2 AND issued_at <
		(SELECT max(issued_at) FROM token_expiry WHERE tenant = ?1 AND refused_at <= ?2)`
	refuseTokenSQL = `INSERT OR REPLACE INTO refused_token (hash, expires_at) VALUES (?, ?)`
	refusedSQL     = `SELECT 1 FROM refused_token WHERE hash = ?1 AND (expires_at IS NULL OR expires_at > ?2)
		UNION ALL SELECT 1 FROM token_expiry WHERE tenant = ?3 AND refused_at <= ?2 AND issued_at >= ?4`
)

func (w *writer) insertToken(ctx context.Context, t *store.Token) error {
	_, err := w.exec(ctx, insertTokenSQL, int64(t.Key), t.Hash[:], t.Organisation, keyOrNull(t.Tenant), t.Name,
		listOrNull(t.Scopes), integer(t.Portal), listOrNull(t.Capabilities), integer(t.ReadOnly), listOrNull(t.FeatureFlags),
		textOrNull(t.Session), micros(t.CreatedAt), timeOrNull(t.ExpiresAt))
	return err
}

// exists says whether a query has a row.
func exists(ctx context.Context, c *conn, query string, args ...any) (bool, error) {
	found, err := all(ctx, c, (*row).int, query, args...)
	return len(found) > 0, err
}

// InitToken stores first if there is no token at all, and says whether it did.
func (s *Store) InitToken(ctx context.Context, first store.Token) (stored bool, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		has, err := exists(ctx, w.conn, anyTokenSQL, micros(first.CreatedAt))
		if err != nil || has {
			return err
		}
		stored = true
		return w.insertToken(ctx, &first)
	})
	return stored && err == nil, err
}

// ReplaceToken stores a token in place of all those of its organisation that have its name.
func (s *Store) ReplaceToken(ctx context.Context, token store.Token) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if _, err := w.exec(ctx, deleteNamedSQL, token.Organisation, token.Name); err != nil {
			return err
		}
		return w.insertToken(ctx, &token)
	})
}

// InsertToken stores a token under its own key.
func (s *Store) InsertToken(ctx context.Context, token store.Token, once *store.Once) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := w.claim(ctx, once, token.Tenant); err != nil {
			return err
		}
		if token.Tenant != 0 {
			has, err := exists(ctx, w.conn, tenantOfTokenSQL, int64(token.Tenant), token.Organisation)
			if err == nil && !has {
				err = store.ErrNotFound
			}
			if err != nil {
				return err
			}
		}
		for _, sweep := range [...]string{sweepTokensSQL, sweepRefusedSQL} {
			if _, err := w.exec(ctx, sweep, micros(token.CreatedAt)); err != nil {
				return err
			}
		}
		return w.insertToken(ctx, &token)
	})
}

// DeleteToken ends a token of an organisation.
func (s *Store) DeleteToken(ctx context.Context, organisation string, key store.TokenKey, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		deleted, err := w.exec(ctx, deleteTokenSQL, int64(key), micros(now), organisation)
		if err == nil && deleted == 0 {
			return store.ErrNotFound
		}
		return err
	})
}

// deleteTokensOf ends all that opens a tenant, which is being deleted.
func (w *writer) deleteTokensOf(ctx context.Context, tenant store.TenantKey) error {
	if _, err := w.exec(ctx, deleteOfTenantSQL, int64(tenant)); err != nil {
		return err
	}
	_, err := w.exec(ctx, forgetExpiriesSQL, int64(tenant))
	return err
}

// ExpireTokens brings the expiry of a tenant's tokens forward to e.At.
func (s *Store) ExpireTokens(ctx context.Context, tenant store.TenantKey, e store.Expiry) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if len(e.Sessions) > 0 {
			_, err := w.exec(ctx, expireSessionsSQL, int64(tenant), micros(e.At), encode(e.Sessions))
			return err
		}
		if _, err := w.exec(ctx, expireTokensSQL, int64(tenant), micros(e.At)); err != nil {
			return err
		}
		return w.expireSigned(ctx, tenant, e)
	})
}

// expireSigned notes from when on what was issued by now is refused. An expiry that
// refuses more and sooner takes the place of others.
func (w *writer) expireSigned(ctx context.Context, tenant store.TenantKey, e store.Expiry) error {
	args := []any{int64(tenant), micros(e.At), micros(e.Now)}
	if covered, err := exists(ctx, w.conn, coveringExpirySQL, args...); err != nil || covered {
		return err
	}
	for _, change := range [...]string{coveredExpiriesSQL, insertExpirySQL} {
		if _, err := w.exec(ctx, change, args...); err != nil {
			return err
		}
	}
	_, err := w.exec(ctx, passedExpiriesSQL, int64(tenant), micros(e.Now))
	return err
}

// RefuseToken makes Refused true for the signed token of a hash.
func (s *Store) RefuseToken(ctx context.Context, hash [32]byte, until, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if _, err := w.exec(ctx, sweepRefusedSQL, micros(now)); err != nil {
			return err
		}
		_, err := w.exec(ctx, refuseTokenSQL, hash[:], timeOrNull(until))
		return err
	})
}

// Refused says whether a signed token was refused or has expired with those of its tenant.
func (s *Store) Refused(ctx context.Context, signed store.SignedToken, now time.Time) (refused bool, err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) error {
		refused, err = exists(ctx, c, refusedSQL, signed.Hash[:], micros(now), int64(signed.Tenant), micros(signed.IssuedAt))
		return err
	})
	return refused, err
}
