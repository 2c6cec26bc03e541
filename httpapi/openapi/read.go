package openapi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/neohook/neohook/webhook"
)

// maxTypes bounds the event types of a document, and maxSchemas their schemas together:
// what many of them share is copied into each.
const (
	maxTypes   = 1000
	maxSchemas = 16 << 20
)

// EventTypes reads the event types of a document, by the order in it. Names are those of
// the webhooks, or their operations' ids where those can be none. The error says what is
// wrong with the document, and where.
//
// An operation's x-svix-group-name and x-svix-feature-flags become the group and the feature
// flags. Where a schema has no examples, the media type's are taken.
func EventTypes(text []byte) ([]webhook.EventType, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	if !root.isObject() {
		return nil, errors.New("must be an object")
	}
	doc := &document{root: root, version: root.get("openapi").string()}
	if !strings.HasPrefix(doc.version, "3.") {
		return nil, errors.New(`must be an OpenAPI document of version 3: "openapi" must be a text such as "3.1.0"`)
	}
	for _, section := range [...]string{"webhooks", "x-webhooks"} {
		hooks := root.get(section)
		if hooks == nil {
			continue
		}
		if !hooks.isObject() {
			return nil, fmt.Errorf("%s must be an object", section)
		}
		for i, name := range hooks.names {
			if err := doc.hook(section, name, hooks.items[i]); err != nil {
				return nil, fmt.Errorf("%s.%s: %w", section, clip(name), err)
			}
		}
	}
	if len(doc.types) == 0 {
		return nil, errors.New("has no webhooks: neither webhooks nor x-webhooks has any")
	}
	return doc.types, nil
}

// document is one that is being read.
type document struct {
	root    *node
	version string
	types   []webhook.EventType
	size    int // of their schemas
	copied  int // parts of schemas
}

// isOld says that schemas are those of version 3.0, which are no JSON Schemas.
func (d *document) isOld() bool { return strings.HasPrefix(d.version, "3.0") }

// methods are the operations of a path item, in the order in which one is looked for.
var methods = [...]string{"post", "put", "patch", "get", "delete", "options", "head", "trace"}

// hook reads one webhook.
func (d *document) hook(section, name string, item *node) error {
	item, err := d.resolve(item)
	if err != nil {
		return err
	}
	var operation *node
	for _, method := range methods {
		if operation = item.get(method); operation != nil {
			break
		}
	}
	if !operation.isObject() {
		return errors.New("has no operation: it needs a post")
	}
	t, err := d.eventType(name, item, operation)
	if err != nil {
		return err
	}
	for i := range d.types {
		if d.types[i].Name == t.Name {
			return fmt.Errorf("is the second event type of the name %s", t.Name)
		}
	}
	if d.types = append(d.types, t); len(d.types) > maxTypes {
		return fmt.Errorf("is more than the %d event types that are imported at once", maxTypes)
	}
	return nil
}

func (d *document) eventType(name string, item, operation *node) (t webhook.EventType, err error) {
	t.Name = name
	if id := operation.get("operationId").string(); !webhook.IsName(name) && webhook.IsName(id) {
		t.Name = id
	}
	if !webhook.IsName(t.Name) {
		return t, errors.New("its name, or its operationId, must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot, to be that of an event type")
	}
	body := operation.get("requestBody")
	if body != nil {
		if body, err = d.resolve(body); err != nil {
			return t, fmt.Errorf("requestBody: %w", err)
		}
	}
	for _, from := range [...]*node{operation, item, body} {
		for _, field := range [...]string{"description", "summary"} {
			if t.Description == "" {
				t.Description = from.get(field).string()
			}
		}
	}
	t.Deprecated = operation.get("deprecated").isTrue()
	t.Group = operation.get("x-svix-group-name").string()
	t.FeatureFlags = flags(operation)
	t.Schemas, err = d.schemas(body)
	return t, err
}

func flags(operation *node) (flags []string) {
	if one := operation.get("x-svix-feature-flag").string(); one != "" {
		flags = append(flags, one)
	}
	if several := operation.get("x-svix-feature-flags"); several != nil {
		if one := several.string(); one != "" {
			return append(flags, one)
		}
		for _, item := range several.items {
			flags = append(flags, item.string())
		}
	}
	return flags
}

// resolve follows the references of something that is no schema.
func (d *document) resolve(n *node) (*node, error) {
	for range maxDepth {
		ref := n.get("$ref")
		if ref == nil {
			if n == nil {
				return nil, errors.New("must not be null")
			}
			return n, nil
		}
		found, err := d.find(ref.string())
		if err != nil {
			return nil, err
		}
		n = found
	}
	return nil, errors.New("has a reference that leads back to itself")
}

// find returns what a reference names in the document.
func (d *document) find(ref string) (*node, error) {
	pointer, inside := strings.CutPrefix(ref, "#")
	if !inside || pointer != "" && pointer[0] != '/' {
		return nil, fmt.Errorf("refers to %q: references must be into the document, as #/components/schemas/Order", clip(ref))
	}
	found := d.root
	if pointer == "" {
		return found, nil
	}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		if found = step(found, unescape(token)); found == nil {
			return nil, fmt.Errorf("refers to %s, which is not in the document", clip(ref))
		}
	}
	return found, nil
}
