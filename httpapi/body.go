package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxBodyBytes bounds the body of a request: the engine's largest payload fits, with as
// much again for what is round it and for escapes.
func (api *API) maxBodyBytes() int64 {
	const least = 2 << 20
	return max(least, 2*int64(api.engine.MaxPayloadBytes()))
}

// decodeOptions: see the package comment for what passes and what does not.
var decodeOptions = json.JoinOptions(
	jsontext.AllowInvalidUTF8(true), // lone surrogates; bytes that are not UTF-8 were refused before
	json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(refuseNull), json.UnmarshalFromFunc(readWhole),
	)),
)

// refuseNull keeps null from being read as "": in a list, or as a value in a map.
func refuseNull(dec *jsontext.Decoder, _ *string) error {
	if dec.PeekKind() == 'n' {
		return errors.New("null")
	}
	return errors.ErrUnsupported
}

// readWhole reads a whole number however it is spelled: some languages write 5 as 5.0.
func readWhole(dec *jsontext.Decoder, n *int64) error {
	if dec.PeekKind() != '0' {
		return errors.New("no number") // null too, which would be read as 0
	}
	text, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if *n, err = strconv.ParseInt(string(text), 10, 64); err == nil {
		return nil
	}
	const exact = 1 << 53 // beyond, floating point skips numbers
	wide, err := strconv.ParseFloat(string(text), 64)
	if err != nil || wide != math.Trunc(wide) || math.Abs(wide) > exact {
		return errors.New("no whole number")
	}
	*n = int64(wide)
	return nil
}

// decode reads a body into a value of the shape's type, given by its address, and holds
// it to the rules. It returns the names in it that nobody knows.
func (s *shape) decode(body []byte, value any) (unknown []string, bad faults) {
	s.fillIn(reflect.ValueOf(value).Elem())
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		bad.misfit("must be a JSON object, and is empty", "body")
	case !utf8.Valid(body):
		bad.misfit("is not UTF-8", "body")
	case jsontext.Value(body).Kind() == 'n': // which would be read as no members
		bad.misfit("must be an object", "body")
	default:
		if err := json.Unmarshal(body, value, decodeOptions); err != nil {
			bad = append(bad, s.misfit(err))
		} else {
			s.check(value, &bad, "body")
			unknown = s.unknown(reflect.ValueOf(value).Elem(), "")
		}
	}
	return unknown, bad
}

// misfit tells a fault in the JSON in the client's terms.
func (s *shape) misfit(err error) fault {
	var meaning *json.SemanticError
	var syntax *jsontext.SyntacticError
	var msg string
	var at jsontext.Pointer
	switch {
	case errors.As(err, &meaning):
		at, msg = meaning.JSONPointer, "must be "+kindName(meaning.GoType)
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		at, msg = syntax.JSONPointer, "is there twice"
	case errors.As(err, &syntax):
		at, msg = syntax.JSONPointer, fmt.Sprintf("malformed JSON at byte %d: %v", syntax.ByteOffset, syntax.Err)
	default:
		msg = "malformed JSON: " + err.Error()
	}
	return fault{Loc: s.locate(at), Msg: msg, Type: badJSON}
}

// kindName names what a Go type is read from.
func kindName(of reflect.Type) string {
	switch {
	case of == nil:
		return "another kind of value"
	case of == reflect.TypeFor[time.Time]():
		return "a time as RFC 3339 has it, such as 2026-01-02T15:04:05Z"
	case of == reflect.TypeFor[*string]():
		return "a string"
	case of == reflect.TypeFor[*int64]():
		return "a whole number"
	}
	switch of.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}

// maxLoc bounds the parts of a location that a client's own nesting makes.
const maxLoc = 16

// locate turns a pointer into a location. Items of a list appear as "[0]".
func (s *shape) locate(at jsontext.Pointer) []string {
	loc := []string{"body"}
	var list bool
	for name := range at.Tokens() {
		if len(loc) == maxLoc {
			return append(loc, "...")
		}
		if list {
			name = "[" + name + "]"
		}
		loc = append(loc, clip(name))
		list = false
		if s != nil {
			if f := s.field(name); f != nil {
				list, s = f.list, f.sub
			} else {
				s = nil
			}
		}
	}
	return loc
}

// maxName bounds a client's own name where it is repeated to it.
const maxName = 64

func clip(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "") + "..."
}

// unknown lists the members of value that its type does not know; inside names those of
// an object within.
func (s *shape) unknown(value reflect.Value, inside string) (names []string) {
	if s.rest != nil {
		if gathered, _ := value.FieldByIndex(s.rest).Addr().Interface().(*jsontext.Value); len(*gathered) > 0 {
			names = memberNames(*gathered, inside)
		}
	}
	for i := range s.fields {
		f := &s.fields[i]
		if f.sub == nil {
			continue
		}
		m, _ := value.FieldByIndex(f.index).Addr().Interface().(member)
		if given, _ := m.state(); given {
			names = append(names, f.sub.unknown(reflect.ValueOf(m.pointer()).Elem(), inside+f.name+".")...)
		}
	}
	return names
}

// memberNames lists the names of an object that was read before.
func memberNames(object jsontext.Value, inside string) (names []string) {
	dec := jsontext.NewDecoder(bytes.NewReader(object), decodeOptions)
	if _, err := dec.ReadToken(); err != nil {
		return nil
	}
	for dec.PeekKind() == '"' && len(names) < maxIgnored+1 {
		name, err := dec.ReadToken()
		if err != nil {
			return names
		}
		names = append(names, inside+name.String())
		if err := dec.SkipValue(); err != nil {
			return names
		}
	}
	return names
}
