package postgres

import (
	"slices"
	"strings"

	"github.com/neohook/neohook/store"
)

// connectError is why there is no connection. It is a store.ErrUnavailable without the
// words: at the start it is as often a wrong name or password as that the database is away.
type connectError struct{ cause error }

// Error is the cause in one line. pgx has one for each way that it tried, with TLS and
// without and for each address, and these are often the same.
func (e *connectError) Error() string {
	what, ways, _ := strings.Cut(e.cause.Error(), "\n\t")
	text := "postgres: connect: " + what
	if ways != "" {
		text += " " + strings.Join(slices.Compact(strings.Split(ways, "\n\t")), "; ")
	}
	return text
}

func (e *connectError) Unwrap() error { return e.cause }

func (e *connectError) Is(target error) bool { return target == store.ErrUnavailable }
