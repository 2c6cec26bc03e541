package httpapi

import (
	"net/http"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func expungeOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "application.expunge", route: "POST /app/{app_id}/expunge",
			scope: organisationOnly, needs: access.Administer,
			summary: "Delete an application with everything that is kept of it",
			about:   "It can't be undone. An application that was deleted before is named by its id. It may take long, and goes on when nobody waits.",
		}, expungeApplication),
		serves(operation{
			name: "message.expunge-content", route: "DELETE /app/{app_id}/msg/{msg_id}/content",
			scope: organisationOnly, needs: access.Administer,
			summary: "Delete a message's payload",
			about: "From memory and from the server's files, before the answer is given. What is open of it is cancelled; it can't be sent again. " +
				"To delete it again is no error.",
		}, expungePayload),
		serves(operation{
			name: "message.expunge", route: "DELETE /app/{app_id}/msg/{msg_id}",
			scope: organisationOnly, needs: access.Administer,
			summary: "Delete a message with all that is kept of it",
			about:   "Its deliveries, its attempts, and what was counted of it.",
		}, expungeMessage),
		serves(operation{
			name: "message.expunge-all-contents", route: "POST /app/{app_id}/msg/expunge-all-contents",
			scope: organisationOnly, needs: access.Administer, status: http.StatusAccepted,
			summary: "Delete the payloads of all messages of an application",
			about:   "Of those that were accepted before. It may take long, and goes on when nobody waits; when it is answered it has been carried out.",
		}, expungePayloads),
		serves(operation{
			name: "message-attempt.expunge-content", route: "DELETE /app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content",
			scope: organisationOnly, needs: access.Administer,
			summary: "Delete what an attempt was answered",
		}, expungeResponse),
	}
}

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
