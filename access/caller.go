package access

import (
	"slices"

	"github.com/neohook/neohook/webhook"
)

// Caller is who asks, as a token tells.
type Caller struct {
	Organisation webhook.OrganisationID
	// Tenant is the only one there is for this caller; "" is all of the organisation.
	Tenant webhook.TenantID
	Rights Rights
	// FeatureFlags open event types to a confined caller.
	FeatureFlags []string
}

// May says whether the caller has a right.
func (c *Caller) May(needs Right) bool { return c.Rights.Has(needs) }

// IsConfined says whether the caller is bound to one tenant.
func (c *Caller) IsConfined() bool { return c.Tenant != "" }

// Sees says whether an event type with this feature flag ("" is none) is there for the
// caller. Whoever is not confined sees all of them.
func (c *Caller) Sees(flag string) bool {
	return flag == "" || !c.IsConfined() || slices.Contains(c.FeatureFlags, flag)
}
