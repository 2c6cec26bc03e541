package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// limits bound a JSON text.
type limits struct {
	depth  int
	values int // objects, arrays and all else
	// paths bounds the bytes of the JSON pointers to all objects, arrays and booleans
	// together: what a compiler keeps for each of them. 0 is no bound.
	paths int
}

// errNotJSON begins what is said of a text that is none.
var errNotJSON = errors.New("is not JSON")

// numbers of up to so many characters are kept as they are written; others as the nearest
// float64, since reckoning with a million digits takes long.
const maxDigits = 40

var valueOptions = jsontext.AllowInvalidUTF8(true) // lone surrogates, as in an event's payload

// parse reads a text into nil, bool, string, json.Number, float64, []any and map[string]any.
func parse(text []byte, limits limits) (any, error) {
	r := reader{dec: jsontext.NewDecoder(bytes.NewReader(text), valueOptions), limits: limits}
	value, err := r.value(0, 0)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows its end", errNotJSON)
	}
	return value, nil
}

// reader reads a text once.
type reader struct {
	dec    *jsontext.Decoder
	limits limits
	values int
	paths  int
}

func (r *reader) value(depth, path int) (any, error) {
	if depth > r.limits.depth {
		return nil, fmt.Errorf("must not be nested deeper than %d", r.limits.depth)
	}
	if r.values++; r.values > r.limits.values {
		return nil, fmt.Errorf("must not have more than %d values", r.limits.values)
	}
	token, err := r.dec.ReadToken()
	if err != nil {
		return nil, notJSON(err)
	}
	switch kind := token.Kind(); kind {
	case '"':
		return token.String(), nil
	case '0':
		return number(token.String())
	case 'n':
		return nil, nil
	}
	if r.paths += path; r.limits.paths > 0 && r.paths > r.limits.paths {
		return nil, errors.New("must not have so many parts that are nested so deep under such long names")
	}
	switch token.Kind() {
	case 't', 'f':
		return token.Bool(), nil
	case '[':
		return r.array(depth, path)
	}
	return r.object(depth, path)
}

func (r *reader) array(depth, path int) (any, error) {
	const index = 4 // of the path, about
	list := []any{}
	for r.dec.PeekKind() != ']' {
		item, err := r.value(depth+1, path+index)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	_, err := r.dec.ReadToken()
	return list, notJSON(err)
}

func (r *reader) object(depth, path int) (any, error) {
	members := make(map[string]any)
	for r.dec.PeekKind() != '}' {
		token, err := r.dec.ReadToken()
		if err != nil {
			return nil, notJSON(err)
		}
		name := token.String()
		if members[name], err = r.value(depth+1, path+1+len(name)); err != nil {
			return nil, err
		}
	}
	_, err := r.dec.ReadToken()
	return members, notJSON(err)
}

func notJSON(err error) error {
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntacticError
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return fmt.Errorf("%w: a name is there twice in an object", errNotJSON)
	}
	if errors.As(err, &syntax) {
		return fmt.Errorf("%w, at byte %d", errNotJSON, syntax.ByteOffset)
	}
	return errNotJSON
}

func number(text string) (any, error) {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errors.New("must not have numbers beyond those of 64 bits (IEEE 754)")
	}
	if len(text) > maxDigits {
		return value, nil
	}
	return json.Number(text), nil
}

// size counts the values in a value.
func size(value any) int {
	total := 1
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			total += size(item)
		}
	case map[string]any:
		for _, item := range value {
			total += size(item)
		}
	}
	return total
}
