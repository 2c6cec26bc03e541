package httpapi

import (
	"fmt"
	"regexp"
	"strings"
)

// snippet is a call of an operation in one language.
type snippet struct{ Language, Text string }

// languages are those of the snippets, by the names that the page has for them.
var languages = []struct{ Name, Title string }{{"curl", "curl"}, {"go", "Go"}, {"js", "JavaScript"}, {"py", "Python"}}

// sampleAddress is where a server is by default; the page puts its own in its place.
const sampleAddress = "http://127.0.0.1:8071"

// request is what snippets are made of.
type request struct {
	method, path, body string // path is filled in
	public, streams    bool
	once               bool
}

func (r *request) snippets() []snippet {
	return []snippet{{"curl", r.curl()}, {"go", r.golang()}, {"js", r.javascript()}, {"py", r.python()}}
}

func (r *request) curl() string {
	var text strings.Builder
	text.WriteString("curl ")
	if r.streams {
		text.WriteString("-N ")
	}
	if r.method != "GET" && (r.method != "POST" || r.body == "") {
		text.WriteString("-X " + r.method + " ")
	}
	text.WriteString(sampleAddress + r.path)
	if !r.public {
		text.WriteString(" \\\n  -H \"authorization: Bearer $NEOHOOK_TOKEN\"")
	}
	if r.once {
		text.WriteString(" \\\n  -H \"idempotency-key: $(uuidgen)\"")
	}
	if r.body != "" {
		text.WriteString(" \\\n  -d '" + strings.ReplaceAll(r.body, "'", `'\''`) + "'")
	}
	return text.String()
}

func (r *request) golang() string {
	var text strings.Builder
	body := "nil"
	if r.body != "" {
		text.WriteString("body := strings.NewReader(`" + strings.ReplaceAll(r.body, "`", "` + \"`\" + `") + "`)\n")
		body = "body"
	}
	fmt.Fprintf(&text, "req, err := http.NewRequestWithContext(ctx, %q, %q, %s)\nif err != nil {\n\treturn err\n}\n", r.method, sampleAddress+r.path, body)
	if !r.public {
		text.WriteString("req.Header.Set(\"Authorization\", \"Bearer \"+os.Getenv(\"NEOHOOK_TOKEN\"))\n")
	}
	if r.once {
		text.WriteString("req.Header.Set(\"Idempotency-Key\", rand.Text())\n")
	}
	text.WriteString("resp, err := http.DefaultClient.Do(req)\nif err != nil {\n\treturn err\n}\ndefer resp.Body.Close()")
	return text.String()
}

func (r *request) javascript() string {
	var text strings.Builder
	text.WriteString(`const response = await fetch("` + sampleAddress + r.path + `"`)
	var fields, headers []string
	if r.method != "GET" {
		fields = append(fields, `method: "`+r.method+`"`)
	}
	if !r.public {
		headers = append(headers, "authorization: `Bearer ${process.env.NEOHOOK_TOKEN}`")
	}
	if r.once {
		headers = append(headers, `"idempotency-key": crypto.randomUUID()`)
	}
	if len(headers) > 0 {
		fields = append(fields, "headers: { "+strings.Join(headers, ", ")+" }")
	}
	if r.body != "" {
		fields = append(fields, "body: JSON.stringify("+indented(bareNames.ReplaceAllString(r.body, "$1$2:"), "  ")+")")
	}
	if len(fields) > 0 {
		text.WriteString(", {\n  " + strings.Join(fields, ",\n  ") + ",\n}")
	}
	text.WriteString(");\n")
	if r.streams {
		return text.String() + "for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) console.log(chunk);"
	}
	return text.String() + "console.log(response.status, await response.text());"
}

// bareNames are the names of members that JavaScript takes without quotes.
var bareNames = regexp.MustCompile(`(?m)^(\s*)"([A-Za-z_]\w*)":`)

func (r *request) python() string {
	var text strings.Builder
	fmt.Fprintf(&text, "request = urllib.request.Request(\n    %q,\n    method=%q,\n", sampleAddress+r.path, r.method)
	var headers []string
	if !r.public {
		headers = append(headers, `"authorization": f"Bearer {os.environ['NEOHOOK_TOKEN']}"`)
	}
	if r.once {
		headers = append(headers, `"idempotency-key": str(uuid.uuid4())`)
	}
	if len(headers) > 0 {
		text.WriteString("    headers={" + strings.Join(headers, ", ") + "},\n")
	}
	if r.body != "" {
		text.WriteString("    data=json.dumps(" + indented(pythonWords.Replace(r.body), "    ") + ").encode(),\n")
	}
	text.WriteString(")\nwith urllib.request.urlopen(request) as response:\n")
	if r.streams {
		return text.String() + "    for line in response:\n        print(line.decode(), end=\"\")"
	}
	return text.String() + "    print(response.status, response.read().decode())"
}

// pythonWords are JSON's where they stand as the value of a member or an item.
var pythonWords = strings.NewReplacer(": true", ": True", ": false", ": False", ": null", ": None")

// indented moves all lines but the first to the right.
func indented(text, by string) string { return strings.ReplaceAll(text, "\n", "\n"+by) }
