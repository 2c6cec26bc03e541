package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// Limits of a document.
const (
	maxDepth  = 200
	maxValues = 300_000
)

// node is a JSON value that keeps the order of its members.
type node struct {
	kind byte // '{', '[' or 0 for all else
	// text is the value as JSON, where it is neither object nor array.
	text    jsontext.Value
	names   []string // of an object, beside items
	items   []*node
	members map[string]*node // the same by name
}

func object() *node { return &node{kind: '{', members: make(map[string]*node)} }

// put adds a member, or replaces it.
func (n *node) put(name string, value *node) {
	if _, there := n.members[name]; there {
		n.items[slices.Index(n.names, name)] = value
	} else {
		n.names, n.items = append(n.names, name), append(n.items, value)
	}
	n.members[name] = value
}

// remove takes a member away.
func (n *node) remove(name string) {
	if at := slices.Index(n.names, name); at >= 0 {
		n.names, n.items = slices.Delete(n.names, at, at+1), slices.Delete(n.items, at, at+1)
		delete(n.members, name)
	}
}

// get returns a member; nil where there is none, or n is no object or nil.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	return n.members[name]
}

// string returns the text of a string, "" for all else.
func (n *node) string() string {
	if n == nil || n.kind != 0 || n.text.Kind() != '"' {
		return ""
	}
	text, err := jsontext.AppendUnquote(nil, n.text)
	if err != nil {
		return ""
	}
	return string(text)
}

func (n *node) isTrue() bool { return n != nil && n.kind == 0 && n.text.Kind() == 't' }

func (n *node) isObject() bool { return n != nil && n.kind == '{' }

// ownNames are those of an object; none of all else.
func (n *node) ownNames() []string {
	if n == nil {
		return nil
	}
	return n.names
}

func null() *node { return &node{text: jsontext.Value("null")} }

func (n *node) isNull() bool { return n != nil && n.kind == 0 && n.text.Kind() == 'n' }

func textNode(text string) *node {
	quoted, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(text, "\uFFFD"))
	if err != nil { // it is UTF-8
		panic(err)
	}
	return &node{text: quoted}
}

func list(items ...*node) *node { return &node{kind: '[', items: items} }

// append writes the node as JSON.
func (n *node) append(text []byte) []byte {
	switch n.kind {
	case '{':
		text = append(text, '{')
		for i, name := range n.names {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(append(text, textNode(name).text...), ':')
			text = n.items[i].append(text)
		}
		return append(text, '}')
	case '[':
		text = append(text, '[')
		for i, item := range n.items {
			if i > 0 {
				text = append(text, ',')
			}
			text = item.append(text)
		}
		return append(text, ']')
	}
	return append(text, n.text...)
}

// budget bounds what is read.
type budget struct{ values int }

func (b *budget) spend(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("must not be nested deeper than %d", maxDepth)
	}
	if b.values++; b.values > maxValues {
		return fmt.Errorf("must not have more than %d values, aliases expanded", maxValues)
	}
	return nil
}

// parse reads JSON or YAML.
func parse(text []byte) (*node, error) {
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' {
		if found, err := parseJSON(trimmed); err == nil {
			return found, nil
		} else if !errors.As(err, new(*jsontext.SyntacticError)) {
			return nil, err
		}
		// YAML begins so too.
	}
	return parseYAML(text)
}

func parseJSON(text []byte) (*node, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowInvalidUTF8(true))
	found, err := new(budget).json(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has something behind its end")
	}
	return found, nil
}

func (b *budget) json(dec *jsontext.Decoder, depth int) (*node, error) {
	if err := b.spend(depth); err != nil {
		return nil, err
	}
	kind := dec.PeekKind()
	if kind != '{' && kind != '[' {
		text, err := dec.ReadValue()
		return &node{text: text.Clone()}, err
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	found := list()
	if kind == '{' {
		found = object()
	}
	for dec.PeekKind() != '}' && dec.PeekKind() != ']' {
		var name string
		if kind == '{' {
			token, err := dec.ReadToken()
			if err != nil {
				return nil, err
			}
			name = token.String()
		}
		item, err := b.json(dec, depth+1)
		if err != nil {
			return nil, err
		}
		if kind == '{' {
			found.put(name, item)
		} else {
			found.items = append(found.items, item)
		}
	}
	_, err := dec.ReadToken()
	return found, err
}

func parseYAML(text []byte) (*node, error) {
	documents := yaml.NewDecoder(bytes.NewReader(text))
	var root, second yaml.Node
	if err := documents.Decode(&root); errors.Is(err, io.EOF) {
		return nil, errors.New("is empty")
	} else if err != nil {
		return nil, fmt.Errorf("is neither JSON nor YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := documents.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("must be one document")
	}
	if len(root.Content) != 1 {
		return nil, errors.New("is empty")
	}
	return new(budget).yaml(root.Content[0], 0)
}

func (b *budget) yaml(from *yaml.Node, depth int) (*node, error) {
	if err := b.spend(depth); err != nil {
		return nil, err
	}
	switch from.Kind {
	case yaml.AliasNode:
		return b.yaml(from.Alias, depth+1)
	case yaml.SequenceNode:
		found := list()
		for _, each := range from.Content {
			item, err := b.yaml(each, depth+1)
			if err != nil {
				return nil, err
			}
			found.items = append(found.items, item)
		}
		return found, nil
	case yaml.MappingNode:
		return b.mapping(from, depth)
	case yaml.ScalarNode:
		return scalar(from)
	}
	return nil, fmt.Errorf("has something on line %d that JSON has not", from.Line)
}

func (b *budget) mapping(from *yaml.Node, depth int) (*node, error) {
	found := object()
	for i := 0; i+1 < len(from.Content); i += 2 {
		name := from.Content[i]
		if name.Kind == yaml.AliasNode {
			name = name.Alias
		}
		switch {
		case name.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("has a name on line %d that is no text", name.Line)
		case name.Tag == "!!merge":
			return nil, fmt.Errorf("has a merge (<<) on line %d: write out what it stands for", name.Line)
		case found.members[name.Value] != nil:
			return nil, fmt.Errorf("has the name %q twice, on line %d", clip(name.Value), name.Line)
		}
		value, err := b.yaml(from.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		found.put(name.Value, value)
	}
	return found, nil
}

// scalar reads a value as YAML's JSON schema has it; what JSON can't say is a text.
func scalar(from *yaml.Node) (*node, error) {
	switch from.Tag {
	case "!!null":
		return null(), nil
	case "!!bool":
		var value bool
		if err := from.Decode(&value); err != nil {
			return nil, fmt.Errorf("has no boolean on line %d", from.Line)
		}
		return &node{text: jsontext.Value(fmt.Sprint(value))}, nil
	case "!!int", "!!float":
		if text := jsontext.Value(from.Value); text.IsValid() && text.Kind() == '0' {
			return &node{text: text.Clone()}, nil
		}
		return otherNumber(from)
	}
	return textNode(from.Value), nil
}

// otherNumber reads one that YAML writes in its own way: 0x1F, +1, 1_000.
func otherNumber(from *yaml.Node) (*node, error) {
	var whole int64
	if from.Tag == "!!int" && from.Decode(&whole) == nil {
		return &node{text: jsontext.Value(fmt.Sprint(whole))}, nil
	}
	var value float64
	if err := from.Decode(&value); err != nil {
		return nil, fmt.Errorf("has no number on line %d", from.Line)
	}
	if text := jsontext.Value(fmt.Sprint(value)); text.IsValid() {
		return &node{text: text}, nil
	}
	return nil, fmt.Errorf("has a number on line %d that JSON has not", from.Line)
}

func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
