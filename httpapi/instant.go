package httpapi

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// instant is a time on the wire: RFC 3339 in UTC with six digits of fraction. The width
// is fixed because some parsers take three or six digits and nothing between.
type instant time.Time

func (instant) schema(*schemas) *schema { return &schema{Type: kinds{"string"}, Format: "date-time"} }

// MarshalJSONTo writes the time.
func (t instant) MarshalJSONTo(enc *jsontext.Encoder) error {
	text := append(enc.AvailableBuffer(), '"')
	text = time.Time(t).UTC().AppendFormat(text, "2006-01-02T15:04:05.000000Z")
	return enc.WriteValue(append(text, '"'))
}
