package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/neohook/neohook/store"
)

var _ store.Store = (*Store)(nil)

// Store is a store.Store in one database file. Open makes one.
type Store struct {
	path string
	lock *os.File

	// Whoever takes the writer or a reader out of its channel has it alone, and puts it
	// back. Several readers are taken only by who has the writer.
	writer  chan *writer
	readers chan *conn

	scrubs scrubs

	closing   chan struct{} // closed when Close begins
	closeOnce sync.Once
	closeErr  error
}

// readerCount is how many reads can go on at once. They are short, and beyond the number
// of processors more of them only wait elsewhere.
const readerCount = 4

// KeysetFile returns where the keys to the store's secrets are kept unless the operator
// says otherwise: beside the database file.
func (s *Store) KeysetFile() string {
	return filepath.Join(filepath.Dir(s.path), "keyset.json")
}

// Close waits for what is under way, moves the write-ahead log into the database and
// lets go of the folder. A second call does nothing and returns the same.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		w := <-s.writer
		if w.conn != nil {
			s.closeErr = w.overwriteFound(context.Background()) //nolint:forbidigo // Close takes none
		}
		for range readerCount {
			s.closeErr = errors.Join(s.closeErr, (<-s.readers).close())
		}
		// The last connection to close is the one that may write.
		s.closeErr = errors.Join(s.closeErr, w.close(), s.lock.Close())
	})
	if s.closeErr != nil {
		return fmt.Errorf("sqlite: close %s: %w", s.path, s.closeErr)
	}
	return nil
}

// take takes what a channel holds, unless ctx ends or the store closes before.
func take[T any](ctx context.Context, s *Store, from chan T) (T, error) {
	var none T
	select {
	case <-s.closing:
		return none, store.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	select {
	case taken := <-from:
		return taken, nil
	case <-ctx.Done():
		return none, ctx.Err()
	case <-s.closing:
		return none, store.ErrClosed
	}
}

// read lends a reader to do. Each statement sees the database as of its own beginning.
func (s *Store) read(ctx context.Context, do func(context.Context, *conn) error) error {
	reader, err := take(ctx, s, s.readers)
	if err != nil {
		return err
	}
	defer func() { s.readers <- reader }()
	return do(context.WithoutCancel(ctx), reader)
}

// snapshot is read where all statements see the database as of one instant.
func (s *Store) snapshot(ctx context.Context, do func(context.Context, *conn) error) error {
	return s.read(ctx, func(ctx context.Context, c *conn) (err error) {
		if _, err := c.exec(ctx, "BEGIN"); err != nil {
			return err
		}
		defer func() {
			if _, failed := c.exec(ctx, "ROLLBACK"); err == nil {
				err = failed
			}
		}()
		return do(ctx, c)
	})
}

// readFirst is read for the first row of one statement.
func readFirst[T any](ctx context.Context, s *Store, scan func(*row) T, query string, args ...any) (found T, err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) error {
		found, err = first(ctx, c, scan, query, args...)
		return err
	})
	return found, err
}

// readAll is read for all rows of one statement.
func readAll[T any](ctx context.Context, s *Store, scan func(*row) T, query string, args ...any) (found []T, err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) error {
		found, err = all(ctx, c, scan, query, args...)
		return err
	})
	return found, err
}
