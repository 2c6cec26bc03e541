package httpapi

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/neohook/neohook/webhook"
)

// schema is a JSON Schema (2020-12), as far as the document needs it.
type schema struct {
	Ref         string           `json:"$ref,omitzero"`
	Type        kinds            `json:"type,omitzero"`
	Description string           `json:"description,omitzero"`
	Format      string           `json:"format,omitzero"`
	Pattern     string           `json:"pattern,omitzero"`
	Enum        []any            `json:"enum,omitzero"`
	Minimum     *int64           `json:"minimum,omitzero"`
	Maximum     *int64           `json:"maximum,omitzero"`
	MinLength   int64            `json:"minLength,omitzero"`
	MaxLength   int64            `json:"maxLength,omitzero"`
	MinItems    int64            `json:"minItems,omitzero"`
	MaxItems    int64            `json:"maxItems,omitzero"`
	Items       *schema          `json:"items,omitzero"`
	Properties  ordered[*schema] `json:"properties,omitzero"`
	Required    []string         `json:"required,omitzero"`
	// Values is the schema of the members that are not in Properties.
	Values *schema   `json:"additionalProperties,omitzero"`
	AnyOf  []*schema `json:"anyOf,omitzero"`
	OneOf  []*schema `json:"oneOf,omitzero"`
	// ContentSchema is that of JSON inside a string.
	ContentSchema *schema        `json:"contentSchema,omitzero"`
	Not           *schema        `json:"not,omitzero"`
	Default       jsontext.Value `json:"default,omitzero"`
	Examples      []any          `json:"examples,omitzero"`
	Deprecated    bool           `json:"deprecated,omitzero"`
}

// kinds are the JSON types of a schema. One is told as a string, several as a list.
type kinds []string

// MarshalJSONTo writes the types.
func (k kinds) MarshalJSONTo(enc *jsontext.Encoder) error {
	if len(k) == 1 {
		return enc.WriteToken(jsontext.String(k[0]))
	}
	return json.MarshalEncode(enc, []string(k))
}

// kindNull is the JSON type of null.
const kindNull = "null"

// orNull lets a value be null too.
func (s *schema) orNull() *schema {
	switch {
	case s.Ref != "":
		return &schema{AnyOf: []*schema{s, {Type: kinds{kindNull}}}}
	case s.Type == nil:
		return s // anything
	}
	s.Type = append(s.Type[:len(s.Type):len(s.Type)], kindNull)
	if s.Enum != nil {
		s.Enum = append(s.Enum, nil)
	}
	return s
}

// schemas makes schemas of Go types, and gathers those that have names.
type schemas struct {
	named map[string]*schema
	types map[string]reflect.Type
}

// told is a type that says itself how it is on the wire. It may name parts by way of its
// schemas.
type told interface{ schema(*schemas) *schema }

// of returns the schema of a type, a reference for a struct.
func (all *schemas) of(t reflect.Type) *schema {
	if own, ok := reflect.Zero(t).Interface().(told); ok && t.Kind() != reflect.Pointer {
		return own.schema(all)
	}
	if prefix, found := idPrefixes[t]; found {
		return &schema{Type: kinds{"string"}, Pattern: "^" + prefix + "[0-9A-Za-z]{27}$"}
	}
	if t == reflect.TypeFor[jsontext.Value]() {
		return new(schema)
	}
	switch t.Kind() {
	case reflect.String:
		return &schema{Type: kinds{"string"}}
	case reflect.Bool:
		return &schema{Type: kinds{"boolean"}}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return &schema{Type: kinds{"integer"}}
	case reflect.Float64:
		return &schema{Type: kinds{"number"}}
	case reflect.Pointer:
		return all.of(t.Elem()).orNull()
	case reflect.Slice:
		return &schema{Type: kinds{"array"}, Items: all.of(t.Elem())}
	case reflect.Map:
		return &schema{Type: kinds{"object"}, Values: all.of(t.Elem())}
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return &schema{Type: kinds{"string"}, Format: "date-time"}
		}
		return all.reference(t)
	}
	panic(fmt.Sprintf("httpapi: %v can't be told on the wire", t))
}

// idPrefixes are the types of identifiers.
var idPrefixes = map[reflect.Type]string{
	reflect.TypeFor[webhook.TenantID]():   webhook.TenantPrefix,
	reflect.TypeFor[webhook.EndpointID](): webhook.EndpointPrefix,
	reflect.TypeFor[webhook.EventID]():    webhook.EventPrefix,
	reflect.TypeFor[webhook.AttemptID]():  webhook.AttemptPrefix,
	reflect.TypeFor[webhook.TokenID]():    webhook.TokenPrefix,
	reflect.TypeFor[webhook.DeliveryID](): webhook.DeliveryPrefix,
}

const componentsPath = "#/components/schemas/"

// reference names the schema of a struct and refers to it.
func (all *schemas) reference(t reflect.Type) *schema {
	name := schemaName(t)
	if known, found := all.types[name]; found && known != t {
		panic(fmt.Sprintf("httpapi: %v and %v have the same name in the document, %s", known, t, name))
	}
	if _, found := all.named[name]; !found {
		if all.named == nil {
			all.named, all.types = make(map[string]*schema), make(map[string]reflect.Type)
		}
		made := &schema{Type: kinds{"object"}}
		all.named[name], all.types[name] = made, t // first, as it may hold itself
		all.gather(made, t, nil)
		if more, ok := reflect.New(t).Interface().(interface{ refine(*schema) }); ok {
			more.refine(made)
		}
	}
	return &schema{Ref: componentsPath + name}
}

// schemaName is that of the type in the document: applicationOut is ApplicationOut,
// listOut[applicationOut] ListOfApplicationOut.
func schemaName(t reflect.Type) string {
	name, inside, generic := strings.Cut(t.Name(), "[")
	if generic {
		inside = inside[strings.LastIndex(inside, ".")+1:]
		name = strings.TrimSuffix(name, "Out") + "Of" + upper(strings.TrimSuffix(inside, "]"))
	}
	return upper(name)
}

func upper(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}

// gather adds the fields of a struct to its schema. models are the types that it is like.
func (all *schemas) gather(into *schema, t reflect.Type, models []reflect.Type) {
	for i := range t.NumField() {
		model, ok := reflect.Zero(t.Field(i).Type).Interface().(interface{ model() reflect.Type })
		if ok && t.Field(i).Anonymous {
			models = append(models, model.model())
		}
	}
	for i := range t.NumField() {
		part := t.Field(i)
		name, options, _ := strings.Cut(part.Tag.Get("json"), ",")
		name += part.Tag.Get("query")
		switch {
		case part.Anonymous:
			all.gather(into, part.Type, models)
		case name == "" || name == "-":
		default:
			all.add(into, part, name, options, models)
		}
	}
}

// add adds a field. One of a request is an opt.
func (all *schemas) add(into *schema, part reflect.StructField, name, options string, models []reflect.Type) {
	f := field{name: name}
	f.rules(part)
	var made *schema
	request, isRequest := reflect.New(part.Type).Interface().(member)
	if isRequest {
		made = all.of(reflect.TypeOf(request.pointer()).Elem())
		if made.Type != nil && made.Type[0] == "integer" {
			made.Minimum = &f.min
		}
	} else {
		made = all.of(part.Type)
		f.required = !strings.Contains(options, "omit")
	}
	if strings.Contains(options, "omit") && made.Type != nil {
		made.Type = made.Type[:1] // left out in place of null
	}
	f.tell(made)
	if isRequest && !f.required && !f.solid && part.Tag.Get("query") == "" {
		made = made.orNull()
	}
	f.describe(made, part, models)
	into.Properties.add(name, made)
	if f.required {
		into.Required = append(into.Required, name)
	}
}

// tell adds the rules of a field to its schema.
func (f *field) tell(s *schema) {
	text := s
	if s.Type == nil && f.format != nil {
		s.Type = f.format.told.Type
	}
	switch {
	case s.Type == nil:
		return
	case s.Type[0] == "array":
		s.MinItems, s.MaxItems = f.min, f.max
		text = s.Items
		if f.most != 0 {
			text.Minimum, text.Maximum = &f.least, &f.most
		}
	case s.Type[0] == "string":
		s.MinLength, s.MaxLength = f.min, f.max
	case s.Type[0] == "integer":
		if f.min != 0 {
			s.Minimum = &f.min
		}
		if f.max != 0 {
			s.Maximum = &f.max
		}
	}
	for _, word := range f.enum {
		text.Enum = append(text.Enum, valueOf(word, text.Type))
	}
	if len(f.enum) > 0 && slices.Contains(text.Type, kindNull) {
		text.Enum = append(text.Enum, nil)
	}
	if f.format != nil {
		rule := f.format.told
		text.Pattern, text.Format, text.Not = rule.Pattern, rule.Format, rule.Not
		text.MinLength, text.MaxLength = max(text.MinLength, rule.MinLength), max(text.MaxLength, rule.MaxLength)
	}
	if f.fallback != "" {
		s.Default, _ = jsontext.AppendQuote(nil, f.fallback)
		if s.Type[0] != "string" {
			s.Default = jsontext.Value(f.fallback)
		}
	}
}

// valueOf is a word of a tag as a value of the type.
func valueOf(word string, of kinds) any {
	if of[0] == "integer" {
		return mustInt(word)
	}
	return word
}

// describe adds what the tags say of a field's meaning.
func (f *field) describe(s *schema, part reflect.StructField, models []reflect.Type) {
	doc, eg := part.Tag.Get("doc"), part.Tag.Get("eg")
	for _, model := range models {
		if alike, found := fieldNamed(model, f.name); found {
			doc, eg = cmp.Or(doc, alike.Tag.Get("doc")), cmp.Or(eg, alike.Tag.Get("eg"))
		}
	}
	if f.older != "" {
		doc, s.Deprecated = cmp.Or(doc, "Older name of `"+f.older+"`."), true
	}
	if doc == "" {
		panic(fmt.Sprintf("httpapi: field %s has no doc", f.name))
	}
	s.Description = doc
	if eg != "" {
		s.Examples = []any{exampleOf(eg)}
	}
}

// exampleOf is the value of an "eg" tag.
func exampleOf(text string) any {
	if value := jsontext.Value(text); value.IsValid() {
		return value
	}
	return text
}

// fieldNamed finds the field of a struct by its name on the wire.
func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, part := range reflect.VisibleFields(t) {
		called, _, _ := strings.Cut(part.Tag.Get("json"), ",")
		if called+part.Tag.Get("query") == name {
			return part, true
		}
	}
	return reflect.StructField{}, false
}
