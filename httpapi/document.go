package httpapi

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// document is an OpenAPI 3.1 document, as far as this API needs one. It is made of the
// table and of the types in it, and so can't tell of anything that is not served.
type document struct {
	OpenAPI    string                               `json:"openapi"`
	Info       documentInfo                         `json:"info"`
	Tags       []documentTag                        `json:"tags"`
	Paths      ordered[ordered[*documentOperation]] `json:"paths"` // by path, then by method in lower case
	Components documentComponents                   `json:"components"`
}

type documentInfo struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

type documentTag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type documentComponents struct {
	Schemas         ordered[*schema]                  `json:"schemas"`
	Responses       ordered[*documentResponse]        `json:"responses"`
	Parameters      ordered[*documentParameter]       `json:"parameters"`
	Headers         ordered[*documentHeader]          `json:"headers"`
	SecuritySchemes map[string]documentSecurityScheme `json:"securitySchemes"`
}

type documentSecurityScheme struct {
	Type        string `json:"type"`
	Scheme      string `json:"scheme"`
	Description string `json:"description"`
}

type documentOperation struct {
	ID          string                     `json:"operationId"`
	Summary     string                     `json:"summary"`
	Description string                     `json:"description,omitzero"`
	Tags        []string                   `json:"tags"`
	Deprecated  bool                       `json:"deprecated,omitzero"`
	Security    []map[string][]string      `json:"security"`
	Parameters  []*documentParameter       `json:"parameters,omitzero"`
	Body        *documentBody              `json:"requestBody,omitzero"`
	Responses   ordered[*documentResponse] `json:"responses"`
}

type documentParameter struct {
	Ref         string  `json:"$ref,omitzero"`
	Name        string  `json:"name,omitzero"`
	In          string  `json:"in,omitzero"`
	Description string  `json:"description,omitzero"`
	Required    bool    `json:"required,omitzero"`
	Deprecated  bool    `json:"deprecated,omitzero"`
	Schema      *schema `json:"schema,omitzero"`
}

type documentBody struct {
	Required bool                     `json:"required"`
	Content  map[string]documentMedia `json:"content"`
}

type documentMedia struct {
	Schema *schema `json:"schema"`
}

type documentResponse struct {
	Ref         string                   `json:"$ref,omitzero"`
	Description string                   `json:"description,omitzero"`
	Headers     ordered[*documentHeader] `json:"headers,omitzero"`
	Content     map[string]documentMedia `json:"content,omitzero"`
}

type documentHeader struct {
	Ref         string  `json:"$ref,omitzero"`
	Description string  `json:"description,omitzero"`
	Schema      *schema `json:"schema,omitzero"`
}

// tokenScheme is what the document calls the way of saying who asks.
const tokenScheme = "token"

// newDocument tells of a table. The longest body is what the engine's options make it.
func newDocument(table []*operation, version string, maxBody int64) *document {
	var all schemas
	doc := &document{OpenAPI: "3.1.0", Info: documentInfo{"Neohook", version, documentText}}
	doc.Components = documentComponents{
		Responses: refusalResponses(&all, maxBody), Headers: answerHeaders(),
		SecuritySchemes: map[string]documentSecurityScheme{tokenScheme: {"http", "bearer", tokenText}},
		Parameters:      ordered[*documentParameter]{{"idempotency-key", idempotencyKey()}},
	}
	paths := make(map[string]int)
	for _, op := range table {
		at, found := paths[op.path]
		if !found {
			at = len(doc.Paths)
			paths[op.path] = at
			doc.Paths.add(basePath+op.path, nil)
		}
		doc.Paths[at].value.add(strings.ToLower(op.method), op.tell(&all, maxBody))
		if group := op.group(); !slices.ContainsFunc(doc.Tags, func(tag documentTag) bool { return tag.Name == group }) {
			doc.Tags = append(doc.Tags, documentTag{group, groups[group]})
		}
	}
	slices.SortStableFunc(doc.Tags, func(a, b documentTag) int {
		return cmp.Compare(place(a.Name), place(b.Name))
	})
	for _, name := range slices.Sorted(maps.Keys(all.named)) {
		doc.Components.Schemas.add(name, all.named[name])
	}
	return doc
}

// group is the part of the document that an operation is in: the beginning of its name.
func (op *operation) group() string {
	group, _, _ := strings.Cut(op.name, ".")
	return group
}

// firstGroups come first in the document, as what others rest on.
var firstGroups = []string{"application", "endpoint", "event-type", "message", "message-attempt", "delivery"}

// place is where a group comes in the document.
func place(group string) int {
	if at := slices.Index(firstGroups, group); at >= 0 {
		return at
	}
	return len(firstGroups)
}

// groups are the parts of the document and what is said of them.
var groups = map[string]string{
	"health":          "Whether the server can work.",
	"document":        "This document.",
	"adapter":         "The part of the server that sends.",
	"authentication":  "Tokens for the users of your applications, and their end.",
	"token":           "A token says who asks, and what they may. These are the ones for programs.",
	"pause":           "While everything is paused nothing is sent to anybody, and nothing is lost.",
	"statistics":      "What happened, counted by time, application, endpoint and event type.",
	"background-task": "A task goes on by itself, at a bounded rate and beside what is being sent, and survives restarts.",
	"application":     "An application is one of your customers, with endpoints and messages of its own.",
	"event-type":      "An event type says what messages of a type are. Endpoints subscribe to event types.",
	"endpoint":        "An endpoint is a URL that gets an application's messages, or those of some types.",
	"message":         "A message is what happened. It is sent to every endpoint that hears of its type.",
	"delivery":        "A delivery is a message for an endpoint, from its acceptance until it has succeeded or ended.",
	"operational-webhook-endpoint": "Endpoints of your own that are told of what happens to your customers' endpoints and messages: " +
		"endpoint.created, .updated, .deleted, .disabled, .paused, .resumed and .failing, message.attempt.failing, .exhausted and .recovered, message.cancelled.",
	"message-attempt": "An attempt is one request that was made to bring a message to an endpoint.",
}

// tell describes an operation. Schemas that have names are left with all.
func (op *operation) tell(all *schemas, maxBody int64) *documentOperation {
	told := &documentOperation{
		ID: "v1." + op.name, Summary: op.summary, Description: op.about, Tags: []string{op.group()},
		Security: []map[string][]string{}, Deprecated: op.deprecated,
	}
	if op.scope != anyone {
		told.Security = append(told.Security, map[string][]string{tokenScheme: {op.scope.String(), op.needs.String()}})
	}
	for _, name := range op.references {
		ref := references[name]
		rule := slugSchema
		rule.Type = kinds{"string"}
		told.Parameters = append(told.Parameters, &documentParameter{
			Name: name, In: "path", Required: true, Description: ref.doc, Schema: &rule,
		})
	}
	if op.asks != nil {
		told.Parameters = append(told.Parameters, queryParameters(all, op.asks)...)
	}
	if op.once {
		told.Parameters = append(told.Parameters, &documentParameter{Ref: "#/components/parameters/idempotency-key"})
	}
	if op.takes != nil {
		told.Body = &documentBody{true, jsonMedia(all.of(op.takes))}
	}
	op.tellAnswers(told, all, maxBody)
	return told
}

// tellAnswers lists every status that the operation may have.
func (op *operation) tellAnswers(told *documentOperation, all *schemas, maxBody int64) {
	usual := append([]int{op.status}, op.others...)
	for _, status := range op.statuses() {
		text := strconv.Itoa(status)
		if status == http.StatusRequestEntityTooLarge && op.bodyBytes > maxBody {
			told.Responses.add(text, refusalResponse(status, bodyTooLongText(op.bodyBytes), jsonMedia(all.of(reflect.TypeFor[errorOut]()))))
			continue
		}
		if !slices.Contains(usual, status) {
			told.Responses.add(text, &documentResponse{Ref: "#/components/responses/" + text})
			continue
		}
		answer := &documentResponse{Description: http.StatusText(status), Headers: headersOf("neohook-request-id", "neohook-ignored")}
		if op.answer != nil {
			answer.Content = map[string]documentMedia{op.mediaType(): {all.of(op.answer)}}
		}
		told.Responses.add(text, answer)
	}
}

// mediaType is that of the usual answer.
func (op *operation) mediaType() string {
	if op.media != "" {
		return op.media
	}
	return "application/json"
}

func jsonMedia(s *schema) map[string]documentMedia {
	return map[string]documentMedia{"application/json": {s}}
}

// queryParameters describes the fields of a query. A list may be written in several ways,
// of which the document tells one.
func queryParameters(all *schemas, query reflect.Type) (params []*documentParameter) {
	var fields schema
	all.gather(&fields, query, nil)
	for _, one := range fields.Properties {
		param := &documentParameter{
			Name: one.name, In: "query", Description: one.value.Description, Deprecated: one.value.Deprecated, Schema: one.value,
			Required: slices.Contains(fields.Required, one.name),
		}
		one.value.Description, one.value.Deprecated = "", false
		params = append(params, param)
	}
	return params
}

func idempotencyKey() *documentParameter {
	return &documentParameter{
		Name: "idempotency-key", In: "header", Schema: &schema{Type: kinds{"string"}, MaxLength: maxKeyBytes},
		Description: "With a key, the request is carried out once: a repeat gets the first answer, for 12 hours, " +
			"or for 10 minutes under a key that begins with `auto_`. With another body the key is refused (409).",
	}
}

// headersOf refers to headers of the components.
func headersOf(names ...string) (headers ordered[*documentHeader]) {
	for _, name := range names {
		headers.add(name, &documentHeader{Ref: "#/components/headers/" + name})
	}
	return headers
}

func answerHeaders() ordered[*documentHeader] {
	text, number := &schema{Type: kinds{"string"}}, &schema{Type: kinds{"integer"}}
	return ordered[*documentHeader]{
		{"neohook-request-id", &documentHeader{Description: "Names the request in the server's log.", Schema: text}},
		{"neohook-ignored", &documentHeader{Description: "The names in the request that nobody knows.", Schema: text}},
		{"retry-after", &documentHeader{Description: "When to repeat the request, in seconds.", Schema: number}},
		{"www-authenticate", &documentHeader{Description: "Bearer.", Schema: text}},
	}
}

// refusalResponses are the answers that refuse, by status.
func refusalResponses(all *schemas, maxBody int64) (responses ordered[*documentResponse]) {
	failure, faulty := all.of(reflect.TypeFor[errorOut]()), all.of(reflect.TypeFor[faultsOut]())
	for _, one := range []struct {
		status int
		text   string
	}{
		{400, "The query can't be read, or the request can't be carried out as things are."},
		{401, "There is no token, or it is not valid."},
		{403, "The token does not let its bearer do this."},
		{404, "What the path names does not exist."},
		{409, "Something with this uid exists, or the idempotency-key was used for another request."},
		{413, bodyTooLongText(maxBody)},
		{415, "The body has a content encoding."},
		{422, "The request is not valid. Everything that is wrong with it is listed."},
		{429, "The application has as much as it may. The request was not carried out."},
		{500, "The server failed. Its log says more, under the request's id."},
		{503, "The server can't do it at present. Repeat the request after a while, with the same idempotency-key."},
	} {
		media := jsonMedia(failure)
		if one.status == http.StatusUnprocessableEntity {
			media = jsonMedia(faulty)
		}
		responses.add(strconv.Itoa(one.status), refusalResponse(one.status, one.text, media))
	}
	return responses
}

func refusalResponse(status int, text string, media map[string]documentMedia) *documentResponse {
	headers := headersOf("neohook-request-id", "neohook-ignored")
	switch status {
	case http.StatusUnauthorized:
		headers = append(headers, headersOf("www-authenticate")...)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		headers = append(headers, headersOf("retry-after")...)
	}
	return &documentResponse{Description: text, Headers: headers, Content: media}
}

func bodyTooLongText(limit int64) string {
	return fmt.Sprintf("The body is larger than %d bytes.", limit)
}
