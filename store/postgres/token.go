package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	tokenColumns = `key, hash, organisation, tenant, name, scopes, portal, capabilities, read_only, feature_flags,
		session, created_at, expires_at`
	tokenLives = `(expires_at IS NULL OR expires_at > $2)`
	tokenSQL   = `SELECT ` + tokenColumns + ` FROM token WHERE hash = $1 AND ` + tokenLives
	tokenOfSQL = `SELECT ` + tokenColumns + ` FROM token WHERE key = $1 AND ` + tokenLives + ` AND organisation = $3`

	// The tenant's are not looked for among the organisation's: no index does for IS NOT
	// DISTINCT FROM.
	tokensOfAll = `SELECT ` + tokenColumns + ` FROM token WHERE ` + tokenLives + `
		AND (organisation, portal, key) > ($1, $3, $4) AND (organisation, portal, key) < ($1, $3, $5)`
	tokensOfTenant = `SELECT ` + tokenColumns + ` FROM token WHERE ` + tokenLives + ` AND organisation IS NOT DISTINCT FROM $1
		AND (tenant, portal, key) > ($4, $3, $5) AND (tenant, portal, key) < ($4, $3, $6)`
)

var (
	tokensSQL = ways{
		up:   tokensOfAll + ` ORDER BY organisation, portal, key LIMIT $6`,
		down: tokensOfAll + ` ORDER BY organisation DESC, portal DESC, key DESC LIMIT $6`,
	}
	tokensOfTenantSQL = ways{
		up:   tokensOfTenant + ` ORDER BY tenant, portal, key LIMIT $7`,
		down: tokensOfTenant + ` ORDER BY tenant DESC, portal DESC, key DESC LIMIT $7`,
	}
)

func scanToken(row pgx.CollectableRow) (t store.Token, err error) {
	var hash []byte
	var tenant *int64
	var session *string
	var expires *time.Time
	err = row.Scan(&t.Key, &hash, &t.Organisation, &tenant, &t.Name, &t.Scopes, &t.Portal, &t.Capabilities, &t.ReadOnly, &t.FeatureFlags,
		&session, &t.CreatedAt, &expires)
	if err != nil {
		return t, err
	}
	t.Hash, t.Tenant, t.Session = [32]byte(hash), store.TenantKey(orZero(tenant)), orZero(session)
	t.CreatedAt, t.ExpiresAt = t.CreatedAt.UTC(), utcOrZero(expires)
	return t, nil
}

// Token returns the token of a hash, or ErrNotFound.
func (s *Store) Token(ctx context.Context, hash [32]byte, now time.Time) (store.Token, error) {
	return readFirst(ctx, s, scanToken, tokenSQL, hash[:], instant(now))
}

// TokenOf returns a token of an organisation by its key, or ErrNotFound.
func (s *Store) TokenOf(ctx context.Context, organisation string, key store.TokenKey, now time.Time) (store.Token, error) {
	return readFirst(ctx, s, scanToken, tokenOfSQL, key, instant(now), organisation)
}

// Tokens lists an organisation's tokens.
func (s *Store) Tokens(ctx context.Context, organisation string, filter store.TokenFilter, now time.Time, page store.Page) ([]store.Token, error) {
	if filter.Tenant == 0 {
		return readPage(ctx, s, scanToken, tokensSQL, page, organisation, instant(now), filter.Portal)
	}
	return readPage(ctx, s, scanToken, tokensOfTenantSQL, page, organisation, instant(now), filter.Portal, filter.Tenant)
}

const (
	// lockTokensSQL is for what looks at several tokens and then stores one: others who do
	// wait for it, readers do not.
	lockTokensSQL  = `LOCK TABLE token IN SHARE ROW EXCLUSIVE MODE`
	anyTokenSQL    = `SELECT EXISTS (SELECT FROM token WHERE expires_at IS NULL OR expires_at > $1)`
	insertTokenSQL = `INSERT INTO token (` + tokenColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	deleteNamedSQL = `DELETE FROM token WHERE organisation = $1 AND name = $2`
	deleteTokenSQL = `DELETE FROM token WHERE key = $1 AND ` + tokenLives + ` AND organisation = $3`
	sweepTokensSQL = `DELETE FROM token WHERE key IN (
		SELECT key FROM token WHERE expires_at <= $1 ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED)`
	sweepRefusedSQL = `DELETE FROM refused_token WHERE hash IN (
		SELECT hash FROM refused_token WHERE expires_at <= $1 ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED)`
	// lockOwnerSQL finds a tenant that is not deleted, and keeps it from being so.
	lockOwnerSQL = `SELECT key FROM tenant WHERE key = $1 AND organisation = $2 AND deleted_at IS NULL FOR SHARE`
)

func insertToken(ctx context.Context, tx pgx.Tx, t *store.Token) error {
	_, err := tx.Exec(ctx, insertTokenSQL, t.Key, t.Hash[:], t.Organisation, orNull(t.Tenant), t.Name,
		listOrNull(t.Scopes), t.Portal, listOrNull(t.Capabilities), t.ReadOnly, listOrNull(t.FeatureFlags),
		orNull(t.Session), instant(t.CreatedAt), instantOrNull(t.ExpiresAt))
	return err
}

// InitToken stores one if there is no token at all, and says whether it did.
func (s *Store) InitToken(ctx context.Context, token store.Token) (stored bool, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		stored = false
		if _, err := tx.Exec(ctx, lockTokensSQL); err != nil {
			return err
		}
		has, err := first(ctx, tx, pgx.RowTo[bool], anyTokenSQL, instant(token.CreatedAt))
		if err != nil || has {
			return err
		}
		stored = true
		return insertToken(ctx, tx, &token)
	})
	return stored && err == nil, err
}

// ReplaceToken stores a token in place of all those of its organisation that have its name.
func (s *Store) ReplaceToken(ctx context.Context, token store.Token) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockTokensSQL); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteNamedSQL, token.Organisation, token.Name); err != nil {
			return err
		}
		return insertToken(ctx, tx, &token)
	})
}

// InsertToken stores a token under its own key.
func (s *Store) InsertToken(ctx context.Context, token store.Token, once *store.Once) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := claim(ctx, tx, once, token.Tenant); err != nil {
			return err
		}
		if token.Tenant != 0 {
			if _, err := first(ctx, tx, scanKey, lockOwnerSQL, token.Tenant, token.Organisation); err != nil {
				return err
			}
		}
		for _, sweep := range [...]string{sweepTokensSQL, sweepRefusedSQL} {
			if _, err := tx.Exec(ctx, sweep, instant(token.CreatedAt)); err != nil {
				return err
			}
		}
		return insertToken(ctx, tx, &token)
	})
}

// DeleteToken ends a token of an organisation.
func (s *Store) DeleteToken(ctx context.Context, organisation string, key store.TokenKey, now time.Time) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		deleted, err := tx.Exec(ctx, deleteTokenSQL, key, instant(now), organisation)
		if err == nil && deleted.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		return err
	})
}

const (
	deleteTokensOfSQL  = `DELETE FROM token WHERE tenant = $1`
	forgetExpiriesSQL  = `DELETE FROM token_expiry WHERE tenant = $1`
	expireTokensSQL    = `UPDATE token SET expires_at = $2 WHERE tenant = $1 AND ` + tokenLives
	expireSessionsSQL  = expireTokensSQL + ` AND session = ANY ($3)`
	coveringExpirySQL  = `SELECT EXISTS (SELECT FROM token_expiry WHERE tenant = $1 AND refused_at <= $2 AND issued_at >= $3)`
	coveredExpiriesSQL = `DELETE FROM token_expiry WHERE tenant = $1 AND refused_at >= $2 AND issued_at <= $3`
	insertExpirySQL    = `INSERT INTO token_expiry (tenant, refused_at, issued_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	passedExpiriesSQL  = `DELETE FROM token_expiry WHERE tenant = $1 AND refused_at <= $2 AND issued_at <
		(SELECT max(issued_at) FROM token_expiry WHERE tenant = $1 AND refused_at <= $2)`
	refuseTokenSQL = `INSERT INTO refused_token (hash, expires_at) VALUES ($1, $2)
		ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at`
	refusedSQL = `SELECT EXISTS (SELECT FROM refused_token WHERE hash = $1 AND (expires_at IS NULL OR expires_at > $2))
		OR EXISTS (SELECT FROM token_expiry WHERE tenant = $3 AND refused_at <= $2 AND issued_at >= $4)`
)

// deleteTokensOf ends all that opens a tenant, which is being deleted.
func deleteTokensOf(ctx context.Context, tx pgx.Tx, tenant store.TenantKey) error {
	for _, query := range [...]string{deleteTokensOfSQL, forgetExpiriesSQL} {
		if _, err := tx.Exec(ctx, query, tenant); err != nil {
			return err
		}
	}
	return nil
}

// lockTenantSQL is for changes that several make of one tenant, whether it is deleted or not.
const lockAnyTenantSQL = `SELECT FROM tenant WHERE key = $1 FOR NO KEY UPDATE`

// ExpireTokens brings the expiry of a tenant's tokens forward to e.At.
func (s *Store) ExpireTokens(ctx context.Context, tenant store.TenantKey, e store.Expiry) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockAnyTenantSQL, tenant); err != nil {
			return err
		}
		if len(e.Sessions) > 0 {
			_, err := tx.Exec(ctx, expireSessionsSQL, tenant, instant(e.At), e.Sessions)
			return err
		}
		if _, err := tx.Exec(ctx, expireTokensSQL, tenant, instant(e.At)); err != nil {
			return err
		}
		return expireSigned(ctx, tx, tenant, e)
	})
}

// expireSigned notes from when on what was issued by now is refused. An expiry that
// refuses more and sooner takes the place of others.
func expireSigned(ctx context.Context, tx pgx.Tx, tenant store.TenantKey, e store.Expiry) error {
	at, now := instant(e.At), instant(e.Now)
	if covered, err := first(ctx, tx, pgx.RowTo[bool], coveringExpirySQL, tenant, at, now); err != nil || covered {
		return err
	}
	for _, change := range [...]string{coveredExpiriesSQL, insertExpirySQL} {
		if _, err := tx.Exec(ctx, change, tenant, at, now); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, passedExpiriesSQL, tenant, now)
	return err
}

// RefuseToken makes Refused true for the signed token of a hash.
func (s *Store) RefuseToken(ctx context.Context, hash [32]byte, until, now time.Time) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sweepRefusedSQL, instant(now)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, refuseTokenSQL, hash[:], instantOrNull(until))
		return err
	})
}

// Refused says whether a signed token was refused or has expired with those of its tenant.
func (s *Store) Refused(ctx context.Context, signed store.SignedToken, now time.Time) (bool, error) {
	return readFirst(ctx, s, pgx.RowTo[bool], refusedSQL, signed.Hash[:], instant(now), signed.Tenant, instant(signed.IssuedAt))
}
