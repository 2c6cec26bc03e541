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
			about: "At most 14 days back. Each message is sent once more, and again by the endpoint's schedule where that fails. " +
				"What is still being tried keeps its own schedule. The task goes on by itself: see background-task.",
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

// mostRecovered is how long a recovery may reach back, on this wire: 14 days, and a little for
// the way.
const mostRecovered = 14*24*time.Hour + 5*time.Minute

type recoverIn struct{ windowIn }

// check refuses a time too long before the other, which by default is the present.
func (in *recoverIn) check(bad *faults) {
	if in.Since.Given && in.Since.Value.Before(in.Until.or(time.Now()).Add(-mostRecovered)) {
		bad.add("must not be more than 14 days before until", "body", "since")
	}
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
	found, err := c.org.PreviewRecover(c.ctx(), c.tenant(), c.endpoint(), in.window())
	return showPreview(found), c.missing(err, "Endpoint")
}

func previewReplayMissing(c *call, _ *none, in *windowIn) (previewOut, error) {
	found, err := c.org.PreviewReplayMissing(c.ctx(), c.tenant(), c.endpoint(), in.window())
	return showPreview(found), c.missing(err, "Endpoint")
}

// matchingIn narrows to some of the deliveries of a time.
type matchingIn struct {
	EventTypes opt[[]string]  `json:"eventTypes" is:"max=250,slug" doc:"Only those of messages of these types."`
	Channel    opt[string]    `json:"channel" is:"slug" doc:"Only those of messages of this channel."`
	Tag        opt[string]    `json:"tag" is:"slug" doc:"Only those of messages with this tag."`
	Class      opt[int64]     `json:"statusCodeClass" is:"enum=0|100|200|300|400|500" doc:"Only those whose latest attempt had an answer of this class; 0 is no answer."`
	Until      opt[time.Time] `json:"until" doc:"Only those of messages accepted until then."`
}

func (in *matchingIn) filter(since time.Time, states []webhook.State) neohook.DeliveryFilter {
	return neohook.DeliveryFilter{
		States: states, Types: in.EventTypes.Value, Channel: in.Channel.Value, Tag: in.Tag.Value, From: since, To: in.Until.Value,
		StatusClass: int(in.Class.Value), NoStatus: in.Class.Given && in.Class.Value == 0,
	}
}

// bulkReplayIn chooses among the deliveries at an endpoint, in the words of the published
// clients.
type bulkReplayIn struct {
	Since  opt[time.Time] `json:"since" is:"required" doc:"Only those of messages accepted from then on." eg:"2026-01-02T15:04:05Z"`
	Status opt[int64]     `json:"status" is:"enum=0|2|3|4" doc:"Only those that succeeded (0), failed (2), are being tried (3) or were cancelled (4). Without it all but those being tried."`
	matchingIn
	rest
}

func startBulkReplay(c *call, _ *none, in *bulkReplayIn) (taskOut, error) {
	states := []webhook.State{webhook.Succeeded, webhook.Exhausted, webhook.Cancelled}
	if in.Status.Given {
		states = statesOf(in.Status.Value, true)
	}
	chosen := neohook.Selection{Endpoint: c.endpoint(), DeliveryFilter: in.filter(in.Since.Value, states)}
	return c.start("Endpoint", func(org *neohook.Organisation) (webhook.Job, error) {
		return org.ResendWhere(c.ctx(), c.tenant(), chosen)
	})
}

// selectionIn chooses among the deliveries of an application.
type selectionIn struct {
	Endpoint opt[string]    `json:"endpointId" is:"slug" doc:"Only those to this endpoint, by its id or uid."`
	State    opt[string]    `json:"state" is:"enum=pending|waiting|succeeded|exhausted|cancelled" doc:"Only these, as they are stored. To send again it is required." eg:"waiting"`
	Since    opt[time.Time] `json:"since" doc:"Only those of messages accepted from then on." eg:"2026-01-02T15:04:05Z"`
	matchingIn
	Rate opt[int64] `json:"rate" is:"min=1,max=65535" doc:"How many are sent or cancelled a second, at most."`
	rest
}

func (in *selectionIn) selection() neohook.Selection {
	var states []webhook.State
	var state webhook.State
	if in.State.Given && state.UnmarshalText([]byte(in.State.Value)) == nil {
		states = []webhook.State{state}
	}
	return neohook.Selection{
		Endpoint: webhook.EndpointID(in.Endpoint.Value), Rate: int(in.Rate.Value), DeliveryFilter: in.filter(in.Since.Value, states),
	}
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
