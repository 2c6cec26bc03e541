package httpapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Tokens says whom a token lets act. store.Tokens is one.
type Tokens interface {
	// Token returns the token whose text has this SHA-256, or store.ErrNotFound.
	Token(ctx context.Context, hash [32]byte, now time.Time) (store.Token, error)
}

// tokenTTL is how long a token may go on being accepted after it was revoked.
const tokenTTL = time.Second

// maxTokens bounds the tokens remembered. Only valid ones are, so that a stranger's
// guesses neither fill the memory nor are remembered as wrong.
const maxTokens = 1024

// tokens remembers for a moment who asked, so that a busy client costs no look-ups.
type tokens struct {
	source Tokens

	mu    sync.RWMutex
	known map[[32]byte]knownToken
}

type knownToken struct {
	organisation webhook.OrganisationID
	until        time.Time
}

// organisation returns whom the token lets act.
func (t *tokens) organisation(ctx context.Context, text string) (webhook.OrganisationID, error) {
	hash, now := sha256.Sum256([]byte(text)), time.Now()
	t.mu.RLock()
	known, found := t.known[hash]
	t.mu.RUnlock()
	if found && now.Before(known.until) {
		return known.organisation, nil
	}
	token, err := t.source.Token(ctx, hash, now)
	if err != nil {
		return "", err
	}
	known = knownToken{webhook.OrganisationID(token.Organisation), now.Add(tokenTTL)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= maxTokens {
		t.known = make(map[[32]byte]knownToken)
	}
	t.known[hash] = known
	return known.organisation, nil
}

// authenticate finds out who asks, unless anyone may.
func (c *call) authenticate() error {
	if c.op.scope == anyone {
		return nil
	}
	text, err := bearer(c.req.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	organisation, err := c.api.tokens.organisation(c.ctx(), text)
	if errors.Is(err, store.ErrNotFound) {
		if strings.HasPrefix(text, webhook.HMACPrefix) || strings.HasPrefix(text, webhook.Ed25519Prefix) {
			return errSigningKey
		}
		return errUnauthorized
	}
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(organisation), webhook.OrganisationPrefix) {
		return errBadToken
	}
	c.caller = access.Caller{Organisation: organisation, Rights: access.ScopeRights([]access.Scope{access.Admin})}
	c.org = c.api.engine.In(organisation)
	return nil
}

// authorise refuses a caller whose token is not for this operation.
func (c *call) authorise() error {
	may := c.op.scope == anyone || c.caller.May(c.op.needs)
	switch c.op.scope {
	case operatorOnly:
		may = may && !c.caller.IsConfined() && c.caller.Organisation == c.api.engine.OrganisationID()
	case organisationOnly:
		may = may && !c.caller.IsConfined()
	case anyone, anyToken, application:
	}
	if !may {
		return errInsufficient
	}
	return nil
}

// confine refuses a confined caller every application but its own. From here on the
// application in the path is the caller's, by an id that no change of a uid can turn.
func (c *call) confine() error {
	ref := c.tenant()
	if !c.caller.IsConfined() || ref == "" || ref == c.caller.Tenant {
		return nil
	}
	if strings.HasPrefix(string(ref), webhook.TenantPrefix) {
		return notFound("Entity not found")
	}
	named, err := c.org.Tenant(c.ctx(), ref)
	if err == nil && named.ID != c.caller.Tenant || errors.Is(err, neohook.ErrNotFound) {
		return notFound("Entity not found")
	}
	c.app = c.caller.Tenant
	return err
}

// bearer returns the token in an Authorization field (RFC 6750, 2.1).
func bearer(field string) (string, error) {
	scheme, token, _ := strings.Cut(field, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errUnauthorized
	}
	return token, nil
}
