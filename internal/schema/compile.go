package schema

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Limits of a schema, beside the length of its text, which is the caller's to bound.
const (
	maxSchemaDepth  = 100
	maxSchemaValues = 20_000
	maxSchemaParts  = 2500 // objects, arrays and booleans, each of which may be a schema
	maxSchemaPaths  = 2 << 20
	maxInPlace      = 100 // parts that are applied to the same value, one inside the other
	maxPattern      = 1000
	maxProgram      = 2000   // instructions of a regular expression
	maxPrograms     = 50_000 // of all of a schema together
)

// Schema is a compiled JSON Schema. It is safe for concurrent use.
type Schema struct {
	doc  any
	cost int64

	mu sync.Mutex
	// idle are compiled and used by nobody. One is used by one check at a time, as it
	// counts that check's steps.
	idle []*program
}

// What parts of it take in memory, about.
const (
	valueBytes       = 48
	instructionBytes = 64
	runeBytes        = 8
)

// maxIdle is how many compiled copies of a schema are kept.
const maxIdle = 2

// base stands for the schema's own address.
const base = "https://schema.invalid/it"

// Compile makes a Schema of its text: of draft 7, unless its $schema says otherwise. The
// faults say what is wrong with it, and where in it.
func Compile(text []byte) (*Schema, []Fault) {
	doc, err := parse(text, limits{depth: maxSchemaDepth, values: maxSchemaValues, paths: maxSchemaPaths})
	if err != nil {
		return nil, []Fault{{Message: err.Error()}}
	}
	if n := parts(doc); n > maxSchemaParts {
		return nil, []Fault{{Message: fmt.Sprintf("must not have more than %d parts (objects, arrays, true and false), and has %d", maxSchemaParts, n)}}
	}
	s := &Schema{doc: doc}
	p, patterns, faults := s.compile()
	if faults != nil {
		return nil, faults
	}
	s.cost = int64(len(text)+valueBytes*size(doc)) + maxIdle*(p.bytes+patterns.bytes)
	s.idle = append(s.idle, p)
	return s, nil
}

// Bytes is about what the schema takes in memory.
func (s *Schema) Bytes() int64 { return s.cost }

// parts counts what may be a schema.
func parts(value any) (n int) {
	switch value := value.(type) {
	case bool:
		return 1
	case []any:
		n++
		for _, item := range value {
			n += parts(item)
		}
	case map[string]any:
		n++
		for _, item := range value {
			n += parts(item)
		}
	}
	return n
}

var errOutside = errors.New("refers to something outside the schema")

// nothing is what schemas are loaded from.
type nothing struct{}

func (nothing) Load(string) (any, error) { return nil, errOutside }

// compile compiles once more.
func (s *Schema) compile() (_ *program, _ *patterns, faults []Fault) {
	// What the bounds have let through and the library stumbles over is a schema that it
	// can't be held to; it must not end the process.
	defer func() {
		if fault := recover(); fault != nil {
			faults = []Fault{{Message: "can't be compiled"}}
		}
	}()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.UseLoader(nothing{})
	patterns := new(patterns)
	compiler.UseRegexpEngine(patterns.compile)
	if err := compiler.AddResource(base, s.doc); err != nil {
		return nil, nil, []Fault{{Message: err.Error()}}
	}
	root, err := compiler.Compile(base)
	if err != nil {
		return nil, nil, compileFaults(err)
	}
	p, faults := newProgram(root)
	return p, patterns, faults
}

// patterns compiles the regular expressions of a schema.
type patterns struct {
	known map[string]*pattern
	total int
	bytes int64 // that they take, about
}

// pattern is a regular expression that knows what it costs.
type pattern struct {
	*regexp.Regexp
	tree         *syntax.Regexp
	instructions int
}

var errPatterns = fmt.Errorf("has regular expressions of more than %d instructions together", maxPrograms)

func (p *patterns) compile(text string) (jsonschema.Regexp, error) {
	if known := p.known[text]; known != nil {
		return known, nil
	}
	compiled, err := compilePattern(text)
	if err != nil {
		return nil, err
	}
	if p.total += compiled.instructions; p.total > maxPrograms {
		return nil, errPatterns
	}
	p.bytes += int64(len(text)) + instructionBytes*int64(compiled.instructions) + runeBytes*int64(runes(compiled.tree))
	if p.known == nil {
		p.known = make(map[string]*pattern)
	}
	p.known[text] = compiled
	return compiled, nil
}

func compilePattern(text string) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("is longer than %d bytes", maxPattern)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		var bad *syntax.Error
		if errors.As(err, &bad) {
			return nil, fmt.Errorf("is none that Go's regexp knows: %s", bad.Code)
		}
		return nil, err
	}
	// Before it is compiled, as "((a{1000}){1000})" is short.
	instructions := instructions(tree)
	if instructions > maxProgram {
		return nil, fmt.Errorf("comes to more than %d instructions: repeat less", maxProgram)
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return &pattern{compiled, tree, instructions}, nil
}

// instructions estimates the length of a program, no lower than it is by much.
func instructions(tree *syntax.Regexp) int {
	total := 1
	switch tree.Op { //nolint:exhaustive // all others are one instruction, or made of their parts
	case syntax.OpLiteral:
		total = len(tree.Rune)
	case syntax.OpRepeat:
		times := max(tree.Min, tree.Max, 1)
		return min(1+times*(1+instructions(tree.Sub[0])), maxProgram+1)
	}
	for _, sub := range tree.Sub {
		total = min(total+1+instructions(sub), maxProgram+1)
	}
	return total
}

// runes counts those in the classes of an expression.
func runes(tree *syntax.Regexp) int {
	total := len(tree.Rune)
	for _, sub := range tree.Sub {
		total += runes(sub)
	}
	return total
}

// compileFaults says what is wrong with a schema.
func compileFaults(err error) []Fault {
	var metaschema *jsonschema.SchemaValidationError
	var regex *jsonschema.InvalidRegexError
	var pointer *jsonschema.JSONPointerNotFoundError
	var anchor *jsonschema.AnchorNotFoundError
	var load *jsonschema.LoadURLError
	var validation *jsonschema.ValidationError
	switch {
	case errors.As(err, &metaschema) && errors.As(metaschema.Err, &validation):
		return within(path(metaschema.URL), faultsOf(validation, ofSchema))
	case errors.As(err, &regex):
		return []Fault{{Path: path(regex.URL), Message: "is no regular expression that can be used: " + regex.Err.Error()}}
	case errors.As(err, &pointer):
		return []Fault{{Message: "refers to " + fragment(pointer.URL) + ", which is not in the schema"}}
	case errors.As(err, &anchor):
		return []Fault{{Message: "refers to the anchor " + fragment(anchor.Reference) + ", which is not in the schema"}}
	case errors.As(err, &load):
		return []Fault{{Message: fmt.Sprintf("%v: %s. Put what it needs into it, below definitions, and refer to that", errOutside, clip(load.URL))}}
	}
	return []Fault{{Message: strings.ReplaceAll(clip(err.Error()), base, "")}}
}

// path reads the JSON pointer in a location.
func path(location string) (tokens []string) {
	pointer := fragment(location)
	if len(pointer) < 2 { //nolint:mnd // "#/" is the shortest that leads anywhere
		return nil
	}
	for token := range strings.SplitSeq(pointer[2:], "/") {
		tokens = append(tokens, strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
	}
	return tokens
}

// fragment is a location from its "#" on, unescaped.
func fragment(location string) string {
	_, pointer, _ := strings.Cut(location, "#")
	return clip("#" + unescape(pointer))
}
