package httpapi

import "github.com/neohook/neohook/webhook"

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
