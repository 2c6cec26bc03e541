package httpapi

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// messageIn is a message to send.
type messageIn struct {
	EventType       opt[string]         `json:"eventType" is:"required,slug"`
	Payload         opt[jsontext.Value] `json:"payload"`
	Data            opt[jsontext.Value] `json:"data"` // another name of Payload
	EventID         opt[string]         `json:"eventId" is:"uid=msg_"`
	Channels        opt[[]string]       `json:"channels" is:"min=1,max=5,slug"`
	RetentionDays   opt[int64]          `json:"payloadRetentionPeriod" is:"min=5,max=90"`
	RetentionHours  opt[int64]          `json:"payloadRetentionHours"`
	DeliverAt       opt[jsontext.Value] `json:"deliverAt" is:"later"`
	Tags            opt[[]string]       `json:"tags" is:"later"`
	Transformations opt[transformation] `json:"transformationsParams"`
	Application     opt[applicationIn]  `json:"application"`
	rest
}

// transformation holds what is sent in place of the payload.
type transformation struct {
	RawPayload opt[string]         `json:"rawPayload"`
	Headers    opt[jsontext.Value] `json:"headers" is:"later"`
	rest
}

// keptDays is how long payloads are kept.
const keptDays = 90

func (in *messageIn) check(bad *faults) {
	payload, name := in.Payload, "payload"
	if in.Data.Given && !payload.Given {
		payload, name = in.Data, "data"
	}
	switch {
	case in.Data.Given && in.Payload.Given:
		bad.add("is another name of payload: send one of them", "body", "data")
	case !payload.Given && !payload.Null:
		bad.misfit("is required", "body", "payload")
	case payload.Value.Kind() != '{':
		bad.misfit("must be an object", "body", name)
	}
	if days := in.RetentionDays.or(keptDays); 5 <= days && days < keptDays {
		bad.add("other than 90 is "+notYet, "body", "payloadRetentionPeriod")
	}
	if in.RetentionHours.or(keptDays*24) != keptDays*24 {
		bad.add("other than 2160 is "+notYet, "body", "payloadRetentionHours")
	}
	event := in.event("in the path")
	bad.domain(event.Validate(), eventNames, "body")
	if in.Application.Given {
		in.Application.Value.checkIn(bad, "body", "application")
	}
}

func (in *messageIn) event(tenant webhook.TenantID) webhook.Event {
	return webhook.Event{
		Tenant: tenant, UID: in.EventID.Value, Type: in.EventType.Value, Channels: in.Channels.Value, Payload: in.sent(),
	}
}

// eventNames are a message's words for the fields of an event.
var eventNames = wireNames{"uid": "eventId", "type": "eventType"}

// sent returns the bytes that receivers get.
func (in *messageIn) sent() []byte {
	switch {
	case in.Transformations.Value.RawPayload.Given:
		return []byte(in.Transformations.Value.RawPayload.Value)
	case in.Data.Given:
		return in.Data.Value
	}
	return in.Payload.Value
}

// messageOut is a message as shown.
type messageOut struct {
	ID        webhook.EventID `json:"id"`
	EventID   *string         `json:"eventId"`
	EventType string          `json:"eventType"`
	Payload   shownPayload    `json:"payload"`
	Channels  *[]string       `json:"channels"`
	Timestamp instant         `json:"timestamp"`
}

func showMessage(ev *webhook.Event, content bool) messageOut {
	out := messageOut{
		ID: ev.ID, EventID: unlessZero(ev.UID), EventType: ev.Type, Channels: unlessEmpty(ev.Channels),
		Timestamp: instant(ev.AcceptedAt),
	}
	if content {
		out.Payload = shownPayload{asked: true, body: ev.Payload}
	}
	return out
}

func messageIterator(ev *webhook.Event) string { return string(ev.ID) }

// content is the part of a query that asks for payloads or answers.
type content struct {
	WithContent opt[bool] `query:"with_content"`
}

func (q *content) wanted() bool { return q.WithContent.or(true) }

func createMessage(c *call, q *content, in *messageIn) (out messageOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	event := in.event(c.tenant())
	accepted, err := org.Publish(c.ctx(), event)
	if errors.Is(err, neohook.ErrNotFound) && in.Application.Given {
		if err := c.createFor(&in.Application.Value); err != nil {
			return out, err
		}
		accepted, err = org.Publish(c.ctx(), event)
	}
	if err != nil {
		return out, c.missing(err, "")
	}
	accepted.Payload = event.Payload
	return showMessage(&accepted, q.wanted()), nil
}

// createFor makes the application of the path, which a message brought with it.
func (c *call) createFor(in *applicationIn) error {
	var bad faults
	switch uid := in.UID.Value; {
	case !in.UID.Given:
		bad = append(bad, fault{
			Loc: []string{"body", "application", "uid"}, Type: "application_uid_missing",
			Msg: "is required to create the application",
		})
	case uid != string(c.tenant()):
		bad = append(bad, fault{
			Loc: []string{"body", "application", "uid"}, Type: "application_uid_mismatch",
			Msg: "must be the same as the application in the path",
		})
	}
	if err := bad.err(); err != nil {
		return err
	}
	var made webhook.Tenant
	in.fill(&made)
	_, err := c.org.CreateTenant(c.ctx(), made)
	if errors.Is(err, neohook.ErrConflict) {
		return nil // another request has made it in between
	}
	return err
}

func getMessage(c *call, q *content, _ *none) (out messageOut, _ error) {
	found, err := c.org.Event(c.ctx(), c.tenant(), c.event())
	if err != nil {
		return out, c.missing(err, "Message")
	}
	return showMessage(&found, q.wanted()), nil
}

type messagesQuery struct {
	limited
	span
	content
	Iterator   opt[string]   `query:"iterator" is:"iterator=msg_"`
	Channel    opt[string]   `query:"channel" is:"slug"`
	EventTypes opt[[]string] `query:"event_types" is:"max=250,slug"`
	// Tag matches nothing: messages have no tags yet.
	Tag opt[string] `query:"tag"`
}

func listMessages(c *call, q *messagesQuery, _ *none) (out listOut[messageOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, true).over(q.span, webhook.EventPrefix, time.Now())
	filter := neohook.EventFilter{
		Types: q.EventTypes.Value, Channel: q.Channel.Value, From: w.from, To: w.to, WithPayload: q.wanted() && !w.peek,
	}
	got, err := c.org.Events(c.ctx(), c.tenant(), filter, w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "")
	}
	if q.Tag.Given {
		got = neohook.List[webhook.Event]{Done: true}
	}
	return listed(w, got, messageIterator, func(ev *webhook.Event) messageOut {
		return showMessage(ev, q.wanted())
	}), nil
}
