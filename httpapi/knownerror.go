package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// storageFull is the code of what there is no room for.
const storageFull = "storage_full"

// fullRetryAfter is when an application whose backlog is full is counted anew.
const fullRetryAfter = time.Minute

// knownError is an error of the engine or the store, and what is answered to it.
type knownError struct {
	err              error
	status           int
	code, retryAfter string
	detail           string // {limit} is how many there may be, for a LimitError
}

// knownErrors are those that have an answer of their own and carry nothing but a limit.
var knownErrors = []knownError{
	{neohook.ErrNotFound, http.StatusNotFound, "not_found", "",
		"Entity not found"},
	{webhook.ErrMalformedID, http.StatusNotFound, "not_found", "",
		"Entity not found"},
	{neohook.ErrKeyReused, http.StatusConflict, "idempotency_mismatch", "",
		"The idempotency-key was used for a request with another body: use a new key for a new request"},
	{neohook.ErrPayloadGone, http.StatusBadRequest, "missing_payload", "",
		"The message's payload is not kept any more: there is nothing to send"},
	{neohook.ErrEndpointDisabled, http.StatusBadRequest, "endpoint_disabled", "",
		"The endpoint is disabled, and nothing is sent to it: enable it first"},
	{neohook.ErrTooManyJobs, http.StatusTooManyRequests, "too_many_tasks", seconds(fullRetryAfter),
		"As many tasks of the application are running as may, {limit}: wait for one, or cancel it"},
	{neohook.ErrTooManySends, http.StatusTooManyRequests, "too_many_resends", seconds(fullRetryAfter),
		"As many resends wait at the endpoint as may, {limit}: see whether it answers, or is paused"},
	{neohook.ErrDeliveryEnded, http.StatusConflict, "delivery_ended", "",
		"The delivery has succeeded or was given up: there is nothing left to cancel"},
	{neohook.ErrNotDeferred, http.StatusConflict, "not_deferred", "",
		"The message has no deliverAt, or that has come: what is being delivered can be cancelled for each endpoint"},
	{neohook.ErrNoExample, http.StatusBadRequest, "invalid_scheme", "",
		"The event type has no example: give its schema of version 1 a list of examples"},
	{neohook.ErrTooManySecrets, http.StatusBadRequest, "limit_reached", "",
		"Ten replaced secrets still sign: wait until one expires, or rotate with a shorter grace period"},
	{neohook.ErrTooManyEndpoints, http.StatusBadRequest, "limit_reached", "",
		"The application has as many endpoints as it may, {limit}: delete one, or ask the operator for more"},
	{neohook.ErrTooManyProbes, http.StatusTooManyRequests, "too_many_probes", "1",
		"So many endpoints of the application are being verified or tested already, {limit}: wait for one"},
	{neohook.ErrTooManyFollowers, http.StatusTooManyRequests, "too_many_streams", "10",
		"As many read the stream as may: end another first"},
	{errors.ErrUnsupported, http.StatusBadRequest, "not_supported", "",
		"What this server sends with can't do this"},
	{neohook.ErrBacklogFull, http.StatusTooManyRequests, "backlog_full", seconds(fullRetryAfter),
		"The application has as many open deliveries as it may, {limit}: look for endpoints that do not answer. The request was not carried out"},
	{store.ErrFull, http.StatusServiceUnavailable, storageFull, "10",
		"The server has no room on its disk. The request was not carried out: repeat it"},
	{neohook.ErrStopped, http.StatusServiceUnavailable, "stopping", "5",
		"The server is stopping. Repeat the request"},
	{store.ErrClosed, http.StatusServiceUnavailable, "stopping", "5",
		"The server is stopping. Repeat the request"},
	{store.ErrStale, http.StatusServiceUnavailable, "contended", "1",
		"Others kept changing the same thing. Repeat the request"},
	{store.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "1",
		"The server can't reach its database. The request was not carried out: repeat it"},
	{store.ErrCommitUnknown, http.StatusServiceUnavailable, "unavailable", "1",
		"The store did not confirm the request, which may have been carried out. Repeat it with the same idempotency-key"},
	{context.Canceled, http.StatusServiceUnavailable, "timeout", "1",
		"The request was given up before it was carried out. Repeat it with the same idempotency-key"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "timeout", "1",
		"The request was given up before it was carried out. Repeat it with the same idempotency-key"},
}

// refusal is the answer, to an error that is or wraps the known one.
func (known *knownError) refusal(err error) *refusal {
	no := &refusal{
		status: known.status, code: known.code, retryAfter: known.retryAfter,
		detail: strings.Replace(known.detail, "{limit}", limitOf(err), 1),
	}
	if no.status >= http.StatusInternalServerError {
		no.cause = err
	}
	return no
}

func limitOf(err error) string {
	var limit *neohook.LimitError
	if !errors.As(err, &limit) {
		return "by the operator's limit"
	}
	return strconv.Itoa(limit.Limit)
}
