package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
)

// away is the time during which nobody gets a connection. One looks for the server
// meanwhile; all others are told at once, and none waits for it, nor asks it.
type away struct {
	mu      sync.Mutex
	cause   error // nil while the server is there
	closed  bool
	stop    func() // ends the looking; nil where nobody ever looked
	looking sync.WaitGroup
}

// now returns why the server is away, or nil.
func (a *away) now() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cause
}

// goneBy begins the time, unless it has begun. find connects once.
func (a *away) goneBy(cause error, find func(context.Context) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cause != nil || a.closed {
		return
	}
	ctx, stop := context.WithCancel(context.Background()) //nolint:forbidigo // of nobody's request
	a.cause, a.stop = cause, stop
	a.looking.Go(func() {
		defer stop()
		a.look(ctx, find)
	})
}

// look ends the time once the server is found.
func (a *away) look(ctx context.Context, find func(context.Context) error) {
	const between = 250 * time.Millisecond
	for tick := time.NewTicker(between); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
		err := find(ctx)
		a.mu.Lock()
		a.cause = err
		a.mu.Unlock()
		if err == nil {
			tick.Stop()
			return
		}
	}
}

func (a *away) close() {
	a.mu.Lock()
	a.closed = true
	stop := a.stop
	a.mu.Unlock()
	if stop != nil {
		stop()
	}
	a.looking.Wait()
}

// find connects once.
func (s *Store) find(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*connecting)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn.Release()
	return nil
}

// missing says of an error that came instead of a connection whether the server is away: it
// is not where it merely has no room for more connections.
func missing(err error) bool {
	var answered *pgconn.PgError
	return !errors.As(err, &answered) || answered.Code != tooManyConnections
}

// unavailable is what is told where the server can't be reached.
func unavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrCommitUnknown) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
