package httpapi

import (
	"bytes"
	"html"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Whoever copies an example of a body must not be told that it is not valid.
func TestEverySampleOfABodyIsValid(t *testing.T) {
	table := operations()
	doc := newDocument(table, "test", 1<<20)
	for _, op := range table {
		if op.takes == nil {
			continue
		}
		text := sampler{doc: doc, now: time.Now()}.text(doc.Paths.of(basePath + op.path).of(strings.ToLower(op.method)).Body.Content["application/json"].Schema)
		unknown, bad := op.body.decode([]byte(text), reflect.New(op.takes).Interface())
		if len(unknown) > 0 || len(bad) > 0 {
			t.Errorf("%s: %s has unknown members %q, and faults %v", op.name, text, unknown, bad)
		}
	}
}

func TestSnippetsAreWhatTheLanguagesTake(t *testing.T) {
	r := request{method: "PUT", path: "/api/v1/x", once: true, body: "{\n  \"a\": \"it's\",\n  \"b\": true,\n  \"c\": null\n}"}
	for language, wants := range map[string][]string{
		"curl": {`curl -X PUT http://127.0.0.1:8071/api/v1/x`, `"a": "it'\''s"`, `-H "idempotency-key: $(uuidgen)"`},
		"go":   {`http.NewRequestWithContext(ctx, "PUT", "http://127.0.0.1:8071/api/v1/x", body)`, "strings.NewReader(`{"},
		"js":   {`method: "PUT"`, `a: "it's"`, "await fetch("},
		"py":   {`method="PUT"`, `"b": True`, `"c": None`, `json.dumps({`},
	} {
		for _, one := range r.snippets() {
			for _, want := range wants {
				if one.Language == language && !strings.Contains(one.Text, want) {
					t.Errorf("%s lacks %s:\n%s", language, want, one.Text)
				}
			}
		}
	}
}

func TestReferenceShowsEverythingAndNeedsNothing(t *testing.T) {
	made, err := newDocument(operations(), "1.2.3", 1<<20).page(operations())
	if err != nil {
		t.Fatal(err)
	}
	text := string(made.plain)
	for _, op := range operations() {
		if !strings.Contains(text, `id="`+op.name+`"`) || !strings.Contains(text, html.EscapeString(op.summary)) {
			t.Errorf("%s is not in the reference", op.name)
		}
	}
	for _, link := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(text[:strings.Index(text, "<script>")], -1) {
		target, isHere := strings.CutPrefix(link[1], "#")
		switch {
		case isHere && target != "" && !strings.Contains(text, `id="`+target+`"`):
			t.Errorf("#%s leads nowhere", target)
		case !isHere && link[1] != "/api/v1/openapi.json":
			t.Errorf("%s leads out of the page", link[1])
		}
	}
	for _, source := range []string{"page/style.css", "page/script.js"} {
		inside, err := pageFiles.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(made.plain, inside) || !strings.Contains(made.policy, sourceHash(inside)) {
			t.Errorf("%s is not in the page as its policy has it", source)
		}
		if bytes.Contains(inside, []byte("http")) && source == "page/style.css" {
			t.Errorf("%s needs something else", source)
		}
	}
	if len(made.zipped) > 100_000 {
		t.Errorf("the page has %d bytes, compressed", len(made.zipped))
	}
}
