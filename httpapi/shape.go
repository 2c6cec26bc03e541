package httpapi

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// shape is what is known of a type that a query or a body is read into: a struct of opt
// fields, each named by its json or query tag and ruled by its "is" tag. The words of an
// "is" tag are
//
//	required   must be there and not null
//	solid      may be absent, but not null
//	min=, max= bounds: of a number, of a text's characters, of a list's items
//	least=, most= bounds of each number in a list
//	enum=a|b   one of these
//	default=   the value where it is absent or null
//	older=     another name of the field named, which older clients use
//
// or the name of a format, for a text or for each item of a list. Rules that the domain
// has too are here where a client can be told of them from the table; the others are the
// domain's alone, and are added by the types' own check.
//
// The "doc" tag says what the field means, and "eg" gives a value to show, as JSON or as
// plain text. Together with the rules they are what the document says of it. A field
// without "doc" takes that of the field of the same name in the type that is embedded as
// like[T]. Types of answers have the same tags; there the rules are only told.
type shape struct {
	fields []field
	// rest is where members nobody knows are gathered; nil if they are not.
	rest []int
}

// field is one member of a shape.
type field struct {
	name  string
	index []int
	sub   *shape // of a member that is an object with a shape of its own
	list  bool

	required, solid bool
	min, max        int64 // max 0 is no bound
	least, most     int64 // of items; most 0 is no bound
	enum            []string
	format          *format
	fallback, older string // of the words default and older
}

// shapeOf compiles a type. It panics for one that is not built as shape says, which is
// found as soon as the table of operations is made.
func shapeOf(of reflect.Type) *shape {
	s := new(shape)
	s.gather(of, nil)
	return s
}

func (s *shape) gather(of reflect.Type, at []int) {
	for i := range of.NumField() {
		part, index := of.Field(i), append(slices.Clone(at), i)
		switch {
		case part.Type == reflect.TypeFor[jsontext.Value]():
			s.rest = index
		case part.Anonymous:
			s.gather(part.Type, index)
		default:
			s.fields = append(s.fields, compileField(part, index))
		}
	}
}

func compileField(part reflect.StructField, index []int) field {
	name := part.Tag.Get("json") + part.Tag.Get("query")
	value, isOpt := reflect.New(part.Type).Interface().(member)
	if name == "" || !isOpt {
		panic(fmt.Sprintf("httpapi: field %s has no name on the wire or is no opt", part.Name))
	}
	f := field{name: name, index: index}
	inner := reflect.TypeOf(value.pointer()).Elem()
	if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
		f.sub = shapeOf(inner)
	}
	f.list = inner.Kind() == reflect.Slice && inner != reflect.TypeFor[jsontext.Value]()
	f.rules(part)
	f.fill(value.pointer()) // which panics for a default that is none
	return f
}

func (f *field) rules(part reflect.StructField) {
	for word := range strings.SplitSeq(part.Tag.Get("is"), ",") {
		f.rule(word)
	}
}

// fillIn writes the defaults of the shape's fields into a value that nothing was read
// into yet. A field that has one is then its Value, given or not.
func (s *shape) fillIn(value reflect.Value) {
	for i := range s.fields {
		f := &s.fields[i]
		if f.fallback == "" && f.sub == nil {
			continue
		}
		m, _ := value.FieldByIndex(f.index).Addr().Interface().(member)
		f.fill(m.pointer())
		if f.sub != nil {
			f.sub.fillIn(reflect.ValueOf(m.pointer()).Elem())
		}
	}
}

func (f *field) fill(value any) {
	if f.fallback == "" {
		return
	}
	switch v := value.(type) {
	case *string:
		*v = f.fallback
	case *int64:
		*v = mustInt(f.fallback)
	case *bool:
		*v = f.fallback == "true"
	default:
		panic(fmt.Sprintf("httpapi: field %s can't have a default", f.name))
	}
}

func (f *field) rule(word string) {
	word, arg, _ := strings.Cut(word, "=")
	switch word {
	case "":
	case "required":
		f.required = true
	case "solid":
		f.solid = true
	case "min":
		f.min = mustInt(arg)
	case "max":
		f.max = mustInt(arg)
	case "least":
		f.least = mustInt(arg)
	case "most":
		f.most = mustInt(arg)
	case "enum":
		f.enum = strings.Split(arg, "|")
	case "default":
		f.fallback = arg
	case "older":
		f.older = arg
	default:
		rule, known := formats[word]
		if !known {
			panic(fmt.Sprintf("httpapi: field %s: unknown rule %q", f.name, word))
		}
		made := rule(arg)
		f.format = &made
	}
}

func mustInt(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic("httpapi: rule: " + err.Error())
	}
	return n
}

func (s *shape) field(name string) *field {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	return nil
}

// checker is a request type with rules that join several of its members, or that the
// domain holds it to.
type checker interface{ check(bad *faults) }

// check holds a value of the shape's type, given by its address, to the rules. Where
// begins each location.
func (s *shape) check(value any, bad *faults, where ...string) {
	s.checkFields(reflect.ValueOf(value).Elem(), bad, where)
	if more, ok := value.(checker); ok {
		more.check(bad)
	}
}

func (s *shape) checkFields(value reflect.Value, bad *faults, where []string) {
	for i := range s.fields {
		f := &s.fields[i]
		m, _ := value.FieldByIndex(f.index).Addr().Interface().(member)
		given, null := m.state()
		switch {
		case given:
			f.check(m.pointer(), bad, where)
		case f.required && !null:
			bad.misfit("is required", append(where, f.name)...)
		case null && (f.required || f.solid):
			bad.misfit("must not be null", append(where, f.name)...)
		}
	}
}

func (f *field) check(value any, bad *faults, where []string) {
	switch v := value.(type) {
	case *string:
		if msg := f.checkText(*v); msg != "" {
			bad.add(msg, f.in(where)...)
		}
	case *int64:
		switch {
		case len(f.enum) > 0:
			if msg := f.checkText(strconv.FormatInt(*v, 10)); msg != "" {
				bad.add(msg, f.in(where)...)
			}
		case *v < f.min || f.max > 0 && *v > f.max:
			bad.add("must be "+f.bounds(), f.in(where)...)
		}
	case *[]string:
		f.checkList(*v, bad, where)
	case *[]int64:
		f.checkNumbers(*v, bad, where)
	default:
		if f.sub != nil {
			f.sub.checkFields(reflect.ValueOf(value).Elem(), bad, f.in(where))
		}
	}
}

func (f *field) checkText(text string) string {
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		return "must be one of " + strings.Join(f.enum, ", ")
	}
	if n := int64(utf8.RuneCountInString(text)); n < f.min || f.max > 0 && n > f.max {
		return f.length("characters")
	}
	if f.format != nil && f.format.check != nil {
		return f.format.check(text)
	}
	return ""
}

func (f *field) checkList(items []string, bad *faults, where []string) {
	n := int64(len(items))
	switch {
	case n < f.min || f.max > 0 && n > f.max:
		bad.add(f.length("items"), f.in(where)...)
	case f.format != nil && f.format.check != nil:
		for i, item := range items {
			if msg := f.format.check(item); msg != "" {
				bad.add(msg, append(f.in(where), "["+strconv.Itoa(i)+"]")...)
			}
		}
	}
}

func (f *field) checkNumbers(items []int64, bad *faults, where []string) {
	if n := int64(len(items)); n < f.min || f.max > 0 && n > f.max {
		bad.add(f.length("items"), f.in(where)...)
		return
	}
	for i, item := range items {
		if item < f.least || f.most > 0 && item > f.most {
			bad.add("must be "+bounds(f.least, f.most), append(f.in(where), "["+strconv.Itoa(i)+"]")...)
		}
	}
}

// in is the field's location inside where.
func (f *field) in(where []string) []string { return append(slices.Clip(where), f.name) }

func (f *field) length(of string) string {
	if f.min == 1 && f.max == 0 {
		return "must not be empty"
	}
	return "must have " + f.bounds() + " " + of
}

func (f *field) bounds() string { return bounds(f.min, f.max) }

func bounds(least, most int64) string {
	if most > 0 {
		return fmt.Sprintf("%d to %d", least, most)
	}
	return fmt.Sprintf("at least %d", least)
}
