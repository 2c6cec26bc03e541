package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A test that sleeps in real time is slow where it sleeps long and fails now and then where
// it does not. So time.Sleep stands in a function literal that is handed to synctest.Test,
// or to a function that hands it on, or in a function that says in its doc that it runs in
// fake time and is called from such literals alone.
func TestTestsSleepInFakeTimeOnly(t *testing.T) {
	for folder, files := range testFiles(t, "../..") {
		p := parseTests(t, folder, files)
		for _, fault := range p.realSleeps() {
			t.Error(fault)
		}
	}
}

// The check itself, on what it must tell apart.
func TestRealSleepsAreFound(t *testing.T) {
	const head = "package x\nimport (\"testing\"; \"testing/synctest\"; \"time\")\n"
	for name, test := range map[string]struct {
		source string
		real   bool
	}{
		"in a test":              {`func TestX(t *testing.T) { time.Sleep(1) }`, true},
		"in a bubble":            {`func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) { go func() { time.Sleep(1) }() }) }`, false},
		"beside a bubble":        {`func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) {}); time.Sleep(1) }`, true},
		"in a wrapped bubble":    {`func TestX(t *testing.T) { later(t, func() { time.Sleep(1) }) }` + wrapper, false},
		"in another's literal":   {`func TestX(t *testing.T) { each(func() { time.Sleep(1) }) }; func each(f func()) { f() }`, true},
		"in a helper":            {`func TestX(t *testing.T) { later(t, nap) }` + wrapper + helper, false},
		"in a quiet helper":      {`func TestX(t *testing.T) { later(t, nap) }` + wrapper + strings.ReplaceAll(helper, "fake time", "a bed"), true},
		"in a helper of both":    {`func TestX(t *testing.T) { later(t, nap); nap() }` + wrapper + helper, true},
		"two calls away":         {`func TestX(t *testing.T) { rest() }; func rest() { nap() }` + helper, true},
		"two calls in":           {`func TestX(t *testing.T) { later(t, func() { rest() }) }; func rest() { nap() }` + wrapper + helper, false},
		"in a helper by a field": {`func TestX(t *testing.T) { later(t, nap); _ = T{nap: 1}.nap }` + wrapper + helper, false},
		"in a double's method":   {"// Get takes long, in fake time.\nfunc (double) Get() { time.Sleep(1) }; type double struct{}", false},
		"in a shared method":     {"func TestX(t *testing.T) { double{}.Get() }\n// Get takes long, in fake time.\nfunc (double) Get() { time.Sleep(1) }; type double struct{}", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTests()
			if err := p.add("x_test.go", head+test.source); err != nil {
				t.Fatal(err)
			}
			if found := p.realSleeps(); (len(found) > 0) != test.real {
				t.Errorf("found %q, want some: %v", found, test.real)
			}
		})
	}
}

const (
	wrapper = "\nfunc later(t *testing.T, f func()) { synctest.Test(t, func(*testing.T) { f() }) }"
	helper  = "\n// nap takes a while, in fake time.\nfunc nap() { time.Sleep(1) }"
)

// testFiles are the files of tests, by their folders.
func testFiles(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			found[filepath.Dir(path)] = append(found[filepath.Dir(path)], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// tests are the functions in the test files of a folder. A method's name has a dot before
// it, and methods are told apart by their names alone: what any one does counts for all.
type tests struct {
	files *token.FileSet
	funcs []*ast.FuncDecl
	// bubbles are those that run a function they are given in a bubble.
	bubbles map[string]bool
}

func newTests() *tests {
	return &tests{files: token.NewFileSet(), bubbles: make(map[string]bool)}
}

func parseTests(t *testing.T, folder string, files []string) *tests {
	t.Helper()
	p := newTests()
	for _, path := range files {
		if err := p.add(path, nil); err != nil {
			t.Fatal(folder, err)
		}
	}
	return p
}

// add parses one file more; source is its text, nil to read it.
func (p *tests) add(path string, source any) error {
	file, err := parser.ParseFile(p.files, path, source, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
			p.funcs = append(p.funcs, f)
		}
	}
	return nil
}

// realSleeps tells of each time.Sleep that may not run in fake time.
func (p *tests) realSleeps() []string {
	p.findBubbles()
	fake := p.inFakeTime()
	var found []string
	for _, f := range p.funcs {
		p.walk(f.Body, false, func(n ast.Node, inBubble bool) {
			if call, ok := n.(*ast.CallExpr); !ok || inBubble || !selects(call.Fun, "time", "Sleep") {
				return
			}
			at := p.files.Position(n.Pos()).String()
			switch {
			case !fake[nameOf(f)]:
				found = append(found, at+": time.Sleep outside of a synctest bubble: wait on a signal")
			case !strings.Contains(strings.Join(strings.Fields(f.Doc.Text()), " "), "fake time"):
				found = append(found, at+": "+f.Name.Name+" sleeps and does not say in its doc that it runs in fake time")
			}
		})
	}
	return found
}

// findBubbles finds the functions with a parameter that they use in a bubble.
func (p *tests) findBubbles() {
	for known := -1; known != len(p.bubbles); {
		known = len(p.bubbles)
		for _, f := range p.funcs {
			given := make(map[string]bool)
			for _, param := range f.Type.Params.List {
				if _, ok := param.Type.(*ast.FuncType); ok {
					for _, name := range param.Names {
						given[name.Name] = true
					}
				}
			}
			p.walk(f.Body, false, func(n ast.Node, inBubble bool) {
				if id, ok := n.(*ast.Ident); ok && inBubble && given[id.Name] {
					p.bubbles[nameOf(f)] = true
				}
			})
		}
	}
}

// inFakeTime finds the functions that nothing but bubbles, and functions of this kind,
// refer to. One that nothing refers to, as the method of a double, is one where it says so.
func (p *tests) inFakeTime() map[string]bool {
	type use struct {
		by       string
		inBubble bool
	}
	uses, fake := make(map[string][]use), make(map[string]bool)
	for _, f := range p.funcs {
		fields := make(map[ast.Node]bool) // names of fields, which are no functions
		p.walk(f.Body, false, func(n ast.Node, inBubble bool) {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				fields[n.Key] = true
			case *ast.SelectorExpr:
				fields[n.Sel] = true
			}
			if name := reference(n); name != "" && !fields[n] {
				uses[name] = append(uses[name], use{nameOf(f), inBubble})
			}
		})
	}
	for _, f := range p.funcs {
		name := nameOf(f)
		fake[name] = len(uses[name]) > 0 || f.Recv != nil
	}
	for known := -1; known != len(fake); {
		known = len(fake)
		maps.DeleteFunc(fake, func(name string, _ bool) bool {
			return !fake[name] || slices.ContainsFunc(uses[name], func(u use) bool { return !u.inBubble && !fake[u.by] && u.by != name })
		})
	}
	return fake
}

// walk visits what is below a node, and tells whether it runs in a bubble.
func (p *tests) walk(below ast.Node, inBubble bool, visit func(n ast.Node, inBubble bool)) {
	ast.Inspect(below, func(n ast.Node) bool {
		if n == nil {
			return false
		}
		visit(n, inBubble)
		call, ok := n.(*ast.CallExpr)
		if !ok || !selects(call.Fun, "synctest", "Test") && !p.bubbles[reference(call.Fun)] {
			return true
		}
		p.walk(call.Fun, inBubble, visit)
		for _, arg := range call.Args {
			p.walk(arg, true, visit)
		}
		return false
	})
}

// nameOf is a function's name, a method's with a dot before it.
func nameOf(f *ast.FuncDecl) string {
	if f.Recv != nil {
		return "." + f.Name.Name
	}
	return f.Name.Name
}

// reference is the name of the function that an expression may be, written like nameOf,
// or "". A variable is none.
func reference(n ast.Node) string {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		return "." + n.Sel.Name
	case *ast.Ident:
		if n.Obj == nil || n.Obj.Kind == ast.Fun {
			return n.Name
		}
	}
	return ""
}

// selects says that an expression is name of a package.
func selects(e ast.Expr, pkg, name string) bool {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	id, ok := selector.X.(*ast.Ident)
	return ok && id.Name == pkg && selector.Sel.Name == name
}
