package access

import "github.com/neohook/neohook/webhook"

// Caller is who asks, as a token tells.
type Caller struct {
	Organisation webhook.OrganisationID
	// Tenant is the only one there is for this caller; "" is all of the organisation.
	Tenant webhook.TenantID
	Rights Rights
	// FeatureFlags are those whose event types a confined caller sees, beside those that
	// have none. Whoever is not confined sees all.
	FeatureFlags []string
}

// May says whether the caller has a right.
func (c *Caller) May(needs Right) bool { return c.Rights.Has(needs) }

// IsConfined says whether the caller is bound to one tenant.
func (c *Caller) IsConfined() bool { return c.Tenant != "" }
