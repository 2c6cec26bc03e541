package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"

	"github.com/neohook/neohook"
)

// roleName is what a server does of the work of those that share a database.
type roleName string

const (
	doAll       roleName = "all"
	apiOnly     roleName = "api"
	deliverOnly roleName = "deliver"
)

func (r *roleName) UnmarshalText(text []byte) error {
	if role := roleName(text); slices.Contains([]roleName{doAll, apiOnly, deliverOnly}, role) {
		*r = role
		return nil
	}
	return fmt.Errorf("%q is not one of all, api, deliver", text)
}

func (r roleName) role() neohook.Role {
	switch r {
	case apiOnly:
		return neohook.RoleAPI
	case deliverOnly:
		return neohook.RoleDeliver
	}
	return neohook.RoleAll
}

// withoutAPI answers what tells how a server is, and says of all else where to ask.
func (r roleName) withoutAPI(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/api/v1/health", "/api/v1/health/ping", "/metrics"} {
		mux.Handle(path, api)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":"not_found","detail":"This server only delivers: ask one whose role is all or api"}`)
	})
	return mux
}

// nodeName is how the server is called, or its host.
func (s settings) nodeName() string {
	host, _ := os.Hostname() // it need not have one
	return cmp.Or(s.NodeName, host)
}
