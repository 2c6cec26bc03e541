package httpapi

import (
	"time"

	"github.com/neohook/neohook/webhook"
)

// What is expunged is gone when the answer is given, from the server's files too.

func expungePayload(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.ExpungePayload(c.ctx(), c.tenant(), c.event()), "Message")
}

func expungeMessage(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.ExpungeEvent(c.ctx(), c.tenant(), c.event()), "Message")
}

func expungeResponse(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.ExpungeResponse(c.ctx(), c.tenant(), c.event(), c.attempt()), "Attempt")
}

// expungedOut is what the published clients want to hear of a task, of one that has been
// carried out.
type expungedOut struct {
	ID        webhook.JobID `json:"id" doc:"A name for what was done. It is not kept."`
	Status    string        `json:"status" is:"enum=finished" doc:"It has been carried out."`
	Task      string        `json:"task" is:"enum=application.purge_content" doc:"What was done."`
	UpdatedAt instant       `json:"updatedAt" doc:"When."`
}

func expungePayloads(c *call, _, _ *none) (out expungedOut, _ error) {
	if err := c.org.ExpungePayloads(c.ctx(), c.tenant()); err != nil {
		return out, c.missing(err, "")
	}
	return expungedOut{ID: webhook.NewJobID(), Status: "finished", Task: "application.purge_content", UpdatedAt: instant(time.Now())}, nil
}

func expungeApplication(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.ExpungeTenant(c.ctx(), c.tenant()), "")
}
