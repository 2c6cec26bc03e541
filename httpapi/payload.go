package httpapi

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// shownPayload is always an object: the payload if it is one, {} where it was not asked
// for, {"expired":true} where it is gone, and {"raw":"…"} for one that is something else.
type shownPayload struct {
	asked bool
	body  []byte
}

func (shownPayload) schema(*schemas) *schema { return &schema{Type: kinds{"object"}} }

// MarshalJSONTo writes the payload.
func (p shownPayload) MarshalJSONTo(enc *jsontext.Encoder) error {
	switch body := jsontext.Value(p.body); {
	case !p.asked:
		return enc.WriteValue(jsontext.Value(`{}`))
	case p.body == nil:
		return enc.WriteValue(jsontext.Value(`{"expired":true}`))
	case body.Kind() == '{' && utf8.Valid(body) && body.IsValid(decodeOptions) && !isDeep(body):
		return enc.WriteValue(body)
	}
	raw, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(string(p.body), "\uFFFD"))
	if err != nil {
		return err
	}
	return enc.WriteValue(append(append([]byte(`{"raw":`), raw...), '}'))
}

// maxShownDepth is how deep a payload may be nested and still be shown as it is. An
// encoder goes 10,000 deep, and what is around the payload must fit too.
const maxShownDepth = 9_900

// isDeep says that JSON is nested deeper than that.
func isDeep(text []byte) bool {
	if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) <= maxShownDepth {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch char := text[i]; {
		case char == '"':
			quoted = !quoted
		case quoted && char == '\\':
			i++ // whatever is escaped, it ends no string
		case quoted:
		case char == '[' || char == '{':
			if depth++; depth > maxShownDepth {
				return true
			}
		case char == ']' || char == '}':
			depth--
		}
	}
	return false
}
