package adapter_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The code in docs/adapter.md is that of examples, which are run: it can't grow old.
func TestEachSnippetOfTheMappingIsFromAnExample(t *testing.T) {
	var examples strings.Builder
	for _, pattern := range []string{"example*_test.go", "*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			examples.WriteString(read(t, file))
		}
	}
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, mapping), -1)
	if len(snippets) < 10 {
		t.Errorf("%s has %d snippets: some were not found", mapping, len(snippets))
	}
	for _, snippet := range snippets {
		if !strings.Contains(unindented(examples.String()), unindented(snippet[1])) {
			t.Errorf("no example has these lines:\n%s", snippet[1])
		}
	}
}

// unindented drops what each line begins with of white space.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
