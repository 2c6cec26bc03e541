package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/neohook/neohook/access"
)

// Way is an operation: its name, its method, and the path in the document.
type Way struct{ Name, Method, Path string }

// Declared returns the operation that a method and path lead to, zero for none, and every
// status that the table lets it answer with.
func (api *API) Declared(method, path string) (way Way, statuses []int) {
	path, _, _ = strings.Cut(path, "?")
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	r := &http.Request{Method: method, URL: &url.URL{Path: path}}
	handler, _ := api.mux.Handler(r)
	res, _ := handler.(*resource)
	if res == nil {
		return way, nil
	}
	op, err := res.operation(method)
	if err != nil {
		return way, nil
	}
	return Way{op.name, op.method, basePath + op.path}, op.statuses()
}

// Document returns the OpenAPI document.
func (api *API) Document() []byte {
	made, err := api.document()
	if err != nil {
		panic(err)
	}
	return made.plain
}

// Operations lists the names in the table.
func Operations() (names []string) {
	for _, op := range operations() {
		names = append(names, op.name)
	}
	return names
}

// Ways lists the methods and paths in the table, as "GET /app/{app_id}".
func Ways() (ways []string) {
	for _, op := range operations() {
		ways = append(ways, op.method+" "+op.path)
	}
	return ways
}

// SetHeartbeat sets how often a stream says something.
func (api *API) SetHeartbeat(every time.Duration) { api.heartbeat = every }

// Row is what the table says of an operation.
type Row struct {
	Way
	Scope string
	Needs access.Right
	// Takes says that it has a body, Upserts that the last thing in its path need not exist.
	// Streams is an answer that does not end by itself.
	Takes, Upserts, Streams bool
	// Places are the names in its path.
	Places []string
}

// Table lists what the table says.
func Table() (rows []Row) {
	for _, op := range operations() {
		rows = append(rows, Row{
			Way{op.name, op.method, basePath + op.path}, op.scope.String(), op.needs, op.body != nil, op.upsert, op.media == streamType, op.references,
		})
	}
	return rows
}

// Lists names the operations that answer with a list.
func Lists() (names []string) {
	for _, op := range operations() {
		if op.answer != nil && strings.HasPrefix(op.answer.Name(), "listOut[") {
			names = append(names, op.name)
		}
	}
	return names
}
