package httpapi

import (
	"fmt"
	"strings"

	"github.com/neohook/neohook/webhook"
)

// format is a rule for a text, named in the "is" tag of a field.
type format struct {
	// check says what is wrong with the text, or ""; nil is nothing that the domain does
	// not say.
	check func(text string) string
	// told is the rule as far as a schema can tell it.
	told schema
}

// formats are the rules by name; arg is what follows the name and a "=" in the tag.
var formats = map[string]func(arg string) format{
	// uid is a name of the caller's own choosing. It must not look like an identifier,
	// whose prefix is arg.
	"uid": func(prefix string) format {
		told := slugSchema
		told.Not = &schema{Type: kinds{"string"}, Pattern: "^" + prefix}
		return format{told: told, check: func(text string) string {
			if strings.HasPrefix(text, prefix) {
				return fmt.Sprintf("must not begin with %q: that is for ids", prefix)
			}
			return slug(text)
		}}
	},
	"slug": func(string) format { return format{slug, slugSchema} },
	// iterator is an identifier with the prefix arg, or one behind a "-".
	"iterator": func(prefix string) format {
		return format{told: schema{Pattern: "^-?" + prefix + "[0-9A-Za-z]{27}$"}, check: func(text string) string {
			if _, err := webhook.ParseRawID(prefix, strings.TrimPrefix(text, "-")); err != nil {
				return badIteratorText
			}
			return ""
		}}
	},
	// nameiterator is a name behind a sign; see nameWalk.
	"nameiterator": func(string) format {
		return format{told: schema{Pattern: `^-?~?[a-zA-Z0-9\-_.]{1,256}$`}, check: func(text string) string {
			if at, _ := nameWalk(text); !webhook.IsName(at) {
				return badIteratorText
			}
			return ""
		}}
	},
	// secret is a signing secret. The library takes one without a prefix too; here it
	// would as likely be a mistake.
	"secret": func(string) format {
		const quad, pair, triple = "(?:[A-Za-z0-9+/]{4})", "[A-Za-z0-9+/]{2}==", "[A-Za-z0-9+/]{3}="
		told := schema{Pattern: "^(?:" + webhook.HMACPrefix + "(?:" + quad + "{8,25}|" + quad + "{8,24}(?:" + pair + "|" + triple + "))|" +
			webhook.Ed25519Prefix + quad + "{21}" + pair + ")$"}
		return format{told: told, check: func(text string) string {
			if !strings.HasPrefix(text, webhook.HMACPrefix) && !strings.HasPrefix(text, webhook.Ed25519Prefix) {
				return "must begin with " + webhook.HMACPrefix + " or " + webhook.Ed25519Prefix
			}
			return ""
		}}
	},
	// object is any, of which the type's own check says what is wrong with it.
	"object": func(string) format { return format{told: schema{Type: kinds{"object"}}} },
	// id is an identifier with the prefix arg, of answers only; url is an address.
	"id":  func(prefix string) format { return format{told: schema{Pattern: "^" + prefix + "[0-9A-Za-z]{27}$"}} },
	"url": func(string) format { return format{told: schema{Format: "uri"}} },
}

// slug is the rule for uids and for the names of event types and channels.
func slug(text string) string {
	if !webhook.IsName(text) {
		return "must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot"
	}
	return ""
}

var slugSchema = schema{Pattern: `^[a-zA-Z0-9\-_.]+$`, MinLength: 1, MaxLength: 256}
