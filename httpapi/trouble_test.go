package httpapi

import (
	"testing"
	"time"
)

func TestTroubleIsToldOfOnce(t *testing.T) {
	var disk trouble
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	refuse := func(what string, at time.Duration, want bool) {
		t.Helper()
		if got := disk.refuse(now.Add(at)); got != want {
			t.Errorf("%s: told %v, want %v", what, got, want)
		}
	}
	end := func(what string, at, wantLasted time.Duration, wantRefused int) {
		t.Helper()
		if lasted, refused := disk.end(now.Add(at)); lasted != wantLasted || refused != wantRefused {
			t.Errorf("%s: %d refused in %v, want %d in %v", what, refused, lasted, wantRefused, wantLasted)
		}
	}
	end("room all the time", 0, 0, 0)
	refuse("the first", 0, true)
	refuse("the second", time.Second, false)
	refuse("one a while after", troubleForgotten, false)
	end("room again", troubleForgotten+time.Second, troubleForgotten+time.Second, 3)
	end("and still", time.Hour, 0, 0)
	refuse("full again", time.Hour, true)
	refuse("nobody asked for long", time.Hour+troubleForgotten, true)
	end("room again", 2*time.Hour, time.Hour-troubleForgotten, 1)
}
