package openapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/internal/schema"
	"github.com/neohook/neohook/webhook"
)

const draft = `"$schema":"https://json-schema.org/draft/2020-12/schema",`

// hook is a document with one webhook, whose operation has these members.
func hook(members string) string {
	return `{"openapi":"3.1.0","webhooks":{"a":{"post":{` + members + `}}}}`
}

// sends is hook with a body of this media type, and components.
func sends(media, components string) string {
	return `{"openapi":"3.1.0","webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":` + media + `}}}}},"components":` + components + `}`
}

func read(t testing.TB, text string) []webhook.EventType {
	t.Helper()
	types, err := EventTypes([]byte(text))
	if err != nil {
		t.Fatalf("%.300s: %v", text, err)
	}
	return types
}

func TestWhatADocumentSaysOfATypeIsRead(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []webhook.EventType
	}{
		"the example of the specification": {`{"openapi":"3.1.0","info":{"title":"Webhook Example","version":"1.0.0"},"webhooks":{"pet.new":{"post":{"requestBody":{"description":"Information about a new pet in the system","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Pet"}}}},"responses":{"200":{"description":"ok"}}}}},"components":{"schemas":{"Pet":{"required":["id"],"properties":{"id":{"type":"integer","format":"int64"}}}}}}`,
			[]webhook.EventType{{Name: "pet.new", Description: "Information about a new pet in the system",
				Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{` + draft + `"required":["id"],"properties":{"id":{"type":"integer","format":"int64"}}}`)}}}},
		"all that is said": {hook(`"description":"d","summary":"s","deprecated":true,"x-svix-group-name":"g","x-svix-feature-flags":["x","y"]`),
			[]webhook.EventType{{Name: "a", Description: "d", Deprecated: true, Group: "g", FeatureFlags: []string{"x", "y"}}}},
		"a summary, one flag":     {hook(`"summary":"s","x-svix-feature-flag":"x"`), []webhook.EventType{{Name: "a", Description: "s", FeatureFlags: []string{"x"}}}},
		"flags as a text":         {hook(`"x-svix-feature-flags":"x"`), []webhook.EventType{{Name: "a", FeatureFlags: []string{"x"}}}},
		"a description above":     {`{"openapi":"3.1.0","webhooks":{"a":{"summary":"above","post":{}}}}`, []webhook.EventType{{Name: "a", Description: "above"}}},
		"another method":          {`{"openapi":"3.1.0","webhooks":{"a":{"get":{"summary":"g"},"put":{"summary":"p"}}}}`, []webhook.EventType{{Name: "a", Description: "p"}}},
		"a name by operation":     {`{"openapi":"3.1.0","webhooks":{"A pet!":{"post":{"operationId":"pet.new"}}}}`, []webhook.EventType{{Name: "pet.new"}}},
		"before 3.1":              {`{"openapi":"3.0.3","x-webhooks":{"a":{"post":{}}}}`, []webhook.EventType{{Name: "a"}}},
		"in both, in their order": {`{"openapi":"3.1.0","x-webhooks":{"c":{"post":{}}},"webhooks":{"b":{"post":{}},"a":{"post":{}}}}`, []webhook.EventType{{Name: "b"}, {Name: "a"}, {Name: "c"}}},
		"by references": {`{"openapi":"3.1.0","webhooks":{"a":{"$ref":"#/components/pathItems/~1p~0%20x"}},"components":{"pathItems":{"/p~ x":{"post":{"requestBody":{"$ref":"#/components/requestBodies/B"}}}},"requestBodies":{"B":{"description":"b","content":{"application/json":{"schema":true}}}}}}`,
			[]webhook.EventType{{Name: "a", Description: "b", Schemas: map[string]json.RawMessage{"1": json.RawMessage(`true`)}}}},
		"YAML": {"# a comment\nopenapi: 3.1.0\nwebhooks:\n  order.made: &made\n    post:\n      summary: An order\n      deprecated: true\n      requestBody:\n        content:\n          application/json:\n            schema:\n              type: object\n              maxProperties: 0x10\n              required: [id]\n              properties:\n                id: {type: integer, minimum: 1.5, default: null}\n                on: {const: \"on\"}\n  order.paid: *made\n",
			[]webhook.EventType{yamlType("order.made"), yamlType("order.paid")}},
		"YAML that begins like JSON": {"{openapi: '3.1.0', webhooks: {a: {post: {}}}}", []webhook.EventType{{Name: "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := read(t, test.text); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", show(got), show(test.want))
			}
		})
	}
}

func yamlType(name string) webhook.EventType {
	return webhook.EventType{Name: name, Description: "An order", Deprecated: true, Schemas: map[string]json.RawMessage{
		"1": json.RawMessage(`{` + draft + `"type":"object","maxProperties":16,"required":["id"],"properties":{"id":{"type":"integer","minimum":1.5,"default":null},"on":{"const":"on"}}}`),
	}}
}

func show(types []webhook.EventType) string {
	var text strings.Builder
	for _, t := range types {
		fmt.Fprintf(&text, "%+v %s\n", t, t.Schemas["1"])
	}
	return text.String()
}

func TestSchemasStandAlone(t *testing.T) {
	const tree = `{"schemas":{"Tree":{"properties":{"left":{"$ref":"#/components/schemas/Tree"},"leaf":{"$ref":"#/components/schemas/Leaf"}}},"Leaf":{"type":"integer"}}}`
	for name, test := range map[string]struct{ text, want string }{
		"recursive": {sends(`{"schema":{"$ref":"#/components/schemas/Tree"}}`, tree),
			`{` + draft + `"properties":{"left":{"$ref":"#/$defs/Tree"},"leaf":{"$ref":"#/$defs/Leaf"}},"$defs":{"Tree":{"properties":{"left":{"$ref":"#/$defs/Tree"},"leaf":{"$ref":"#/$defs/Leaf"}}},"Leaf":{"type":"integer"}}}`},
		"beside others": {sends(`{"schema":{"$ref":"#/components/schemas/Leaf","minimum":1}}`, tree),
			`{` + draft + `"$ref":"#/$defs/Leaf","minimum":1,"$defs":{"Leaf":{"type":"integer"}}}`},
		"everywhere": {sends(`{"schema":{"allOf":[{"$ref":"#/components/schemas/Leaf"}],"items":{"not":{"$ref":"#/components/schemas/Leaf"}},"patternProperties":{"^x":{"if":{"$ref":"#/components/schemas/Leaf"}}}}}`, tree),
			`{` + draft + `"allOf":[{"$ref":"#/$defs/Leaf"}],"items":{"not":{"$ref":"#/$defs/Leaf"}},"patternProperties":{"^x":{"if":{"$ref":"#/$defs/Leaf"}}},"$defs":{"Leaf":{"type":"integer"}}}`},
		"not where they are data": {sends(`{"schema":{"const":{"$ref":"#/nowhere"},"properties":{"$ref":{"type":"string"}},"examples":[{"$ref":"x"}]}}`, tree),
			`{` + draft + `"const":{"$ref":"#/nowhere"},"properties":{"$ref":{"type":"string"}},"examples":[{"$ref":"x"}]}`},
		"names apart": {sends(`{"schema":{"$defs":{"A":{"type":"null"}},"anyOf":[{"$ref":"#/components/schemas/A"},{"$ref":"#/components/x/A"},{"$ref":"#/components/x/%C3%A9%20%7E1"}]}}`,
			`{"schemas":{"A":{"type":"string"}},"x":{"A":{"type":"boolean"},"é /":{"type":"array"}}}`),
			`{` + draft + `"$defs":{"A_2":{"type":"string"},"A_3":{"type":"boolean"},"_C3_A9_20_7E1":{"type":"array"},"A":{"type":"null"}},"anyOf":[{"$ref":"#/$defs/A_2"},{"$ref":"#/$defs/A_3"},{"$ref":"#/$defs/_C3_A9_20_7E1"}]}`},
		"a draft of its own": {sends(`{"schema":{"type":"object","$id":"https://example.com/x","$schema":"http://json-schema.org/draft-07/schema#"}}`, tree),
			`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}`},
		"the document's draft": {`{"openapi":"3.1.0","jsonSchemaDialect":"https://json-schema.org/draft/2019-09/schema","webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":{"schema":{}}}}}}}}`,
			`{"$schema":"https://json-schema.org/draft/2019-09/schema"}`},
		"an example":          {sends(`{"schema":{"type":"object"},"example":{"a":1}}`, tree), `{` + draft + `"type":"object","examples":[{"a":1}]}`},
		"examples":            {sends(`{"schema":{},"examples":{"x":{"value":1},"y":{"$ref":"#/components/examples/Y"},"z":{"externalValue":"https://example.com"}}}`, `{"examples":{"Y":{"value":2}}}`), `{` + draft + `"examples":[1,2]}`},
		"examples of its own": {sends(`{"schema":{"examples":[3]},"example":4}`, tree), `{` + draft + `"examples":[3]}`},
		"an example inside":   {sends(`{"schema":{"example":5}}`, tree), `{` + draft + `"example":5,"examples":[5]}`},
		"another media type": {strings.Replace(sends(`{"schema":{"type":"null"}}`, tree), "application/json", "application/vnd.api+json; charset=utf-8", 1),
			`{` + draft + `"type":"null"}`},
		"no body": {hook(`"responses":{}`), ``},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, test.text)[0].Schemas["1"]
			if string(got) != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if test.want != "" {
				if _, faults := schema.Compile(got); faults != nil {
					t.Errorf("it can't be compiled: %+v", faults)
				}
			}
		})
	}
}

func TestSchemasBefore31BecomeDraft7(t *testing.T) {
	old := func(schema string) string {
		return strings.Replace(sends(`{"schema":`+schema+`}`, `{"schemas":{"A":{"type":"string","nullable":true}}}`), `"openapi":"3.1.0","webhooks"`, `"openapi":"3.0.3","x-webhooks"`, 1)
	}
	for text, want := range map[string]string{
		`{"type":"object","nullable":true}`:                                  `{"type":["object","null"]}`,
		`{"type":"string","nullable":true,"enum":["a"]}`:                     `{"type":["string","null"],"enum":["a",null]}`,
		`{"type":"string","nullable":false}`:                                 `{"type":"string"}`,
		`{"nullable":true}`:                                                  `{}`,
		`{"minimum":1,"exclusiveMinimum":true}`:                              `{"exclusiveMinimum":1}`,
		`{"maximum":1,"exclusiveMaximum":false}`:                             `{"maximum":1}`,
		`{"exclusiveMaximum":true}`:                                          `{}`,
		`{"properties":{"a":{"$ref":"#/components/schemas/A"}}}`:             `{"properties":{"a":{"$ref":"#/definitions/A"}},"definitions":{"A":{"type":["string","null"]}}}`,
		`{"items":{"minimum":2,"exclusiveMinimum":true},"type":"array"}`:     `{"items":{"exclusiveMinimum":2},"type":"array"}`,
		`{"type":"object","properties":{"nullable":{"type":"boolean"}}}`:     `{"type":"object","properties":{"nullable":{"type":"boolean"}}}`,
		`{"type":"object","example":{"a":1},"discriminator":{"mapping":{}}}`: `{"type":"object","example":{"a":1},"discriminator":{"mapping":{}},"examples":[{"a":1}]}`,
	} {
		got := read(t, old(text))[0].Schemas["1"]
		if string(got) != want {
			t.Errorf("%s became\n%s, want\n%s", text, got, want)
		}
		if _, faults := schema.Compile(got); faults != nil {
			t.Errorf("%s can't be compiled: %+v", got, faults)
		}
	}
}

func TestWhatCantBeReadIsTold(t *testing.T) {
	var many strings.Builder
	many.WriteString(`{"openapi":"3.1.0","webhooks":{`)
	for i := range 1001 {
		fmt.Fprintf(&many, `"t%d":{"post":{}},`, i)
	}
	for name, test := range map[string]struct{ text, want string }{
		"nothing":             {``, "is empty"},
		"a text":              {`hello`, "must be an object"},
		"neither":             {"{a: [}", "is neither JSON nor YAML"},
		"two documents":       {"openapi: 3.1.0\n---\na: 1\n", "must be one document"},
		"no OpenAPI":          {`{"webhooks":{}}`, `"openapi" must be a text such as "3.1.0"`},
		"version 2":           {`{"swagger":"2.0","openapi":"2.0"}`, "version 3"},
		"a number":            {"openapi: 3.1\nwebhooks: {a: {post: {}}}", `"openapi" must be a text`},
		"no webhooks":         {`{"openapi":"3.1.0","paths":{}}`, "has no webhooks"},
		"a list":              {`{"openapi":"3.1.0","webhooks":[]}`, "webhooks must be an object"},
		"no name":             {`{"openapi":"3.1.0","webhooks":{"new pet":{"post":{"operationId":"n p"}}}}`, "webhooks.new pet: its name, or its operationId"},
		"no operation":        {`{"openapi":"3.1.0","webhooks":{"a":{"summary":"x"}}}`, "webhooks.a: has no operation"},
		"twice":               {`{"openapi":"3.1.0","webhooks":{"a":{"post":{}}},"x-webhooks":{"a":{"post":{}}}}`, "x-webhooks.a: is the second event type of the name a"},
		"too many":            {strings.TrimSuffix(many.String(), ",") + "}}", "is more than the 1000 event types"},
		"bad reference":       {sends(`{"schema":{"items":{"$ref":"#/components/schemas/None"}}}`, `{}`), "webhooks.a: schema: refers to #/components/schemas/None, which is not in the document"},
		"a file":              {sends(`{"schema":{"$ref":"file:///etc/passwd"}}`, `{}`), `refers to "file:///etc/passwd": references must be into the document`},
		"an anchor":           {sends(`{"schema":{"not":{"$ref":"#anchor"}}}`, `{}`), "references must be into the document"},
		"itself":              {`{"openapi":"3.1.0","webhooks":{"a":{"$ref":"#/webhooks/a"}}}`, "leads back to itself"},
		"itself, a schema":    {sends(`{"schema":{"$ref":"#/components/schemas/A"}}`, `{"schemas":{"A":{"$ref":"#/components/schemas/A"}}}`), "leads back to itself"},
		"merge":               {"openapi: 3.1.0\nx: &x {a: 1}\nwebhooks: {a: {post: {<<: *x}}}", "has a merge (<<) on line 3"},
		"twice in YAML":       {"openapi: 3.1.0\nwebhooks:\n  a: {}\n  a: {}\n", `has the name "a" twice, on line 4`},
		"a name that is none": {"openapi: 3.1.0\n? [a, b]\n: 1\n", "has a name on line 2 that is no text"},
		"not a number":        {"openapi: 3.1.0\nwebhooks: {a: {post: {x: .nan}}}", "has a number on line 2 that JSON has not"},
		"deep":                {`{"openapi":"3.1.0","x":` + strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300) + `}`, "must not be nested deeper than 200"},
		"deep in YAML":        {"x: " + strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300), "must not be nested deeper than 200"},
		"wide":                {`{"openapi":"3.1.0","x":[` + strings.Repeat("1,", 400_000) + `1]}`, "must not have more than 300000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := EventTypes([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// Small documents that stand for large ones end as soon as that is seen.
func TestHostileDocumentsEnd(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("openapi: 3.1.0\na0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		fmt.Fprintf(&laughs, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i, i, i, i, i, i, i)
	}
	// Each type has all of a large component.
	shared := func(types, size int) string {
		var text strings.Builder
		text.WriteString(`{"openapi":"3.1.0","webhooks":{`)
		for i := range types {
			if i > 0 {
				text.WriteString(",")
			}
			fmt.Fprintf(&text, `"t%d":{"post":{"requestBody":{"content":{"application/json":{"schema":{"items":{"$ref":"#/components/schemas/L"}}}}}}}`, i)
		}
		return text.String() + `},"components":{"schemas":{"L":{"description":"` + strings.Repeat("x", size) + `"}}}}`
	}
	var parts strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&parts, `,"p%d":{}`, i)
	}
	for name, test := range map[string]struct{ text, want string }{
		"a billion laughs":      {laughs.String(), "must not have more than 300000 values, aliases expanded"},
		"an alias in itself":    {"openapi: 3.1.0\nx: &x [*x]\n", ""},
		"a large shared schema": {shared(900, 100_000), "schemas come to more than 16777216 bytes together"},
		"many shared parts":     {strings.Replace(shared(200, 1), `"description":"x"`, `"properties":{"p":{}`+parts.String()+`}`, 1), "all schemas together 300000"},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			_, err := EventTypes([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			t.Logf("%d bytes, %v", len(test.text), time.Since(begun))
		})
	}
}

// Whatever is read is JSON, and stands alone.
func FuzzEventTypes(f *testing.F) {
	f.Add([]byte(hook(`"description":"d","requestBody":{"content":{"a/b":{"schema":{"$ref":"#/openapi"}}}}`)))
	f.Add([]byte(sends(`{"schema":{"$ref":"#/components/schemas/A"},"examples":{"x":{"value":null}}}`, `{"schemas":{"A":{"properties":{"a":{"$ref":"#/components/schemas/A"}},"nullable":true,"type":"object"}}}`)))
	f.Add([]byte("openapi: 3.0.0\nx-webhooks:\n  a: &a\n    post: {requestBody: {content: {j: {schema: {type: string, nullable: true, minimum: +1, exclusiveMinimum: true}}}}}\n  b: *a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		types, err := EventTypes(text)
		if err != nil {
			if types != nil {
				t.Errorf("types beside the error %v", err)
			}
			return
		}
		for _, each := range types {
			for _, made := range each.Schemas {
				if !json.Valid(made) {
					t.Errorf("%s is no JSON", made)
				}
			}
			if !webhook.IsName(each.Name) {
				t.Errorf("the name is %q", each.Name)
			}
		}
		if again, _ := EventTypes(text); !reflect.DeepEqual(again, types) {
			t.Errorf("read anew, it is %s and was %s", show(again), show(types))
		}
	})
}
