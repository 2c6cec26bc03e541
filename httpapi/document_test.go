package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/neohook/neohook/httpapi"
)

// published is the document as clients get it, with the schemas in it compiled.
type published struct {
	whole    any
	text     []byte
	compiler *jsonschema.Compiler

	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema
}

const publishedAt = "mem:///openapi.json"

func publish(text []byte) (*published, error) {
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	p := &published{whole: whole, text: text, compiler: jsonschema.NewCompiler(), compiled: make(map[string]*jsonschema.Schema)}
	p.compiler.AssertFormat()
	p.compiler.DefaultDraft(jsonschema.Draft2020)
	return p, p.compiler.AddResource(publishedAt, whole)
}

// part follows names into the document, and references on the way. It returns what is
// there, and the pointer to it.
func (p *published) part(names ...string) (any, string) {
	at, pointer := p.whole, "#"
	for _, name := range names {
		object, _ := at.(map[string]any)
		at = object[name]
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if object, _ := at.(map[string]any); object != nil {
			if ref, _ := object["$ref"].(string); ref != "" {
				at, pointer = p.part(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
			}
		}
		if at == nil {
			return nil, pointer
		}
	}
	return at, pointer
}

// schema compiles the schema at a pointer.
func (p *published) schema(pointer string) (*jsonschema.Schema, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.compiled[pointer]; known != nil {
		return known, nil
	}
	made, err := p.compiler.Compile(publishedAt + pointer)
	p.compiled[pointer] = made
	return made, err
}

// fits says what is wrong with a JSON text for the schema at the names.
func (p *published) fits(text string, names ...string) error {
	there, pointer := p.part(names...)
	if there == nil {
		return fmt.Errorf("the document has nothing at %s", pointer)
	}
	schema, err := p.schema(pointer)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

var document struct {
	once sync.Once
	*published
	err error
}

// documentOf is the document of an API, which is the same for all in these tests.
func documentOf(t testing.TB, api *httpapi.API) *published {
	t.Helper()
	document.once.Do(func() { document.published, document.err = publish(api.Document()) })
	check(t, document.err)
	return document.published
}

// fitsDocument holds a scenario's answer, and a request that succeeded, to what the
// document says of the operation.
func fitsDocument(t *testing.T, w *world, way httpapi.Way, s *scenario, got answer) {
	t.Helper()
	doc := documentOf(t, w.api)
	method := strings.ToLower(way.Method)
	answers := []string{"paths", way.Path, method, "responses", strconv.Itoa(got.status)}
	if there, _ := doc.part(answers...); there == nil {
		t.Errorf("the document does not say that %s answers with %d", way.Name, got.status)
		return
	}
	for _, name := range []string{"Neohook-Request-Id", "Neohook-Ignored", "Retry-After", "Www-Authenticate"} {
		if there, _ := doc.part(append(answers, "headers", strings.ToLower(name))...); there == nil && got.header.Get(name) != "" {
			t.Errorf("the document does not say that %s answers %d with %s", way.Name, got.status, name)
		}
	}
	kind, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
	content, _ := doc.part(append(answers, "content")...)
	switch {
	case s.method != http.MethodHead && (content != nil) != (got.body != ""):
		t.Errorf("%s answers %d with %q, and the document says otherwise", way.Name, got.status, got.body)
	case kind == "application/json" && got.body != "":
		if err := doc.fits(got.body, append(answers, "content", kind, "schema")...); err != nil {
			t.Errorf("%s does not fit the document: %v", got.body, err)
		}
	}
	if s.body != "" && got.status < 300 && !s.odd {
		err := doc.fits(s.body, "paths", way.Path, method, "requestBody", "content", "application/json", "schema")
		if err != nil {
			t.Errorf("%s was taken, and the document says that it is not: %v", s.body, err)
		}
	}
}

// The document is what the OpenAPI Initiative's schema for 3.1 says it must be, and each
// schema in it is one.
func TestDocumentIsOpenAPI(t *testing.T) {
	w := newWorld(t, worldOptions{})
	doc := documentOf(t, w.api)
	text, err := os.ReadFile("testdata/openapi-3.1.json")
	check(t, err)
	rules, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	check(t, err)
	compiler := jsonschema.NewCompiler()
	check(t, compiler.AddResource("mem:///openapi-3.1.json", rules))
	rule, err := compiler.Compile("mem:///openapi-3.1.json")
	check(t, err)
	if err := rule.Validate(doc.whole); err != nil {
		t.Error(err)
	}
	found := 0
	walkSchemas(doc.whole, "#", func(pointer string) {
		found++
		if _, err := doc.schema(pointer); err != nil {
			t.Errorf("%s: %v", pointer, err)
		}
	})
	if found < 100 {
		t.Errorf("%d schemas found", found)
	}
}

// walkSchemas finds what stands under "schema", and each of the components.
func walkSchemas(at any, pointer string, found func(pointer string)) {
	switch at := at.(type) {
	case map[string]any:
		for name, value := range at {
			inside := pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			if name == "schema" || pointer == "#/components/schemas" {
				found(inside)
				continue
			}
			walkSchemas(value, inside, found)
		}
	case []any:
		for i, value := range at {
			walkSchemas(value, pointer+"/"+strconv.Itoa(i), found)
		}
	}
}

// Each reference in the document leads somewhere, and each component is used.
func TestDocumentHoldsTogether(t *testing.T) {
	w := newWorld(t, worldOptions{})
	doc := documentOf(t, w.api)
	used := make(map[string]bool)
	for _, piece := range strings.Split(string(doc.text), `"$ref": "#/`)[1:] {
		ref, _, _ := strings.Cut(piece, `"`)
		used[ref] = true
		if there, _ := doc.part(strings.Split(ref, "/")...); there == nil {
			t.Errorf("%s is not there", ref)
		}
	}
	components, _ := doc.part("components")
	for kind, list := range components.(map[string]any) {
		for name := range list.(map[string]any) {
			if kind != "securitySchemes" && !used["components/"+kind+"/"+name] {
				t.Errorf("components/%s/%s is not used", kind, name)
			}
		}
	}
}

// A client that has the document is not sent it again.
func TestDocumentIsSentOnce(t *testing.T) {
	w := newWorld(t, worldOptions{})
	first := w.call("GET", "/api/v1/openapi.json", "", map[string]string{"Authorization": ""})
	var out map[string]any
	check(t, json.Unmarshal([]byte(first.body), &out))
	again := w.call("GET", "/api/v1/openapi.json", "", map[string]string{"If-None-Match": first.header.Get("ETag")})
	if first.status != 200 || again.status != 304 || again.body != "" {
		t.Errorf("%d, then %d %q", first.status, again.status, again.body)
	}
	plain := w.call("GET", "/api/v1/openapi.json", "", map[string]string{"Accept-Encoding": "identity"})
	if plain.body != first.body || plain.header.Get("Content-Encoding") != "" {
		t.Errorf("without compression it differs")
	}
}

func TestRootLeadsBrowsersToTheReference(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for accept, want := range map[string]string{"text/html,application/xhtml+xml;q=0.9": "/docs", "application/json": "", "*/*": ""} {
		r, answer := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header.Set("Accept", accept)
		w.api.ServeHTTP(answer, r)
		if got := answer.Header().Get("Location"); got != want || (answer.Code == 302) != (want != "") || answer.Header().Get("Vary") != "Accept" {
			t.Errorf("who accepts %s gets %d %q", accept, answer.Code, got)
		}
	}
}
