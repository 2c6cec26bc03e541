package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// mostBytes is more than a keyset of a hundred keys has.
const mostBytes = 1 << 20

// Load reads the keyset in a file. Where there is no such file the error wraps
// fs.ErrNotExist. A file that its group or others may read is refused: they could open
// all that was sealed with it.
func Load(file string) (*Keyset, error) {
	source := "keyset file " + file
	info, err := os.Stat(file) // before it is opened, as a pipe would block
	if err != nil {
		return nil, fmt.Errorf("keyset file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", source)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" { // which has no such bits
		return nil, fmt.Errorf("%s has mode %04o and may be readable by others: chmod 600 %s", source, mode, file)
	}
	if info.Size() > mostBytes {
		return nil, fmt.Errorf("%s is longer than %d bytes", source, mostBytes)
	}
	json, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("keyset file: %w", err)
	}
	return parse(json, source)
}

// LoadOrCreate is Load, except that a file which is not there is made, with a fresh
// keyset and mode 0600, and is on disk with its name when the call returns. Of several
// callers at once one makes it and all load the same.
func LoadOrCreate(file string) (*Keyset, error) {
	loaded, err := Load(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return loaded, err
	}
	if err := create(file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make keyset file: %w", err)
	}
	return Load(file)
}

func create(file string) (err error) {
	json, err := Generate()
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	temp, err := os.CreateTemp(dir, ".keyset-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(json)
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	// A link does not replace a keyset that somebody made in the meantime, as a rename
	// would; only where the file system has no links the name is taken by a rename.
	if err := os.Link(temp.Name(), file); errors.Is(err, fs.ErrExist) {
		return err
	} else if err != nil {
		if err := os.Rename(temp.Name(), file); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // directories can't be synced there
		return nil
	}
	handle, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer handle.Close()
	return handle.Sync()
}
