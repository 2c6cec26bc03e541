package adapter_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/adapter.md leads from each name of the original adapter documentation to its Go
// counterpart. testdata/document.txt lists the names: every class, method, parameter,
// field, key, pattern, pitfall and test of it.

const (
	mapping = "../docs/adapter.md"
	listed  = "testdata/document.txt"
)

// directories of the packages that the mapping speaks of, from this one.
var directories = map[string]string{
	"neohook": "..", "webhook": "../webhook", "signature": "../signature", "egress": "../egress", "adapter": ".",
	"adaptertest": "adaptertest", "batch": "batch", "breaker": "breaker", "dynamic": "dynamic", "httpadapter": "httpadapter",
	"memadapter": "memadapter", "monitor": "monitor", "observe": "observe", "profile": "profile", "retry": "retry",
	"sqsadapter": "sqsadapter",
}

func TestEachNameOfTheDocumentHasItsRow(t *testing.T) {
	rows := make(map[string]int)
	for _, row := range mappingRows(t) {
		rows[row.name]++
	}
	names := 0
	for name := range strings.Lines(read(t, listed)) {
		name = strings.TrimSpace(name)
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		names++
		if rows[name] != 1 {
			t.Errorf("%s has %d rows for %q, want one", mapping, rows[name], name)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s has a row for %q, which is not in %s", mapping, name, listed)
	}
	if names < 200 {
		t.Errorf("%s has %d names: the list was cut", listed, names)
	}
}

func TestEachGoNameOfTheMappingExists(t *testing.T) {
	known := make(map[string]map[string]bool)
	code := regexp.MustCompile("`([^`]*)`")
	for _, row := range mappingRows(t) {
		spans := code.FindAllStringSubmatch(row.goes, -1)
		if len(spans) == 0 || row.difference == "" {
			t.Errorf("the row of %q is not filled in", row.name)
		}
		if left := strings.TrimSpace(code.ReplaceAllString(row.goes, "")); left != "" {
			t.Errorf("the row of %q has %q beside Go names", row.name, left)
		}
		for _, span := range spans {
			pkg, name, _ := strings.Cut(span[1], ".")
			directory, ok := directories[pkg]
			if !ok {
				t.Errorf("the row of %q names the package %q, which is none of ours", row.name, pkg)
				continue
			}
			if known[pkg] == nil {
				known[pkg] = declared(t, directory)
			}
			if !known[pkg][name] {
				t.Errorf("the row of %q names %s, which does not exist", row.name, span[1])
			}
		}
	}
}

type mappingRow struct{ name, goes, difference string }

func mappingRows(t *testing.T) (rows []mappingRow) {
	t.Helper()
	for line := range strings.Lines(read(t, mapping)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if len(cells) != 3 {
			t.Fatalf("%s: not three cells: %s", mapping, line)
		}
		row := mappingRow{strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])}
		if row.name != "In the document" {
			rows = append(rows, row)
		}
	}
	return rows
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// declared returns the exported names of a package, and of its tests: "Name",
// "Type.Method", "Type.Field".
func declared(t *testing.T, directory string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	files, err := filepath.Glob(filepath.Join(directory, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", directory, err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				names[receiver(decl)+decl.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					declare(names, spec)
				}
			}
		}
	}
	return names
}

// receiver is the type of a method and a dot; "" for a function.
func receiver(decl *ast.FuncDecl) string {
	if decl.Recv == nil {
		return ""
	}
	of := decl.Recv.List[0].Type
	for {
		switch inner := of.(type) {
		case *ast.StarExpr:
			of = inner.X
		case *ast.IndexExpr:
			of = inner.X
		case *ast.Ident:
			return inner.Name + "."
		default:
			return ""
		}
	}
}

func declare(names map[string]bool, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			names[name.Name] = true
		}
	case *ast.TypeSpec:
		names[spec.Name.Name] = true
		var members *ast.FieldList
		switch of := spec.Type.(type) {
		case *ast.StructType:
			members = of.Fields
		case *ast.InterfaceType:
			members = of.Methods
		default:
			return
		}
		for _, member := range members.List {
			for _, name := range member.Names {
				names[spec.Name.Name+"."+name.Name] = true
			}
		}
	}
}
