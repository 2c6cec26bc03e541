package gate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// isSigned says whether a text has the form of a signed token (RFC 7515, 7.1).
func isSigned(text string) bool { return strings.Count(text, ".") == 2 }

// signed makes a pass of a token that proves itself.
func (g *Gate) signed(ctx context.Context, text string, now time.Time) (pass, error) {
	claims, err := g.verifier.verify(text, now)
	if err != nil {
		return pass{}, err
	}
	// What is signed is all but the last part. The signature is left out: it might be
	// spelt otherwise.
	hash := sha256.Sum256([]byte(text[:strings.LastIndexByte(text, '.')]))
	found := pass{
		expires: claims.expires,
		end: func(ctx context.Context, now time.Time) error {
			return g.store.RefuseToken(ctx, hash, claims.expires, now)
		},
	}
	signed := store.SignedToken{Hash: hash, IssuedAt: claims.issued}
	if claims.organisation == "" {
		found.caller, err = organisationCaller(claims.subject)
	} else {
		found.caller, err = tenantCaller(claims)
		// An id that was not made here is of no tenant: there is nothing for it to open.
		if key, _, foreign := g.records.IDs.ParseTenant(found.caller.Tenant); foreign == nil {
			signed.Tenant = key
		}
	}
	if err != nil {
		return pass{}, err
	}
	refused, err := g.store.Refused(ctx, signed, now)
	if err == nil && refused {
		err = access.ErrInvalid
	}
	return found, err
}

func organisationCaller(subject string) (access.Caller, error) {
	if err := checkOrganisation("sub", subject); err != nil {
		return access.Caller{}, err
	}
	admin := access.Token{Scopes: []access.Scope{access.Admin}}
	return access.Caller{Organisation: webhook.OrganisationID(subject), Rights: admin.Rights()}, nil
}

// checkOrganisation says what is wrong with a claim that names an organisation.
func checkOrganisation(claim, text string) error {
	switch {
	case !strings.HasPrefix(text, webhook.OrganisationPrefix):
		return &access.ClaimError{Claim: claim, Want: fmt.Sprintf("must begin with %q", webhook.OrganisationPrefix)}
	case webhook.OrganisationID(text).Check() != nil:
		return &access.ClaimError{Claim: claim, Want: fmt.Sprintf("must be at most %d bytes of text without U+0000", webhook.MaxOrganisationBytes)}
	}
	return nil
}

func tenantCaller(claims *claims) (access.Caller, error) {
	if err := checkOrganisation("org", claims.organisation); err != nil {
		return access.Caller{}, err
	}
	if !strings.HasPrefix(claims.subject, webhook.TenantPrefix) {
		return access.Caller{}, &access.ClaimError{Claim: "sub", Want: fmt.Sprintf("must begin with %q", webhook.TenantPrefix)}
	}
	portal := access.Token{Portal: true}
	return access.Caller{
		Organisation: webhook.OrganisationID(claims.organisation), Tenant: webhook.TenantID(claims.subject),
		Rights: portal.Rights(), FeatureFlags: claims.flags,
	}, nil
}
