package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the README's table of settings anew")

const readme = "../../README.md"

// settingsTable is the README's table, from the field list itself.
func settingsTable(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("| flag and key | variable | default | |\n|---|---|---|---|\n")
	err := eachSetting(new(settings), func(flag *kong.Flag) error {
		name := "`" + flag.Name + "`"
		if isSecret(flag) {
			name += " (no flag)"
		}
		fallback := ""
		if flag.HasDefault {
			fallback = "`" + flag.Default + "`"
		}
		fmt.Fprintf(&out, "| %s | `%s` | %s | %s |\n", name, envName(flag.Name), fallback, flag.Help)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheTableOfSettingsInTheReadmeIsTheFieldList(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), "<!-- settings:")
	head, rest, found2 := strings.Cut(rest, "-->\n")
	table, after, found3 := strings.Cut(rest, "<!-- end of settings -->")
	if !found || !found2 || !found3 {
		t.Fatal("README.md lacks the marks around its table of settings")
	}
	want := settingsTable(t)
	if *update {
		text := before + "<!-- settings:" + head + "-->\n" + want + "<!-- end of settings -->" + after
		if err := os.WriteFile(readme, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want {
		t.Errorf("README.md has the settings\n%s\nbut the program has\n%s\nrun this test with -update", table, want)
	}
}
