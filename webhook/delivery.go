package webhook

// Delivery is one event for one endpoint, as an adapter is given it.
type Delivery struct {
	ID       DeliveryID
	Endpoint EndpointID
	Event    EventID
	// EventType is the event's type.
	EventType string
	// Attempt is the number of the attempt to be made, from 1; 0 is 1.
	Attempt int
	// Status is where the delivery stands before this attempt; the zero value is Pending.
	Status State
	// Backoff rules the retries of adapter.Retry. The engine has a Schedule instead and
	// does not read it.
	Backoff Backoff
	// Payload is sent byte for byte.
	Payload []byte
}
