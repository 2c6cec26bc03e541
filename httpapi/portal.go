package httpapi

import (
	"errors"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func portalOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "authentication.app-portal-access", route: "POST /auth/app-portal-access/{app_id}",
			scope: organisationOnly, needs: access.Administer, once: true, bodyFirst: true,
			summary: "Let a user of an application in",
			about:   "The answer is a token for this application and nothing else, and a page to open with it. Hand either to the user.",
		}, createPortalAccess),
		serves(operation{
			name: "authentication.dashboard-access", route: "POST /auth/dashboard-access/{app_id}",
			scope: organisationOnly, needs: access.Administer, once: true, deprecated: true,
			summary: "Let a user of an application in, with every capability and for seven days",
		}, createDashboardAccess),
		serves(operation{
			name: "authentication.expire-all", route: "POST /auth/app/{app_id}/expire-all",
			scope: organisationOnly, needs: access.Administer,
			summary: "End all tokens for an application, or those of some sessions",
		}, expireAll),
		serves(operation{
			name: "authentication.logout", route: "POST /auth/logout",
			scope: anyToken, needs: access.Nothing,
			summary: "End the token that asks",
			about:   "Whatever token is presented, it opens nothing any more: that of a portal, or the organisation's own.",
		}, logout),
	}
}

// The life of a portal's token, in seconds.
const portalLife = 7 * 24 * 60 * 60

// portalIn says what an application's user may do.
type portalIn struct {
	FeatureFlags opt[[]string]      `json:"featureFlags" is:"max=100,slug" doc:"The feature flags whose event types the user sees, beside those that have none."`
	Application  opt[applicationIn] `json:"application" doc:"The application to create where there is none of the path's uid, which must be the same. Where there is one, this is ignored."`
	Expiry       opt[int64]         `json:"expiry" is:"min=3600,max=604800,default=604800" doc:"For how many seconds the token is valid, an hour to seven days." eg:"86400"`
	ReadOnly     opt[bool]          `json:"readOnly" is:"default=false" doc:"Leave the token those of its capabilities that change nothing."`
	Capabilities opt[[]string]      `json:"capabilities" is:"min=1,max=6,enum=ViewBase|ViewEndpointSecret|ManageEndpointSecret|ManageTransformations|CreateAttempts|ManageEndpoint" doc:"What the user may do: ViewBase, without which there is none, reads all that is no secret; ViewEndpointSecret reads signing keys; ManageEndpointSecret replaces them too; CreateAttempts sends again; ManageEndpoint changes endpoints, with their keys and headers; ManageTransformations gives nothing here. Null is all, or for a read-only token ViewBase alone."`
	SessionID    opt[string]        `json:"sessionId" is:"max=256" doc:"A name of yours for what the token is made for: expire-all can end the tokens of one session."`
	rest
}

// portalNames are the wire's names of what the domain calls otherwise.
var portalNames = wireNames{"expiresAt": "expiry", "session": "sessionId"}

func (in *portalIn) check(bad *faults) {
	t := in.token("in the path", time.Time{})
	bad.domain(t.Validate(), portalNames, "body")
	if in.Application.Given {
		in.Application.Value.checkIn(bad, "body", "application")
	}
}

func (in *portalIn) token(app webhook.TenantID, now time.Time) access.Token {
	t := access.Token{
		Tenant: app, Portal: true, ReadOnly: in.ReadOnly.Value, FeatureFlags: in.FeatureFlags.Value, Session: in.SessionID.Value,
		ExpiresAt: now.Add(time.Duration(in.Expiry.or(portalLife)) * time.Second),
	}
	for _, capability := range in.Capabilities.Value {
		t.Capabilities = append(t.Capabilities, access.Capability(capability))
	}
	return t
}

// portalOut lets an application's user in.
type portalOut struct {
	URL   string `json:"url" is:"url" doc:"A page for the user. The token is in its fragment, which browsers keep to themselves."`
	Token string `json:"token" doc:"The token itself, for a page of your own."`
}

func createPortalAccess(c *call, _ *none, in *portalIn) (portalOut, error) {
	return c.letIn(in.token(c.tenant(), time.Now()), &in.Application)
}

func createDashboardAccess(c *call, _, _ *none) (portalOut, error) {
	var in portalIn
	return c.letIn(in.token(c.tenant(), time.Now()), &in.Application)
}

// letIn makes a portal's token, and its application where the request brought one and
// there is none.
func (c *call) letIn(token access.Token, app *opt[applicationIn]) (out portalOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	_, text, err := org.CreateToken(c.ctx(), token)
	if errors.Is(err, neohook.ErrNotFound) && app.Given {
		if err := c.createFor(&app.Value); err != nil {
			return out, err
		}
		_, text, err = org.CreateToken(c.ctx(), token)
	}
	if err != nil {
		return out, c.missing(err, "")
	}
	return portalOut{URL: c.publicURL() + "/docs#token=" + string(text), Token: string(text)}, nil
}

// publicURL is where browsers reach this server: as Options say, else as the request did.
func (c *call) publicURL() string {
	switch {
	case c.api.publicURL != "":
		return c.api.publicURL
	case c.req.TLS != nil:
		return "https://" + c.req.Host
	}
	return "http://" + c.req.Host
}

func logout(c *call, _, _ *none) (out none, _ error) {
	text, err := bearer(c.req.Header.Get("Authorization"))
	if err != nil {
		return out, err
	}
	if err := c.api.engine.Logout(c.ctx(), text); err != nil {
		return out, unauthenticated(text, err)
	}
	return out, nil
}

// expireIn says which of an application's tokens end, and when.
type expireIn struct {
	Expiry     opt[int64]    `json:"expiry" is:"max=2419200,default=0" doc:"In how many seconds they end, at most 28 days. 0 is now."`
	SessionIDs opt[[]string] `json:"sessionIds" is:"max=100" doc:"End the tokens of these sessions only. Without any, all end that are for the application, signed ones (JWT) too."`
	rest
}

func expireAll(c *call, _ *none, in *expireIn) (out none, _ error) {
	delay := time.Duration(in.Expiry.Value) * time.Second
	return out, c.missing(c.org.ExpireTokens(c.ctx(), c.tenant(), delay, in.SessionIDs.Value...), "")
}
