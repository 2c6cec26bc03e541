package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/neohook/neohook/store"
)

func healthOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "health.get", route: "GET /health",
			scope: anyone, others: []int{http.StatusServiceUnavailable},
			summary: "Say whether the server can work",
		}, health),
		serves(operation{
			name: "health.ping", route: "GET /health/ping",
			scope:   anyone,
			summary: "Answer",
		}, ping),
	}
}

// healthOut says which parts work. The API knows one, the store; the others are there
// for clients that look for them and stand and fall with it.
type healthOut struct {
	Code     string    `json:"code,omitzero" doc:"What is wrong, for programs."`
	Detail   string    `json:"detail,omitzero" doc:"What is wrong, for people."`
	Database condition `json:"database" doc:"The store."`
	Queue    condition `json:"queue" doc:"Part of the store."`
	Cache    condition `json:"cache" doc:"Part of the store."`
}

type condition struct {
	Status string `json:"status" is:"enum=ok|error" doc:"How it is."`
}

func health(c *call, _, _ *none) (healthOut, error) {
	if err := c.api.engine.Health(c.ctx()); err != nil {
		if !errors.Is(err, store.ErrUnavailable) || c.api.away.refuse(time.Now()) {
			c.api.log.ErrorContext(c.ctx(), "store does not answer", "request_id", c.id, "error", err)
		}
		c.status = http.StatusServiceUnavailable
		bad := condition{"error"}
		return healthOut{"unavailable", "The store does not answer", bad, bad, bad}, nil
	}
	c.foundDatabase()
	ok := condition{"ok"}
	return healthOut{Database: ok, Queue: ok, Cache: ok}, nil
}

func ping(*call, *none, *none) (out none, _ error) { return out, nil }

// rootOperation is what is at "/", above basePath.
func rootOperation() *operation {
	return serves(operation{
		name: "root", route: "GET /", scope: anyone,
		summary: "Say what this is",
	}, root)
}

// rootOut points a person who looks at "/" on.
type rootOut struct {
	Name    string `json:"name" doc:"The program."`
	Version string `json:"version" doc:"Its version."`
	API     string `json:"api" doc:"Where the paths of the API begin."`
	Docs    string `json:"docs" doc:"Where the reference is."`
}

// root leads browsers to the reference.
func root(c *call, _, _ *none) (rootOut, error) {
	c.resp.Header().Set("Vary", "Accept")
	if strings.Contains(c.req.Header.Get("Accept"), "text/html") {
		c.resp.Header().Set("Location", docsPath)
		c.status = http.StatusFound
	}
	return rootOut{"neohook", c.api.version, basePath, docsPath}, nil
}
