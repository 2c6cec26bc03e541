package gate

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Store is what is asked of a store. *store.Store is one.
type Store interface {
	Token(ctx context.Context, hash [32]byte, now time.Time) (store.Token, error)
	DeleteToken(ctx context.Context, organisation string, key store.TokenKey, now time.Time) error
	RefuseToken(ctx context.Context, hash [32]byte, until, now time.Time) error
	Refused(ctx context.Context, signed store.SignedToken, now time.Time) (bool, error)
	Tenant(ctx context.Context, organisation string, key store.TenantKey) (store.Tenant, error)
}

const (
	// trust is how long a token may go on being accepted after it has ended.
	trust = time.Second
	// maxKnown bounds the tokens remembered. Only valid ones are, so that a stranger's
	// guesses neither fill the memory nor are remembered as wrong.
	maxKnown = 1024
	// maxText bounds the text of a token that is looked at at all.
	maxText = 16 << 10
)

// Gate is safe for concurrent use.
type Gate struct {
	store    Store
	records  *record.Translator
	verifier *verifier // nil where no signed tokens are taken

	mu    sync.RWMutex
	known map[[32]byte]known
	// ended counts what was ended here, so that what was found before is not remembered
	// after.
	ended int
}

// known is what was found of a token.
type known struct {
	pass
	until time.Time // monotonic
}

// pass is a token that was found valid.
type pass struct {
	caller  access.Caller
	expires time.Time // zero is never
	// end ends the token.
	end func(ctx context.Context, now time.Time) error
}

// New returns a gate over a store. An error says what is wrong with jwt.
func New(st Store, records *record.Translator, jwt access.JWT) (*Gate, error) {
	verifier, err := newVerifier(jwt)
	if err != nil {
		return nil, err
	}
	return &Gate{store: st, records: records, verifier: verifier}, nil
}

// Caller returns whom a token's text stands for. The error is access.ErrInvalid, of which
// access.ErrSecret is one, an *access.ClaimError, or the store's.
func (g *Gate) Caller(ctx context.Context, text string) (access.Caller, error) {
	hash, now := access.Text(text).Hash(), time.Now()
	g.mu.RLock()
	found, remembered := g.known[hash]
	ended := g.ended
	g.mu.RUnlock()
	if remembered && now.Before(found.until) && lasts(found.expires, now) {
		return found.caller, nil
	}
	fresh, err := g.look(ctx, text, now)
	if errors.Is(err, access.ErrInvalid) && g.verifier.isSecret(text) {
		err = access.ErrSecret
	}
	if err != nil {
		return access.Caller{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended == ended {
		if g.known == nil || len(g.known) >= maxKnown {
			g.known = make(map[[32]byte]known)
		}
		g.known[hash] = known{fresh, now.Add(trust)}
	}
	return fresh.caller, nil
}

// End ends the token of a text, for good. The error is as for Caller.
func (g *Gate) End(ctx context.Context, text string) error {
	defer g.Forget()
	now := time.Now()
	found, err := g.look(ctx, text, now)
	if err != nil {
		return err
	}
	err = found.end(ctx, now)
	if errors.Is(err, store.ErrNotFound) { // ended by somebody else meanwhile
		return nil
	}
	return err
}

// Forget makes the gate look up every token anew. It is called when some may have ended.
func (g *Gate) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known = nil
	g.ended++
}

// lasts says whether what expires at an instant is valid now.
func lasts(expires, now time.Time) bool { return expires.IsZero() || now.Before(expires) }

// look finds out about a token without remembering anything.
func (g *Gate) look(ctx context.Context, text string, now time.Time) (pass, error) {
	if len(text) > maxText || access.IsMistyped(text) {
		return pass{}, access.ErrInvalid
	}
	if g.verifier != nil && isSigned(text) {
		return g.signed(ctx, text, now)
	}
	token, err := g.store.Token(ctx, access.Text(text).Hash(), now)
	if errors.Is(err, store.ErrNotFound) {
		return pass{}, access.ErrInvalid
	}
	if err != nil {
		return pass{}, err
	}
	return g.kept(ctx, &token)
}

// kept makes a pass of a token that the store keeps.
func (g *Gate) kept(ctx context.Context, token *store.Token) (pass, error) {
	var tenant webhook.TenantID
	if token.Tenant != 0 {
		found, err := g.store.Tenant(ctx, token.Organisation, token.Tenant)
		if errors.Is(err, store.ErrNotFound) { // it was deleted just now, and the token with it
			return pass{}, access.ErrInvalid
		}
		if err != nil {
			return pass{}, err
		}
		tenant = g.records.IDs.Tenant(found.CreatedAt, found.Key)
	}
	shown := g.records.Token(token, tenant)
	return pass{
		caller: access.Caller{
			Organisation: shown.Organisation, Tenant: tenant, Rights: shown.Rights(), FeatureFlags: shown.FeatureFlags,
		},
		expires: token.ExpiresAt,
		end: func(ctx context.Context, now time.Time) error {
			return g.store.DeleteToken(ctx, token.Organisation, token.Key, now)
		},
	}, nil
}
