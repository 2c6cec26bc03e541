package httpapi_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/httpapi"
)

var update = flag.Bool("update", false, "write the parts of the documentation that are made of the table")

// The documentation tells who may do what, by right. So whoever gives an operation to more
// tokens than before changes a line that people read.
func TestDocumentTellsWhatTokensMay(t *testing.T) {
	const file = "../docs/api.md"
	text, err := os.ReadFile(file)
	check(t, err)
	before, rest, found := strings.Cut(string(text), "<!-- rights:")
	head, rest, found2 := strings.Cut(rest, "-->\n")
	table, after, found3 := strings.Cut(rest, "<!-- end of rights -->")
	if !found || !found2 || !found3 {
		t.Fatal("docs/api.md lacks the marks around what tokens may")
	}
	want := rightsTable()
	if *update {
		check(t, os.WriteFile(file, []byte(before+"<!-- rights:"+head+"-->\n"+want+"<!-- end of rights -->"+after), 0o644))
		return
	}
	if table != want {
		t.Errorf("docs/api.md says\n%s\nbut the table\n%s\nIf that is meant, run this test with -update", table, want)
	}
}

// rightsTable tells what gives each right, and what needs it.
func rightsTable() string {
	var out strings.Builder
	out.WriteString("| right | scopes | capabilities |\n|---|---|---|\n")
	for _, right := range access.AllRights() {
		fmt.Fprintf(&out, "| %s | %s | %s |\n", right, scopesWith(right), capabilitiesWith(right))
	}
	out.WriteString("\n| operation | right | whose token |\n|---|---|---|\n")
	for _, row := range append(httpapi.Table(), metricsRow) {
		if row.Needs != 0 {
			fmt.Fprintf(&out, "| %s | %s | %s |\n", row.Name, row.Needs, row.Scope)
		}
	}
	return out.String()
}

func scopesWith(right access.Right) string {
	var names []string
	for _, scope := range access.Scopes() {
		if token := (access.Token{Scopes: []access.Scope{scope}}); token.Rights().Has(right) {
			names = append(names, string(scope))
		}
	}
	return strings.Join(names, ", ")
}

func capabilitiesWith(right access.Right) string {
	names := []string{}
	for _, capability := range access.Capabilities() {
		if access.PortalRights([]access.Capability{capability}, false).Has(right) {
			names = append(names, string(capability))
		}
	}
	if len(names) == len(access.Capabilities()) {
		names = []string{"every"}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
