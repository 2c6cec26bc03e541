package sqlite

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// scrubs lets those who want to scrub at the same time share one.
type scrubs struct {
	asked atomic.Int64
	turn  chan struct{} // has a place for the one who scrubs
	done  int64         // asks that are seen to; of who has the turn
}

// Scrub returns when nothing that was deleted before is left in the database file or in
// the log. Deleting overwrites it in the file (secure_delete, and see leftover.go); the
// log, which has the pages as they were before, is emptied here.
func (s *Store) Scrub(ctx context.Context) error {
	ask := s.scrubs.asked.Add(1)
	select {
	case s.scrubs.turn <- struct{}{}:
		defer func() { <-s.scrubs.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.scrubs.done >= ask { // by somebody who began after this was asked
		return nil
	}
	done := s.scrubs.asked.Load()
	if err := s.emptyLog(ctx); err != nil {
		return err
	}
	s.scrubs.done = done
	return nil
}

// emptyLog moves the log into the database and cuts it off.
func (s *Store) emptyLog(ctx context.Context) error {
	// Most of the work can be done without keeping anybody waiting.
	const large = 4 << 20
	if info, err := os.Stat(s.path + "-wal"); err == nil && info.Size() > large {
		if err := s.moveLog(ctx); err != nil {
			return err
		}
	}
	const tries, pause = 50, 100 * time.Millisecond
	for try := 1; ; try++ {
		busy, err := s.cutLog(ctx)
		if err != nil || !busy {
			return err
		}
		if try == tries {
			return fmt.Errorf("another program reads %s: what was deleted is gone from its write-ahead log only when that ends", s.path)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// moveLog moves what it can, beside the writer and the readers.
func (s *Store) moveLog(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	c, err := connect(ctx, dsn(s.path, "rw"), []string{"PRAGMA busy_timeout = 0"})
	if err != nil {
		return err
	}
	defer func() { _ = c.close() }()
	_, err = first(ctx, c, (*row).int, "PRAGMA wal_checkpoint(PASSIVE)")
	return err
}

// cutLog holds everybody back, and cuts the log off unless somebody outside reads it.
func (s *Store) cutLog(ctx context.Context) (busy bool, err error) {
	w, err := take(ctx, s, s.writer)
	if err != nil {
		return false, err
	}
	defer func() { s.writer <- w }()
	ctx = context.WithoutCancel(ctx)
	if w.conn == nil {
		if err := w.connect(ctx); err != nil {
			return false, fmt.Errorf("reconnect: %w", err)
		}
	}
	if err := w.overwriteFound(ctx); err != nil {
		return false, err
	}
	for range readerCount {
		reader := <-s.readers
		defer func() { s.readers <- reader }()
	}
	if err := w.script(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return false, err
	}
	blocked, err := first(ctx, w.conn, (*row).int, "PRAGMA wal_checkpoint(TRUNCATE)")
	if restored := w.script(ctx, writerPragmas[0]); err == nil {
		err = restored
	}
	return blocked != 0, err
}
