package httpapi

import (
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

func given[T any](value T) opt[T] { return opt[T]{Value: value, Given: true} }

func TestPageIsShownInTheOrderOfTheList(t *testing.T) {
	show := func(s *string) string { return *s }
	tests := map[string]struct {
		iterator opt[string]
		limit    opt[int64]
		got      neohook.List[string]
		data     []string
		next     string
		previous string
		done     bool
	}{
		"forward":         {got: neohook.List[string]{Items: []string{"d", "c"}, Last: "c"}, data: []string{"d", "c"}, next: "c", previous: "-d"},
		"forward, done":   {got: neohook.List[string]{Items: []string{"b", "a"}, Last: "a", Done: true}, data: []string{"b", "a"}, next: "a", previous: "-b", done: true},
		"backward":        {iterator: given("-a"), got: neohook.List[string]{Items: []string{"b", "c"}, Last: "c"}, data: []string{"c", "b"}, next: "b", previous: "-c"},
		"empty":           {got: neohook.List[string]{Done: true}, data: []string{}, done: true},
		"short":           {got: neohook.List[string]{Items: []string{"d"}, Last: "b"}, data: []string{"d"}, next: "b", previous: "-d"},
		"short, backward": {iterator: given("-a"), got: neohook.List[string]{Items: []string{"b"}, Last: "x"}, data: []string{"b"}, next: "b", previous: "-x"},
		"nothing yet":     {got: neohook.List[string]{Last: "b"}, data: []string{}, next: "b"},
		"no items wanted": {limit: given[int64](0), got: neohook.List[string]{Items: []string{"d"}, Last: "d", Done: true}, data: []string{}},
		"none there":      {limit: given[int64](0), got: neohook.List[string]{Done: true}, data: []string{}, done: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			limit := test.limit
			if !limit.Given {
				limit.Value = 50
			}
			out := listed(walkOf(limit, test.iterator, true), test.got, show, show)
			var next string
			if out.Iterator != nil {
				next = *out.Iterator
			}
			if !slices.Equal(out.Data, test.data) || out.Data == nil || next != test.next || out.PrevIterator != test.previous || out.Done != test.done {
				t.Errorf("%+v with iterator %q, want %+v", out, next, test)
			}
		})
	}
}

func TestListByTimeReachesNinetyDays(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	at := webhook.MakeRawID(day(-200), [15]byte{}).Format("msg_")
	const us = time.Microsecond
	tests := map[string]struct {
		span     span
		iterator opt[string]
		from, to time.Time
		// ascending: oldest first, and turned round for the page.
		ascending bool
	}{
		"nothing given":       {from: day(-90), to: now.Add(time.Hour)},
		"before":              {span: span{Before: given(day(-30))}, from: day(-120), to: day(-30).Add(-us)},
		"after":               {span: span{After: given(day(-30))}, from: day(-30).Add(us), to: now.Add(time.Hour), ascending: true},
		"after, long ago":     {span: span{After: given(day(-300))}, from: day(-300).Add(us), to: day(-210), ascending: true},
		"both":                {span: span{After: given(day(-30)), Before: given(day(-20))}, from: day(-30).Add(us), to: day(-20).Add(-us)},
		"between microsecond": {span: span{After: given(day(-3).Add(500)), Before: given(day(-2).Add(500))}, from: day(-3).Add(us), to: day(-2)},
		"iterator":            {iterator: given(at), from: day(-290), to: now.Add(time.Hour)},
		"iterator, backward":  {iterator: given("-" + at), to: day(-110), ascending: true},
		"iterator and after":  {iterator: given(at), span: span{After: given(day(-210))}, from: day(-210).Add(us), to: day(-120)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := walkOf(given[int64](50), test.iterator, true).over(test.span, "msg_", now)
			if !w.from.Equal(test.from) || !w.to.Equal(test.to) || w.Descending == test.ascending || w.backward != test.ascending {
				t.Errorf("from %v to %v, descending %v, turned %v; want %v to %v", w.from, w.to, w.Descending, w.backward, test.from, test.to)
			}
		})
	}
}

// A store goes on examining what lies outside the time that was asked for; a client must
// not be led through all of it.
func TestListByTimeEndsWhereItsTimeEnds(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	id := func(at time.Time) string { return webhook.MakeRawID(at, [15]byte{}).Format("msg_") }
	show := func(s *string) string { return *s }
	item := id(now.AddDate(0, 0, -89))
	for name, test := range map[string]struct {
		last string
		next string
		done bool
	}{
		"within":        {id(now.AddDate(0, 0, -89)), id(now.AddDate(0, 0, -89)), false},
		"a little out":  {id(now.AddDate(0, 0, -90).Add(-time.Minute)), id(now.AddDate(0, 0, -90).Add(-time.Minute)), false},
		"out":           {id(now.AddDate(0, 0, -91)), item, true},
		"nothing there": {"", item, false},
	} {
		w := walkOf(given[int64](50), opt[string]{}, true).over(span{}, "msg_", now)
		out := listed(w, neohook.List[string]{Items: []string{item}, Last: test.last}, show, show)
		if out.Done != test.done || *out.Iterator != test.next {
			t.Errorf("%s: done %v at %s, want %v at %s", name, out.Done, *out.Iterator, test.done, test.next)
		}
	}
}

func TestResponseIsShownAsText(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"text":              {"héllo", "héllo"},
		"cut in a rune":     {"h\xc3", "h"},
		"cut in a long one": {"h\xf0\x9f\x98", "h"},
		"binary":            {"\xff\xfe\x00\x01\x02", "//4AAQI="},
		"one odd byte":      {"\xff", "/w=="},
		"nothing":           {"", ""},
	}
	for name, test := range tests {
		if got := responseText([]byte(test.in)); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestURLIsShownAsClientsKnowIt(t *testing.T) {
	for in, want := range map[string]string{
		"https://Example.COM":              "https://example.com/",
		"http://u:P%40ss@HOST:81?x=Y":      "http://u:P%40ss@host:81/?x=Y",
		"https://a.b/C%2Fd/?q=%20#f":       "https://a.b/C%2Fd/?q=%20#f",
		"HTTPS://[2001:DB8::1]:8443/Hooks": "https://[2001:db8::1]:8443/Hooks",
	} {
		if got := normalURL(in); got != want {
			t.Errorf("normalURL(%q) = %q, want %q", in, got, want)
		}
	}
}
