package httpapi

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ordered is an object whose members stand in an order of its maker's.
type ordered[T any] []named[T]

type named[T any] struct {
	name  string
	value T
}

func (o *ordered[T]) add(name string, value T) { *o = append(*o, named[T]{name, value}) }

func (o ordered[T]) of(name string) (value T) {
	for _, one := range o {
		if one.name == name {
			return one.value
		}
	}
	return value
}

// MarshalJSONTo writes the object.
func (o ordered[T]) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, one := range o {
		if err := enc.WriteToken(jsontext.String(one.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, one.value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}
