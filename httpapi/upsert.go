package httpapi

import (
	"errors"
	"net/http"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// upsert replaces what is there or makes it. When another request makes it in between,
// it is there after all; what then still conflicts is another entity's uid.
func upsert[T any](c *call, replace, create func() (T, error)) (T, error) {
	put, err := replace()
	if !errors.Is(err, neohook.ErrNotFound) && !errors.Is(err, webhook.ErrMalformedID) {
		return put, err
	}
	made, err := create()
	if !errors.Is(err, neohook.ErrConflict) {
		c.status = http.StatusCreated
		return made, err
	}
	if put, again := replace(); again == nil {
		return put, nil
	}
	return made, err
}
