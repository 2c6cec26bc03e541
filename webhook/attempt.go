package webhook

import "time"

// Attempt is the record of one request.
type Attempt struct {
	ID       AttemptID
	Event    EventID
	Endpoint EndpointID
	// EventType, Channels and Tags are the event's.
	EventType string
	Channels  []string
	Tags      []string
	// Number counts the delivery's scheduled attempts from 1; a Manual one's, those of the
	// same request to send.
	Number  int
	Trigger Trigger
	// URL is where it went, as the endpoint was then.
	URL string
	// Succeeded says that the answer was 2xx.
	Succeeded bool
	// StatusCode of the answer; 0 is none.
	StatusCode int
	// Code says why there was no good answer, stable for programs; "" after an HTTP answer.
	Code FaultCode
	// Response is the beginning of the answer's body, or a sentence that says why there
	// was none.
	Response []byte
	// Expunged says that the Response was deleted because somebody asked for it.
	Expunged  bool
	StartedAt time.Time
	// Duration is from the look-up to the last byte that was read.
	Duration time.Duration
}
