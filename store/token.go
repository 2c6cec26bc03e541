package store

import (
	"context"
	"time"
)

// Token lets whoever presents its text act for an organisation.
type Token struct {
	Key TokenKey
	// Hash is the SHA-256 of the text, which is nowhere stored.
	Hash         [32]byte
	Organisation string
	// Tenant is the only one the token is for; 0 is all of the organisation.
	Tenant TenantKey
	Name   string
	// Scopes and Capabilities are of package access: the ones of the organisation's own
	// tokens, the others of those for a tenant's portal, which have Portal.
	Scopes       []string
	Portal       bool
	Capabilities []string
	ReadOnly     bool
	FeatureFlags []string
	// Session is the caller's name for what the token was made for; "" is none.
	Session   string
	CreatedAt time.Time
	// ExpiresAt is the instant from which the token is not there any more; zero is never.
	ExpiresAt time.Time
}

// TokenFilter narrows a list of tokens.
type TokenFilter struct {
	// Portal lists those with Portal, else those without.
	Portal bool
	// Tenant lists those for this tenant only, unless it is 0.
	Tenant TenantKey
}

// SignedToken is what is known of a token that is not kept here, but proves itself.
type SignedToken struct {
	// Hash is a SHA-256 that no other token has.
	Hash [32]byte
	// Tenant is the only one the token is for; 0 is all of the organisation.
	Tenant TenantKey
	// IssuedAt is when it was made; zero, which is before all else, where that is unknown.
	IssuedAt time.Time
}

// Expiry ends tokens of a tenant.
type Expiry struct {
	// Now is the present, and At the instant from which the tokens are not there any more:
	// Now or later.
	Now, At time.Time
	// Sessions are those whose tokens are meant; none is every token.
	Sessions []string
}

// Tokens keeps the hashes of API tokens. A change is durable when the call returns.
//
// From its ExpiresAt on a token is not there for any method, whether or not a store still
// holds it: with each InsertToken a store forgets some that have expired.
type Tokens interface {
	// InitToken stores first if there is no token at all, and says whether it did.
	InitToken(ctx context.Context, first Token) (stored bool, err error)
	// ReplaceToken stores a token in place of all those of its organisation that have its
	// name: what was lost opens nothing any more.
	ReplaceToken(ctx context.Context, token Token) error
	// InsertToken stores a token under its own key, drawn with NewKey. It returns
	// *ReplayError if once is not nil and was seen before, else ErrNotFound if the token is
	// for a tenant that is not in its organisation.
	InsertToken(ctx context.Context, token Token, once *Once) error
	// Token returns the token of a hash, or ErrNotFound.
	Token(ctx context.Context, hash [32]byte, now time.Time) (Token, error)
	// TokenOf returns a token of an organisation by its key, or ErrNotFound.
	TokenOf(ctx context.Context, organisation string, key TokenKey, now time.Time) (Token, error)
	// Tokens lists an organisation's tokens.
	Tokens(ctx context.Context, organisation string, filter TokenFilter, now time.Time, page Page) ([]Token, error)
	// DeleteToken ends a token of an organisation. It returns ErrNotFound. DeleteTenant
	// ends those for the tenant.
	DeleteToken(ctx context.Context, organisation string, key TokenKey, now time.Time) error
	// ExpireTokens brings the expiry of a tenant's tokens forward to e.At; one that is
	// sooner stays. Unless there are Sessions, it makes Refused true from e.At on for the
	// tenant's signed tokens that were issued by e.Now. A token made later is not concerned.
	ExpireTokens(ctx context.Context, tenant TenantKey, e Expiry) error
	// RefuseToken makes Refused true for the signed token of a hash, until the instant from
	// which the token is not valid anyway; zero is for ever.
	RefuseToken(ctx context.Context, hash [32]byte, until, now time.Time) error
	// Refused says whether a signed token was refused or has expired with those of its
	// tenant.
	Refused(ctx context.Context, signed SignedToken, now time.Time) (bool, error)
}
