package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/neohook/neohook"
)

// basePath begins the path of every operation.
const basePath = "/api/v1"

// Options say how the API is served.
type Options struct {
	// Logger hears of each request that failed by the server's own fault (Error, and Warn
	// for overload), and of every request at Debug. Nil is silent.
	Logger *slog.Logger
	// Metrics is served at /metrics to the operator, who has a token of the engine's own
	// organisation; nil is nothing there.
	Metrics http.Handler
	// Version is told at "/"; "" is "unknown".
	Version string
	// PublicURL is where browsers reach the server, as "https://hooks.example"; "" is where
	// the request came to. Links to pages begin with it.
	PublicURL string
}

// API is the handler. It is safe for concurrent use and starts nothing by itself.
//
// It bounds the size of a request, not the time it takes to arrive: its server should
// have a ReadTimeout and a ReadHeaderTimeout.
type API struct {
	engine  *neohook.Engine
	log     *slog.Logger
	version string
	// publicURL has no slash at its end.
	publicURL string
	metrics   http.Handler
	mux       *http.ServeMux
	full      trouble // no room
	away      trouble // the database is
	streams   streams
	heartbeat time.Duration // of streams
	// document is made when it is asked for first.
	document func() (*file, error)
	docs     func() (*file, error)
}

// New returns the API of an engine.
func New(engine *neohook.Engine, opts Options) (*API, error) {
	if engine == nil {
		return nil, errors.New("httpapi: New needs an engine")
	}
	api := &API{
		engine: engine, log: opts.Logger, version: opts.Version, mux: http.NewServeMux(),
		metrics: opts.Metrics, publicURL: strings.TrimRight(opts.PublicURL, "/"),
		heartbeat: defaultHeartbeat,
	}
	if api.log == nil {
		api.log = slog.New(slog.DiscardHandler)
	}
	if api.version == "" {
		api.version = "unknown"
	}
	api.document, api.docs = sync.OnceValues(api.makeDocument), sync.OnceValues(api.makeDocs)
	api.route(operations())
	if api.metrics != nil {
		api.mux.Handle(metricsPath, metricsPage{api})
	}
	return api, nil
}

// route makes a resource of each path in the table. Methods are the resource's matter and
// not the mux's, which would refuse one in plain text.
func (api *API) route(table []*operation) {
	resources := make(map[string]*resource)
	for _, op := range table {
		res := resources[op.path]
		if res == nil {
			res = &resource{api: api, path: op.path, methods: make(map[string]*operation)}
			resources[op.path] = res
			if !shadows(table, op.path) {
				api.mux.Handle(basePath+op.path, res)
			}
		}
		res.add(op)
		if shadows(table, op.path) {
			api.mux.Handle(op.method+" "+basePath+op.path, res)
		}
	}
	api.mux.Handle("/", &resource{api: api})
	for pattern, op := range map[string]*operation{"/{$}": rootOperation(), docsPath: docsRow()} {
		res := &resource{api: api, path: op.path, methods: make(map[string]*operation)}
		res.add(op)
		api.mux.Handle(pattern, res)
	}
}

// shadows says that a path has a word of the API's where another path in the table has a
// name of the caller's: /msg/batch and /msg/{msg_id}. Only what it does takes it away from
// the other, so that a message may be called "batch".
func shadows(table []*operation, path string) bool {
	parts := strings.Split(path, "/")
	return slices.ContainsFunc(table, func(op *operation) bool {
		other := strings.Split(op.path, "/")
		if op.path == path || len(other) != len(parts) {
			return false
		}
		for i := range parts {
			if other[i] != parts[i] && !strings.HasPrefix(other[i], "{") {
				return false
			}
		}
		return true
	})
}

// ServeHTTP answers a request. One slash at the end of the path makes no difference.
func (api *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if length := len(r.URL.Path); length > 1 && r.URL.Path[length-1] == '/' {
		r = withPath(r, r.URL.Path[:length-1], strings.TrimSuffix(r.URL.RawPath, "/"))
	}
	if r.RequestURI == "*" || r.Method == http.MethodConnect || !isPlain(r.URL.Path) {
		(&resource{api: api}).ServeHTTP(w, r)
		return
	}
	api.mux.ServeHTTP(w, r)
}

// isPlain says that a path begins at the root and has no empty or dotted segments: the
// mux would redirect to one that is.
func isPlain(text string) bool { return path.Clean("/"+text) == text }

func withPath(r *http.Request, plain, raw string) *http.Request {
	asked := *r
	asked.URL = new(url.URL)
	*asked.URL = *r.URL
	asked.URL.Path, asked.URL.RawPath = plain, raw
	return &asked
}
