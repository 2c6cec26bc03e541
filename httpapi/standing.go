package httpapi

import (
	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// The statuses of a delivery on the wire, beside those of an attempt. What is between two
// attempts is being sent.
const (
	statusPending  = 1
	statusSending  = 3
	statusCanceled = 4
)

var statusTexts = map[int]string{
	statusSuccess: "success", statusPending: "pending", statusFail: "fail", statusSending: "sending", statusCanceled: "canceled",
}

// statusOf is where a delivery with attempts stands. Older clients do not know of
// deliveries that were cancelled: to them these have failed.
func statusOf(s *webhook.Standing, expanded bool) int {
	switch {
	case s.State == webhook.Succeeded, !s.RecoveredAt.IsZero():
		return statusSuccess
	case s.State == webhook.Cancelled && expanded:
		return statusCanceled
	case s.State.Ended():
		return statusFail
	}
	return statusSending
}

// statesOf are the states of deliveries that are shown with a status; none where there are
// no such deliveries.
func statesOf(status int64, expanded bool) []webhook.State {
	switch {
	case status == statusSuccess:
		return []webhook.State{webhook.Succeeded}
	case status == statusFail && expanded:
		return []webhook.State{webhook.Exhausted}
	case status == statusFail:
		return []webhook.State{webhook.Exhausted, webhook.Cancelled}
	case status == statusSending:
		return []webhook.State{webhook.Pending, webhook.Waiting}
	case status == statusCanceled && expanded:
		return []webhook.State{webhook.Cancelled}
	}
	return nil
}

// expanded is the part of a query by which clients say that they know of deliveries that
// were cancelled.
type expanded struct {
	Expanded opt[bool] `query:"expanded_statuses" is:"default=false" doc:"Show status 4 for what was cancelled, which else is 2. Newer clients send it."`
}

// standingOut is where a delivery stands.
type standingOut struct {
	ID          webhook.DeliveryID `json:"id" doc:"The delivery: a message for an endpoint."`
	MsgID       webhook.EventID    `json:"msgId" doc:"The message."`
	EndpointID  webhook.EndpointID `json:"endpointId" doc:"The endpoint."`
	State       string             `json:"state" is:"enum=pending|sending|waiting|parked|succeeded|exhausted|cancelled" doc:"How far it has come: not tried yet; an attempt is in flight; failed and due again; not tried for now; or how it ended."`
	Reason      *webhook.Reason    `json:"reason" doc:"Why it is parked or was cancelled."`
	Tried       int                `json:"tried" doc:"How many attempts by schedule were made."`
	AcceptedAt  instant            `json:"acceptedAt" doc:"When the message was accepted."`
	SendingAt   *instant           `json:"sendingSince" doc:"When the attempt in flight began."`
	DueAt       *instant           `json:"nextAttempt" doc:"Before when it is not tried again."`
	EndedAt     *instant           `json:"endedAt" doc:"When it ended."`
	RecoveredAt *instant           `json:"recoveredAt" doc:"When a resend succeeded, of one that had ended otherwise."`
}

func showStanding(s *webhook.Standing) standingOut {
	return standingOut{
		ID: s.ID, MsgID: s.Event, EndpointID: s.Endpoint, State: s.State.String(), Reason: unlessZero(s.Reason), Tried: s.Tried,
		AcceptedAt: instant(s.AcceptedAt), SendingAt: unlessNever(s.SendingSince), DueAt: unlessNever(s.DueAt),
		EndedAt: unlessNever(s.EndedAt), RecoveredAt: unlessNever(s.RecoveredAt),
	}
}

// deliveryOut is a delivery in a list by endpoint.
type deliveryOut struct {
	standingOut
	EventType string      `json:"eventType" doc:"The message's type."`
	Last      *attemptOut `json:"lastAttempt" doc:"The latest attempt, resends included, without the answer."`
	Msg       *messageOut `json:"msg,omitzero" doc:"The message, where it was asked for."`
}

type deliveriesQuery struct {
	limited
	span
	Iterator   opt[string]   `query:"iterator" is:"iterator=msg_" doc:"The iterator or prevIterator of another page; without one, the first page."`
	State      opt[string]   `query:"state" is:"enum=pending|waiting|succeeded|exhausted|cancelled" doc:"Only these, as they are stored: one that is sending or parked is pending or waiting. One that was recovered is succeeded."`
	EventTypes opt[[]string] `query:"event_types" is:"max=250,slug" doc:"Only those of messages of these types."`
	Channel    opt[string]   `query:"channel" is:"slug" doc:"Only those of messages of this channel."`
	Tag        opt[string]   `query:"tag" is:"slug" doc:"Only those of messages with this tag."`
	Class      opt[int64]    `query:"status_code_class" is:"enum=0|100|200|300|400|500" doc:"Only those whose latest attempt had an answer of this class; 0 is no answer."`
	WithMsg    opt[bool]     `query:"with_msg" is:"default=false" doc:"Show the messages too, with their payloads."`
}

func (q *deliveriesQuery) filter(w walk) neohook.DeliveryFilter {
	filter := neohook.DeliveryFilter{
		Types: q.EventTypes.Value, Channel: q.Channel.Value, Tag: q.Tag.Value, From: w.from, To: w.to,
		StatusClass: int(q.Class.Value), NoStatus: q.Class.Given && q.Class.Value == 0, WithPayload: q.WithMsg.Value && !w.peek,
	}
	var state webhook.State
	if q.State.Given && state.UnmarshalText([]byte(q.State.Value)) == nil {
		filter.States = []webhook.State{state}
	}
	return filter
}

// timelineOut is a delivery with all that was tried.
type timelineOut struct {
	standingOut
	Attempts []attemptOut `json:"attempts" doc:"What was tried, oldest first and without the answers; the first 250."`
}

// messageDeliveriesQuery is what the list of a message's deliveries takes.
type messageDeliveriesQuery struct {
	limited
	Iterator opt[string] `query:"iterator" is:"iterator=ep_" doc:"The iterator or prevIterator of another page; without one, the first page."`
}
