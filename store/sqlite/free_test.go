package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestFreeSpaceIsThatOfTheFolder(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "neohook.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	free, err := s.FreeBytes()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system is not asked for its free space")
	}
	if err != nil || free <= 0 {
		t.Errorf("%d bytes free, %v", free, err)
	}
	if _, err := freeBytes(filepath.Join(t.TempDir(), "not there")); err == nil {
		t.Error("a folder that is not there has free space")
	}
}
