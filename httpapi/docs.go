package httpapi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html"
	"html/template"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The reference is one page, made of the document when it is first asked for. It needs
// nothing but itself: no other file, no other host, and to read it no script.
//
//go:embed page
var pageFiles embed.FS

// docsPath is where the reference is.
const docsPath = "/docs"

// docsPage is what the page shows.
type docsPage struct {
	Version      string
	Style        template.CSS
	Script       template.JS
	Intro, Token template.HTML
	Languages    []struct{ Name, Title string }
	Groups       []docsGroup
	Refusals     []docsAnswer
	Address      string
}

type docsGroup struct {
	Name, Title string
	About       template.HTML
	Operations  []docsOperation
}

type docsOperation struct {
	Anchor, Method, Summary string
	Short                   string // its own part of the name
	Path                    template.HTML
	Plain                   string // the path, for searching
	About                   template.HTML
	Deprecated, Once        bool
	Whose, Needs            string
	Parameters              []docsPlace
	Body                    []docsField
	Answers                 []docsAnswer
	Refusals                []docsAnswer
	Snippets                []snippet
	Sample                  string
	SampleStatus            int
}

// docsPlace is the parameters of one place: of the path, the query or the header.
type docsPlace struct {
	Title  string
	Fields []docsField
}

type docsField struct {
	Name, Kind string
	About      template.HTML
	Rules      []string
	Required   bool
	Old        bool
	Within     []docsField
}

type docsAnswer struct {
	Status int
	Also   []int // other statuses of the same answer
	About  string
	Fields []docsField
}

// makeDocs writes the reference.
func (api *API) makeDocs() (*file, error) {
	table := operations()
	return newDocument(table, api.version, api.maxBodyBytes()).page(table)
}

// page writes the reference of a document and of the table that it was made of.
func (doc *document) page(table []*operation) (*file, error) {
	page := docsPage{
		Version: doc.Info.Version, Intro: prose(documentText), Token: prose(tokenText), Languages: languages, Address: sampleAddress,
	}
	style, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		return nil, err
	}
	script, err := pageFiles.ReadFile("page/script.js")
	if err != nil {
		return nil, err
	}
	page.Style, page.Script = template.CSS(style), template.JS(script) //nolint:gosec // our own files
	for _, tag := range doc.Tags {
		group := docsGroup{Name: tag.Name, Title: spaced(tag.Name), About: prose(tag.Description)}
		for _, op := range table {
			if op.group() == tag.Name {
				group.Operations = append(group.Operations, doc.show(op))
			}
		}
		page.Groups = append(page.Groups, group)
	}
	for _, refusal := range doc.Components.Responses {
		status, _ := strconv.Atoi(refusal.name)
		page.Refusals = append(page.Refusals, docsAnswer{Status: status, About: refusal.value.Description})
	}
	sheet, err := template.ParseFS(pageFiles, "page/page.html")
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := sheet.Execute(&text, page); err != nil {
		return nil, err
	}
	made := newFile("text/html; charset=utf-8", text.Bytes())
	made.policy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		sourceHash(style), sourceHash(script))
	return made, nil
}

// sourceHash names an inline style or script in a Content-Security-Policy.
func sourceHash(source []byte) string {
	sum := sha256.Sum256(source)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// spaced is a name as a title: "message-attempt" is "Message attempt".
func spaced(name string) string { return upper(strings.ReplaceAll(name, "-", " ")) }

// show tells of an operation.
func (doc *document) show(op *operation) docsOperation {
	told := doc.Paths.of(basePath + op.path).of(strings.ToLower(op.method))
	_, own, _ := strings.Cut(op.name, ".")
	shown := docsOperation{
		Anchor: op.name, Short: spaced(own), Method: op.method, Summary: op.summary, Plain: basePath + op.path,
		Path:  template.HTML(braced.ReplaceAllString(html.EscapeString(basePath+op.path), `<i>$0</i>`)), //nolint:gosec // escaped
		About: prose(op.about), Deprecated: op.deprecated, Once: op.once,
	}
	if op.scope != anyone {
		shown.Whose, shown.Needs = whose[op.scope], strings.ReplaceAll(op.needs.String(), "_", " ")
	}
	for _, place := range []struct{ in, title string }{{"path", "Path"}, {"query", "Query"}, {"header", "Header"}} {
		var fields []docsField
		for _, param := range told.Parameters {
			if param.Ref != "" {
				param = doc.Components.Parameters.of(strings.TrimPrefix(param.Ref, "#/components/parameters/"))
			}
			if param.In == place.in {
				field := doc.field(param.Name, param.Schema, param.Required, 0)
				field.About, field.Old = prose(param.Description), param.Deprecated
				fields = append(fields, field)
			}
		}
		if len(fields) > 0 {
			shown.Parameters = append(shown.Parameters, docsPlace{place.title, fields})
		}
	}
	r := request{method: op.method, path: samplePath(op), public: op.scope == anyone, streams: op.media == streamType, once: op.once}
	if told.Body != nil {
		body := told.Body.Content["application/json"].Schema
		shown.Body = doc.fields(body, 0)
		r.body = sampler{doc: doc, now: time.Now()}.text(body)
	}
	shown.Snippets = r.snippets()
	doc.showAnswers(op, told, &shown)
	return shown
}

// whose says whose token an operation takes.
var whose = map[scope]string{
	anyToken: "any token", application: "a token of the organisation or of the application",
	organisationOnly: "a token of the organisation", operatorOnly: "a token of the server's own organisation",
}

func (doc *document) showAnswers(op *operation, told *documentOperation, shown *docsOperation) {
	usual := append([]int{op.status}, op.others...)
	for _, answer := range told.Responses {
		status, _ := strconv.Atoi(answer.name)
		response := answer.value
		if response.Ref != "" {
			response = doc.Components.Responses.of(answer.name)
		}
		one := docsAnswer{Status: status, About: response.Description}
		if !slices.Contains(usual, status) {
			shown.Refusals = append(shown.Refusals, one)
			continue
		}
		if media, found := response.Content[op.mediaType()]; found {
			one.Fields = doc.fields(media.Schema, 0)
			if status == op.status && op.mediaType() == "application/json" && len(one.Fields) > 0 {
				shown.Sample, shown.SampleStatus = sampler{doc: doc, whole: true, now: time.Now()}.text(media.Schema), status
			}
		}
		if last := len(shown.Answers) - 1; last >= 0 && len(one.Fields) == len(shown.Answers[last].Fields) {
			shown.Answers[last].Also = append(shown.Answers[last].Also, status) // an operation has one shape
			continue
		}
		shown.Answers = append(shown.Answers, one)
	}
}

// samplePath fills in an operation's path.
func samplePath(op *operation) string {
	return basePath + braced.ReplaceAllStringFunc(op.path, func(name string) string {
		name = strings.Trim(name, "{}")
		if word, found := sampleNames[name]; found {
			return word
		}
		return references[name].prefix + sampleID
	})
}

// sampleNames are names of a caller's own for things in paths: those that the sample bodies
// give them.
var sampleNames = map[string]string{
	"app_id": "acme", "endpoint_id": "warehouse", "msg_id": "order-17", "event_type_name": "order.created", "operational_endpoint_id": "warehouse",
}

// maxFieldDepth is how deep objects are described within each other.
const maxFieldDepth = 4

// fields describes the members of an object, or of the objects in a list.
func (doc *document) fields(of *schema, depth int) (fields []docsField) {
	of = doc.resolve(of)
	switch {
	case of == nil || depth > maxFieldDepth:
		return nil
	case of.Items != nil:
		return doc.fields(of.Items, depth)
	case of.ContentSchema != nil:
		return doc.fields(of.ContentSchema, depth)
	case of.Values != nil:
		return doc.fields(of.Values, depth)
	case len(of.AnyOf) > 0 && len(of.Properties) == 0:
		return doc.fields(of.AnyOf[0], depth)
	}
	for _, member := range of.Properties {
		fields = append(fields, doc.field(member.name, member.value, isRequired(of, member.name), depth))
	}
	return fields
}

func (doc *document) field(name string, of *schema, required bool, depth int) docsField {
	return docsField{
		Name: name, Kind: doc.kind(of), About: prose(of.Description), Rules: doc.rules(of), Required: required, Old: of.Deprecated,
		Within: doc.fields(of, depth+1),
	}
}

// kind says in words what values there are.
func (doc *document) kind(of *schema) string {
	resolved := doc.resolve(of)
	switch {
	case len(resolved.AnyOf) == 2 && len(resolved.Type) == 0:
		return doc.kind(resolved.AnyOf[0]) + " or null"
	case len(resolved.Type) == 0:
		return "anything"
	}
	word := resolved.Type[0]
	switch {
	case word == "array":
		word = "list of " + plural(doc.kind(resolved.Items))
	case word == "object" && resolved.Values != nil:
		word = "map to " + doc.kind(resolved.Values)
	case word == "string" && resolved.Format == "date-time":
		word = "time"
	case word == "string" && resolved.Format == "uri":
		word = "URL"
	}
	if slices.Contains(resolved.Type, kindNull) {
		word += " or null"
	}
	return word
}

func plural(kind string) string {
	switch {
	case kind == "anything" || strings.Contains(kind, " "):
		return kind
	case strings.HasSuffix(kind, "y"):
		return strings.TrimSuffix(kind, "y") + "ies"
	}
	return kind + "s"
}

// rules says in words what a value must be like.
func (doc *document) rules(of *schema) (rules []string) {
	of = doc.resolve(of)
	item := of
	if of.Items != nil {
		item = doc.resolve(of.Items)
	}
	if len(item.Enum) > 0 {
		var words []string
		for _, value := range item.Enum {
			if value != nil {
				words = append(words, fmt.Sprint(value))
			}
		}
		rules = append(rules, "one of "+strings.Join(words, ", "))
	}
	rules = append(rules, span64("", item.Minimum, item.Maximum)...)
	rules = append(rules, span64(" items", unlessZero(of.MinItems), unlessZero(of.MaxItems))...)
	if item.Pattern == "" || item.MaxLength > 0 {
		rules = append(rules, span64(" characters", unlessZero(item.MinLength), unlessZero(item.MaxLength))...)
	}
	if item.Pattern == slugSchema.Pattern {
		rules = append(rules, "a-z A-Z 0-9 - _ .")
	}
	if of.Default != nil {
		rules = append(rules, "default "+string(of.Default))
	}
	return rules
}

// span64 says between which bounds something must be.
func span64(of string, least, most *int64) []string {
	switch {
	case least != nil && most != nil:
		return []string{fmt.Sprintf("%d to %d%s", *least, *most, of)}
	case most != nil:
		return []string{fmt.Sprintf("at most %d%s", *most, of)}
	case least != nil && *least == 1 && of != "":
		return []string{"not empty"}
	case least != nil && *least > 0:
		return []string{fmt.Sprintf("at least %d%s", *least, of)}
	}
	return nil
}

var (
	codeMark   = regexp.MustCompile("`([^`]+)`")
	strongMark = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	emMark     = regexp.MustCompile(`\*([^*]+)\*`)
)

// prose makes HTML of the CommonMark that the document has: paragraphs, lists, emphasis and
// code in a line.
func prose(text string) template.HTML {
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if block == "" {
			continue
		}
		block = html.EscapeString(block)
		block = codeMark.ReplaceAllString(block, "<code>$1</code>")
		block = emMark.ReplaceAllString(strongMark.ReplaceAllString(block, "<b>$1</b>"), "<em>$1</em>")
		if strings.HasPrefix(block, "- ") {
			out.WriteString("<ul>")
			for item := range strings.SplitSeq(block[2:], "\n- ") {
				out.WriteString("<li>" + item + "</li>")
			}
			out.WriteString("</ul>")
			continue
		}
		out.WriteString("<p>" + block + "</p>")
	}
	return template.HTML(out.String()) //nolint:gosec // escaped above
}

// docsOut is the reference as an answer.
type docsOut struct{ *file }

func (docsOut) schema(*schemas) *schema { return &schema{Type: kinds{"string"}} }

func getDocs(c *call, _, _ *none) (docsOut, error) {
	made, err := c.api.docs()
	return docsOut{made}, err
}

// docsRow is what is at docsPath, above basePath.
func docsRow() *operation {
	return serves(operation{
		name: "docs", route: "GET " + docsPath, scope: anyone, media: "text/html",
		summary: "Read the reference",
	}, getDocs)
}
