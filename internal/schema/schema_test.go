package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func compile(t testing.TB, text string) *Schema {
	t.Helper()
	s, faults := Compile([]byte(text))
	if faults != nil {
		t.Fatalf("Compile(%.200s): %+v", text, faults)
	}
	return s
}

func check(t testing.TB, s *Schema, payload string) []Fault {
	t.Helper()
	read, faults := Read([]byte(payload))
	if faults != nil {
		return faults
	}
	return s.Check(read)
}

func told(faults []Fault) string {
	var lines []string
	for _, fault := range faults {
		lines = append(lines, "/"+strings.Join(fault.Path, "/")+": "+fault.Message)
	}
	return strings.Join(lines, "\n")
}

func TestPayloadsAreHeldToTheirSchema(t *testing.T) {
	const invoice = `{"type":"object","required":["id","lines"],"properties":{"id":{"type":"string","pattern":"^in_[0-9]+$"},
		"amount":{"type":"integer","minimum":0},"mail":{"type":"string","format":"email"},
		"lines":{"type":"array","maxItems":2,"items":{"$ref":"#/definitions/line"}}},
		"definitions":{"line":{"type":"object","properties":{"sku":{"enum":["a","b"]}},"additionalProperties":false}}}`
	for name, test := range map[string]struct{ schema, payload, want string }{
		"fits":                   {invoice, `{"id":"in_1","lines":[{"sku":"a"}],"amount":3,"more":1}`, ""},
		"lacks something":        {invoice, `{"id":"in_1"}`, `/: must have "lines"`},
		"deep inside":            {invoice, `{"id":"in_1","lines":[{},{"sku":"c"}]}`, "/lines/[1]/sku: must be one of the 2 values of its enum"},
		"several":                {invoice, `{"id":"x","amount":-1,"lines":[{"q":1}]}`, "/amount: must be at least 0\n/id: must match \"^in_[0-9]+$\"\n/lines/[0]: must not have \"q\""},
		"format of draft 7":      {invoice, `{"id":"in_1","lines":[],"mail":"nobody"}`, `/mail: must be a text of the format "email"`},
		"format of 2020-12":      {`{"$schema":"https://json-schema.org/draft/2020-12/schema","format":"email"}`, `"nobody"`, ""},
		"prefixItems of 2020-12": {`{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[{"type":"null"}]}`, `[1]`, "/[0]: must be of type null"},
		"alternatives":           {`{"anyOf":[{"type":"string"},{"type":"object","required":["a"]}]}`, `1`, "/: must fit one of the alternatives of its anyOf"},
		"two alternatives":       {`{"oneOf":[{"minimum":1},{"maximum":9}]}`, `5`, "/: must fit one alternative of its oneOf, and fits several"},
		"all of it":              {`{"allOf":[{"required":["a"]},{"required":["b"]}]}`, `{}`, "/: must have \"a\"\n/: must have \"b\""},
		"no JSON":                {`{}`, `hello`, "/: is not JSON, at byte 0"},
		"JSON and more":          {`{}`, `{} {}`, "/: is not JSON: something follows its end"},
		"a name twice":           {`{}`, `{"a":1,"a":2}`, "/: is not JSON: a name is there twice in an object"},
		"a great number":         {`{}`, `1e999`, "/: must not have numbers beyond those of 64 bits (IEEE 754)"},
		"true":                   {`true`, `{}`, ""},
		"false":                  {`false`, `{}`, "/: must not be there"},
		"recursive":              {`{"properties":{"child":{"$ref":"#"},"n":{"type":"integer"}}}`, `{"child":{"child":{"n":"x"}}}`, "/child/child/n: must be of type integer"},
		"no value is repeated":   {`{"properties":{"a":{"const":"secret-1"},"b":{"format":"email"},"c":{"maximum":1}}}`, `{"a":"secret-2","b":"secret-3","c":123456}`, "/a: must be the value of its const\n/b: must be a text of the format \"email\"\n/c: must be at most 1"},
		"exact numbers":          {`{"const":9007199254740993}`, `9007199254740992`, "/: must be the value of its const"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := told(check(t, compile(t, test.schema), test.payload)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestWhatIsNoSchemaIsTold(t *testing.T) {
	for name, test := range map[string]struct{ schema, want string }{
		"no JSON":              {`{`, "is not JSON, at byte 1"},
		"no object":            {`"string"`, "/: must be of type boolean or object"},
		"no such type":         {`{"properties":{"a":{"type":"text"}}}`, "/properties/a/type: is not what the schema's draft has there"},
		"bad reference":        {`{"$ref":"#/definitions/a"}`, "/: refers to #/definitions/a, which is not in the schema"},
		"bad anchor":           {`{"$ref":"#a"}`, "/: refers to the anchor #a, which is not in the schema"},
		"bad expression":       {`{"pattern":"("}`, "/pattern: is no regular expression that can be used: is none that Go's regexp knows: missing closing )"},
		"look-ahead":           {`{"properties":{"a/b":{"pattern":"(?=a)"}}}`, "/properties/a/b/pattern: is no regular expression that can be used: is none that Go's regexp knows"},
		"unknown draft":        {`{"$schema":"https://example.com/draft"}`, "refers to something outside the schema: https://example.com/draft"},
		"a file":               {`{"$ref":"file:///etc/passwd"}`, "refers to something outside the schema: file:///etc/passwd"},
		"a neighbour":          {`{"$ref":"other.json"}`, "refers to something outside the schema"},
		"an address":           {`{"$ref":"http://127.0.0.1:1/x"}`, "refers to something outside the schema: http://127.0.0.1:1/x"},
		"the metaschema":       {`{"$ref":"http://json-schema.org/draft-07/schema#"}`, "refers to something outside the schema"},
		"$dynamicRef":          {`{"$schema":"https://json-schema.org/draft/2020-12/schema","$dynamicAnchor":"a","properties":{"b":{"$dynamicRef":"#a"}}}`, "/properties/b: must not have $dynamicRef"},
		"itself":               {`{"$ref":"#"}`, "leads back to itself"},
		"itself, by a way":     {`{"allOf":[{"anyOf":[{"$ref":"#/allOf/0"}]}]}`, "leads back to itself"},
		"a great number in it": {`{"minimum":1e999999999}`, "must not have numbers beyond those of 64 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := Compile([]byte(test.schema))
			if got := told(faults); !strings.Contains(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// repeat joins copies of a text with commas.
func repeat(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }

// chain makes definitions of which each applies the next one twice to the same value.
func chain(n int) string {
	var text strings.Builder
	text.WriteString(`{"$ref":"#/definitions/d0","definitions":{`)
	for i := range n {
		fmt.Fprintf(&text, `"d%d":{"allOf":[{"$ref":"#/definitions/d%d"},{"$ref":"#/definitions/d%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&text, `"d%d":{"minimum":1}}}`, n)
	return text.String()
}

// hostile are schemas of a few kilobytes, and payloads, that would take from a minute to
// for ever without a bound.
func hostile() map[string]struct{ schema, payload, want string } {
	const budget = "takes more steps to check"
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	return map[string]struct{ schema, payload, want string }{
		"each applies the next one twice": {chain(30), `1`, budget},
		"twice at each level": {
			`{"definitions":{"n":{"minItems":9,"items":{"$ref":"#/definitions/n"},"contains":{"$ref":"#/definitions/n"}}},"not":{"$ref":"#/definitions/n"}}`,
			nested(60), budget,
		},
		"expression by text": {
			`{"items":{"pattern":"(x+x+)+y|(a|aa|aaa){1,50}b"}}`, `["` + strings.Repeat("ax", 10_000) + `"]`, budget,
		},
		"expressions by names": {
			`{"patternProperties":{` + repeatPatterns(300) + `}}`, `{` + repeatNames(1000) + `}`, budget,
		},
		"enum by items": {
			`{"items":{"enum":[` + repeatNumbers(10_000) + `]}}`, `[` + repeat("-1", 2000) + `]`, budget,
		},
		"alternatives by items": {
			`{"items":{"anyOf":[` + repeat(`{"type":"string"}`, 1000) + `]}}`, `[` + repeat("1", 2000) + `]`, budget,
		},
		"unique at each level": {
			`{"uniqueItems":true,"items":{"$ref":"#"}}`, strings.Repeat("[1,", 900) + `[` + repeat("7", 5000) + `]` + strings.Repeat("]", 900), budget,
		},
		"listed for each": {
			`{"$schema":"https://json-schema.org/draft/2019-09/schema","unevaluatedItems":false,"anyOf":[` + repeat(`{"type":"string"}`, 1000) + `]}`,
			`[` + repeat("1", 200_000) + `]`, budget,
		},
		"long text for each": {
			`{"anyOf":[` + repeat(`{"minLength":9000000}`, 2400) + `]}`, `"` + strings.Repeat("é", 10_000) + `"`, budget,
		},
		"too many values": {`{}`, `[` + repeat("1", 300_000) + `]`, "must not have more than 250000 values"},
		"too deep":        {`{}`, nested(2000), "must not be nested deeper than 1000"},
		"long numbers":    {`{"multipleOf":1e-300}`, strings.Repeat("9", 300), ""},
	}
}

func repeatPatterns(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"(a|b)*%d(c|d){20}$":true`, i))
	}
	return strings.Join(all, ",")
}

func repeatNames(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"%s%d":1`, strings.Repeat("ab", 20), i))
	}
	return strings.Join(all, ",")
}

func repeatNumbers(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return strings.Join(all, ",")
}

func TestHostileSchemasEnd(t *testing.T) {
	for name, test := range hostile() {
		t.Run(name, func(t *testing.T) {
			if got := told(check(t, compile(t, test.schema), test.payload)); !strings.Contains(got, test.want) || got == "" && test.want != "" {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLargeSchemasAreRefused(t *testing.T) {
	deep := func(n int) string {
		return strings.Repeat(`{"not":`, n) + "true" + strings.Repeat("}", n)
	}
	long := strings.Repeat("x", 1000)
	for name, test := range map[string]struct{ schema, want string }{
		"parts":            {`{"allOf":[` + repeat("true", 3000) + `]}`, "must not have more than 2500 parts"},
		"values":           {`{"enum":[` + repeatNumbers(30_000) + `]}`, "must not have more than 20000 values"},
		"depth":            {deep(2000), "must not be nested deeper than 100"},
		"in a chain":       {deep(99), ""},
		"in a long chain":  {chain(101), "leads through more than 100 schemas"},
		"paths":            {strings.Repeat(`{"properties":{"`+long+`":`, 40) + `{"allOf":[` + repeat("true", 100) + `]}` + strings.Repeat("}}", 40), "under such long names"},
		"long expression":  {`{"pattern":"` + strings.Repeat("a", 1001) + `"}`, "is longer than 1000 bytes"},
		"repeats":          {`{"pattern":"a{900}b{900}c{900}"}`, "comes to more than 2000 instructions"},
		"many expressions": {`{"patternProperties":{` + manyPatterns(60) + `}}`, "more than 50000 instructions together"},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := Compile([]byte(test.schema))
			if got := told(faults); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("got %.500q, want %q", got, test.want)
			}
		})
	}
}

func manyPatterns(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"(%d|b){120}":true`, i))
	}
	return strings.Join(all, ",")
}

// What the estimate lets through is no longer than it says, by much.
func TestLengthOfExpressionsIsKnown(t *testing.T) {
	for _, text := range []string{`a`, `abc`, `[a-z]+`, `(a|b)*c`, `a{3,9}`, `(ab{2}){5}`, `\pL{50}`, `^\d+(\.\d{1,4})?$`, `(?i)straße`, `.*a.{40}b`, `(a{30}){30}`} {
		compiled, err := compilePattern(text)
		if err != nil {
			t.Fatal(text, err)
		}
		if actual := programLength(text); actual > 3*compiled.instructions+10 {
			t.Errorf("%s has %d instructions, and was judged to have %d", text, actual, compiled.instructions)
		}
	}
	for _, text := range []string{`a{1000}{1000}`, `((a{20}){20}){20}`, `(?=a)`, `(a)\1`, strings.Repeat("(", 2000)} {
		if _, err := compilePattern(text); err == nil {
			t.Errorf("%.40s is taken", text)
		}
	}
}

// A check that has thrown leaves the schema as it was.
func TestBudgetIsForOneCheck(t *testing.T) {
	s := compile(t, `{"items":{"pattern":"(a|b)*c{900}"}}`)
	large := `["` + strings.Repeat("ab", 10_000) + `"]`
	for range 3 {
		if got := told(check(t, s, large)); !strings.Contains(got, "more steps") {
			t.Errorf("large: %q", got)
		}
		if got := told(check(t, s, `["ab"]`)); got != `/[0]: must match "(a|b)*c{900}"` {
			t.Errorf("small: %q", got)
		}
	}
}

func TestChecksAtOnce(t *testing.T) {
	s := compile(t, `{"properties":{"n":{"type":"integer"}}}`)
	done := make(chan []Fault)
	for range 8 {
		go func() {
			for range 100 {
				if faults := check(t, s, `{"n":1}`); faults != nil {
					done <- faults
					return
				}
			}
			done <- check(t, s, `{"n":"x"}`)
		}()
	}
	for range 8 {
		if got, want := <-done, []Fault{{Path: []string{"n"}, Message: "must be of type integer"}}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// Whatever text is taken for a schema can be used, and whatever it is held to comes to an
// end with an answer.
func FuzzCheck(f *testing.F) {
	for _, test := range hostile() {
		if len(test.schema) < 2000 && len(test.payload) < 2000 {
			f.Add([]byte(test.schema), []byte(test.payload))
		}
	}
	f.Add([]byte(`{"$schema":"http://json-schema.org/draft-04/schema#","id":"a","properties":{"x":{"$ref":"#/definitions/d"}},"definitions":{"d":{"exclusiveMinimum":true,"minimum":1}}}`), []byte(`{"x":1}`))
	f.Add([]byte(`{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"urn:a","$defs":{"a":{"$anchor":"b"}},"$ref":"#b","dependentSchemas":{"a":false},"unevaluatedProperties":{"type":"null"},"if":true,"then":{"propertyNames":{"pattern":"^a"}}}`), []byte(`{"a":[1,2.5e3,null],"\ud800":"é"}`))
	f.Fuzz(func(t *testing.T, text, payload []byte) {
		if len(text) > 10_000 || len(payload) > 10_000 {
			t.Skip()
		}
		s, faults := Compile(text)
		if (s == nil) == (faults == nil) {
			t.Fatalf("Compile: %v and %v", s, faults)
		}
		if s == nil || !json.Valid(text) {
			return
		}
		read, faults := Read(payload)
		if faults != nil {
			return
		}
		if first, second := told(s.Check(read)), told(s.Check(read)); first != second {
			t.Errorf("told %q, and then %q", first, second)
		}
	})
}
