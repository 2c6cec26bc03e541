package neohook

import (
	"context"
	"fmt"
	"strings"

	"github.com/neohook/neohook/webhook"
)

// PayloadError is an ErrPayload that says what does not fit, and where.
type PayloadError struct {
	EventType string
	// Version is that of the newest schema of the type, to which the Faults are. The payload
	// fits no older one either.
	Version string
	Faults  []PayloadFault
}

// PayloadFault is one thing that does not fit. It does not repeat the value.
type PayloadFault struct {
	// Path leads to it, from the outside in: names, and indexes as "[0]".
	Path    []string
	Message string
}

// Error names the first fault.
func (e *PayloadError) Error() string {
	first := PayloadFault{Message: "does not fit"}
	if len(e.Faults) > 0 {
		first = e.Faults[0]
	}
	return fmt.Sprintf("%v: %s, version %s: /%s %s", ErrPayload, e.EventType, e.Version, strings.Join(first.Path, "/"), first.Message)
}

// Unwrap returns ErrPayload.
func (e *PayloadError) Unwrap() error { return ErrPayload }

// checkPayload holds an event's payload to the schemas of its type, if the options say so,
// and returns what does not fit.
func (o *Organisation) checkPayload(ctx context.Context, event *webhook.Event) (*PayloadError, error) {
	if !o.engine.opts.CheckPayloads {
		return nil, nil
	}
	misfit, err := o.engine.catalogue.Check(ctx, string(o.id), event.Type, event.Payload)
	if err != nil {
		return nil, fmt.Errorf("neohook: publish: event type %q: %w", event.Type, err)
	}
	if misfit == nil {
		return nil, nil
	}
	bad := &PayloadError{EventType: event.Type, Version: misfit.Version}
	for _, fault := range misfit.Faults {
		bad.Faults = append(bad.Faults, PayloadFault{Path: fault.Path, Message: fault.Message})
	}
	return bad, nil
}
