package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func tokenOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "token.list", route: "GET /auth/token",
			scope: organisationOnly, needs: access.Administer, refusals: []int{http.StatusNotFound},
			summary: "List the tokens",
		}, listTokens),
		serves(operation{
			name: "token.create", route: "POST /auth/token",
			scope: organisationOnly, needs: access.Administer, status: http.StatusCreated, once: true,
			summary: "Create a token",
		}, createToken),
		serves(operation{
			name: "token.get", route: "GET /auth/token/{token_id}",
			scope: organisationOnly, needs: access.Administer,
			summary: "Get a token, without its text",
		}, getToken),
		serves(operation{
			name: "token.revoke", route: "DELETE /auth/token/{token_id}",
			scope: organisationOnly, needs: access.Administer,
			summary: "Revoke a token",
			about:   "It opens nothing any more, through other nodes within a second.",
		}, deleteToken),
	}
}

// tokenIn is a token to be made.
type tokenIn struct {
	Name         opt[string]   `json:"name" is:"max=256" doc:"For people, to tell whose it is." eg:"invoicing service"`
	Scopes       opt[[]string] `json:"scopes" is:"required,min=1,max=3,enum=admin|publish|read" doc:"What it is for. admin is everything, tokens too; publish is sending messages and nothing else; read is all that is no secret: neither signing keys nor the values of headers." eg:"[\"publish\"]"`
	AppID        opt[string]   `json:"appId" is:"slug" doc:"The only application that there is for it, by id or uid. Without one it is for the whole organisation." eg:"acme"`
	FeatureFlags opt[[]string] `json:"featureFlags" is:"max=100,slug" doc:"With an appId: the feature flags whose event types it sees, beside those that have none."`
	Expiry       opt[int64]    `json:"expiry" is:"min=1,max=315360000" doc:"For how many seconds it is valid. Null is for ever." eg:"31536000"`
	rest
}

// tokenNames are the wire's names of what the domain calls otherwise.
var tokenNames = wireNames{"tenant": "appId", "expiresAt": "expiry"}

func (in *tokenIn) check(bad *faults) {
	t := in.token(time.Time{})
	bad.domain(t.Validate(), tokenNames, "body")
}

func (in *tokenIn) token(now time.Time) access.Token {
	t := access.Token{Name: in.Name.Value, Tenant: webhook.TenantID(in.AppID.Value), FeatureFlags: in.FeatureFlags.Value}
	for _, scope := range in.Scopes.Value {
		t.Scopes = append(t.Scopes, access.Scope(scope))
	}
	if in.Expiry.Given {
		t.ExpiresAt = now.Add(time.Duration(in.Expiry.Value) * time.Second)
	}
	return t
}

// tokenOut is a token as shown, without its text.
type tokenOut struct {
	like[tokenIn]
	ID           webhook.TokenID   `json:"id" doc:"Names the token, and opens nothing."`
	Name         string            `json:"name"`
	Scopes       []string          `json:"scopes" doc:"What it is for; empty for a portal's."`
	AppID        *webhook.TenantID `json:"appId" doc:"The only application that there is for it; null is the whole organisation."`
	FeatureFlags *[]string         `json:"featureFlags"`
	Portal       bool              `json:"portal" doc:"It was made by app-portal-access, for an application's own users."`
	Capabilities *[]string         `json:"capabilities" doc:"What a portal's token may do; null is everything that one may."`
	ReadOnly     bool              `json:"readOnly" doc:"A portal's token that changes nothing."`
	SessionID    *string           `json:"sessionId" doc:"What a portal's token was made for."`
	CreatedAt    instant           `json:"createdAt" doc:"When it was made."`
	ExpiresAt    *instant          `json:"expiresAt" doc:"When it ends; null is never."`
}

func showToken(t *access.Token) tokenOut {
	out := tokenOut{
		ID: t.ID, Name: t.Name, Scopes: words(t.Scopes), AppID: unlessZero(t.Tenant), FeatureFlags: unlessEmpty(t.FeatureFlags),
		Portal: t.Portal, Capabilities: unlessEmpty(words(t.Capabilities)), ReadOnly: t.ReadOnly, SessionID: unlessZero(t.Session),
		CreatedAt: instant(t.CreatedAt),
	}
	if at := instant(t.ExpiresAt); !t.ExpiresAt.IsZero() {
		out.ExpiresAt = &at
	}
	return out
}

func words[T ~string](list []T) []string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = string(one)
	}
	return texts
}

func tokenIterator(t *access.Token) string { return string(t.ID) }

// whoseTokens is the part of a query that says in which organisation.
type whoseTokens struct {
	Organisation opt[string] `query:"organisation" doc:"For the operator, whose token is of the server's own organisation: another organisation to act in." eg:"org_acme"`
}

// act lets the operator act in another organisation.
func (q *whoseTokens) act(c *call) error {
	switch id := webhook.OrganisationID(q.Organisation.Value); {
	case !q.Organisation.Given || id == c.caller.Organisation:
		return nil
	case !c.isOperator():
		return errInsufficient
	case !strings.HasPrefix(string(id), webhook.OrganisationPrefix) || !webhook.IsName(string(id)):
		var bad faults
		bad.add("must begin with "+webhook.OrganisationPrefix+", and be at most 256 characters of a-z A-Z 0-9 - _ and dot", "query", "organisation")
		return bad.err()
	default:
		c.org = c.api.engine.In(id)
		return nil
	}
}

type tokensQuery struct {
	limited
	whoseTokens
	Iterator opt[string] `query:"iterator" is:"iterator=tok_" doc:"The iterator or prevIterator of another page; without one, the first page."`
	Order    opt[string] `query:"order" is:"enum=ascending|descending,default=descending" doc:"By the time of creation."`
	Portal   opt[bool]   `query:"portal" is:"default=false" doc:"List those made by app-portal-access, in place of the others."`
	AppID    opt[string] `query:"app_id" is:"slug" doc:"List those for this application only, by its id or uid."`
}

func listTokens(c *call, q *tokensQuery, _ *none) (out listOut[tokenOut], _ error) {
	if err := q.act(c); err != nil {
		return out, err
	}
	w := walkOf(q.Limit, q.Iterator, q.Order.Value != "ascending")
	filter := neohook.TokenFilter{Portal: q.Portal.Value, Tenant: webhook.TenantID(q.AppID.Value)}
	got, err := c.org.Tokens(c.ctx(), filter, w.Page)
	if errors.Is(err, neohook.ErrNotFound) {
		return out, notFound("Application not found")
	}
	if err != nil {
		return out, badIterator(err)
	}
	return listed(w, got, tokenIterator, showToken), nil
}

// tokenMadeOut is a token with its text, which is shown this once.
type tokenMadeOut struct {
	tokenOut
	Token string `json:"token" doc:"The token itself. It is told this once: the server keeps no more than its hash."`
}

func createToken(c *call, q *whoseTokens, in *tokenIn) (out tokenMadeOut, _ error) {
	if err := q.act(c); err != nil {
		return out, err
	}
	org, err := c.once()
	if err != nil {
		return out, err
	}
	made, text, err := org.CreateToken(c.ctx(), in.token(time.Now()))
	if errors.Is(err, neohook.ErrNotFound) {
		var bad faults
		bad.add("there is no such application", "body", "appId")
		return out, bad.err()
	}
	if err != nil {
		return out, err
	}
	return tokenMadeOut{showToken(&made), string(text)}, nil
}

func (c *call) tokenID() webhook.TokenID { return webhook.TokenID(c.req.PathValue("token_id")) }

func getToken(c *call, q *whoseTokens, _ *none) (out tokenOut, _ error) {
	if err := q.act(c); err != nil {
		return out, err
	}
	found, err := c.org.Token(c.ctx(), c.tokenID())
	if err != nil {
		return out, noToken(err)
	}
	return showToken(&found), nil
}

func deleteToken(c *call, q *whoseTokens, _ *none) (out none, _ error) {
	if err := q.act(c); err != nil {
		return out, err
	}
	return out, noToken(c.org.RevokeToken(c.ctx(), c.tokenID()))
}

func noToken(err error) error {
	if errors.Is(err, neohook.ErrNotFound) {
		return notFound("Token not found")
	}
	return err
}
