package httpapi

import (
	"net/http"
	"net/url"
	"strings"
)

// Declared returns the operation that a method and path lead to, "" for none, and every
// status that the table lets it answer with.
func (api *API) Declared(method, path string) (name string, statuses []int) {
	path, _, _ = strings.Cut(path, "?")
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	r := &http.Request{Method: method, URL: &url.URL{Path: path}}
	handler, _ := api.mux.Handler(r)
	res, _ := handler.(*resource)
	if res == nil {
		return "", nil
	}
	op, err := res.operation(method)
	if err != nil {
		return "", nil
	}
	return op.name, op.statuses()
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

func (op *operation) statuses() []int {
	all := append([]int{op.status, http.StatusBadRequest, http.StatusUnprocessableEntity}, op.others...)
	all = append(all, op.refusals...)
	if op.scope != anyone {
		all = append(all, http.StatusUnauthorized, http.StatusForbidden)
	}
	if strings.Contains(op.path, "{") {
		all = append(all, http.StatusNotFound)
	}
	if op.body != nil {
		all = append(all, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	return append(all, http.StatusInternalServerError, http.StatusServiceUnavailable)
}
