package httpapi

import (
	"bytes"
	"net/http"

	"github.com/neohook/neohook/access"
)

// metricsPath is where Options.Metrics is served, as Prometheus looks for it by default.
const metricsPath = "/metrics"

// metricsPage serves Options.Metrics to the operator: whoever has a token of the engine's
// own organisation that may view things, and is confined to no application. What it tells,
// though without names, is of all organisations together.
type metricsPage struct{ api *API }

func (page metricsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{
		api: page.api, req: r, resp: w, id: requestID(), buf: new(bytes.Buffer),
		op: &operation{name: "metrics", method: http.MethodGet, scope: operatorOnly, needs: access.View},
	}
	header := w.Header()
	header[requestIDHeader] = []string{c.id}
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		c.refuse(&refusal{
			status: http.StatusMethodNotAllowed, code: "method_not_allowed", allow: "GET, HEAD",
			detail: "This path takes GET, HEAD",
		})
		return
	}
	err := c.authenticate()
	if err == nil {
		err = c.authorise()
	}
	if err != nil {
		c.refuse(err)
		return
	}
	page.api.metrics.ServeHTTP(w, r)
}
