package openapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// version is that under which the schema of a document is stored.
const version = "1"

// draft2020 is what schemas of OpenAPI 3.1 are of, unless the document says otherwise.
const draft2020 = "https://json-schema.org/draft/2020-12/schema"

// What the bundles of a document copy: of one, and of all together.
const (
	maxBundle = 3000
	maxCopied = 300_000
)

// schemas returns the schema of a request's body, by version; nil if it has none.
func (d *document) schemas(body *node) (map[string]json.RawMessage, error) {
	media := jsonMedia(body.get("content"))
	from := media.get("schema")
	if from == nil {
		return nil, nil
	}
	b := &bundle{document: d, names: make(map[string]string), taken: make(map[string]bool)}
	made, err := b.whole(from, media)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	text := made.append(nil)
	if d.size += len(text); d.size > maxSchemas {
		return nil, fmt.Errorf("schemas come to more than %d bytes together, with what they share in each", maxSchemas)
	}
	return map[string]json.RawMessage{version: text}, nil
}

// jsonMedia returns the media type that is JSON, or the first one.
func jsonMedia(content *node) *node {
	if !content.isObject() || len(content.items) == 0 {
		return nil
	}
	if found := content.get("application/json"); found != nil {
		return found
	}
	for i, name := range content.names {
		if kind, _, _ := strings.Cut(name, ";"); strings.HasSuffix(strings.TrimSpace(kind), "json") {
			return content.items[i]
		}
	}
	return content.items[0]
}

// bundle copies a schema with all that it refers to.
type bundle struct {
	*document
	// names are the definitions' by what referred to them, taken all that are in use, and
	// wanted the references that are to be copied yet.
	names  map[string]string
	taken  map[string]bool
	wanted []string
	copied int
}

// definitions is where a bundle puts what a schema refers to.
func (b *bundle) definitions() string {
	if b.isOld() {
		return "definitions"
	}
	return "$defs"
}

// whole makes a schema that stands alone.
func (b *bundle) whole(from, media *node) (*node, error) {
	if from.get("$ref") != nil && len(from.names) == 1 {
		var err error
		if from, err = b.resolve(from); err != nil {
			return nil, err
		}
	}
	for _, name := range from.get(b.definitions()).ownNames() {
		b.taken[name] = true
	}
	made, err := b.copy(from, 0)
	if err != nil || !made.isObject() {
		return made, err
	}
	if !b.isOld() {
		made = b.dated(made)
	}
	if err := b.exemplify(made, media); err != nil {
		return nil, err
	}
	return made, b.define(made)
}

// dated puts the draft of the schemas of OpenAPI 3.1 first.
func (b *bundle) dated(made *node) *node {
	draft := draft2020
	for _, said := range [...]string{made.get("$schema").string(), b.root.get("jsonSchemaDialect").string()} {
		if said != "" && !strings.HasPrefix(said, "https://spec.openapis.org/") { // those are 2020-12
			draft = said
			break
		}
	}
	made.remove("$schema")
	first := object()
	first.put("$schema", textNode(draft))
	for i, name := range made.names {
		first.put(name, made.items[i])
	}
	return first
}

// define copies what is referred to below the schema's definitions.
func (b *bundle) define(made *node) error {
	all := object()
	for len(b.wanted) > 0 {
		ref := b.wanted[0]
		b.wanted = b.wanted[1:]
		found, err := b.find(ref)
		if err != nil {
			return err
		}
		definition, err := b.copy(found, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", clip(ref), err)
		}
		all.put(b.names[ref], definition)
	}
	if len(all.names) == 0 {
		return nil
	}
	own := made.get(b.definitions())
	for i, name := range own.ownNames() {
		all.put(name, own.items[i])
	}
	made.put(b.definitions(), all)
	return nil
}

// exemplify gives a schema without examples those of its media type.
func (b *bundle) exemplify(made, media *node) error {
	if made.get("examples") != nil {
		return nil
	}
	found := list()
	if one := media.get("example"); one != nil {
		found.items = append(found.items, one)
	}
	for i := range media.get("examples").ownNames() {
		each, err := b.resolve(media.get("examples").items[i])
		if err != nil {
			return fmt.Errorf("examples: %w", err)
		}
		if value := each.get("value"); value != nil {
			found.items = append(found.items, value)
		}
	}
	if one := made.get("example"); one != nil && len(found.items) == 0 {
		found.items = append(found.items, one)
	}
	if len(found.items) > 0 {
		made.put("examples", found)
	}
	return nil
}

// The members of a schema that hold schemas: one, a list of them, or several by name.
var (
	single = [...]string{
		"not", "if", "then", "else", "items", "additionalItems", "contains", "additionalProperties", "propertyNames",
		"unevaluatedItems", "unevaluatedProperties", "contentSchema",
	}
	several = [...]string{"allOf", "anyOf", "oneOf", "prefixItems", "items"}
	byName  = [...]string{"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"}
)

// copy copies a schema, and renames the references in it.
func (b *bundle) copy(from *node, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("must not be nested deeper than %d", maxDepth)
	}
	b.copied++
	b.document.copied++
	if b.copied > maxBundle || b.document.copied > maxCopied {
		return nil, fmt.Errorf("must not have more than %d parts with what it refers to, and all schemas together %d", maxBundle, maxCopied)
	}
	if !from.isObject() {
		return from, nil
	}
	made := object()
	for i, name := range from.names {
		if name == "$id" {
			continue // references are from the root now
		}
		value, err := b.member(name, from.items[i], depth)
		if err != nil {
			return nil, err
		}
		made.put(name, value)
	}
	if b.isOld() {
		modernise(made)
	}
	return made, nil
}

func (b *bundle) member(name string, value *node, depth int) (*node, error) {
	switch {
	case name == "$ref" && value.string() != "":
		renamed, err := b.rename(value.string())
		return textNode(renamed), err
	case value.isObject() && slices.Contains(byName[:], name):
		made := object()
		for i, key := range value.names {
			item, err := b.copy(value.items[i], depth+1)
			if err != nil {
				return nil, err
			}
			made.put(key, item)
		}
		return made, nil
	case value.isObject() && slices.Contains(single[:], name):
		return b.copy(value, depth+1)
	case value.kind == '[' && slices.Contains(several[:], name):
		made := list()
		for _, each := range value.items {
			item, err := b.copy(each, depth+1)
			if err != nil {
				return nil, err
			}
			made.items = append(made.items, item)
		}
		return made, nil
	}
	return value, nil
}

// rename gives what a reference names a place of its own in the schema.
func (b *bundle) rename(ref string) (string, error) {
	name, known := b.names[ref]
	if !known {
		if _, err := b.find(ref); err != nil {
			return "", err
		}
		plain := plainName(ref[strings.LastIndex(ref, "/")+1:])
		name = plain
		for n := 2; b.taken[name]; n++ {
			name = plain + "_" + strconv.Itoa(n)
		}
		b.names[ref], b.taken[name] = name, true
		b.wanted = append(b.wanted, ref)
	}
	return "#/" + b.definitions() + "/" + name, nil
}

// plainName is a name that needs no escapes in a reference.
func plainName(text string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, text)
	const most = 64
	if plain == "" {
		return "schema"
	}
	return plain[:min(len(plain), most)]
}

// modernise turns what schemas of OpenAPI 3.0 have of their own into what draft 7 has.
func modernise(s *node) {
	if kind := s.get("type"); s.get("nullable").isTrue() && kind != nil && kind.kind == 0 {
		s.put("type", list(kind, textNode("null")))
		if enum := s.get("enum"); enum != nil && enum.kind == '[' && !slices.ContainsFunc(enum.items, (*node).isNull) {
			s.put("enum", list(append(slices.Clone(enum.items), null())...))
		}
	}
	s.remove("nullable")
	for exclusive, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
		said := s.get(exclusive)
		if said == nil || said.text.Kind() != 't' && said.text.Kind() != 'f' {
			continue
		}
		limit := s.get(bound)
		if !said.isTrue() || limit == nil {
			s.remove(exclusive)
			continue
		}
		s.put(exclusive, limit)
		s.remove(bound)
	}
}

// step goes into a value by one part of a JSON pointer; nil where there is nothing.
func step(n *node, token string) *node {
	if n.kind == '{' {
		return n.members[token]
	}
	index, err := strconv.Atoi(token)
	if n.kind != '[' || err != nil || index < 0 || index >= len(n.items) {
		return nil
	}
	return n.items[index]
}

// unescape reads a part of a JSON pointer in a reference (RFC 6901, 6).
func unescape(token string) string {
	if plain, err := url.PathUnescape(token); err == nil {
		token = plain
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
}
