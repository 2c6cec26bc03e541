package operational

import "github.com/neohook/neohook/webhook"

// Organisation owns the operational tenants. A tenant's UID there is the organisation
// whose endpoints and messages it is told of.
const Organisation = "org_00000000000SvixManagement00"

// The types of operational events.
const (
	EndpointCreated  = "endpoint.created"
	EndpointUpdated  = "endpoint.updated"
	EndpointDeleted  = "endpoint.deleted"
	EndpointDisabled = "endpoint.disabled"
	EndpointPaused   = "endpoint.paused"
	EndpointResumed  = "endpoint.resumed"
	EndpointFailing  = "endpoint.failing"

	AttemptFailing   = "message.attempt.failing"
	AttemptExhausted = "message.attempt.exhausted"
	AttemptRecovered = "message.attempt.recovered"
	MessageCancelled = "message.cancelled"
	MessageRefused   = "message.refused"
)

// EventTypes describes them, without times.
func EventTypes() []webhook.EventType {
	const endpoint, message = "endpoint", "message"
	return []webhook.EventType{
		{Name: EndpointCreated, Group: endpoint, Description: "An endpoint was created."},
		{Name: EndpointUpdated, Group: endpoint, Description: "An endpoint was changed, or its secret rotated. A change of its headers alone is not told."},
		{Name: EndpointDeleted, Group: endpoint, Description: "An endpoint was deleted by itself, not with its application."},
		{Name: EndpointDisabled, Group: endpoint, Description: "An endpoint was disabled because it has failed for too long, or its receiver answered 410."},
		{Name: EndpointPaused, Group: endpoint, Description: "An endpoint was paused."},
		{Name: EndpointResumed, Group: endpoint, Description: "An endpoint was resumed."},
		{Name: EndpointFailing, Group: endpoint, Description: "An endpoint has had no success for half, or nine tenths, of the time after which it is disabled."},
		{Name: AttemptFailing, Group: message, Description: "The fourth scheduled attempt of a message failed, and another is to come."},
		{Name: AttemptExhausted, Group: message, Description: "The last scheduled attempt of a message failed."},
		{Name: AttemptRecovered, Group: message, Description: "The fifth or a later scheduled attempt of a message succeeded."},
		{Name: MessageCancelled, Group: message, Description: "Somebody cancelled a message: its delivery to an endpoint, or all of it before its time."},
		{Name: MessageRefused, Group: message, Description: "A message that was published within a transaction could not be accepted once that was committed."},
	}
}
