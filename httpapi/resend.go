package httpapi

import (
	"errors"
	"net/http"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
)

func resendOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "message-attempt.resend", route: "POST /app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend",
			scope: application, needs: access.CreateAttempts, status: http.StatusAccepted, once: true,
			refusals: []int{http.StatusTooManyRequests},
			summary:  "Send a message to an endpoint once more",
			about: "Whatever became of it there, and whatever the endpoint listens to. It is a single attempt, which changes nothing of the delivery's own " +
				"schedule, except that its success ends one that is still open. To a disabled endpoint nothing is sent.",
		}, resendMessage),
	}
}

// emptyOut is an answer that says nothing but that it was carried out.
type emptyOut struct{}

// resendMessage sends a message again. To a disabled endpoint nothing is sent, which is
// no error on this wire.
func resendMessage(c *call, _, _ *none) (out emptyOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	err = org.Resend(c.ctx(), c.tenant(), c.event(), c.endpoint())
	if errors.Is(err, neohook.ErrEndpointDisabled) {
		return out, nil
	}
	return out, c.missing(err, "Message or endpoint")
}
