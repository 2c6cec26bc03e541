package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func recoverOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "endpoint.recover", route: "POST /app/{app_id}/endpoint/{endpoint_id}/recover",
			scope: application, needs: access.CreateAttempts, status: http.StatusAccepted, once: true,
			refusals: []int{http.StatusTooManyRequests},
			summary:  "Send again what failed at an endpoint since a time, and has not succeeded",
			about: "Each message is sent once more, and again by the endpoint's schedule where that fails. What is still being tried keeps its own " +
				"schedule. The task goes on by itself: see background-task.",
		}, startRecover),
		serves(operation{
			name: "endpoint.preview-recover", route: "POST /app/{app_id}/endpoint/{endpoint_id}/recover/preview",
			scope: application, needs: access.View,
			summary: "Count what a recovery would send again",
		}, previewRecover),
		serves(operation{
			name: "endpoint.replay-missing", route: "POST /app/{app_id}/endpoint/{endpoint_id}/replay-missing",
			scope: application, needs: access.CreateAttempts, status: http.StatusAccepted, once: true,
			refusals: []int{http.StatusTooManyRequests},
			summary:  "Send what an endpoint would have got since a time, and was never sent",
			about:    "Messages that were accepted before it was there, or while it was disabled, of the types and channels that it listens to.",
		}, startReplayMissing),
		serves(operation{
			name: "endpoint.preview-replay-missing", route: "POST /app/{app_id}/endpoint/{endpoint_id}/replay-missing/preview",
			scope: application, needs: access.View,
			summary: "Count what a replay would send",
		}, previewReplayMissing),
		serves(operation{
			name: "endpoint.bulk-replay", route: "POST /app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
			scope: application, needs: access.CreateAttempts, status: http.StatusAccepted, once: true,
			refusals: []int{http.StatusTooManyRequests},
			summary:  "Send again what was for an endpoint and matches",
		}, startBulkReplay),
		serves(operation{
			name: "delivery.resend-where", route: "POST /app/{app_id}/delivery/resend",
			scope: application, needs: access.CreateAttempts, status: http.StatusAccepted, once: true,
			refusals: []int{http.StatusTooManyRequests}, names: selectionNames,
			summary: "Send again the deliveries of an application that match",
			about:   "Whatever became of them. The task goes on by itself: see background-task.",
		}, startResendWhere),
		serves(operation{
			name: "delivery.preview-resend-where", route: "POST /app/{app_id}/delivery/resend/preview",
			scope: application, needs: access.View, names: selectionNames,
			summary: "Count the deliveries that would be sent again",
		}, previewResendWhere),
		serves(operation{
			name: "delivery.cancel-where", route: "POST /app/{app_id}/delivery/cancel",
			scope: application, needs: access.CreateAttempts, status: http.StatusAccepted, once: true,
			refusals: []int{http.StatusTooManyRequests}, names: selectionNames,
			summary: "Cancel the open deliveries of an application that match",
			about:   "The task goes on by itself: see background-task.",
		}, startCancelWhere),
		serves(operation{
			name: "delivery.preview-cancel-where", route: "POST /app/{app_id}/delivery/cancel/preview",
			scope: application, needs: access.View, names: selectionNames,
			summary: "Count the deliveries that would be cancelled",
		}, previewCancelWhere),
	}
}

// windowIn is the time that a task is about, and its pace.
type windowIn struct {
	Since opt[time.Time] `json:"since" is:"required" doc:"From when on." eg:"2026-01-02T15:04:05Z"`
	Until opt[time.Time] `json:"until" doc:"Until when; now unless told."`
	Rate  opt[int64]     `json:"rate" is:"min=1,max=65535" doc:"How many deliveries are sent a second, at most."`
	rest
}

// mostRecovered is how long a recovery may reach back, on this wire.
const mostRecovered = 14*24*time.Hour + 5*time.Minute

type recoverIn struct {
	like[windowIn]
	Since opt[time.Time] `json:"since" is:"required" doc:"From when on: at most 14 days before until." eg:"2026-01-02T15:04:05Z"`
	Until opt[time.Time] `json:"until"`
	Rate  opt[int64]     `json:"rate" is:"min=1,max=65535"`
	rest
}

// reaches refuses a time too long before the other, which by default is the present.
func (in *recoverIn) reaches() error {
	var bad faults
	if in.Since.Value.Before(in.Until.or(time.Now()).Add(-mostRecovered)) {
		bad.add("must not be more than 14 days before until", "body", "since")
	}
	return bad.err()
}

func (in *recoverIn) window() neohook.Window {
	return neohook.Window{Since: in.Since.Value, Until: in.Until.Value, Rate: int(in.Rate.Value)}
}

func (in *windowIn) window() neohook.Window {
	return neohook.Window{Since: in.Since.Value, Until: in.Until.Value, Rate: int(in.Rate.Value)}
}

// start begins a task under the request's idempotency-key.
func (c *call) start(missing string, begin func(*neohook.Organisation) (webhook.Job, error)) (out taskOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	job, err := begin(org)
	if err != nil {
		return out, c.missing(err, missing)
	}
	return showTask(&job), nil
}

func startRecover(c *call, _ *none, in *recoverIn) (taskOut, error) {
	if err := in.reaches(); err != nil {
		return taskOut{}, err
	}
	return c.start("Endpoint", func(org *neohook.Organisation) (webhook.Job, error) {
		return org.Recover(c.ctx(), c.tenant(), c.endpoint(), in.window())
	})
}

func startReplayMissing(c *call, _ *none, in *windowIn) (taskOut, error) {
	return c.start("Endpoint", func(org *neohook.Organisation) (webhook.Job, error) {
		return org.ReplayMissing(c.ctx(), c.tenant(), c.endpoint(), in.window())
	})
}

// previewOut is what a task would find.
type previewOut struct {
	Examined int64 `json:"examined" doc:"How many deliveries were looked at."`
	Matched  int64 `json:"matched" doc:"How many of them the task would be for."`
	Exact    bool  `json:"exact" doc:"Whether all were looked at. Else there may be more."`
}

func showPreview(found neohook.Preview) previewOut {
	return previewOut{Examined: found.Examined, Matched: found.Matched, Exact: found.Exact}
}

func previewRecover(c *call, _ *none, in *recoverIn) (previewOut, error) {
	if err := in.reaches(); err != nil {
		return previewOut{}, err
	}
	found, err := c.org.PreviewRecover(c.ctx(), c.tenant(), c.endpoint(), in.window())
	return showPreview(found), c.missing(err, "Endpoint")
}

func previewReplayMissing(c *call, _ *none, in *windowIn) (previewOut, error) {
	found, err := c.org.PreviewReplayMissing(c.ctx(), c.tenant(), c.endpoint(), in.window())
	return showPreview(found), c.missing(err, "Endpoint")
}

// bulkReplayIn chooses among the deliveries at an endpoint, in the words of the published
// clients.
type bulkReplayIn struct {
	Since      opt[time.Time] `json:"since" is:"required" doc:"Messages accepted from then on." eg:"2026-01-02T15:04:05Z"`
	Until      opt[time.Time] `json:"until" doc:"Messages accepted until then."`
	EventTypes opt[[]string]  `json:"eventTypes" is:"max=250,slug" doc:"Messages of these types."`
	Channel    opt[string]    `json:"channel" is:"slug" doc:"Messages of this channel."`
	Tag        opt[string]    `json:"tag" is:"slug" doc:"Messages with this tag."`
	Status     opt[int64]     `json:"status" is:"min=0,max=4" doc:"0 succeeded, 2 failed, 3 being tried, 4 cancelled. There are none with 1."`
	Class      opt[int64]     `json:"statusCodeClass" is:"max=500" doc:"The class of the latest answer: 100 to 500, or 0 for none."`
	rest
}

func (in *bulkReplayIn) check(bad *faults) {
	if in.Class.Value%100 != 0 {
		bad.add("must be 0, 100, 200, 300, 400 or 500", "body", "statusCodeClass")
	}
	if in.Status.Value == statusPending {
		bad.add("is 1, which no delivery has", "body", "status")
	}
}

func startBulkReplay(c *call, _ *none, in *bulkReplayIn) (taskOut, error) {
	filter := neohook.DeliveryFilter{
		Types: in.EventTypes.Value, Channel: in.Channel.Value, Tag: in.Tag.Value, From: in.Since.Value, To: in.Until.Value,
		StatusClass: int(in.Class.Value), NoStatus: in.Class.Given && in.Class.Value == 0,
	}
	filter.States = []webhook.State{webhook.Succeeded, webhook.Exhausted, webhook.Cancelled}
	if in.Status.Given {
		filter.States = statesOf(in.Status.Value, true)
	}
	return c.start("Endpoint", func(org *neohook.Organisation) (webhook.Job, error) {
		return org.ResendWhere(c.ctx(), c.tenant(), neohook.Selection{Endpoint: c.endpoint(), DeliveryFilter: filter})
	})
}

// selectionIn chooses among the deliveries of an application.
type selectionIn struct {
	Endpoint   opt[string]    `json:"endpointId" is:"slug" doc:"Only those to this endpoint, by its id or uid."`
	State      opt[string]    `json:"state" is:"enum=pending|waiting|succeeded|exhausted|cancelled" doc:"Only these, as they are stored. To send again it is required." eg:"waiting"`
	EventTypes opt[[]string]  `json:"eventTypes" is:"max=250,slug" doc:"Only those of messages of these types."`
	Channel    opt[string]    `json:"channel" is:"slug" doc:"Only those of messages of this channel."`
	Tag        opt[string]    `json:"tag" is:"slug" doc:"Only those of messages with this tag."`
	Class      opt[int64]     `json:"statusCodeClass" is:"max=500" doc:"Only those whose latest attempt had an answer of this class; 0 is no answer."`
	Since      opt[time.Time] `json:"since" doc:"Only those of messages accepted from then on." eg:"2026-01-02T15:04:05Z"`
	Until      opt[time.Time] `json:"until" doc:"Only those of messages accepted until then."`
	Rate       opt[int64]     `json:"rate" is:"min=1,max=65535" doc:"How many are sent or cancelled a second, at most."`
	rest
}

func (in *selectionIn) check(bad *faults) {
	if in.Class.Value%100 != 0 {
		bad.add("must be 0, 100, 200, 300, 400 or 500", "body", "statusCodeClass")
	}
}

func (in *selectionIn) selection() neohook.Selection {
	chosen := neohook.Selection{
		Endpoint: webhook.EndpointID(in.Endpoint.Value), Rate: int(in.Rate.Value),
		DeliveryFilter: neohook.DeliveryFilter{
			Types: in.EventTypes.Value, Channel: in.Channel.Value, Tag: in.Tag.Value, From: in.Since.Value, To: in.Until.Value,
			StatusClass: int(in.Class.Value), NoStatus: in.Class.Given && in.Class.Value == 0,
		},
	}
	var state webhook.State
	if in.State.Given && state.UnmarshalText([]byte(in.State.Value)) == nil {
		chosen.States = []webhook.State{state}
	}
	return chosen
}

// selectionNames are a body's words for what the domain calls otherwise.
var selectionNames = wireNames{"states": "state", "from": "since", "to": "until"}

func startResendWhere(c *call, _ *none, in *selectionIn) (taskOut, error) {
	return c.start("Endpoint", func(org *neohook.Organisation) (webhook.Job, error) {
		return org.ResendWhere(c.ctx(), c.tenant(), in.selection())
	})
}

func startCancelWhere(c *call, _ *none, in *selectionIn) (taskOut, error) {
	return c.start("Endpoint", func(org *neohook.Organisation) (webhook.Job, error) {
		return org.CancelWhere(c.ctx(), c.tenant(), in.selection())
	})
}

func previewResendWhere(c *call, _ *none, in *selectionIn) (previewOut, error) {
	return c.preview(in, c.org.PreviewResendWhere)
}

func previewCancelWhere(c *call, _ *none, in *selectionIn) (previewOut, error) {
	return c.preview(in, c.org.PreviewCancelWhere)
}

func (c *call) preview(in *selectionIn, count func(context.Context, webhook.TenantID, neohook.Selection) (neohook.Preview, error)) (previewOut, error) {
	found, err := count(c.ctx(), c.tenant(), in.selection())
	return showPreview(found), c.missing(err, "Endpoint")
}
