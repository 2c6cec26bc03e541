package httpapi

import (
	"errors"

	"github.com/neohook/neohook"
)

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
