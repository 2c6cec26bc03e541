package httpapi

import (
	"errors"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func messageOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "message.list", route: "GET /app/{app_id}/msg",
			scope: application, needs: access.View,
			summary: "List the messages of an application",
		}, listMessages),
		serves(operation{
			name: "message.create", route: "POST /app/{app_id}/msg",
			scope: application, needs: access.Publish, status: http.StatusAccepted, once: true, bodyFirst: true,
			refusals: []int{http.StatusTooManyRequests}, names: eventNames,
			summary: "Send a message to the endpoints of an application",
		}, createMessage),
		serves(operation{
			name: "message.precheck", route: "POST /app/{app_id}/msg/precheck/active",
			scope: application, needs: access.Publish,
			summary: "Say whether any endpoint would get a message",
		}, precheckMessage),
		serves(operation{
			name: "message.get", route: "GET /app/{app_id}/msg/{msg_id}",
			scope: application, needs: access.View,
			summary: "Get a message",
		}, getMessage),
		serves(operation{
			name: "message.cancel", route: "POST /app/{app_id}/msg/{msg_id}/cancel",
			scope: application, needs: access.Publish, refusals: []int{http.StatusConflict},
			summary: "Cancel a message before its deliverAt",
			about:   "It goes to nobody. To cancel it again is no error; one that is due can't be cancelled any more, only its deliveries.",
		}, cancelMessage),
	}
}

// messageIn is a message to send.
type messageIn struct {
	EventType       opt[string]         `json:"eventType" is:"required,slug" doc:"What happened; it need not be known to the server." eg:"order.created"`
	Payload         opt[jsontext.Value] `json:"payload" is:"solid,object" doc:"An object. Its text is stored, signed and sent byte for byte." eg:"{\"order\":17,\"total\":\"12.50\"}"`
	Data            opt[jsontext.Value] `json:"data" is:"solid,object,older=payload" doc:"Another name of payload; send one of them."`
	EventID         opt[string]         `json:"eventId" is:"uid=msg_" doc:"Your own name for the message, unique in its application for as long as it is kept. It serves wherever the id does." eg:"order-17"`
	Channels        opt[[]string]       `json:"channels" is:"min=1,max=5,slug" doc:"Endpoints with channels get the message if they share one."`
	RetentionDays   opt[int64]          `json:"payloadRetentionPeriod" is:"min=5,max=90" doc:"For how many days the payload is kept; by default as long as the application has it."`
	RetentionHours  opt[int64]          `json:"payloadRetentionHours" is:"min=120,max=2160" doc:"The same in hours; send one of them."`
	DeliverAt       opt[time.Time]      `json:"deliverAt" doc:"When it is matched to endpoints and sent: a minute to 366 days ahead. Until then it can be cancelled." eg:"2027-01-02T15:04:05Z"`
	Tags            opt[[]string]       `json:"tags" is:"max=10,slug" doc:"For finding messages again; they decide nothing."`
	Transformations opt[transformation] `json:"transformationsParams" doc:"How the message is sent."`
	Application     opt[applicationIn]  `json:"application" doc:"The application to make where the one in the path does not exist. Its uid must be the one in the path."`
	rest
}

// transformation holds what is sent in place of the payload.
type transformation struct {
	RawPayload opt[string]            `json:"rawPayload" doc:"A text that is sent as it is, in place of the payload."`
	Headers    opt[map[string]string] `json:"headers" doc:"Nothing, or a content-type of application/json, as which everything is sent. Headers are set on an endpoint."`
	rest
}

const contentType = "application/json"

// check refuses headers that would not be sent. Clients set them with a raw payload.
func (in *transformation) check(bad *faults, where ...string) {
	for _, name := range slices.Sorted(maps.Keys(in.Headers.Value)) {
		loc := append(slices.Clone(where), "headers", clip(name))
		if !strings.EqualFold(name, "content-type") {
			bad.add("can't be sent with one message: set it on the endpoint", loc...)
			continue
		}
		media, params, err := mime.ParseMediaType(in.Headers.Value[name])
		delete(params, "charset")
		if err != nil || media != contentType || len(params) > 0 {
			bad.add("must be "+contentType+", as which everything is sent", loc...)
		}
	}
}

func (*messageIn) refine(s *schema) {
	s.OneOf = []*schema{{Required: []string{"payload"}}, {Required: []string{"data"}}}
}

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
	case payload.Value.Kind() != '{' && !payload.Null:
		bad.misfit("must be an object", "body", name)
	}
	in.Transformations.Value.check(bad, "body", "transformationsParams")
	const dayHours = 24
	if in.RetentionDays.Given && in.RetentionHours.Given && in.RetentionHours.Value != in.RetentionDays.Value*dayHours {
		bad.add("is another time than payloadRetentionPeriod: send one of them", "body", "payloadRetentionHours")
	}
	event := in.event("in the path")
	bad.domain(event.Validate(), in.names(), "body")
	if in.Application.Given {
		in.Application.Value.checkIn(bad, "body", "application")
	}
}

func (in *messageIn) event(tenant webhook.TenantID) webhook.Event {
	return webhook.Event{
		Tenant: tenant, UID: in.EventID.Value, Type: in.EventType.Value, Channels: in.Channels.Value, Tags: in.Tags.Value,
		DeliverAt: in.DeliverAt.Value, PayloadTTL: in.kept(), Payload: in.sent(),
	}
}

// kept is how long the payload is kept; 0 is as the application has it.
func (in *messageIn) kept() time.Duration {
	if in.RetentionDays.Given {
		return time.Duration(in.RetentionDays.Value) * 24 * time.Hour
	}
	return time.Duration(in.RetentionHours.Value) * time.Hour
}

// eventNames are a message's words for the fields of an event.
var eventNames = wireNames{"uid": "eventId", "type": "eventType"}

// names tells under which name the client sent what has two.
func (in *messageIn) names() wireNames {
	names := maps.Clone(eventNames)
	names["payloadTTL"] = "payloadRetentionHours"
	if in.RetentionDays.Given {
		names["payloadTTL"] = "payloadRetentionPeriod"
	}
	return names
}

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

// misfit tells what does not fit in a payload under the name that it was sent by.
func (in *messageIn) misfit(err error) error {
	var misfit *neohook.PayloadError
	if !errors.As(err, &misfit) {
		return err
	}
	where := []string{"body", "payload"}
	switch {
	case in.Transformations.Value.RawPayload.Given:
		where = []string{"body", "transformationsParams", "rawPayload"}
	case in.Data.Given:
		where[1] = "data"
	}
	return payloadFaults(misfit, where...).err()
}

// payloadFaults tells what does not fit in a payload; where begins each location.
func payloadFaults(misfit *neohook.PayloadError, where ...string) (bad faults) {
	for _, fault := range misfit.Faults {
		loc := slices.Clone(where)
		for _, name := range fault.Path[:min(len(fault.Path), maxLoc)] {
			loc = append(loc, clip(name))
		}
		bad.add(fault.Message+" (schema "+misfit.Version+" of "+misfit.EventType+")", loc...)
	}
	return bad
}

// messageOut is a message as shown.
type messageOut struct {
	like[messageIn]
	ID        webhook.EventID `json:"id" doc:"Sortable by the time of acceptance. Receivers get it as webhook-id."`
	EventID   *string         `json:"eventId"`
	EventType string          `json:"eventType"`
	Payload   shownPayload    `json:"payload" doc:"As it was sent; {} where it was not asked for, {\"expired\":true} where it is gone, and {\"raw\":\"…\"} for one that is no object."`
	Channels  *[]string       `json:"channels"`
	Tags      *[]string       `json:"tags"`
	DeliverAt *instant        `json:"deliverAt"`
	Cancelled *instant        `json:"cancelledAt" doc:"When it was cancelled before its time; null if it was not."`
	Timestamp instant         `json:"timestamp" doc:"When it was accepted."`
}

func showMessage(ev *webhook.Event, content bool) messageOut {
	out := messageOut{
		ID: ev.ID, EventID: unlessZero(ev.UID), EventType: ev.Type, Channels: unlessEmpty(ev.Channels),
		Tags: unlessEmpty(ev.Tags), DeliverAt: unlessNever(ev.DeliverAt), Cancelled: unlessNever(ev.CancelledAt),
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
	WithContent opt[bool] `query:"with_content" is:"default=true" doc:"Show payloads and answers."`
}

func (q *content) wanted() bool { return q.WithContent.Value }

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
		return out, c.missing(in.misfit(err), "")
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

func cancelMessage(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.CancelEvent(c.ctx(), c.tenant(), c.event()), "Message")
}

type messagesQuery struct {
	limited
	span
	content
	Iterator   opt[string]   `query:"iterator" is:"iterator=msg_" doc:"The iterator or prevIterator of another page; without one, the first page."`
	Channel    opt[string]   `query:"channel" is:"slug" doc:"Only messages of this channel."`
	EventTypes opt[[]string] `query:"event_types" is:"max=250,slug" doc:"Only messages of these types."`
	Tag        opt[string]   `query:"tag" is:"slug" doc:"Only messages with this tag."`
}

func listMessages(c *call, q *messagesQuery, _ *none) (out listOut[messageOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, true).over(q.span, webhook.EventPrefix, time.Now())
	filter := neohook.EventFilter{
		Types: q.EventTypes.Value, Channel: q.Channel.Value, Tag: q.Tag.Value, From: w.from, To: w.to, WithPayload: q.wanted() && !w.peek,
	}
	got, err := c.org.Events(c.ctx(), c.tenant(), filter, w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "")
	}
	return listed(w, got, messageIterator, func(ev *webhook.Event) messageOut {
		return showMessage(ev, q.wanted())
	}), nil
}

// precheckIn is a message that is not sent.
type precheckIn struct {
	EventType opt[string]   `json:"eventType" is:"required,slug" doc:"What the message would be of." eg:"order.created"`
	Channels  opt[[]string] `json:"channels" is:"min=1,max=5,slug" doc:"Its channels."`
	rest
}

type precheckOut struct {
	Active bool `json:"active" doc:"Whether any endpoint would get such a message."`
}

func precheckMessage(c *call, _ *none, in *precheckIn) (out precheckOut, err error) {
	out.Active, err = c.org.WouldReach(c.ctx(), c.tenant(), in.EventType.Value, in.Channels.Value)
	return out, c.missing(err, "")
}
