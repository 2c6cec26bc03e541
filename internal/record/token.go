package record

import (
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Token returns a stored token as callers see it, sharing nothing with it. tenant is that
// of its Tenant.
func (tr *Translator) Token(t *store.Token, tenant webhook.TenantID) access.Token {
	return access.Token{
		ID: tr.IDs.Token(t.CreatedAt, t.Key), Organisation: webhook.OrganisationID(t.Organisation), Tenant: tenant, Name: t.Name,
		Scopes: named[access.Scope](t.Scopes), Portal: t.Portal, Capabilities: named[access.Capability](t.Capabilities),
		ReadOnly: t.ReadOnly, FeatureFlags: cloneSlice(t.FeatureFlags), Session: t.Session,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
	}
}

// PutToken writes into a stored token what callers rule over, but for its tenant, sharing
// nothing with t.
func PutToken(into *store.Token, t *access.Token) {
	into.Name, into.Portal, into.ReadOnly, into.Session = t.Name, t.Portal, t.ReadOnly, t.Session
	into.Scopes, into.Capabilities = named[string](t.Scopes), named[string](t.Capabilities)
	into.FeatureFlags = cloneSlice(t.FeatureFlags)
	if !t.ExpiresAt.IsZero() {
		into.ExpiresAt = t.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
}

// named turns a list of one kind of text into one of another.
func named[To, From ~string](list []From) []To {
	if len(list) == 0 {
		return nil
	}
	out := make([]To, len(list))
	for i, one := range list {
		out[i] = To(one)
	}
	return out
}
