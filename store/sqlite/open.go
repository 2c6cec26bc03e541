package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/neohook/neohook/store/internal/migration"
)

// ErrInUse is returned by Open where another process, or another Store of this one, has
// the folder.
var ErrInUse = errors.New("in use by another process")

// NewerSchemaError is returned by Open for a database that a newer release has made or
// migrated, and that this program does not work with. Nothing was changed.
type NewerSchemaError struct {
	Path  string
	Found int // the version of its schema
	Needs int // the version that programs must know to work with it
	Known int // the newest version that this program knows
}

// Error names the versions and what to do.
func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("%s has a schema of version %d, for programs that know version %d or newer, and this program knows %d: use a newer release",
		e.Path, e.Found, e.Needs, e.Known)
}

// Open opens the store in the database file at path, whose folder must exist; the file
// is made if it does not, readable by its owner only, and migrated to the newest version of
// its schema that the program knows. One that is newer, and works with the program, is left
// as it is. Until Close the folder belongs to this Store: another Open of the same folder
// returns ErrInUse.
//
// Other errors are *NewerSchemaError, and one that says what is wrong with the path.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path, migrations)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, path string, files fs.FS) (_ *Store, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	known, err := migration.Read(files)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	s := &Store{
		path: path, lock: lock,
		writer:  make(chan *writer, 1),
		readers: make(chan *conn, readerCount),
		scrubs:  scrubs{turn: make(chan struct{}, 1)},
		closing: make(chan struct{}),
	}
	if err := s.connect(ctx, known); err != nil {
		_ = lock.Close()
		return nil, explain(path, err)
	}
	return s, nil
}

// lockFolder takes the lock on a data folder. The file stays behind when the lock goes: to
// delete it could take it from under whoever has locked it since.
func lockFolder(folder string) (_ *os.File, err error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", folder)
	}
	lock, err := os.OpenFile(filepath.Join(folder, "neohook.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the folder must be writable: %w", err)
	}
	if err := lockFile(lock); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("folder %s: %w", folder, err)
	}
	return lock, nil
}

// connect makes and migrates the database as needed and opens all connections to it.
func (s *Store) connect(ctx context.Context, known []migration.Migration) (err error) {
	if err := createFile(s.path); err != nil {
		return err
	}
	w := newWriter(s.path, known)
	if err := w.connect(ctx); err != nil {
		return err
	}
	opened := []*conn{w.conn}
	defer func() {
		if err != nil {
			for _, c := range opened {
				_ = c.close()
			}
		}
	}()
	if err := w.loadCounters(ctx); err != nil {
		return err
	}
	// A crash may have come between a transaction and the overwriting of what it left.
	if w.crashed, err = w.findLeftovers(ctx, wholeLog); err != nil {
		return err
	}
	if err := w.overwriteFound(ctx); err != nil {
		return err
	}
	for range readerCount {
		reader, err := connect(ctx, dsn(s.path, "ro"), readerPragmas)
		if err != nil {
			return err
		}
		opened = append([]*conn{reader}, opened...)
		s.readers <- reader
	}
	s.writer <- w
	return nil
}

// createFile makes the database file, so that SQLite does not with wider permissions,
// which its other files then have as well.
func createFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		// It is not opened here: to close it would drop the locks that SQLite has on it.
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			return err
		}
		return fmt.Errorf("%s is a folder", path)
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// The settings of each connection. A page of 8 KiB takes an event of ordinary size.
// synchronous=FULL is what makes a commit durable. Deleted content is overwritten, so
// that what was expunged is gone. The pages after which the log is moved into the
// database come to 32 MiB; a larger log is cut back to twice that when it begins anew.
var (
	writerPragmas = []string{
		"PRAGMA busy_timeout = 10000",
		"PRAGMA page_size = 8192",
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL",
		"PRAGMA wal_autocheckpoint = 4000",
		"PRAGMA journal_size_limit = 67108864",
		"PRAGMA cache_size = -65536",
		"PRAGMA secure_delete = ON",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA foreign_keys = OFF",
	}
	readerPragmas = []string{
		"PRAGMA busy_timeout = 10000",
		"PRAGMA cache_size = -8192",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA query_only = ON",
	}
)

// dsn names the database to the driver; mode is "rw" or "ro". Double-quoted text is an
// error instead of a string. The writer alone may write to the file's pages as to a table,
// see leftover.go.
func dsn(path, mode string) string {
	query := "mode=" + mode + "&_dqs=0&_error_rc=1"
	if mode == "ro" {
		query += "&_defensive=1"
	}
	name := url.URL{Scheme: "file", Path: filePath(path), RawQuery: query}
	return name.String()
}

// filePath is a path as a URL has it.
func filePath(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	return path
}

// explain says in plain words what SQLite finds wrong with a file.
func explain(path string, err error) error {
	switch resultCode(err) {
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s is not a SQLite database: %w", path, err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%s and its folder must be readable and writable: %w", path, err)
	case 0:
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
