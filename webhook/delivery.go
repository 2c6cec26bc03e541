package webhook

// Delivery is one event for one endpoint, as an adapter is given it. NewDelivery makes
// one; the engine makes its own.
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
	// Backoff rules the retries of package adapter/retry. The engine has a Schedule
	// instead and does not read it.
	Backoff Backoff
	// Payload is sent byte for byte.
	Payload []byte
}

// NewDelivery returns the delivery of an event to an endpoint, with a fresh ID, before
// its first attempt: Pending, and with the default Backoff. It shares the event's Payload.
func NewDelivery(event *Event, endpoint *Endpoint) *Delivery {
	return &Delivery{
		ID: NewDeliveryID(), Endpoint: endpoint.ID, Event: event.ID, EventType: event.Type,
		Attempt: 1, Status: Pending, Backoff: Backoff{}.WithDefaults(), Payload: event.Payload,
	}
}

// Validate returns all that is wrong with a delivery, as *InvalidError, or nil. Zero
// values that stand for a default are right. Identifiers are not looked at, except that
// there must be an Event or an ID: receivers know the delivery by it.
func (d *Delivery) Validate() error {
	var bad InvalidError
	if d.Event == "" && d.ID == "" {
		bad.Add("event", "must not be empty where the delivery has no id either")
	}
	if d.EventType != "" && !IsName(d.EventType) {
		bad.Add("eventType", nameRule)
	}
	if d.Attempt < 0 {
		bad.Add("attempt", "must be 1 or more, or 0 for 1")
	}
	if d.Status > Cancelled {
		bad.Add("status", "must be one of the states of a delivery")
	}
	d.Backoff.check(&bad)
	return bad.Err()
}
