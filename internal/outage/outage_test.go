package outage

import (
	"errors"
	"fmt"
	"testing"

	"github.com/neohook/neohook/store"
)

func TestOutageIsToldOfOnce(t *testing.T) {
	var w Watch
	away := fmt.Errorf("connect: %w", store.ErrUnavailable)
	for i, step := range []struct {
		err  error
		news bool
	}{
		{nil, false},
		{away, true},
		{away, false},
		{errors.New("another thing"), true},
		{away, false},
		{nil, false},
		{away, true},
	} {
		if news := w.News(step.err); news != step.news {
			t.Errorf("%d: %v is news: %v, want %v", i, step.err, news, step.news)
		}
	}
}
