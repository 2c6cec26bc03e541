package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parse reads a query string into a value of the shape's type, given by its address, and
// holds it to the rules. It returns the names in it that nobody knows. A parameter that
// can't be read at all is refused with 400, one that breaks a rule with 422.
//
// A list may be written as a=x,y, as a=x&a=y, as a[]=x and as a[0]=x.
func (s *shape) parse(query string, value any) (unknown []string, err error) {
	s.fillIn(reflect.ValueOf(value).Elem())
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		rawName, rawText, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, unreadable("%s: %v", clip(rawName), err)
		}
		f := s.parameter(name)
		if f == nil {
			unknown = append(unknown, name)
			continue
		}
		text, err := url.QueryUnescape(rawText)
		if err != nil {
			return nil, unreadable("%s: %v", name, err)
		}
		if problem := f.read(reflect.ValueOf(value).Elem(), text); problem != "" {
			return nil, unreadable("%s %s", name, problem)
		}
	}
	var bad faults
	s.check(value, &bad, "query")
	return unknown, bad.err()
}

func unreadable(format string, args ...any) error {
	return &refusal{status: http.StatusBadRequest, code: "generic_error", detail: "query parameter " + fmt.Sprintf(format, args...)}
}

// parameter finds the field of a name, with or without an index behind it.
func (s *shape) parameter(name string) *field {
	if f := s.field(name); f != nil {
		return f
	}
	bare, index, found := strings.Cut(name, "[")
	if !found || strings.TrimLeft(index, "0123456789") != "]" {
		return nil
	}
	if f := s.field(bare); f != nil && f.list {
		return f
	}
	return nil
}

// read sets the field from a parameter and says what is wrong with it, or "".
func (f *field) read(value reflect.Value, text string) string {
	m, _ := value.FieldByIndex(f.index).Addr().Interface().(member)
	if given, _ := m.state(); given && !f.list {
		return "is there twice"
	}
	m.give()
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		return "must be one of " + strings.Join(f.enum, ", ")
	}
	switch v := m.pointer().(type) {
	case *string:
		*v = text
	case *[]string:
		*v = append(*v, strings.Split(text, ",")...)
	case *bool:
		*v = text == "true"
		if text != "true" && text != "false" {
			return "must be true or false"
		}
	case *int64:
		n, err := strconv.ParseUint(text, 10, 31)
		*v = int64(n) //nolint:gosec // 31 bits
		if err != nil {
			return "must be a whole number, 0 or more"
		}
	case *time.Time:
		at, err := time.Parse(time.RFC3339, text)
		*v = at
		if err != nil {
			return `must be a time as RFC 3339 has it, such as 2026-01-02T15:04:05Z, with the "+" of an offset written as %2B`
		}
	}
	return ""
}
