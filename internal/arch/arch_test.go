package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/neohook/neohook"

// imports of every package that the module's own packages need, by import path. Tests
// may import what they like.
type imports map[string][]string

// loadImports asks the go command.
func loadImports(t *testing.T) imports {
	t.Helper()
	noteSources(t)
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", module+"/...")
	var complaint bytes.Buffer
	command.Stderr = &complaint
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	graph := imports{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var listed struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&listed); errors.Is(err, io.EOF) {
			return graph
		} else if err != nil {
			t.Fatal(err)
		}
		graph[listed.ImportPath] = listed.Imports
	}
}

// noteSources looks at every source file, so that go test takes no result from its cache
// once one has changed: it knows what a test opens, not what a command does for it.
func noteSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && (filepath.Ext(path) == ".go" || filepath.Base(path) == "go.mod") {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// below returns everything that from needs, with the way to it.
func (graph imports) below(from string) map[string][]string {
	ways := map[string][]string{from: {from}}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range graph[queue[0]] {
			if _, seen := ways[next]; !seen {
				ways[next] = append(slices.Clone(ways[queue[0]]), next)
				queue = append(queue, next)
			}
		}
	}
	delete(ways, from)
	return ways
}

// own returns the module's packages that the pattern names: one, or with /... all below.
func (graph imports) own(pattern string) []string {
	prefix, all := strings.CutSuffix(pattern, "/...")
	var found []string
	for path := range graph {
		if path == prefix || all && strings.HasPrefix(path, prefix+"/") {
			found = append(found, path)
		}
	}
	slices.Sort(found)
	return found
}

func matches(path, pattern string) bool {
	prefix, all := strings.CutSuffix(pattern, "/...")
	return path == prefix || all && strings.HasPrefix(path, prefix+"/")
}

// rule says what none of the packages may need, directly or through others.
type rule struct {
	packages string
	never    []string
	except   []string
}

// What only the edges need: routers and pages, flags and files, brokers. The HTTP server
// of the standard library is a type in net/http and can't be kept out by its name.
var edges = []string{
	module + "/httpapi/...", module + "/cmd/...", module + "/dashboard/...", module + "/bench/...", module + "/examples/...",
	"github.com/alecthomas/kong", "go.yaml.in/yaml/v3/...", "golang.org/x/term",
	module + "/metrics", "github.com/prometheus/...",
	"github.com/go-chi/...", "github.com/gorilla/...", "github.com/aws/...", "github.com/nats-io/...",
	"github.com/rabbitmq/...", "github.com/twmb/franz-go/...", "cloud.google.com/...", "html/template",
}

// What only a store needs.
var drivers = []string{
	"modernc.org/...", "github.com/jackc/...", "database/sql", module + "/store/sqlite/...", module + "/store/postgres/...",
}

// suites are tests to call from tests.
var suites = []string{
	module + "/store/storetest", module + "/store/postgres/postgrestest", module + "/adapter/adaptertest",
	module + "/internal/planted", module + "/internal/killed", module + "/internal/record/recordtest",
}

// rules are the directions of docs/architecture.md.
var rules = map[string]rule{
	"the domain imports nothing of ours": {
		packages: module + "/webhook", never: []string{module + "/..."},
	},
	"signatures know the domain alone": {
		packages: module + "/signature", never: []string{module + "/..."}, except: []string{module + "/webhook"},
	},
	"rights know the domain alone": {
		packages: module + "/access", never: []string{module + "/..."}, except: []string{module + "/webhook"},
	},
	"egress knows nothing of ours": {
		packages: module + "/egress/...", never: []string{module + "/..."}, except: []string{module + "/egress/..."},
	},
	"the store contract knows the domain alone": {
		packages: module + "/store", never: []string{module + "/..."}, except: []string{module + "/webhook"},
	},
	"a store knows the contract and not the engine": {
		packages: module + "/store/...",
		never:    append([]string{module, module + "/internal/...", module + "/adapter/...", module + "/egress/..."}, edges...),
		except:   suites,
	},
	"an adapter knows neither store nor engine": {
		packages: module + "/adapter/...",
		never:    append([]string{module, module + "/store/...", module + "/internal/..."}, drivers...),
	},
	"the machinery knows neither face nor driver": {
		packages: module + "/internal/...", never: slices.Concat([]string{module}, drivers, edges),
	},
	"the face pulls in no driver and no edge": {
		packages: module, never: slices.Concat(drivers, edges),
	},
	"the face and one store pull in no edge": {
		packages: module + "/store/sqlite", never: append([]string{"github.com/jackc/..."}, edges...),
	},
	"the API knows no driver and no program": {
		packages: module + "/httpapi", never: slices.Concat(drivers, []string{module + "/cmd/...", "github.com/alecthomas/kong"}),
	},
	"nothing imports what tests need": {
		packages: module + "/...",
		never:    []string{"testing", "github.com/svix/svix-webhooks/...", "github.com/standard-webhooks/...", "pgregory.net/...", "go.uber.org/goleak"},
		except:   slices.Concat(suites, []string{module + "/bench"}), // it starts a PostgreSQL as tests do
	},
}

func TestImportsRunDownwards(t *testing.T) {
	graph := loadImports(t)
	for promise, rule := range rules {
		t.Run(promise, func(t *testing.T) {
			packages := graph.own(rule.packages)
			if len(packages) == 0 {
				t.Fatalf("no package is named %s", rule.packages)
			}
			for _, pkg := range packages {
				for _, breach := range graph.breaches(pkg, rule) {
					t.Error(breach)
				}
			}
		})
	}
}

// breaches lists the shortest way to each package that pkg must not need.
func (graph imports) breaches(pkg string, r rule) []string {
	allowed := func(path string) bool {
		return slices.ContainsFunc(r.except, func(pattern string) bool { return matches(path, pattern) })
	}
	if allowed(pkg) {
		return nil
	}
	var found []string
	for path, way := range graph.below(pkg) {
		forbidden := slices.ContainsFunc(r.never, func(pattern string) bool { return matches(path, pattern) })
		if forbidden && !allowed(path) && !matches(path, r.packages) {
			found = append(found, strings.Join(way, "\n    imports "))
		}
	}
	slices.Sort(found)
	return found
}

// The rules would be worth nothing if a breach went unseen.
func TestABreachIsSeen(t *testing.T) {
	graph := imports{
		module:                 {module + "/internal/a"},
		module + "/internal/a": {"strings", "modernc.org/sqlite"},
		"modernc.org/sqlite":   {"database/sql"},
	}
	got := graph.breaches(module, rule{packages: module, never: drivers})
	want := []string{
		module + "\n    imports " + module + "/internal/a\n    imports modernc.org/sqlite",
		module + "\n    imports " + module + "/internal/a\n    imports modernc.org/sqlite\n    imports database/sql",
	}
	if !slices.Equal(got, want) {
		t.Errorf("breaches are %q,\nwant %q", got, want)
	}
}
