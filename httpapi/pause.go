package httpapi

import (
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func pauseOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "application.pause", route: "POST /app/{app_id}/pause",
			scope: organisationOnly, needs: access.Administer,
			summary: "Send nothing to an application's endpoints for now",
			about:   "Messages are accepted, and their deliveries wait until it is resumed. What is in flight ends. Nothing is disabled meanwhile.",
		}, pauseApplication),
		serves(operation{
			name: "application.resume", route: "POST /app/{app_id}/resume",
			scope: organisationOnly, needs: access.Administer,
			summary: "Send to an application's endpoints again",
		}, resumeApplication),
		serves(operation{
			name: "pause.get", route: "GET /pause",
			scope: operatorOnly, needs: access.View,
			summary: "Say whether everything is paused",
		}, getPause),
		serves(operation{
			name: "pause.begin", route: "POST /pause",
			scope: operatorOnly, needs: access.Administer,
			summary: "Send nothing to anybody for now",
			about:   "Of all organisations. Messages are accepted and wait. It is stored, and so outlives a restart.",
		}, pauseAll),
		serves(operation{
			name: "pause.end", route: "POST /resume",
			scope: operatorOnly, needs: access.Administer,
			summary: "Send again whatever is not paused for itself",
		}, resumeAll),
		serves(operation{
			name: "endpoint.pause", route: "POST /app/{app_id}/endpoint/{endpoint_id}/pause",
			scope: application, needs: access.ManageEndpoint,
			summary: "Send nothing to an endpoint for now",
			about:   "Its deliveries are made, and wait until it is resumed. What is in flight ends. It is not disabled meanwhile, however it had failed.",
		}, pauseEndpoint),
		serves(operation{
			name: "endpoint.resume", route: "POST /app/{app_id}/endpoint/{endpoint_id}/resume",
			scope: application, needs: access.ManageEndpoint,
			summary: "Send to an endpoint again",
		}, resumeEndpoint),
	}
}

// What is paused is kept waiting, and nothing of it is lost.

func pauseApplication(c *call, _, _ *none) (none, error)  { return c.setApplicationPaused(true) }
func resumeApplication(c *call, _, _ *none) (none, error) { return c.setApplicationPaused(false) }

func (c *call) setApplicationPaused(paused bool) (none, error) {
	_, err := c.org.UpdateTenant(c.ctx(), c.tenant(), func(t *webhook.Tenant) error {
		t.Paused = paused
		return nil
	})
	return none{}, c.missing(err, "")
}

func pauseEndpoint(c *call, _, _ *none) (none, error)  { return c.setEndpointPaused(true) }
func resumeEndpoint(c *call, _, _ *none) (none, error) { return c.setEndpointPaused(false) }

func (c *call) setEndpointPaused(paused bool) (none, error) {
	_, err := c.org.UpdateEndpoint(c.ctx(), c.tenant(), c.endpoint(), func(ep *webhook.Endpoint) error {
		ep.Paused = paused
		return nil
	})
	return none{}, c.missing(err, "Endpoint")
}

// pauseOut says whether everything is paused.
type pauseOut struct {
	Paused bool `json:"paused" doc:"Whether nothing is sent to anybody."`
}

func getPause(c *call, _, _ *none) (pauseOut, error) { return pauseOut{c.api.engine.Paused()}, nil }

func pauseAll(c *call, _, _ *none) (none, error)  { return none{}, c.api.engine.Pause(c.ctx()) }
func resumeAll(c *call, _, _ *none) (none, error) { return none{}, c.api.engine.Resume(c.ctx()) }
