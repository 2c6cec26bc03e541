package seal_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/neohook/neohook/internal/seal"
)

func generate(t *testing.T) []byte {
	t.Helper()
	json, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return json
}

func TestWhatIsSealedOpensWithTheSameKeysetAndPlace(t *testing.T) {
	json := generate(t)
	keyset, err := seal.Parse(json)
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.Parse(json)
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.Parse(generate(t))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := keyset.Seal([]byte("whsec_plain"), []byte("endpoint 1"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("plain")) {
		t.Error("the plain text shows in what was sealed")
	}
	if plain, err := again.Open(sealed, []byte("endpoint 1")); string(plain) != "whsec_plain" || err != nil {
		t.Errorf("Open = %q, %v", plain, err)
	}
	damaged := bytes.Clone(sealed)
	damaged[len(damaged)-1] ^= 1
	for what, open := range map[string]func() ([]byte, error){
		"another keyset": func() ([]byte, error) { return other.Open(sealed, []byte("endpoint 1")) },
		"another place":  func() ([]byte, error) { return keyset.Open(sealed, []byte("endpoint 2")) },
		"damaged":        func() ([]byte, error) { return keyset.Open(damaged, []byte("endpoint 1")) },
		"nothing":        func() ([]byte, error) { return keyset.Open(nil, []byte("endpoint 1")) },
	} {
		if plain, err := open(); !errors.Is(err, seal.ErrWrongKeyset) || plain != nil {
			t.Errorf("%s: Open = %q, %v", what, plain, err)
		}
	}
}

func TestParseShowsNothingOfABadKeyset(t *testing.T) {
	json := string(generate(t))
	for name, text := range map[string]string{
		"empty":        "",
		"not JSON":     "sesame",
		"cut":          json[:len(json)/2],
		"no keys":      "{}",
		"not enabled":  strings.ReplaceAll(json, "ENABLED", "DISABLED"),
		"another type": strings.ReplaceAll(json, "AesGcmKey", "HmacKey"),
		"bad base64":   strings.Replace(json, `"value":"`, `"value":"!sesame`, 1),
	} {
		keyset, err := seal.Parse([]byte(text))
		if err == nil || keyset != nil {
			t.Errorf("%s: was taken", name)
		} else if strings.Contains(err.Error(), "sesame") || !strings.Contains(err.Error(), "the keyset given") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadOrCreateMakesAFileForItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "keyset.json")
	if _, err := seal.Load(file); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file) {
		t.Errorf("Load before = %v", err)
	}
	made, err := seal.LoadOrCreate(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v", info.Mode())
	}
	sealed, err := made.Seal([]byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, load := range map[string]func(string) (*seal.Keyset, error){"Load": seal.Load, "LoadOrCreate": seal.LoadOrCreate} {
		keyset, err := load(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if plain, err := keyset.Open(sealed, nil); string(plain) != "plain" || err != nil {
			t.Errorf("%s: Open = %q, %v", name, plain, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestManyMakersGetOneKeyset(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keyset.json")
	keysets := make([]*seal.Keyset, 8)
	var wg sync.WaitGroup
	for i := range keysets {
		wg.Go(func() {
			var err error
			if keysets[i], err = seal.LoadOrCreate(file); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, keyset := range keysets {
		sealed, err := keyset.Seal([]byte("plain"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keysets[(i+1)%len(keysets)].Open(sealed, nil); err != nil {
			t.Errorf("maker %d has a keyset of its own: %v", i, err)
		}
	}
}

func TestFilesThatCannotServeAreRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte, mode fs.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	json := generate(t)
	tests := map[string]struct{ file, want string }{
		"not a keyset": {write("bad", []byte("sesame"), 0o600), "is not a Tink keyset"},
		"empty":        {write("empty", nil, 0o600), "is not a Tink keyset"},
		"a directory":  {dir, "is not a regular file"},
		"endless":      {write("long", make([]byte, 1<<20+1), 0o600), "is longer than"},
		"no folder":    {filepath.Join(dir, "none", "keyset.json"), "no such file"},
	}
	if runtime.GOOS != "windows" {
		for _, mode := range []fs.FileMode{0o640, 0o604, 0o622} {
			tests["mode "+mode.String()] = struct{ file, want string }{write(mode.String(), json, mode), "chmod 600"}
		}
	}
	for name, test := range tests {
		for call, load := range map[string]func(string) (*seal.Keyset, error){"Load": seal.Load, "LoadOrCreate": seal.LoadOrCreate} {
			_, err := load(test.file)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), filepath.Dir(test.file)) {
				t.Errorf("%s of %s = %v, want %q and the file's name", call, name, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("%s of %s shows the content: %v", call, name, err)
			}
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	json, _ := seal.Generate()
	keyset, err := seal.Parse(json)
	if err != nil {
		b.Fatal(err)
	}
	sealed, _ := keyset.Seal(make([]byte, 60), []byte("endpoint 1"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keyset.Open(sealed, []byte("endpoint 1")); err != nil {
			b.Fatal(err)
		}
	}
}
