package sqlite

import (
	"context"
	"fmt"
	"os"
)

// checkLog sees to it that there is a write-ahead log: where the file system has no shared
// memory SQLite goes on without one, and without a word.
func checkLog(ctx context.Context, c *conn, path string) error {
	mode, err := first(ctx, c, (*row).text, "PRAGMA journal_mode")
	if err == nil && mode != "wal" {
		return fmt.Errorf("the file system of %s can't hold SQLite's write-ahead log (journal mode is %q)", path, mode)
	}
	return err
}

// SQLite moves its log into the database by itself, but begins the log anew only when no
// reader uses it. Under steady reads that moment does not come, and the log would grow
// without end. So every so many transactions its size is looked at, and where it is large
// the readers are held back for that moment.
const (
	logCheckedEvery = 32
	defaultMostLog  = 128 << 20 // bytes
)

// boundLog is called behind a transaction, by whoever has the writer.
func (s *Store) boundLog(ctx context.Context, w *writer) {
	if w.transactions++; w.transactions%logCheckedEvery != 0 {
		return
	}
	info, err := os.Stat(s.path + "-wal")
	if err != nil || info.Size() < w.mostLog {
		return
	}
	for range readerCount {
		reader := <-s.readers
		defer func() { s.readers <- reader }()
	}
	// Where it fails, as beside a program that reads or writes on a connection of its own, the
	// log is as large as before, and it is tried again. To wait would hold up everybody.
	if w.script(ctx, "PRAGMA busy_timeout = 0") == nil {
		_ = w.script(ctx, "PRAGMA wal_checkpoint(RESTART)")
	}
	_ = w.script(ctx, writerPragmas[0])
}
