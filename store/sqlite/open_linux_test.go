package sqlite_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/neohook/neohook/store/sqlite"
)

// TestOpenNeedsAWritableFolder gives the thread another user for the file system, as for
// root every folder is writable.
func TestOpenNeedsAWritableFolder(t *testing.T) {
	folder := t.TempDir()
	if err := openAt(t, folder).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "neohook.lock")); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{folder: 0o555, filepath.Dir(folder): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) }) //nolint:gosec // as it was

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Getuid() == 0 {
		const nobody = 65534
		setUser := func(user uintptr) { _, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, user, 0, 0) }
		setUser(nobody)
		defer setUser(0)
	}
	s, err := sqlite.Open(t.Context(), filepath.Join(folder, "neohook.db"))
	if err == nil {
		_ = s.Close()
		t.Fatal("opened")
	}
	if want := "the folder must be writable"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}
