package httpapi

import (
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// opt is a member of a request that may be absent or null, which PATCH tells apart.
type opt[T any] struct {
	Value T
	// Given says that the member was there and not null; Null that it was there and null.
	Given, Null bool
}

// UnmarshalJSONFrom is called for members that are there.
func (o *opt[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == 'n' {
		o.Null = true
		_, err := dec.ReadToken()
		return err
	}
	o.Given = true
	return json.UnmarshalDecode(dec, &o.Value)
}

// or returns the value, or instead where none was given.
func (o *opt[T]) or(instead T) T {
	if o.Given {
		return o.Value
	}
	return instead
}

// patch changes target as PATCH has it: absent keeps, null clears, a value replaces.
func (o *opt[T]) patch(target *T) {
	switch {
	case o.Given:
		*target = o.Value
	case o.Null:
		var none T
		*target = none
	}
}

// patchInt is patch for a number that has several names on the wire, of which the last one
// wins.
func patchInt(target *int, names ...opt[int64]) {
	for _, name := range names {
		wide := int64(*target)
		name.patch(&wide)
		*target = int(wide)
	}
}

// member is an opt of any type.
type member interface {
	state() (given, null bool)
	pointer() any
	give()
}

func (o *opt[T]) state() (given, null bool) { return o.Given, o.Null }
func (o *opt[T]) pointer() any              { return &o.Value }
func (o *opt[T]) give()                     { o.Given = true }

// rest gathers the members of a body that its type does not know. Types that are read
// from a body embed it.
type rest struct {
	Rest jsontext.Value `json:",embed"`
}

// none stands for a query, a body or an answer that an operation does not have.
type none struct{}

// like is embedded where fields mean what those of the same name in T mean.
type like[T any] struct{}

func (like[T]) model() reflect.Type { return reflect.TypeFor[T]() }
