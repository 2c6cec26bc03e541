package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
)

func TestFaultsAreToldByTheirCodes(t *testing.T) {
	server := func(severity, code string) error {
		return fmt.Errorf("around it: %w", &pgconn.PgError{SeverityUnlocalized: severity, Code: code})
	}
	for what, c := range map[string]struct {
		err      error
		is       error // as what a statement's error is told; nil is as it is
		unknown  bool  // at the end of a transaction
		repeated bool  // at any earlier place, by the store itself
	}{
		"no row":                {err: pgx.ErrNoRows, is: store.ErrNotFound, unknown: true},
		"a disk that is full":   {err: server("ERROR", "53100"), is: store.ErrFull},
		"a key that is there":   {err: server("ERROR", "23505"), is: store.ErrConflict},
		"a deadlock":            {err: server("ERROR", "40P01"), repeated: true},
		"a conflict of reading": {err: server("ERROR", "40001"), repeated: true},
		"a server that stops":   {err: server("FATAL", "57P01"), unknown: true, repeated: true},
		"a server that crashed": {err: server("FATAL", "57P02"), unknown: true, repeated: true},
		"a syntax error":        {err: server("ERROR", "42601")},
		"rolled back":           {err: pgx.ErrTxCommitRollback},
		"a lost connection":     {err: io.ErrUnexpectedEOF, unknown: true},
		"out of time":           {err: context.DeadlineExceeded, unknown: true},
	} {
		t.Run(what, func(t *testing.T) {
			if c.is != nil && !errors.Is(translate(c.err), c.is) {
				t.Errorf("translate: %v, want %v", translate(c.err), c.is)
			}
			if c.is != store.ErrNotFound && !errors.Is(translate(c.err), c.err) { // which says it all

				t.Errorf("translate: %v has lost the cause", translate(c.err))
			}
			end := commitFault(c.err)
			if unknown := errors.Is(end, store.ErrCommitUnknown); unknown != c.unknown {
				t.Errorf("at the end: %v; unknown %v, want %v", end, unknown, c.unknown)
			}
			if c.unknown && passes(end, true, 1) {
				t.Error("what is unknown is repeated")
			}
			if repeated := passes(c.err, false, 1); repeated != c.repeated {
				t.Errorf("repeated: %v, want %v", repeated, c.repeated)
			}
			const many = 100
			if passes(c.err, true, many) {
				t.Error("repeated for ever")
			}
		})
	}
	if !passes(io.ErrUnexpectedEOF, true, 1) {
		t.Error("a connection that was lost before the end is not made up for")
	}
}
