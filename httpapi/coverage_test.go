package httpapi_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/neohook/neohook/httpapi"
)

// played is what the scenarios have asked of each operation: answers with 2xx and with
// 4xx.
var played struct {
	mu              sync.Mutex
	served, refused map[string]int
}

func notePlayed(operation string, status int) {
	played.mu.Lock()
	defer played.mu.Unlock()
	if played.served == nil {
		played.served, played.refused = make(map[string]int), make(map[string]int)
	}
	switch status / 100 {
	case 2:
		played.served[operation]++
	case 4:
		played.refused[operation]++
	}
}

// An operation without a scenario that succeeds and one that is refused fails the suite.
func TestMain(m *testing.M) {
	code := m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
		flag.Lookup("test.fuzz").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""
	if code == 0 && whole {
		for _, name := range httpapi.Operations() {
			public := strings.HasPrefix(name, "health.") || name == "document.get" // which nothing can be wrong with
			if played.served[name] == 0 || played.refused[name] == 0 && !public {
				fmt.Printf("%s: %d scenarios succeed and %d are refused, want both\n", name, played.served[name], played.refused[name])
				code = 1
			}
		}
	}
	os.Exit(code)
}

// The document lists what the table has, no more and no less.
func TestDocumentListsEveryOperation(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	check(t, err)
	var listed []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || !strings.Contains(cells[1], "`/") {
			continue
		}
		methods, path, _ := strings.Cut(strings.Trim(strings.TrimSpace(cells[1]), "`"), " `")
		for method := range strings.SplitSeq(methods, ", ") {
			listed = append(listed, method+" "+path)
		}
	}
	served := httpapi.Ways()
	slices.Sort(listed)
	slices.Sort(served)
	if !slices.Equal(listed, served) {
		t.Errorf("docs/api.md lists\n%s\nand served are\n%s", strings.Join(listed, "\n"), strings.Join(served, "\n"))
	}
}
