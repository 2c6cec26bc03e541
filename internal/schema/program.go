package schema

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// program is a compiled schema whose steps are counted. One check uses it at a time.
type program struct {
	root   *jsonschema.Schema
	bytes  int64 // that it takes, about
	budget int
}

// errBudget is thrown through the library, which has no other way to be stopped, and caught
// by check.
var errBudget = errors.New("budget is used up")

// partBytes is what a compiled part takes beside its location.
const partBytes = 1200

// newProgram counts the steps of all that root leads to.
func newProgram(root *jsonschema.Schema) (*program, []Fault) {
	p := &program{root: root}
	evaluated := false
	seen := make(map[*jsonschema.Schema]*part)
	queue := []*jsonschema.Schema{root}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		if seen[s] != nil {
			continue
		}
		if !strings.HasPrefix(s.Location, base+"#") {
			return nil, []Fault{{Message: fmt.Sprintf("%v: %s", errOutside, clip(s.Location))}}
		}
		// They may lead anywhere, and where is known while a value is checked.
		if s.DynamicRef != nil || s.RecursiveRef != nil {
			return nil, []Fault{{Path: path(s.Location), Message: "must not have $dynamicRef or $recursiveRef: use $ref"}}
		}
		of := newPart(s)
		seen[s] = of
		p.bytes += partBytes + 3*int64(len(s.Location)) //nolint:mnd // the location, its pointer, and what is made of it
		queue = append(append(queue, of.here...), of.below...)
		if s.Bool == nil {
			p.count(s, of)
		}
		evaluated = evaluated || s.UnevaluatedProperties != nil || s.UnevaluatedItems != nil
	}
	for _, of := range seen {
		if evaluated { // then members and items are listed for each schema that is applied
			of.each += len(of.here)
		}
	}
	return p, deepest(root, seen)
}

// count puts a step before the work of a part: a format is checked before anything is
// applied.
func (p *program) count(s *jsonschema.Schema, of *part) {
	counted := &jsonschema.Format{}
	own := s.Format
	if own != nil {
		counted.Name = own.Name
	}
	counted.Validate = func(value any) error {
		p.spend(of.steps(value, p.budget))
		if own == nil {
			return nil
		}
		return own.Validate(value)
	}
	s.Format = counted
}

func (p *program) spend(steps int) {
	if p.budget -= steps; p.budget < 0 {
		panic(errBudget)
	}
}

// part is what a schema costs, less what it leads to. A step is a microsecond or less.
type part struct {
	// here are applied to the same value, below to values in it.
	here, below []*jsonschema.Schema
	// once is spent for any value, each for each member or item of it.
	once, each int
	pattern    int // instructions, over a string
	names      int // instructions, over each member's name
	unique     bool
}

func newPart(s *jsonschema.Schema) *part {
	of := &part{unique: s.UniqueItems, pattern: instructionsOf(s.Pattern)}
	here := func(schemas ...*jsonschema.Schema) { of.here = appendThere(of.here, schemas...) }
	below := func(schemas ...*jsonschema.Schema) { of.below = appendThere(of.below, schemas...) }
	here(s.Ref, s.Not, s.If, s.Then, s.Else)
	here(s.AllOf...)
	here(s.AnyOf...)
	here(s.OneOf...)
	for _, dependency := range s.Dependencies {
		if schema, is := dependency.(*jsonschema.Schema); is {
			here(schema)
		}
	}
	for _, schema := range s.DependentSchemas {
		here(schema)
	}
	for _, one := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch schema := one.(type) {
		case *jsonschema.Schema:
			below(schema)
		case []*jsonschema.Schema:
			below(schema...)
		}
	}
	below(s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems)
	below(s.PrefixItems...)
	of.each = 1
	for _, schema := range of.below { // of which several may be applied to each
		of.each += before(schema)
	}
	for _, schema := range s.Properties { // of which one is
		below(schema)
		of.once += before(schema)
	}
	for pattern, schema := range s.PatternProperties {
		below(schema)
		of.each += before(schema)
		of.names += instructionsOf(pattern)
	}
	of.once += 1 + (len(s.Required)+len(s.Dependencies)+len(s.DependentRequired))/8 //nolint:mnd // look-ups
	for _, schema := range of.here {
		of.once += before(schema)
	}
	return of
}

func appendThere(list []*jsonschema.Schema, schemas ...*jsonschema.Schema) []*jsonschema.Schema {
	for _, schema := range schemas {
		if schema != nil {
			list = append(list, schema)
		}
	}
	return list
}

// before is what a schema costs before its own step is counted.
func before(s *jsonschema.Schema) int {
	steps := 1
	if s.Enum != nil {
		steps += size(s.Enum.Values)
	}
	if s.Const != nil {
		steps += size(*s.Const)
	}
	return steps
}

func instructionsOf(re jsonschema.Regexp) int {
	if of, is := re.(*pattern); is {
		return of.instructions
	}
	return 0
}

// How much of it is one step.
const (
	bytesPerStep   = 256 // of a text that is copied or counted
	matchesPerStep = 64  // bytes of a text, times instructions
)

// steps is what the part costs for a value; more than most need not be known exactly.
func (of *part) steps(value any, most int) int {
	steps := of.once
	switch value := value.(type) {
	case string:
		steps += len(value)/bytesPerStep + len(value)*of.pattern/matchesPerStep
	case []any:
		steps += len(value) * of.each
		if of.unique {
			steps += sizeUpTo(value, most)
		}
	case map[string]any:
		steps += len(value) * of.each
		if of.names > 0 {
			for name := range value {
				steps += (len(name) + 1) * of.names / matchesPerStep
			}
		}
	}
	return steps
}

// sizeUpTo is size, given up at most.
func sizeUpTo(value any, most int) int {
	total := 1
	each := func(item any) bool {
		total += sizeUpTo(item, most-total)
		return total < most
	}
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if !each(item) {
				break
			}
		}
	case map[string]any:
		for _, item := range value {
			if !each(item) {
				break
			}
		}
	}
	return total
}

// deepest says no to schemas that are applied to one value in a chain that is long or has no
// end: the library looks along it at each step.
func deepest(root *jsonschema.Schema, parts map[*jsonschema.Schema]*part) []Fault {
	const unknown, under = 0, -1
	depths := make(map[*jsonschema.Schema]int, len(parts))
	var depth func(s *jsonschema.Schema) (int, []Fault)
	depth = func(s *jsonschema.Schema) (int, []Fault) {
		switch known := depths[s]; known {
		case unknown:
		case under:
			return 0, []Fault{{Path: path(s.Location), Message: "leads back to itself without going into the value"}}
		default:
			return known, nil
		}
		depths[s] = under
		deep := 1
		for _, next := range parts[s].here {
			below, faults := depth(next)
			if faults != nil {
				return 0, faults
			}
			deep = max(deep, below+1)
		}
		depths[s] = deep
		if deep > maxInPlace {
			return 0, []Fault{{Path: path(s.Location), Message: fmt.Sprintf("leads through more than %d schemas for one value", maxInPlace)}}
		}
		return deep, nil
	}
	for s := range parts {
		if _, faults := depth(s); faults != nil {
			return faults
		}
	}
	return nil
}

func unescape(pointer string) string {
	if plain, err := url.PathUnescape(pointer); err == nil {
		return plain
	}
	return pointer
}
