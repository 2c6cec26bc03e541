package gate

import (
	"testing"

	"github.com/neohook/neohook/internal/planted"
)

// mistakes of one line that the tests of this package must find.
var mistakes = map[string]planted.Mistake{
	"a remembered token outlives its expiry":              {"gate.go", "now.Before(found.until) && lasts(found.expires, now)", "now.Before(found.until)"},
	"a token is remembered for ever":                      {"gate.go", "remembered && now.Before(found.until) && lasts", "remembered && lasts"},
	"what was ended is remembered":                        {"gate.go", "defer g.Forget()", ""},
	"what ended meanwhile is remembered":                  {"gate.go", "if g.ended == ended {", "if g.ended >= ended {"},
	"guesses fill the memory":                             {"gate.go", "|| len(g.known) >= maxKnown", ""},
	"a mistyped token is looked up":                       {"gate.go", "|| access.IsMistyped(text)", ""},
	"a confined token is for all":                         {"gate.go", "tenant = g.records.IDs.Tenant(", "_ = g.records.IDs.Tenant("},
	"a token for an application has all of its rights":    {"signed.go", "portal := access.Token{Portal: true}", "portal := access.Token{Scopes: access.Scopes()}"},
	"a refused token is taken":                            {"signed.go", "if err == nil && refused {", "if err != nil && refused {"},
	"tokens of a tenant do not expire together":           {"signed.go", "signed.Tenant = key", "_ = key"},
	"the time of issue is not told":                       {"signed.go", "IssuedAt: claims.issued", "IssuedAt: time.Now()"},
	"a refused token is taken again once it was to end":   {"signed.go", "RefuseToken(ctx, hash, claims.expires, now)", "RefuseToken(ctx, hash, now.Add(time.Second), now)"},
	"a token chooses its algorithm":                       {"jwt.go", "jwt.WithValidMethods([]string{config.Algorithm}), ", ""},
	"stray bits of base64 are taken":                      {"jwt.go", "jwt.WithStrictDecoding(), ", ""},
	"critical extensions are passed over":                 {"jwt.go", "critical {", "critical && false {"},
	"an expired token has a tolerance":                    {"jwt.go", "!lasts(out.expires, now)", "!lasts(out.expires, now.Add(-tolerance))"},
	"not before is not looked at":                         {"jwt.go", "notBefore.After(soon) || ", ""},
	"an issue in the future is taken":                     {"jwt.go", " || out.issued.After(soon)", ""},
	"not before has no tolerance":                         {"jwt.go", "soon := now.Add(tolerance)", "soon := now"},
	"an empty org reads as none":                          {"jwt.go", `found["org"] != nil && out.organisation == ""`, "false"},
	"a public key serves as a secret":                     {"jwt.go", `strings.HasPrefix(strings.TrimSpace(string(key)), "-----BEGIN")`, "false"},
	"a short secret is taken":                             {"jwt.go", "if len(key) < minSecretBytes {", "if false {"},
	"a weak RSA key is taken":                             {"jwt.go", "public.N.BitLen() < minRSABits", "public.N.BitLen() < 1"},
	"what names an organisation is not looked at":         {"signed.go", `checkOrganisation("sub", subject); err != nil {`, `checkOrganisation("sub", subject); false && err != nil {`},
	"the prefixes of a tenant's claims are not asked for": {"signed.go", "if !strings.HasPrefix(claims.subject, webhook.TenantPrefix) {", "if false {"},
}

func TestPlantedBugsAreFound(t *testing.T) { planted.Find(t, mistakes, "^Test[^P]") }
