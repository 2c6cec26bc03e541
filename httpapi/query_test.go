package httpapi

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestQueryIsRead(t *testing.T) {
	const query = "limit=7&&expanded_statuses=true&after=2026-01-02T03%3A04%3A05%2B01:00&with_content=false" +
		"&event_types=a,b&event_types=c&event_types[]=d&event_types%5B0%5D=e&status=2&a%26b=c"
	var q attemptsAtEndpointQuery
	unknown, err := shapeOf(reflect.TypeOf(q)).parse(query, &q)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"expanded_statuses", "a&b"}; !slices.Equal(unknown, want) {
		t.Errorf("unknown %q, want %q", unknown, want)
	}
	if want := []string{"a", "b", "c", "d", "e"}; !slices.Equal(q.EventTypes.Value, want) {
		t.Errorf("event_types %q, want %q", q.EventTypes.Value, want)
	}
	after := time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)
	if q.Limit.Value != 7 || !q.After.Value.Equal(after) || q.wanted() || q.Status.Value != 2 || q.Before.Given || q.WithMsg.Given {
		t.Errorf("read %+v", q)
	}
}

func TestQueryFaultsNameTheParameter(t *testing.T) {
	const loc = "msg_" + "000000000000000000000000000"
	tests := map[string]struct {
		query  string
		status int
		want   string
	}{
		"limit is a word":     {"limit=many", 400, "query parameter limit must be a whole number, 0 or more"},
		"limit is negative":   {"limit=-1", 400, "query parameter limit must be a whole number, 0 or more"},
		"limit is empty":      {"limit=", 400, "query parameter limit must be a whole number, 0 or more"},
		"limit is huge":       {"limit=99999999999", 400, "query parameter limit must be a whole number, 0 or more"},
		"limit is high":       {"limit=251", 422, "query/limit value_error: must be 0 to 250"},
		"limit twice":         {"limit=1&limit=2", 400, "query parameter limit is there twice"},
		"limit as a list":     {"limit[]=1", 200, ""},
		"percent":             {"limit=%zz", 400, `query parameter limit: invalid URL escape "%zz"`},
		"percent in a name":   {"%zz=1", 400, `query parameter %zz: invalid URL escape "%zz"`},
		"date":                {"before=yesterday", 400, "query parameter before must be a time as RFC 3339 has it"},
		"plus not escaped":    {"before=2026-01-02T03:04:05+01:00", 400, `with the "+" of an offset written as %2B`},
		"bool":                {"with_content=1", 400, "query parameter with_content must be true or false"},
		"status":              {"status=4", 400, "query parameter status must be one of 0, 1, 2, 3"},
		"status class":        {"status_code_class=404", 400, "query parameter status_code_class must be one of 0, 100, 200, 300, 400, 500"},
		"iterator of others":  {"iterator=" + loc, 422, "query/iterator value_error: must be an iterator or prevIterator that this list gave"},
		"iterator malformed":  {"iterator=atmpt_1", 422, "query/iterator value_error: must be an iterator or prevIterator that this list gave"},
		"iterator, two signs": {"iterator=--atmpt_000000000000000000000000000", 422, "query/iterator value_error"},
		"channel":             {"channel=a%20b", 422, "query/channel value_error: must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot"},
		"many event types":    {"event_types=" + strings.Repeat("a,", 250) + "a", 422, "query/event_types value_error: must have 0 to 250 items"},
		"event type":          {"event_types=a,", 422, "query/event_types/[1] value_error: must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var q attemptsQuery
			_, err := shapeOf(reflect.TypeOf(q)).parse(test.query, &q)
			status, text := http.StatusOK, ""
			var refused *refusal
			if errors.As(err, &refused) {
				status, text = refused.status, refused.detail
				for _, one := range refused.faults {
					text += one.at()
				}
			}
			if status != test.status || !strings.Contains(text, test.want) {
				t.Errorf("%d %s, want %d %s", status, text, test.status, test.want)
			}
		})
	}
}

// Whatever is asked: no panic, and either it is read or refused with 400 or 422.
func FuzzQuery(f *testing.F) {
	f.Add("limit=1&event_types[0]=a&before=2026-01-01T00:00:00Z&iterator=-atmpt_000000000000000000000000000")
	f.Add("%zz&==&&a[b]=c&event_types[=")
	f.Fuzz(func(t *testing.T, query string) {
		var q attemptsOfMessageQuery
		unknown, err := shapeOf(reflect.TypeOf(q)).parse(query, &q)
		var refused *refusal
		if err != nil && (!errors.As(err, &refused) || refused.status != 400 && refused.status != 422) {
			t.Fatalf("%q: %v", query, err)
		}
		header := make(http.Header)
		nameIgnored(header, unknown)
		if text := header.Get(ignoredHeader); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q: header %q", query, text)
		}
		_ = walkOf(q.Limit, q.Iterator, true).over(q.span, "atmpt_", time.Now())
	})
}
