package neohook

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// TokenFilter narrows a list of tokens.
type TokenFilter struct {
	// Portal lists those made for portals, else the others.
	Portal bool
	// Tenant lists those for this tenant only, unless it is "".
	Tenant webhook.TenantID
}

// Authenticate returns whom the text of a token stands for. An answer is relied on for a
// second: for so long a token that was revoked through another node may go on being
// accepted. The error is access.ErrInvalid, an *access.ClaimError, or the store's.
func (e *Engine) Authenticate(ctx context.Context, text string) (access.Caller, error) {
	return e.gate.Caller(ctx, text)
}

// Logout ends the token that has this text, for good. The error is as for Authenticate.
func (e *Engine) Logout(ctx context.Context, text string) error { return e.gate.End(ctx, text) }

// CreateToken stores a token and returns it with its text, which nobody can be told
// again. Tenant, Name, Scopes, Portal and what goes with it, FeatureFlags and ExpiresAt
// are the caller's to set; the rest is not looked at. ErrNotFound: there is no such
// tenant.
func (o *Organisation) CreateToken(ctx context.Context, t access.Token) (access.Token, access.Text, error) {
	if err := checkOrganisation(o.id); err != nil {
		return access.Token{}, "", err
	}
	at := now()
	once, err := o.storeOnce(at, createTokenOp)
	if err != nil {
		return access.Token{}, "", err
	}
	var tenant store.Tenant
	if t.Tenant != "" {
		if tenant, err = o.tenant(ctx, t.Tenant); err != nil {
			return access.Token{}, "", err
		}
	}
	made, err := create(ctx, o, once, at, creation[tokenAnswer, issuedToken]{
		validate: func() error { return validateToken(&t, at) },
		record: func(key int64) (tokenAnswer, error) {
			return o.newToken(store.TokenKey(key), &t, &tenant, at)
		},
		insert: func(made tokenAnswer, once *store.Once) error {
			return translate(o.engine.store.InsertToken(ctx, made.Token, once), "tenant", string(t.Tenant))
		},
		show: o.showIssued,
	})
	return made.Token, made.text, err
}

// validateToken says what is wrong with a token that is to be made now.
func validateToken(t *access.Token, now time.Time) error {
	err := t.Validate()
	if t.ExpiresAt.IsZero() || t.ExpiresAt.After(now) {
		return err
	}
	var bad webhook.InvalidError
	if invalid, is := errors.AsType[*webhook.InvalidError](err); is {
		bad = *invalid
	}
	bad.Add("expiresAt", "must be in the future")
	return bad.Err()
}

// tokenAnswer is what a repeat under an idempotency key is answered from. The text in it
// is sealed, and kept for no longer than the key.
type tokenAnswer struct {
	Token      store.Token
	Tenant     webhook.TenantID
	SealedText []byte
}

// issuedToken is a token with its text.
type issuedToken struct {
	access.Token
	text access.Text
}

// newToken makes a token for a tenant, or for all of the organisation where that is zero.
func (o *Organisation) newToken(key store.TokenKey, t *access.Token, tenant *store.Tenant, at time.Time) (made tokenAnswer, err error) {
	text := access.NewText()
	made.Token = store.Token{Key: key, Hash: text.Hash(), Organisation: string(o.id), Tenant: tenant.Key, CreatedAt: at}
	record.PutToken(&made.Token, t)
	if tenant.Key != 0 {
		made.Tenant = o.engine.records.IDs.Tenant(tenant.CreatedAt, tenant.Key)
	}
	made.SealedText, err = o.engine.records.Keyset.Seal([]byte(text), tokenPlace(key))
	return made, err
}

// tokenPlace binds a sealed text to its token.
func tokenPlace(key store.TokenKey) []byte {
	return strconv.AppendInt([]byte("text of token "), int64(key), 10)
}

func (o *Organisation) showIssued(made *tokenAnswer) (issuedToken, error) {
	text, err := o.engine.records.Keyset.Open(made.SealedText, tokenPlace(made.Token.Key))
	return issuedToken{o.engine.records.Token(&made.Token, made.Tenant), access.Text(text)}, err
}

// showToken makes of a stored token what callers see. tenants remembers those that were
// looked up.
func (o *Organisation) showToken(ctx context.Context, t *store.Token, tenants map[store.TenantKey]webhook.TenantID) (access.Token, error) {
	id, found := tenants[t.Tenant]
	if !found && t.Tenant != 0 {
		tenant, err := o.engine.store.Tenant(ctx, string(o.id), t.Tenant)
		if err != nil {
			return access.Token{}, err
		}
		id = o.engine.records.IDs.Tenant(tenant.CreatedAt, tenant.Key)
		tenants[t.Tenant] = id
	}
	return o.engine.records.Token(t, id), nil
}

// Token returns a token. One that has expired is not found.
func (o *Organisation) Token(ctx context.Context, id webhook.TokenID) (access.Token, error) {
	key, err := o.tokenKey(id)
	if err != nil {
		return access.Token{}, err
	}
	found, err := o.engine.store.TokenOf(ctx, string(o.id), key, now())
	if err != nil {
		return access.Token{}, translate(err, "token", string(id))
	}
	shown, err := o.showToken(ctx, &found, make(map[store.TenantKey]webhook.TenantID))
	return shown, translate(err, "token", string(id))
}

func (o *Organisation) tokenKey(id webhook.TokenID) (store.TokenKey, error) {
	if err := checkOrganisation(o.id); err != nil {
		return 0, err
	}
	key, _, err := o.engine.records.IDs.ParseToken(id)
	if err != nil {
		err = translate(store.ErrNotFound, "token", string(id))
	}
	return key, err
}

// Tokens lists the organisation's tokens, as far as they have not expired.
func (o *Organisation) Tokens(ctx context.Context, filter TokenFilter, page Page) (List[access.Token], error) {
	if err := checkOrganisation(o.id); err != nil {
		return List[access.Token]{}, err
	}
	part, err := storePage(page, o.engine.records.IDs.ParseToken)
	if err != nil {
		return List[access.Token]{}, err
	}
	stored, tenants := store.TokenFilter{Portal: filter.Portal}, make(map[store.TenantKey]webhook.TenantID)
	if filter.Tenant != "" {
		tenant, err := o.tenant(ctx, filter.Tenant)
		if err != nil {
			return List[access.Token]{}, err
		}
		stored.Tenant = tenant.Key
	}
	got, err := o.engine.store.Tokens(ctx, string(o.id), stored, now(), whole(part))
	if err != nil {
		return List[access.Token]{}, translate(err, "tokens of", string(o.id))
	}
	list := List[access.Token]{Done: len(got) <= part.Limit, Items: []access.Token{}}
	for i := range got[:min(len(got), part.Limit)] {
		list.Last = string(o.engine.records.IDs.Token(got[i].CreatedAt, got[i].Key))
		shown, err := o.showToken(ctx, &got[i], tenants)
		switch {
		case errors.Is(err, store.ErrNotFound): // its tenant was deleted just now, and it too
		case err != nil:
			return List[access.Token]{}, translate(err, "tokens of", string(o.id))
		default:
			list.Items = append(list.Items, shown)
		}
	}
	return list, nil
}

// RevokeToken ends a token. Through other nodes it may go on being accepted for a second.
func (o *Organisation) RevokeToken(ctx context.Context, id webhook.TokenID) error {
	key, err := o.tokenKey(id)
	if err != nil {
		return err
	}
	defer o.engine.gate.Forget()
	return translate(o.engine.store.DeleteToken(ctx, string(o.id), key, now()), "token", string(id))
}

// MaxExpiryDelay bounds how far ahead ExpireTokens may be told to look.
const MaxExpiryDelay = 28 * 24 * time.Hour

// ExpireTokens ends every token for a tenant that there is now, after a delay, 0 to
// MaxExpiryDelay; signed ones that were issued by now too. With sessions it ends the
// tokens of portals that were made for one of them, and no others.
func (o *Organisation) ExpireTokens(ctx context.Context, ref webhook.TenantID, delay time.Duration, sessions ...string) error {
	var bad webhook.InvalidError
	if delay < 0 || delay > MaxExpiryDelay {
		bad.Add("expiry", "must be between 0 and 28 days")
	}
	for i, session := range sessions {
		if !webhook.IsText(session) {
			bad.Add("sessionIds["+strconv.Itoa(i)+"]", "must be UTF-8 text without U+0000")
		}
	}
	if err := bad.Err(); err != nil {
		return err
	}
	tenant, err := o.tenant(ctx, ref)
	if err != nil {
		return err
	}
	defer o.engine.gate.Forget()
	at := now()
	err = o.engine.store.ExpireTokens(ctx, tenant.Key, store.Expiry{Now: at, At: at.Add(delay), Sessions: sessions})
	return translate(err, "tokens of tenant", string(ref))
}
