package httpapi

import "net/http"

// healthOut says which parts work. The API knows one, the store; the others are there
// for clients that look for them and stand and fall with it.
type healthOut struct {
	Code     string    `json:"code,omitzero"`
	Detail   string    `json:"detail,omitzero"`
	Database condition `json:"database"`
	Queue    condition `json:"queue"`
	Cache    condition `json:"cache"`
}

type condition struct {
	Status string `json:"status"`
}

func health(c *call, _, _ *none) (healthOut, error) {
	if err := c.api.engine.Health(c.ctx()); err != nil {
		c.api.log.ErrorContext(c.ctx(), "store does not answer", "request_id", c.id, "error", err)
		c.status = http.StatusServiceUnavailable
		bad := condition{"error"}
		return healthOut{"unavailable", "The store does not answer", bad, bad, bad}, nil
	}
	ok := condition{"ok"}
	return healthOut{Database: ok, Queue: ok, Cache: ok}, nil
}

func ping(*call, *none, *none) (out none, _ error) { return out, nil }

// rootOut points a person who looks at "/" on.
type rootOut struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	API     string `json:"api"`
}

func root(c *call, _, _ *none) (rootOut, error) {
	return rootOut{"neohook", c.api.version, basePath}, nil
}
