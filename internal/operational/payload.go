package operational

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Details is what an event tells beside what it is about.
type Details struct {
	FailSince  time.Time `json:"failSince,omitzero"`
	Percent    int       `json:"percent,omitzero"`
	DisabledAt time.Time `json:"disabledAt,omitzero"`

	// Of a message that was refused.
	EventType string `json:"eventType,omitzero"`
	EventUID  string `json:"eventUid,omitzero"`
	Reason    string `json:"reason,omitzero"`
}

// event is what is sent.
type event struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

type endpointData struct {
	AppID       webhook.TenantID   `json:"appId"`
	AppUID      *string            `json:"appUid"`
	EndpointID  webhook.EndpointID `json:"endpointId"`
	EndpointUID *string            `json:"endpointUid"`
}

type disabledData struct {
	endpointData
	FailSince time.Time `json:"failSince"`
}

type failingData struct {
	endpointData
	FailSince  time.Time `json:"failSince,omitzero"`
	Percent    int       `json:"percent,omitzero"`
	DisabledAt time.Time `json:"disabledAt,omitzero"`
}

type refusedData struct {
	AppID      webhook.TenantID `json:"appId"`
	AppUID     *string          `json:"appUid"`
	MsgEventID *string          `json:"msgEventId"`
	EventType  string           `json:"eventType"`
	Reason     string           `json:"reason"`
}

type messageData struct {
	AppID      webhook.TenantID    `json:"appId"`
	AppUID     *string             `json:"appUid"`
	EndpointID *webhook.EndpointID `json:"endpointId"` // nil for a message that was cancelled before its time
	MsgID      webhook.EventID     `json:"msgId"`
	MsgEventID *string             `json:"msgEventId"`
}

type attemptData struct {
	messageData
	LastAttempt lastAttempt `json:"lastAttempt"`
}

type lastAttempt struct {
	ID                 webhook.AttemptID `json:"id"`
	ResponseStatusCode int               `json:"responseStatusCode"`
	Timestamp          time.Time         `json:"timestamp"`
}

// Payload makes the payload of an announced event, of what it is about as that is by now.
// It returns nil where that is not kept any more: what was expunged is not told of.
func Payload(ids *ident.Codec, a *store.Announced) ([]byte, error) {
	about, s := &a.About, &a.Subject
	if s.TenantCreatedAt.IsZero() || about.Endpoint != 0 && s.EndpointCreatedAt.IsZero() ||
		about.Event != 0 && s.EventAcceptedAt.IsZero() || about.Attempt != 0 && s.StartedAt.IsZero() {
		return nil, nil
	}
	var details Details
	if len(a.Details) > 0 {
		if err := json.Unmarshal(a.Details, &details); err != nil {
			return nil, fmt.Errorf("details of %s: %w", a.Type, err)
		}
	}
	return json.Marshal(event{Type: a.Type, Data: data(ids, a, &details)})
}

func data(ids *ident.Codec, a *store.Announced, details *Details) any {
	switch a.Type {
	case MessageCancelled:
		return message(ids, a)
	case AttemptFailing, AttemptExhausted, AttemptRecovered:
		s := &a.Subject
		return attemptData{message(ids, a), lastAttempt{
			ID: ids.Attempt(s.StartedAt, a.About.Attempt), ResponseStatusCode: s.StatusCode, Timestamp: s.StartedAt,
		}}
	case EndpointDisabled:
		return disabledData{endpoint(ids, a), details.FailSince}
	case EndpointFailing:
		return failingData{endpoint(ids, a), details.FailSince, details.Percent, details.DisabledAt}
	case MessageRefused:
		return refusedData{
			AppID: ids.Tenant(a.Subject.TenantCreatedAt, a.About.Tenant), AppUID: textOrNull(a.Subject.TenantUID),
			MsgEventID: textOrNull(details.EventUID), EventType: details.EventType, Reason: details.Reason,
		}
	}
	return endpoint(ids, a)
}

func endpoint(ids *ident.Codec, a *store.Announced) endpointData {
	s := &a.Subject
	return endpointData{
		AppID: ids.Tenant(s.TenantCreatedAt, a.About.Tenant), AppUID: textOrNull(s.TenantUID),
		EndpointID: ids.Endpoint(s.EndpointCreatedAt, a.About.Endpoint), EndpointUID: textOrNull(s.EndpointUID),
	}
}

func message(ids *ident.Codec, a *store.Announced) messageData {
	s := &a.Subject
	told := messageData{
		AppID: ids.Tenant(s.TenantCreatedAt, a.About.Tenant), AppUID: textOrNull(s.TenantUID),
		MsgID: ids.Event(s.EventAcceptedAt, a.About.Event), MsgEventID: textOrNull(s.EventUID),
	}
	if a.About.Endpoint != 0 {
		id := ids.Endpoint(s.EndpointCreatedAt, a.About.Endpoint)
		told.EndpointID = &id
	}
	return told
}

func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
