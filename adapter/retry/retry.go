package retry

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/neohook/neohook/webhook"
)

// DefaultMaxRetryAfter is how long a receiver may ask to be left alone.
const DefaultMaxRetryAfter = 12 * time.Hour

// Options of Deliver. The zero value is the default.
type Options struct {
	// MaxAttempts counts all that is sent, the first too; 0 is what the delivery's Backoff
	// says, which is 3 by itself. Negative is 1.
	MaxAttempts int
	// Jitter varies each wait by up to this share either way, 0 to 1; 0 is none.
	Jitter float64
	// MaxRetryAfter caps a receiver's Retry-After; 0 is 12 h, negative does not heed it.
	// The wait is the longer of it and the planned one.
	MaxRetryAfter time.Duration
	// Retryable says whether a failure may pass by itself; nil is the function of that name.
	Retryable func(*webhook.Result) bool
	// BeforeWait, where it is set, is told of each failure that is followed by another
	// attempt, and how long it will be until then.
	BeforeWait func(failed webhook.Result, wait time.Duration)
}

// Status says how a Deliver ended.
type Status string

// The ends of a Deliver.
const (
	Success Status = "success"
	Failed  Status = "failed"
)

// Outcome is what came of a Deliver.
type Outcome struct {
	Status Status `json:"status"`
	// Attempts is how often the adapter was asked, 1 or more.
	Attempts int `json:"attempts"`
	// Response is the last attempt's.
	Response webhook.Result `json:"response"`
}

// Deliver delivers until it succeeds, fails for a reason that stays, or has made all its
// attempts. It waits between two attempts and not after the last. When ctx ends, it
// returns without finishing a wait; the Response is then that of the last attempt made.
//
// The first attempt has the delivery's number, and each after it the next. The delivery
// itself is not changed.
func Deliver(ctx context.Context, adapter webhook.Adapter, delivery *webhook.Delivery, endpoint *webhook.Endpoint, o Options) Outcome {
	if delivery == nil { // the adapter says what is wrong
		return Outcome{Status: Failed, Attempts: 1, Response: adapter.Deliver(ctx, nil, endpoint)}
	}
	if o.Retryable == nil {
		o.Retryable = Retryable
	}
	o.MaxRetryAfter = cmp.Or(o.MaxRetryAfter, DefaultMaxRetryAfter)
	backoff := delivery.Backoff
	backoff.MaxAttempts = cmp.Or(o.MaxAttempts, backoff.MaxAttempts)
	sent := *delivery
	sent.Attempt = max(1, sent.Attempt)
	for n := 1; ; n++ {
		result := adapter.Deliver(ctx, &sent, endpoint)
		if result.Success {
			return Outcome{Status: Success, Attempts: n, Response: result}
		}
		planned, again := backoff.Wait(n)
		if !again || !o.Retryable(&result) || !o.wait(ctx, planned, result) {
			return Outcome{Status: Failed, Attempts: n, Response: result}
		}
		sent.Attempt++
	}
}

// wait waits for the next attempt and returns false if there is none, as ctx has ended.
func (o *Options) wait(ctx context.Context, planned time.Duration, failed webhook.Result) bool {
	if ctx.Err() != nil {
		return false
	}
	wait := max(webhook.Jitter(planned, min(max(0, o.Jitter), 1)), min(failed.RetryAfter, o.MaxRetryAfter))
	if o.BeforeWait != nil {
		o.BeforeWait(failed, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Retryable says whether a failed attempt may succeed later: no answer, in time or at all
// ("timeout" and "client_error"), or one with the status 429, 500, 502, 503 or 504.
//
// What can't change by waiting is not among them: a request that can't be made or is too
// large, an address that policy blocks, an adapter that is closed, a caller who has gone.
func Retryable(result *webhook.Result) bool {
	if result.Success {
		return false
	}
	if result.Fault != nil && result.Fault.Kind != webhook.FaultAnswered {
		switch result.Fault.Code {
		case webhook.FaultInvalidRequest, webhook.FaultMessageTooLarge, webhook.FaultBlockedAddress,
			webhook.FaultClosed, webhook.FaultCancelled:
			return false
		}
		return result.Fault.Kind == webhook.FaultTimeout || result.Fault.Kind == webhook.FaultClient
	}
	switch result.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
