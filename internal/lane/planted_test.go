package lane

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planted are mistakes of one line that the replayed runs must find. Each is put into a
// copy of its file, which takes the file's place for one go test.
var planted = map[string]struct{ file, right, wrong string }{
	"what was recorded while a page was read is news again": {"page.go", "return !recorded", "return true || recorded"},
	"what was skipped while a page was read is forgotten":   {"page.go", "case during.skipped != 0:", "case during.skipped < 0:"},
	"what spilled while a page was read is forgotten":       {"page.go", "l.horizon = during.spilled", "l.horizon = time.Time{}"},
	"a page that was cut short is taken for the last":       {"page.go", "\tcase page.More:", "\tcase page.More && page.Next < 0:"},
	"a behind lane takes fresh deliveries in":               {"board.go", "if l.behind || !l.settings", "if !l.settings"},
	"memory has no bound":                                   {"board.go", "len(l.held) < max(1, (b.limits.Rows-b.rows)/shareOfFree) && b.rows < b.limits.Rows &&", "true &&"},
	"an attempt keeps its place when it is postponed":       {"board.go", "b.land(l, d, Result{})", "b.flying--"},
	"unrecorded outcomes have no bound":                     {"board.go", "&& b.unrecorded < b.limits.Unrecorded", ""},
	"the endpoint's rate is not kept":                       {"board.go", "l.pace.take(b.now, l.settings.Rate)", ""},
	"the tenant's rate is not kept":                         {"turns.go", "if of.pace.next.After(now) {", "if false {"},
	"an order is broken by what waits":                      {"lane.go", "&& len(l.waiting) == 0 && l.horizon.IsZero()", ""},
	"an order is broken by what is about to wait":           {"lane.go", "if len(l.flights)+l.unsettled > 0 {", "if len(l.flights) > 0 {"},
	"the receiver's wish for quiet is not heard":            {"lane.go", "l.hold = later(l.hold, result.HoldUntil)", ""},
	"a waiting delivery is sent before it is due":           {"lane.go", "!l.waiting[0].Due.After(now)", "!l.waiting[0].Due.After(now.Add(time.Minute))"},
	"a breaker lets several probes out":                     {"breaker.go", "b.probing = b.open", "b.probing = false"},
	"a breaker never opens":                                 {"breaker.go", "case b.failures >= openAfter,", "case b.failures >= 1<<20,"},
	"a lane that waited for a place is never let in":        {"crowd.go", "if l.crowded {\n\t\t\tl.crowded = false\n\t\t\treturn l", "if false {\n\t\t\treturn l"},
}

func TestPlantedBugsAreFound(t *testing.T) {
	if os.Getenv("NEOHOOK_PLANTED") == "" {
		t.Skip("left out: takes a build for each bug; set NEOHOOK_PLANTED=1")
	}
	for name, bug := range planted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(bug.file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(text), bug.right) != 1 {
				t.Fatalf("%s does not have %q once", bug.file, bug.right)
			}
			path, err := filepath.Abs(bug.file)
			if err != nil {
				t.Fatal(err)
			}
			copied := filepath.Join(t.TempDir(), bug.file)
			if err := os.WriteFile(copied, []byte(strings.Replace(string(text), bug.right, bug.wrong, 1)), 0o600); err != nil {
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
			command := exec.CommandContext(t.Context(), "go", "test", "-overlay", file, "-vet=off", "-failfast", "-timeout=120s", "-run=^TestEveryDelivery", ".")
			command.Env = append(os.Environ(), "NEOHOOK_PLANTED=")
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
