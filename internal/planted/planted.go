// Package planted tests tests: it puts a mistake into a copy of a source file, which
// takes the file's place for one go test, and wants that to fail. Nothing of it is left
// in the code.
package planted

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Mistake is a file, relative to the folder of the test; a text that stands in it once;
// and what takes the text's place.
type Mistake [3]string

// Find wants each mistake, by its name, to be found by the tests of the test's own folder
// that the pattern run names, under further variables of the environment. It is left out
// unless NEOHOOK_PLANTED is set.
func Find(t *testing.T, mistakes map[string]Mistake, run string, environment ...string) {
	if os.Getenv("NEOHOOK_PLANTED") == "" {
		t.Skip("left out: takes a build for each mistake; set NEOHOOK_PLANTED=1")
	}
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), "go", "test", "-overlay", mistake.overlay(t),
				"-vet=off", "-failfast", "-timeout=300s", "-run="+run, ".")
			command.Env = append(append(os.Environ(), environment...), "NEOHOOK_PLANTED=")
			out, err := command.CombinedOutput()
			switch {
			case err == nil:
				t.Error("not found")
			case strings.Contains(string(out), "[build failed]"):
				t.Errorf("does not build:\n%s", out)
			}
		})
	}
}

// overlay makes the changed copy, and the file that go test reads of it.
func (m Mistake) overlay(t *testing.T) string {
	t.Helper()
	source, right, wrong := m[0], m[1], m[2]
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), right) != 1 {
		t.Fatalf("%s does not have %q once", source, right)
	}
	path, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), filepath.Base(source))
	if err := os.WriteFile(copied, []byte(strings.Replace(string(text), right, wrong, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: copied}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
