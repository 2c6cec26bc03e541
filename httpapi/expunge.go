package httpapi

import (
	"net/http"

	"github.com/neohook/neohook"
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
			name: "message.bulk-expunge-contents", route: "POST /app/{app_id}/msg/bulk-expunge",
			scope: organisationOnly, needs: access.Administer,
			summary: "Delete the payloads of some messages",
			about:   "As message.expunge-content does. The answer says of each whether there is such a message.",
		}, expungeSomePayloads),
		serves(operation{
			name: "message.expunge", route: "DELETE /app/{app_id}/msg/{msg_id}",
			scope: organisationOnly, needs: access.Administer,
			summary: "Delete a message with all that is kept of it",
			about:   "Its deliveries, its attempts, and what was counted of it.",
		}, expungeMessage),
		serves(operation{
			name: "message.expunge-all-contents", route: "POST /app/{app_id}/msg/expunge-all-contents",
			scope: organisationOnly, needs: access.Administer, status: http.StatusAccepted,
			once: true, refusals: []int{http.StatusTooManyRequests},
			summary: "Delete the payloads of all messages of an application",
			about: "Of those that were accepted before. A task deletes them, and counts them as `messagesPurged` in its data: see background-task. " +
				"When it has finished they are gone from memory and from the server's files. One that is cancelled leaves the rest.",
		}, expungePayloads),
		serves(operation{
			name: "message-attempt.expunge-content", route: "DELETE /app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content",
			scope: organisationOnly, needs: access.Administer,
			summary: "Delete what an attempt was answered",
		}, expungeResponse),
	}
}

// What is expunged is gone when the answer is given, or its task has finished, from the
// server's files too.

func expungePayload(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.ExpungePayload(c.ctx(), c.tenant(), c.event()), "Message")
}

func expungeMessage(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.ExpungeEvent(c.ctx(), c.tenant(), c.event()), "Message")
}

func expungeResponse(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.ExpungeResponse(c.ctx(), c.tenant(), c.event(), c.attempt()), "Attempt")
}

// someMessagesIn are messages by their names.
type someMessagesIn struct {
	IDs opt[[]string] `json:"ids" is:"max=250,slug" doc:"The messages, by their ids or eventIds."`
	rest
}

// someExpungedOut says of each what became of it.
type someExpungedOut struct {
	Results map[string]expungedOut `json:"results" doc:"By the names that were given."`
}

// expungedOut is what became of one.
type expungedOut string

func (expungedOut) schema(*schemas) *schema {
	return &schema{Type: kinds{"string"}, Enum: []any{"expunged", "not-found"}}
}

func expungeSomePayloads(c *call, _ *none, in *someMessagesIn) (out someExpungedOut, _ error) {
	events := make([]webhook.EventID, len(in.IDs.Value))
	for i, name := range in.IDs.Value {
		events[i] = webhook.EventID(name)
	}
	found, err := c.org.ExpungePayloadsOf(c.ctx(), c.tenant(), events)
	if err != nil {
		return out, c.missing(err, "")
	}
	out.Results = make(map[string]expungedOut, len(found))
	for i, was := range found {
		out.Results[in.IDs.Value[i]] = "not-found"
		if was {
			out.Results[in.IDs.Value[i]] = "expunged"
		}
	}
	return out, nil
}

func expungePayloads(c *call, _, _ *none) (taskOut, error) {
	return c.start("", func(org *neohook.Organisation) (webhook.Job, error) {
		return org.ExpungePayloads(c.ctx(), c.tenant())
	})
}

func expungeApplication(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.ExpungeTenant(c.ctx(), c.tenant()), "")
}
