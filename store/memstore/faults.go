package memstore

import (
	"context"

	"github.com/neohook/neohook/store"
)

// Moment is when a fault strikes.
type Moment uint8

// The moments.
const (
	// Before is ahead of an operation: with an error, nothing is applied.
	Before Moment = iota
	// After is behind one that has succeeded: with an error, it is applied all the same.
	After
	// Drawn is within Commit, when its events have their keys and nothing of it is visible:
	// while it waits here, others with higher keys become visible before it. With an error,
	// nothing is applied.
	Drawn
)

// Faults decides what goes wrong. It is asked before each operation and after each that
// succeeded, and in the midst of Commit, by the name of the method, and returns nil to let
// it go on, or
//
//   - an error, which the operation returns; After Commit, store.ErrCommitUnknown is what
//     a broken connection gives;
//   - Crash, by which the store is closed at once: the operation returns ErrClosed, and
//     so does every later one. Reopen then gives back what was applied.
//
// It may also wait, on a channel or on ctx, which is the operation's own; no lock is held
// meanwhile. It is called from many goroutines at once.
type Faults func(ctx context.Context, operation string, moment Moment) error

// Crash is returned by Faults to close the store in the middle of an operation.
var Crash = crash{} //nolint:errname // what happens, not what is returned

type crash struct{}

func (crash) Error() string { return "crash" }

func (s *Store) fault(ctx context.Context, operation string, moment Moment) error {
	if s.Faults == nil {
		return nil
	}
	err := s.Faults(ctx, operation, moment)
	if err == Crash { //nolint:errorlint // a value of ours, never wrapped
		_ = s.Close()
		return store.ErrClosed
	}
	return err
}
