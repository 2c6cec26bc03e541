package attempt

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Policy says what follows an attempt.
type Policy struct {
	// Schedule is of endpoints that have none of their own.
	Schedule webhook.Schedule
	// Jitter varies each wait by up to this share either way.
	Jitter float64
	// MaxRetryAfter caps how long a receiver may ask to be left alone.
	MaxRetryAfter time.Duration
	// MaxResponse is the most bytes kept of an answer.
	MaxResponse int
}

// judge completes an outcome with what came of its attempt.
func (p *Policy) judge(out *store.Outcome, d *lane.Delivery, endpoint *webhook.Endpoint, result *webhook.Result) {
	out.Attempt = &store.Attempt{
		Number: out.Tried + 1, Trigger: webhook.Scheduled, URL: asText(result.URL),
		Succeeded: result.Success, StatusCode: result.StatusCode,
		Response:  result.Body[:min(len(result.Body), p.MaxResponse)],
		StartedAt: result.StartedAt, Duration: result.Duration(),
	}
	if d.Send != 0 {
		out.Attempt.Trigger = webhook.Manual
	}
	if result.Fault != nil {
		out.Attempt.Code = asText(result.Fault.Code)
		out.Attempt.TimedOut = result.Fault.Kind == webhook.FaultTimeout
		if result.StatusCode == 0 {
			out.Attempt.Response = []byte(result.Fault.Message)
		}
	}
	switch wait, again := p.schedule(d, endpoint).Wait(out.Attempt.Number); {
	case result.Success:
		out.State = webhook.Succeeded
	case result.StatusCode == http.StatusGone:
		out.State, out.Reason = webhook.Cancelled, webhook.ReceiverGone
	case !again, slices.Contains(endpoint.FinalStatuses, result.StatusCode):
		out.State = webhook.Exhausted
	default:
		out.State = webhook.Waiting
		out.RetryAt = result.CompletedAt.Add(p.wait(wait, result.RetryAfter))
	}
}

// asText is for what an adapter says: it must not be able to fail the store, which keeps
// text and nothing else.
func asText[T ~string](said T) T {
	if webhook.IsText(string(said)) {
		return said
	}
	const replacement = string(utf8.RuneError)
	return T(strings.ReplaceAll(strings.ToValidUTF8(string(said), replacement), "\x00", replacement))
}

// schedule is the waits between the attempts of a delivery, or a send.
func (p *Policy) schedule(d *lane.Delivery, endpoint *webhook.Endpoint) webhook.Schedule {
	switch {
	case d.Send != 0 && !d.Retried:
		return nil // its first attempt is its last
	case endpoint.Schedule != nil:
		return endpoint.Schedule
	}
	return p.Schedule
}

// wait is the later of the planned wait and what the receiver asked for.
func (p *Policy) wait(planned, asked time.Duration) time.Duration {
	return max(webhook.Jitter(planned, p.Jitter), min(asked, p.MaxRetryAfter))
}

// lesson is what a lane learns from an attempt.
func (p *Policy) lesson(out *store.Outcome, result *webhook.Result) lane.Result {
	lesson := lane.Result{Ends: out.State.Ended()}
	switch {
	case out.Attempt == nil:
	case result.Success:
		lesson.Verdict = lane.Success
	case result.StatusCode == http.StatusTooManyRequests, result.StatusCode == http.StatusServiceUnavailable:
		lesson.Verdict = lane.Throttled
		if result.RetryAfter > 0 {
			lesson.HoldUntil = result.CompletedAt.Add(min(result.RetryAfter, p.MaxRetryAfter))
		}
	case result.Fault != nil && result.Fault.Kind == webhook.FaultTimeout:
		lesson.Verdict = lane.Timeout
	default:
		lesson.Verdict = lane.Failure
	}
	return lesson
}
