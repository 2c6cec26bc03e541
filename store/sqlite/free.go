package sqlite

import (
	"fmt"
	"path/filepath"
)

// FreeBytes returns how much more may be written to the file system of the database. The
// engine accepts no events where that is too little. It is quick, and reads no file. The
// error is errors.ErrUnsupported on systems that are not asked.
func (s *Store) FreeBytes() (int64, error) {
	free, err := freeBytes(filepath.Dir(s.path))
	if err != nil {
		return 0, fmt.Errorf("sqlite: free space of %s: %w", filepath.Dir(s.path), err)
	}
	return free, nil
}
