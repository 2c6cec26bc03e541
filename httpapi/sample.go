package httpapi

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// sampler makes values that fit schemas, for the reference to show.
type sampler struct {
	doc *document
	// whole: members that may be left out are there too.
	whole bool
	// now is what times are near to, as some must lie ahead and some not far back.
	now time.Time
}

// near is a time as a member of this name has it.
func (s sampler) near(name string) jsontext.Value {
	at := s.now.Add(-24 * time.Hour)
	switch name {
	case "deliverAt", "nextAttempt", "dueAt":
		at = s.now.Add(24 * time.Hour)
	case "until":
		at = s.now
	}
	return quoteSample(at.UTC().Truncate(time.Minute).Format("2006-01-02T15:04:05Z"))
}

// sampleID is the part of an identifier behind its prefix, where one is shown.
const sampleID = "2cR4nP1mXvKq8LwYb7TzD0sJfHg"

// maxSampleDepth is how deep objects are shown within each other.
const maxSampleDepth = 6

// text returns a sample as indented JSON.
func (s sampler) text(of *schema) string {
	value := s.value(of, 0)
	if err := value.Indent(jsontext.WithIndent("  ")); err != nil {
		return ""
	}
	return string(value)
}

func (s sampler) value(of *schema, depth int) jsontext.Value {
	of = s.doc.resolve(of)
	kind := ""
	if len(of.Type) > 0 {
		kind = of.Type[0]
	}
	switch {
	case len(of.Examples) > 0:
		return quoteSample(of.Examples[0])
	case of.Default != nil:
		return of.Default.Clone()
	case len(of.Enum) > 0:
		return quoteSample(of.Enum[0])
	case len(of.Type) > 1 && of.Type[len(of.Type)-1] == kindNull:
		return jsontext.Value("null")
	case len(of.AnyOf) > 0 && kind == "":
		if last := of.AnyOf[len(of.AnyOf)-1]; len(last.Type) == 1 && last.Type[0] == kindNull && !s.whole {
			return jsontext.Value("null")
		}
		return s.value(of.AnyOf[0], depth)
	}
	switch kind {
	case "object":
		return s.object(of, depth)
	case "array":
		if depth > maxSampleDepth {
			return jsontext.Value("[]")
		}
		return append(append(jsontext.Value("["), s.value(of.Items, depth+1)...), ']')
	case "integer", "number":
		if of.Minimum != nil && *of.Minimum > 1 {
			return quoteSample(*of.Minimum)
		}
		return jsontext.Value("1")
	case "boolean":
		return jsontext.Value("false")
	case "string":
		return quoteSample(s.word(of))
	}
	return jsontext.Value("{}")
}

func (s sampler) object(of *schema, depth int) jsontext.Value {
	out := jsontext.Value("{")
	if depth <= maxSampleDepth {
		for _, member := range of.Properties {
			shown := s.doc.resolve(member.value)
			if member.value.Deprecated || !s.whole && !isRequired(of, member.name) && len(member.value.Examples)+len(shown.Examples) == 0 {
				continue
			}
			if len(out) > 1 {
				out = append(out, ',')
			}
			name, _ := jsontext.AppendQuote(nil, member.name)
			value := s.value(member.value, depth+1)
			if shown.Format == "date-time" && value.Kind() == '"' {
				value = s.near(member.name)
			}
			out = append(append(append(out, name...), ':'), value...)
		}
	}
	return append(out, '}')
}

// word is a text that fits a schema.
func (s sampler) word(of *schema) string {
	switch {
	case of.Format == "date-time":
		return "2026-01-02T15:04:05.000000Z"
	case of.Format == "uri":
		return "https://example.com/webhook"
	}
	if prefix, tail, found := strings.Cut(strings.TrimPrefix(of.Pattern, "^"), "[0-9A-Za-z]{27}"); found && tail == "$" {
		return strings.TrimPrefix(prefix, "-?") + sampleID
	}
	if strings.HasPrefix(of.Pattern, "^(?:whsec_") {
		return "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	}
	return "text"
}

func quoteSample(value any) jsontext.Value {
	switch v := value.(type) {
	case jsontext.Value:
		return v.Clone()
	case string:
		quoted, _ := jsontext.AppendQuote(nil, v)
		return quoted
	case int64:
		return jsontext.Value(jsontext.Int(v).String())
	}
	return jsontext.Value("null")
}

func isRequired(of *schema, name string) bool {
	for _, required := range of.Required {
		if required == name {
			return true
		}
	}
	return false
}

// resolve follows a reference.
func (doc *document) resolve(of *schema) *schema {
	if name, found := strings.CutPrefix(of.Ref, componentsPath); found {
		return doc.Components.Schemas.of(name)
	}
	return of
}
