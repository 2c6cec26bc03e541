package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/neohook/neohook/store/sqlite"
)

// raw makes a database with plain SQLite.
func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	tests := map[string]struct {
		prepare func(t *testing.T, folder string) (path string)
		want    []string // parts of the one line
	}{
		"no such folder": {
			func(_ *testing.T, folder string) string { return filepath.Join(folder, "missing", "a.db") },
			[]string{"missing", "no such file or directory"},
		},
		"folder is a file": {
			func(t *testing.T, folder string) string {
				write(t, filepath.Join(folder, "file"), "text")
				return filepath.Join(folder, "file", "a.db")
			},
			[]string{"file is not a folder"},
		},
		"file is a folder": {
			func(t *testing.T, folder string) string {
				if err := os.Mkdir(filepath.Join(folder, "a.db"), 0o700); err != nil {
					t.Fatal(err)
				}
				return filepath.Join(folder, "a.db")
			},
			[]string{"a.db is a folder"},
		},
		"not a database": {
			func(t *testing.T, folder string) string {
				path := filepath.Join(folder, "a.db")
				write(t, path, strings.Repeat("plain text\n", 1000))
				return path
			},
			[]string{"a.db is not a SQLite database"},
		},
		"another program's database": {
			func(t *testing.T, folder string) string {
				path := filepath.Join(folder, "a.db")
				raw(t, path, "CREATE TABLE theirs (a)")
				return path
			},
			[]string{"a.db is another program's SQLite database"},
		},
		"another program's empty database": {
			func(t *testing.T, folder string) string {
				path := filepath.Join(folder, "a.db")
				raw(t, path, "PRAGMA application_id = 5", "VACUUM")
				return path
			},
			[]string{"a.db is another program's SQLite database"},
		},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			path := test.prepare(t, t.TempDir())
			before, _ := os.ReadFile(path)
			s, err := sqlite.Open(t.Context(), path)
			if err == nil {
				_ = s.Close()
				t.Fatal("opened")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// knowing are the migrations of the program, and further ones that it works with from a
// version on.
func knowing(t *testing.T, worksFrom ...int) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	entries, err := os.ReadDir("migration")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join("migration", entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files["migration/"+entry.Name()] = &fstest.MapFile{Data: text}
	}
	for _, from := range worksFrom {
		n := len(files) + 1
		text := fmt.Sprintf("-- Works with programs that know version %d.\n\n-- Step: it.\nALTER TABLE tenant ADD COLUMN added_%d TEXT;\n", from, n)
		files[fmt.Sprintf("migration/%04d_further.sql", n)] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func TestOpenRefusesANewerSchemaUnlessItWorksWithIt(t *testing.T) {
	known := len(knowing(t))
	path := filepath.Join(t.TempDir(), "neohook.db")
	use := func(files fstest.MapFS) error {
		s, err := sqlite.OpenKnowing(t.Context(), path, files)
		if err != nil {
			return err
		}
		return s.Close()
	}
	expanded, contracted := knowing(t, known), knowing(t, known, known+1)
	for _, files := range []fstest.MapFS{knowing(t), expanded, knowing(t), expanded} { // forth, back and forth
		if err := use(files); err != nil {
			t.Fatal(err)
		}
	}
	if err := use(contracted); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), path)
	var newer *sqlite.NewerSchemaError
	if !errors.As(err, &newer) || newer.Path != path || newer.Found != known+2 || newer.Needs != known+1 || newer.Known != known {
		t.Fatalf("%v, want a NewerSchemaError", err)
	}
	for _, want := range []string{path, fmt.Sprint("version ", known+2), fmt.Sprint("knows ", known), "use a newer release"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	for _, files := range []fstest.MapFS{expanded, contracted} { // it is as it was
		if err := use(files); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenWithAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "neohook.db")
	if _, err := sqlite.Open(ctx, path); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want %v", err, context.Canceled)
	}
	s, err := sqlite.Open(t.Context(), path) // the folder is free
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFolderBelongsToOneStore(t *testing.T) {
	folder := t.TempDir()
	s := openAt(t, folder)
	for _, name := range []string{"neohook.db", "other.db"} {
		_, err := sqlite.Open(t.Context(), filepath.Join(folder, name))
		if !errors.Is(err, sqlite.ErrInUse) || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: %v, want ErrInUse with the folder", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openAt(t, folder).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSecondProcessIsRefused holds the folder in this process and opens it in another.
func TestSecondProcessIsRefused(t *testing.T) {
	if folder := os.Getenv("NEOHOOK_TEST_SECOND"); folder != "" {
		_, err := sqlite.Open(t.Context(), filepath.Join(folder, "neohook.db"))
		if errors.Is(err, sqlite.ErrInUse) {
			t.Skip("refused") // which the first process looks for
		}
		t.Fatalf("%v, want ErrInUse", err)
	}
	folder := t.TempDir()
	s := openAt(t, folder)
	defer s.Close()
	second := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecondProcessIsRefused$", "-test.v") //nolint:gosec // this test
	second.Env = append(os.Environ(), "NEOHOOK_TEST_SECOND="+folder)
	output, err := second.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "refused") {
		t.Fatalf("%v: %s", err, output)
	}
}

func TestFilesAreTheirOwnersOnly(t *testing.T) {
	folder := t.TempDir()
	s := openAt(t, folder)
	defer s.Close()
	if _, err := s.NewKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", file.Name(), mode)
		}
		names = append(names, file.Name())
	}
	if got, want := strings.Join(names, " "), "neohook.db neohook.db-shm neohook.db-wal neohook.lock"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

func TestCloseLeavesOneFile(t *testing.T) {
	folder := t.TempDir()
	s := openAt(t, folder)
	if _, err := s.NewKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"neohook.db-wal", "neohook.db-shm"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

func TestKeysetIsBesideTheDatabase(t *testing.T) {
	folder := t.TempDir()
	s := openAt(t, folder)
	defer s.Close()
	if got, want := s.KeysetFile(), filepath.Join(folder, "keyset.json"); got != want {
		t.Errorf("KeysetFile %s, want %s", got, want)
	}
}

func TestPathIsTakenAsItIs(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a b?mode=memory&x=%41#frag")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := openAt(t, folder).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "neohook.db")); err != nil {
		t.Error(err)
	}
	t.Chdir(folder)
	s, err := sqlite.Open(t.Context(), "neohook.db")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
