package main

import (
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
)

// openFolder opens the store of a folder until the test ends.
func openFolder(t *testing.T, folder string) *sqlite.Store {
	t.Helper()
	st, err := openStore(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestTokenIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "deeper", "data")
	st := openFolder(t, folder)
	text, err := ensureToken(t.Context(), st, folder, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	again, err := ensureToken(t.Context(), st, folder, time.Now())
	if err != nil || again != text {
		t.Errorf("second call returns %q, %v; want the same token", again, err)
	}
	token, err := st.Token(t.Context(), sha256.Sum256([]byte(text)), time.Now())
	if err != nil || token.Organisation != "org_default" {
		t.Errorf("the store has %+v, %v; want the token's hash for org_default", token, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if got := mode(t, folder); got != 0o700 {
		t.Errorf("folder has mode %o, want 700", got)
	}
	if got := mode(t, filepath.Join(folder, tokenFile)); got != 0o600 {
		t.Errorf("token file has mode %o, want 600", got)
	}
}

// A process can end between any two of ensureToken's steps.
func TestTokenSurvivesAnEndBetweenTheSteps(t *testing.T) {
	tests := map[string]func(t *testing.T, st *sqlite.Store, folder, text string){
		"before the draft was written to its end": func(t *testing.T, _ *sqlite.Store, folder, _ string) {
			if err := os.WriteFile(filepath.Join(folder, tokenFile+".new"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"before the store had the hash": func(t *testing.T, _ *sqlite.Store, folder, text string) {
			if err := writeToken(filepath.Join(folder, tokenFile+".new"), text); err != nil {
				t.Fatal(err)
			}
		},
		"before the draft had its name": func(t *testing.T, st *sqlite.Store, folder, text string) {
			if err := writeToken(filepath.Join(folder, tokenFile+".new"), text); err != nil {
				t.Fatal(err)
			}
			token, err := tokenOf(t.Context(), st, text, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if stored, err := st.InitToken(t.Context(), token); err != nil || !stored {
				t.Fatal(stored, err)
			}
		},
	}
	for name, cut := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			st := openFolder(t, folder)
			cut(t, st, folder, string(access.NewText()))
			text, err := ensureToken(t.Context(), st, folder, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := st.Token(t.Context(), sha256.Sum256([]byte(text)), time.Now()); err != nil {
				t.Errorf("the token opens nothing: %v", err)
			}
			files, err := filepath.Glob(filepath.Join(folder, "token*"))
			if err != nil || len(files) != 1 || filepath.Base(files[0]) != tokenFile {
				t.Errorf("left behind are %v, %v; want the token alone", files, err)
			}
		})
	}
}

func TestLostTokenIsReplacedAndOpensNothing(t *testing.T) {
	folder := t.TempDir()
	st := openFolder(t, folder)
	old, err := ensureToken(t.Context(), st, folder, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, tokenFile)); err != nil {
		t.Fatal(err)
	}
	_, err = ensureToken(t.Context(), st, folder, time.Now())
	if !errors.Is(err, errTokenLost) || !strings.Contains(err.Error(), "neohook token --new --data "+folder) {
		t.Errorf("without the file the error is %v, want errTokenLost with the command to run", err)
	}
	text, err := replaceToken(t.Context(), st, folder, time.Now())
	if err != nil || text == old {
		t.Fatalf("replaceToken returns %q, %v; want another token than %q", text, err, old)
	}
	if _, err := st.Token(t.Context(), sha256.Sum256([]byte(text)), time.Now()); err != nil {
		t.Errorf("the new token opens nothing: %v", err)
	}
	if _, err := st.Token(t.Context(), sha256.Sum256([]byte(old)), time.Now()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the old token gives %v, want ErrNotFound", err)
	}
	if again, err := ensureToken(t.Context(), st, folder, time.Now()); err != nil || again != text {
		t.Errorf("afterwards the token is %q, %v; want the new one", again, err)
	}
}

func TestTokenFileThatIsAPipeStopsTheStart(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, tokenFile)
	if err := exec.CommandContext(t.Context(), "mkfifo", path).Run(); err != nil {
		t.Skip("left out, since no pipe with a name can be made here: ", err)
	}
	_, err := ensureToken(t.Context(), openFolder(t, folder), folder, time.Now())
	if err == nil || !strings.Contains(err.Error(), path+" is not a regular file") {
		t.Errorf("err = %v, want to be told that it is no regular file", err)
	}
}

func TestTokenCommand(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	command := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		code := run(t.Context(), append([]string{"token", "--data", folder}, args...), nil, console{out: &out, err: &errs})
		return code, out.String(), errs.String()
	}
	code, first, said := command()
	if code != 0 || access.IsMistyped(strings.TrimSpace(first)) || !strings.HasPrefix(first, access.TextPrefix) || strings.Count(first, "\n") != 1 || !strings.Contains(said, "no data folder "+folder) {
		t.Fatalf("before a first start: exit code %d, %q, %q; want the token as its line, and to be told that the folder is new", code, first, said)
	}

	st := openFolder(t, folder) // as a running server has it
	if code, out, said := command(); code != 0 || out != first || said != "" {
		t.Errorf("beside a server: exit code %d, %q, %q; want %q", code, out, said, first)
	}
	if code, _, said := command("--new"); code != 1 || !strings.Contains(said, "is in use by another neohook: stop that one") {
		t.Errorf("--new beside a server: exit code %d, %q; want to be told to stop it", code, said)
	}
	if err := os.Remove(filepath.Join(folder, tokenFile)); err != nil {
		t.Fatal(err)
	}
	if code, _, said := command(); code != 1 || !strings.Contains(said, "stop the server and run neohook token --new") {
		t.Errorf("file lost, beside a server: exit code %d, %q; want to be told what to do", code, said)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, said := command(); code != 1 || !strings.Contains(said, "neohook token --new --data") {
		t.Errorf("file lost: exit code %d, %q; want to be told what to do", code, said)
	}
	if code, out, said := command("--new"); code != 0 || out == first {
		t.Errorf("--new: exit code %d, %q, %q; want another token", code, out, said)
	}
}

func TestFolderThatCannotBeMadeIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{file, filepath.Join(file, "data")} {
		_, err := openStore(t.Context(), folder)
		if err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
			t.Errorf("openStore(%s) says %v, want one line that names it", folder, err)
		}
	}
}
