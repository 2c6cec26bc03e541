package access

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/neohook/neohook/webhook"
)

// Token is what is known of a token besides its text, which only its holder has.
type Token struct {
	ID           webhook.TokenID
	Organisation webhook.OrganisationID
	// Tenant is the only one the token is for; "" is all of the organisation.
	Tenant webhook.TenantID
	Name   string
	// Scopes are what the token is for; a portal's has Capabilities instead.
	Scopes []Scope
	// Portal is a token for a tenant's own users: always with a Tenant and without Scopes.
	Portal bool
	// Capabilities of a portal's token; none is all of them, or for a read-only one
	// CanViewBase alone.
	Capabilities []Capability
	// ReadOnly leaves a portal's token those of its rights that change nothing.
	ReadOnly bool
	// FeatureFlags are those whose event types a token for a tenant sees, beside those
	// without a flag. A token for all of the organisation sees every type.
	FeatureFlags []string
	// Session is the caller's name for what a portal's token was made for, by which tokens
	// can be expired together.
	Session   string
	CreatedAt time.Time
	// ExpiresAt is when the token ends; zero is never.
	ExpiresAt time.Time
}

// DataFolder is the name of the token that comes with a server's data folder. No other
// may have it.
const DataFolder = "data folder"

// Limits of what a token names.
const (
	MaxTokenNameChars = 256
	MaxSessionChars   = 256
	MaxFeatureFlags   = 100
)

// Rights returns what the token may do.
func (t *Token) Rights() (set Rights) {
	if t.Portal {
		return PortalRights(t.Capabilities, t.ReadOnly)
	}
	for _, scope := range t.Scopes {
		set |= scopeRights[scope]
	}
	return set
}

// Validate returns all that is wrong with what a caller sets of a token, as
// *webhook.InvalidError, or nil. ID, Organisation and times are not looked at.
func (t *Token) Validate() error {
	var bad webhook.InvalidError
	checkLine(&bad, "name", t.Name, MaxTokenNameChars)
	if t.Name == DataFolder {
		bad.Add("name", "is that of the token in the server's data folder, which is replaced by neohook token --new")
	}
	if t.Portal {
		t.checkPortal(&bad)
	} else {
		t.checkScopes(&bad)
	}
	switch {
	case len(t.FeatureFlags) > 0 && t.Tenant == "":
		bad.Add("featureFlags", "are for the token of one application: this one sees all event types")
	case len(t.FeatureFlags) > MaxFeatureFlags:
		bad.Add("featureFlags", fmt.Sprintf("must be at most %d", MaxFeatureFlags))
	}
	for i, flag := range t.FeatureFlags {
		if !webhook.IsName(flag) {
			bad.Add("featureFlags["+strconv.Itoa(i)+"]", "must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot")
		}
	}
	return bad.Err()
}

func (t *Token) checkPortal(bad *webhook.InvalidError) {
	if t.Tenant == "" {
		bad.Add("tenant", "is needed: a portal is an application's")
	}
	if len(t.Scopes) > 0 {
		bad.Add("scopes", "must be empty: a portal's token has capabilities")
	}
	for i, c := range t.Capabilities {
		if !slices.Contains(Capabilities(), c) {
			bad.Add("capabilities["+strconv.Itoa(i)+"]", "must be one of "+join(Capabilities()))
		}
	}
	if len(t.Capabilities) > 0 && !slices.Contains(t.Capabilities, CanViewBase) {
		bad.Add("capabilities", fmt.Sprintf("must have %s, on which the others rest", CanViewBase))
	}
	checkLine(bad, "sessionId", t.Session, MaxSessionChars)
}

func (t *Token) checkScopes(bad *webhook.InvalidError) {
	if len(t.Scopes) == 0 {
		bad.Add("scopes", "must not be empty: "+join(Scopes()))
	}
	for i, scope := range t.Scopes {
		if _, known := scopeRights[scope]; !known {
			bad.Add("scopes["+strconv.Itoa(i)+"]", "must be one of "+join(Scopes()))
		}
	}
	if len(t.Capabilities) > 0 || t.ReadOnly || t.Session != "" {
		bad.Add("portal", "must be set where capabilities, readOnly or a sessionId are")
	}
}

// checkLine holds a text to one line of so many characters.
func checkLine(bad *webhook.InvalidError, field, text string, most int) {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > most ||
		strings.ContainsFunc(text, func(char rune) bool { return char < ' ' || char == 0x7f }) {
		bad.Add(field, fmt.Sprintf("must be at most %d characters of text without control characters", most))
	}
}

func join[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = string(one)
	}
	return strings.Join(texts, ", ")
}
