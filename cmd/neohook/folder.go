package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/neohook/neohook/store/sqlite"
)

// The files in a data folder. The store puts its own beside its database.
const (
	databaseFile = "neohook.db"
	keysetFile   = "keyset.json"
	tokenFile    = "token"
)

// openStore makes the data folder if it is missing, for its owner only, and opens the
// store in it.
func openStore(ctx context.Context, folder string) (*sqlite.Store, error) {
	if err := makeFolder(folder); err != nil {
		return nil, fmt.Errorf("data folder %s can't be made: %w", folder, reason(err))
	}
	st, err := sqlite.Open(ctx, filepath.Join(folder, databaseFile))
	if errors.Is(err, sqlite.ErrInUse) {
		return nil, &folderInUseError{folder}
	}
	return st, err
}

// folderInUseError wraps sqlite.ErrInUse in words of the program alone.
type folderInUseError struct{ folder string }

func (e *folderInUseError) Error() string {
	return "data folder " + e.folder + " is in use by another neohook: stop that one, or choose another folder with --data"
}

func (e *folderInUseError) Unwrap() error { return sqlite.ErrInUse }

func makeFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	// A folder whose name is not on disk takes what is synced in it along in a crash.
	return syncFolder(filepath.Dir(folder))
}

// syncFolder puts the names in a folder on disk, as far as the system can.
func syncFolder(folder string) error {
	handle, err := os.Open(folder)
	if err != nil {
		return err
	}
	_ = handle.Sync() // Windows and some file systems have no such thing
	return handle.Close()
}

// reason is what the system says is wrong, without the path that the caller names.
func reason(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", at.Path, at.Err)
	}
	return err
}
