package httpapi

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/neohook/neohook/access"
)

// operation is all that is known of one way in. The table of them (operations) is what
// requests are served from.
type operation struct {
	// name is the operation's own, "application.create".
	name string
	// route is its method and its path below basePath: "GET /app/{app_id}".
	route string
	// scope says whose token is taken, needs what the token must give. There is no default
	// for either: a row without them is not served.
	scope   scope
	needs   access.Right
	summary string
	// about is what else the document says of it: paragraphs, divided by empty lines.
	about string
	// status is that of the usual answer: 200 unless told, or 204 where the handler has no
	// answer to give. others are those it may also have; refusals beyond what any
	// operation may answer.
	status   int
	others   []int
	refusals []int
	// media is the type of the usual answer; "" is JSON.
	media string
	// bodyBytes bounds the body where it may be longer than that of others.
	bodyBytes int64
	// names are the body's words for the domain's fields.
	names wireNames
	// upsert: the last entity of the path need not exist, and is created. bodyFirst: a bad body is told
	// before an unknown path.
	upsert, bodyFirst bool
	// deprecated: it is there for older clients.
	deprecated bool
	// once: it takes an idempotency-key, and is done a single time (call.once).
	once bool

	// What follows is found out by serves.
	method, path string
	references   []string // the names in the path
	query, body  *shape
	asks, takes  reflect.Type // those of the query and of the body; nil without one
	answer       reflect.Type
	serve        func(*call) (any, error)
}

// scope says whose token an operation takes.
type scope uint8

const (
	_                scope = iota
	anyone                 // no token; needs nothing
	anyToken               // an organisation's or an application's
	application            // an organisation's, or that of the application in the path
	organisationOnly       // an organisation's
	operatorOnly           // that of the organisation whose server it is
)

// String is the scope in the words of the document.
func (s scope) String() string {
	return [...]string{"", "none", "any", "application", "organisation", "operator"}[s]
}

// statuses are all that the operation may answer with, in order.
func (op *operation) statuses() []int {
	all := append([]int{op.status, http.StatusBadRequest, http.StatusInternalServerError, http.StatusServiceUnavailable}, op.others...)
	all = append(all, op.refusals...)
	if op.scope != anyone {
		all = append(all, http.StatusUnauthorized, http.StatusForbidden)
	}
	if len(op.references) > 0 {
		all = append(all, http.StatusNotFound, http.StatusUnprocessableEntity)
	}
	if op.asks != nil {
		all = append(all, http.StatusUnprocessableEntity)
	}
	if op.once {
		all = append(all, http.StatusConflict, http.StatusUnprocessableEntity)
	}
	if op.body != nil {
		all = append(all, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// handler does the work of an operation: Q is its query, B its body, A its answer, none
// where it has none of the kind.
type handler[Q, B, A any] func(c *call, query *Q, body *B) (A, error)

// serves completes a row with the types of its handler.
func serves[Q, B, A any](op operation, handle handler[Q, B, A]) *operation {
	op.method, op.path, _ = strings.Cut(op.route, " ")
	op.mustSayWhoMay()
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
	if op.upsert {
		op.others = []int{http.StatusCreated}
	}
	switch {
	case op.status != 0:
	case op.answer == nil:
		op.status = http.StatusNoContent
	default:
		op.status = http.StatusOK
	}
	op.serve = func(c *call) (any, error) {
		// The order of these checks is part of the contract: the query, who asks and may,
		// the path, the body. What the path names is looked up with the work itself.
		var query Q
		var body B
		if err := c.readQuery(&query); err != nil {
			return nil, err
		}
		if err := c.authenticate(); err != nil {
			return nil, err
		}
		if err := c.authorise(); err != nil {
			return nil, err
		}
		if err := c.checkPath(); err != nil {
			return nil, err
		}
		if err := c.confine(); err != nil {
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

// mustSayWhoMay panics for a row that leaves open who may use it.
func (op *operation) mustSayWhoMay() {
	switch inApplication := strings.Contains(op.path, "{app_id}"); {
	case op.scope == 0, (op.scope == anyone) != (op.needs == 0):
		panic("httpapi: " + op.name + " does not say who may use it: scope and needs")
	case op.scope == application && !inApplication:
		panic("httpapi: " + op.name + " is for an application and has none in its path")
	}
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
