package httpapi

import (
	"net/http"
	"reflect"
)

// operation is all that is known of one way in. The table of them (operations) is what
// requests are served from.
type operation struct {
	// name is the operation's own, "application.create".
	name    string
	method  string
	path    string // below basePath
	scope   scope
	summary string
	// about is what else the document says of it: paragraphs, divided by empty lines.
	about string
	// status is that of the usual answer, others are those it may also have; refusals
	// beyond what any operation may answer.
	status   int
	others   []int
	refusals []int
	// names are the body's words for the domain's fields.
	names wireNames
	// upsert: the last entity of the path need not exist. bodyFirst: a bad body is told
	// before an unknown path.
	upsert, bodyFirst bool
	// once: it takes an idempotency-key, and is done a single time (call.once).
	once bool

	// What follows is found out by serves.
	references  []string // the names in the path
	query, body *shape
	asks, takes reflect.Type // those of the query and of the body; nil without one
	answer      reflect.Type
	serve       func(*call) (any, error)
}

// scope says whose token an operation takes.
type scope uint8

const (
	anyone           scope = iota // no token
	anyToken                      // an organisation's or an application's
	application                   // an organisation's, or the application's own
	organisationOnly              // an organisation's
)

// handler does the work of an operation: Q is its query, B its body, A its answer, none
// where it has none of the kind.
type handler[Q, B, A any] func(c *call, query *Q, body *B) (A, error)

// serves completes a row with the types of its handler.
func serves[Q, B, A any](op operation, handle handler[Q, B, A]) *operation {
	op.references = referencesIn(op.path)
	op.query = shapeOf(reflect.TypeFor[Q]())
	if reflect.TypeFor[Q]() != reflect.TypeFor[none]() {
		op.asks = reflect.TypeFor[Q]()
	}
	if reflect.TypeFor[B]() != reflect.TypeFor[none]() {
		op.takes = reflect.TypeFor[B]()
		op.body = shapeOf(op.takes)
	}
	if reflect.TypeFor[A]() != reflect.TypeFor[none]() {
		op.answer = reflect.TypeFor[A]()
	}
	op.serve = func(c *call) (any, error) {
		// The order of these checks is part of the contract: the query, who asks, the
		// path, the body. What the path names is looked up with the work itself.
		var query Q
		var body B
		if err := c.readQuery(&query); err != nil {
			return nil, err
		}
		if err := c.authenticate(); err != nil {
			return nil, err
		}
		if err := c.checkPath(); err != nil {
			return nil, err
		}
		if op.body != nil {
			if err := c.readBody(&body); err != nil {
				return nil, err
			}
		}
		answer, err := handle(c, &query, &body)
		if err != nil || op.answer == nil {
			return nil, err
		}
		return &answer, nil
	}
	return &op
}

// resource is what is at one path.
type resource struct {
	api *API
	// path is its pattern below basePath, "" for a path that nothing is at.
	path    string
	methods map[string]*operation
	allow   string
}

// add puts an operation at the path. Who may GET may ask with HEAD.
func (res *resource) add(op *operation) {
	res.methods[op.method] = op
	method := op.method
	if method == http.MethodGet {
		method = "GET, HEAD"
	}
	if res.allow != "" {
		method = ", " + method
	}
	res.allow += method
}

// operation finds what a method does here.
func (res *resource) operation(method string) (*operation, error) {
	if res.path == "" {
		return nil, notFound("There is nothing at this path")
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if op, found := res.methods[method]; found {
		return op, nil
	}
	return nil, &refusal{
		status: http.StatusMethodNotAllowed, code: "method_not_allowed", allow: res.allow,
		detail: "This path takes " + res.allow,
	}
}
