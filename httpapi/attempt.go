package httpapi

import (
	"encoding/base64"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func attemptOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "message-attempt.list-by-endpoint", route: "GET /app/{app_id}/attempt/endpoint/{endpoint_id}",
			scope: application, needs: access.View,
			summary: "List the attempts made at an endpoint",
		}, listAttemptsByEndpoint),
		serves(operation{
			name: "message-attempt.list-by-msg", route: "GET /app/{app_id}/attempt/msg/{msg_id}",
			scope: application, needs: access.View,
			summary: "List the attempts made for a message",
		}, listAttemptsByMessage),
		serves(operation{
			name: "message-attempt.get", route: "GET /app/{app_id}/msg/{msg_id}/attempt/{attempt_id}",
			scope: application, needs: access.View,
			summary: "Get an attempt",
		}, getAttempt),
		serves(operation{
			name: "message-attempt.list-by-msg-deprecated", route: "GET /app/{app_id}/msg/{msg_id}/attempt",
			scope: application, needs: access.View, deprecated: true,
			summary: "List the attempts made for a message",
		}, listAttemptsByMessage),
	}
}

// The statuses of an attempt on the wire. An attempt is recorded when it is over.
const (
	statusSuccess = 0
	statusFail    = 2
)

// attemptOut is an attempt as shown.
type attemptOut struct {
	ID         webhook.AttemptID  `json:"id" doc:"Sortable by the time of its start."`
	MsgID      webhook.EventID    `json:"msgId" doc:"The message that was sent."`
	EndpointID webhook.EndpointID `json:"endpointId" doc:"The endpoint it was sent to."`
	URL        string             `json:"url" doc:"The endpoint's URL at that time, without a password."`
	Status     int                `json:"status" is:"enum=0|2" doc:"0 succeeded, 2 failed."`
	StatusText string             `json:"statusText" is:"enum=success|fail" doc:"The status in words."`
	StatusCode int                `json:"responseStatusCode" doc:"Of the answer; 0 where there was none."`
	Response   string             `json:"response" doc:"The first 20,000 bytes of the answer, in base64 where they are no text; the reason, where there was no answer; {} where it was not asked for; EXPUNGED where it was deleted."`
	DurationMS int64              `json:"responseDurationMs" doc:"What the attempt took, to the last byte."`
	Trigger    int                `json:"triggerType" is:"enum=0|1" doc:"0 by schedule, 1 by hand."`
	Timestamp  instant            `json:"timestamp" doc:"When it began."`
	Msg        *messageOut        `json:"msg,omitzero" doc:"The message, where it was asked for and is kept."`
}

func showAttempt(a *webhook.Attempt, content bool) attemptOut {
	out := attemptOut{
		ID: a.ID, MsgID: a.Event, EndpointID: a.Endpoint, URL: a.URL, StatusCode: a.StatusCode,
		Status: statusFail, StatusText: "fail", Response: "{}",
		DurationMS: a.Duration.Milliseconds(), Trigger: int(a.Trigger), Timestamp: instant(a.StartedAt),
	}
	if a.Succeeded {
		out.Status, out.StatusText = statusSuccess, "success"
	}
	switch {
	case a.Expunged:
		out.Response = "EXPUNGED"
	case content:
		out.Response = responseText(a.Response)
	}
	return out
}

// responseText is an answer as text, or in base64 where it is none. The end of an answer
// that was cut may be part of a character, which makes it no less a text.
func responseText(body []byte) string {
	for cut := range min(utf8.UTFMax, len(body)+1) {
		whole, part := body[:len(body)-cut], body[len(body)-cut:]
		if utf8.Valid(whole) && !utf8.FullRune(part) {
			return string(whole)
		}
	}
	return base64.StdEncoding.EncodeToString(body)
}

func attemptIterator(a *webhook.Attempt) string { return string(a.ID) }

// attemptsQuery is what both lists of attempts take.
type attemptsQuery struct {
	limited
	span
	content
	Iterator    opt[string]   `query:"iterator" is:"iterator=atmpt_" doc:"The iterator or prevIterator of another page; without one, the first page."`
	Status      opt[int64]    `query:"status" is:"enum=0|1|2|3" doc:"Only those that succeeded (0) or failed (2). There are no others: an attempt is listed when it is over."`
	StatusClass opt[int64]    `query:"status_code_class" is:"enum=0|100|200|300|400|500" doc:"Only those with an answer of this class; 0 is no answer."`
	Channel     opt[string]   `query:"channel" is:"slug" doc:"Only those of messages of this channel."`
	EventTypes  opt[[]string] `query:"event_types" is:"max=250,slug" doc:"Only those of messages of these types."`
	Tag         opt[string]   `query:"tag" is:"slug" doc:"Only those of messages with this tag."`
}

func (q *attemptsQuery) walk() (walk, neohook.AttemptFilter) {
	w := walkOf(q.Limit, q.Iterator, true).over(q.span, webhook.AttemptPrefix, time.Now())
	filter := neohook.AttemptFilter{
		Types: q.EventTypes.Value, Channel: q.Channel.Value, Tag: q.Tag.Value, From: w.from, To: w.to, WithResponse: q.wanted(),
		StatusClass: int(q.StatusClass.Value), NoStatus: q.StatusClass.Given && q.StatusClass.Value == 0,
	}
	if q.Status.Given {
		succeeded := q.Status.Value == statusSuccess
		filter.Succeeded = &succeeded
	}
	return w, filter
}

// nothing says that no attempt can match: none is pending or being sent once it is
// recorded.
func (q *attemptsQuery) nothing() bool {
	return q.Status.Given && q.Status.Value != statusSuccess && q.Status.Value != statusFail
}

func (q *attemptsQuery) list(w walk, got neohook.List[webhook.Attempt]) listOut[attemptOut] {
	if q.nothing() {
		got = neohook.List[webhook.Attempt]{Done: true}
	}
	return listed(w, got, attemptIterator, func(a *webhook.Attempt) attemptOut { return showAttempt(a, q.wanted()) })
}

type attemptsAtEndpointQuery struct {
	attemptsQuery
	WithMsg opt[bool] `query:"with_msg" is:"default=false" doc:"Show the messages too."`
}

func listAttemptsByEndpoint(c *call, q *attemptsAtEndpointQuery, _ *none) (out listOut[attemptOut], _ error) {
	w, filter := q.walk()
	got, err := c.org.AttemptsAtEndpoint(c.ctx(), c.tenant(), c.endpoint(), filter, w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "Endpoint")
	}
	var messages map[webhook.EventID]*messageOut
	if q.WithMsg.Value {
		if messages, err = c.messagesOf(&got, q.wanted()); err != nil {
			return out, err
		}
	}
	out = q.list(w, got)
	for i := range out.Data {
		out.Data[i].Msg = messages[out.Data[i].MsgID]
	}
	return out, nil
}

// messagesOf returns the messages that attempts were made for, as far as they are kept.
// It ends the list before payloads that come to more than a page of messages may hold.
func (c *call) messagesOf(attempts *neohook.List[webhook.Attempt], content bool) (map[webhook.EventID]*messageOut, error) {
	messages := make(map[webhook.EventID]*messageOut)
	bytes := 0
	for i := range attempts.Items {
		id := attempts.Items[i].Event
		if _, found := messages[id]; found {
			continue
		}
		event, err := c.org.Event(c.ctx(), c.tenant(), id)
		if errors.Is(err, neohook.ErrNotFound) {
			messages[id] = nil
			continue
		}
		if err != nil {
			return nil, err
		}
		if bytes += len(event.Payload); content && i > 0 && bytes > store.MostPagePayload {
			attempts.Items, attempts.Done = attempts.Items[:i], false
			attempts.Last = string(attempts.Items[i-1].ID)
			break
		}
		message := showMessage(&event, content)
		messages[id] = &message
	}
	return messages, nil
}

type attemptsOfMessageQuery struct {
	attemptsQuery
	Endpoint opt[string] `query:"endpoint_id" is:"slug" doc:"Only those at this endpoint, by its id or uid."`
}

func listAttemptsByMessage(c *call, q *attemptsOfMessageQuery, _ *none) (out listOut[attemptOut], _ error) {
	w, filter := q.walk()
	filter.Endpoint = webhook.EndpointID(q.Endpoint.Value)
	got, err := c.org.AttemptsOfEvent(c.ctx(), c.tenant(), c.event(), filter, w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "Message or endpoint")
	}
	return q.list(w, got), nil
}

func getAttempt(c *call, _, _ *none) (out attemptOut, _ error) {
	found, err := c.org.Attempt(c.ctx(), c.tenant(), c.event(), c.attempt())
	if err != nil {
		return out, c.missing(err, "Attempt")
	}
	return showAttempt(&found, true), nil
}
