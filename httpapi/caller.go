package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

// authenticate finds out who asks, unless anyone may.
func (c *call) authenticate() error {
	if c.op.scope == anyone {
		return nil
	}
	text, err := bearer(c.req.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	c.caller, err = c.api.engine.Authenticate(c.ctx(), text)
	if err != nil {
		return unauthenticated(text, err)
	}
	c.org = c.api.engine.In(c.caller.Organisation)
	return nil
}

// unauthenticated turns away whoever presented text.
func unauthenticated(text string, err error) error {
	claim, isClaim := errors.AsType[*access.ClaimError](err)
	switch {
	case isClaim && claim.Missing:
		return &refusal{
			status: http.StatusUnauthorized, code: "authentication_failed",
			detail: "Claim " + claim.Claim + " of the token " + claim.Want,
		}
	case isClaim:
		return &refusal{status: http.StatusBadRequest, code: "bad_token", detail: "Claim " + claim.Claim + " of the token " + claim.Want}
	case !errors.Is(err, access.ErrInvalid):
		return err
	case errors.Is(err, access.ErrSecret):
		return errSigningSecret
	case strings.HasPrefix(text, webhook.HMACPrefix), strings.HasPrefix(text, webhook.Ed25519Prefix):
		return errSigningKey
	}
	return errUnauthorized
}

// authorise refuses a caller whose token is not for this operation.
func (c *call) authorise() error {
	may := c.op.scope == anyone || c.caller.May(c.op.needs)
	switch c.op.scope {
	case operatorOnly:
		may = may && c.isOperator()
	case organisationOnly:
		may = may && !c.caller.IsConfined()
	case anyone, anyToken, application:
	}
	if !may {
		return errInsufficient
	}
	return nil
}

// isOperator says whether the caller is of the organisation whose server it is.
func (c *call) isOperator() bool {
	return !c.caller.IsConfined() && c.caller.Organisation == c.api.engine.OrganisationID()
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
