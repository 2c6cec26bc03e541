package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// refusal is an answer other than the one asked for. As an error it goes up to whoever
// writes answers.
type refusal struct {
	status       int
	code, detail string
	faults       faults // of a 422
	// retryAfter is seconds, for a 503 or 429.
	retryAfter string
	// allow lists the methods, for a 405.
	allow string
	// cause is what is logged for a status from 500 up.
	cause error
}

func (r *refusal) Error() string { return r.code + ": " + r.detail }

func (r *refusal) Unwrap() error { return r.cause }

// The bodies of refusals.
type (
	errorOut struct {
		Code   string `json:"code" doc:"What went wrong, for programs."`
		Detail string `json:"detail" doc:"What went wrong and what to do, for people."`
	}
	faultsOut struct {
		Detail faults `json:"detail" doc:"Everything that is wrong with the request."`
	}
)

func (r *refusal) body() any {
	if len(r.faults) > 0 {
		return faultsOut{r.faults}
	}
	return errorOut{r.code, r.detail}
}

var (
	errUnauthorized = &refusal{status: http.StatusUnauthorized, code: "authentication_failed", detail: "Invalid token"}
	errSigningKey   = &refusal{
		status: http.StatusUnauthorized, code: "authentication_failed",
		detail: "This is the signing secret of an endpoint, not an API token. The server's operator has the token: neohook token prints it.",
	}
	errSigningSecret = &refusal{
		status: http.StatusUnauthorized, code: "authentication_failed",
		detail: "This is the signing secret that tokens are made with, not a token: sign one with it, or ask for one at /auth/token. Do not send the secret anywhere",
	}
	errInsufficient = &refusal{
		status: http.StatusForbidden, code: "insufficient_access",
		detail: "The token does not allow this: another one is needed, with a scope or capability that does",
	}
)

func bodyTooLarge(limit int64) *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, code: "payload_too_large",
		detail: fmt.Sprintf("The request body is larger than %d bytes", limit),
	}
}

func notFound(detail string) *refusal {
	return &refusal{status: http.StatusNotFound, code: "not_found", detail: detail}
}

// refuse turns any error into the answer to give. It is the one place where a status is
// chosen for an error of the engine.
func refuse(err error, names wireNames) *refusal {
	var refused *refusal
	var invalid *webhook.InvalidError
	var overloaded *neohook.OverloadedError
	var misfit *neohook.PayloadError
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &invalid):
		return &refusal{status: http.StatusUnprocessableEntity, faults: names.faults(invalid, "body")}
	case errors.As(err, &misfit):
		return &refusal{status: http.StatusUnprocessableEntity, faults: payloadFaults(misfit, "body", names.of("payload"))}
	case errors.Is(err, neohook.ErrNotFound):
		return notFound("Entity not found")
	case errors.Is(err, webhook.ErrMalformedID):
		return notFound("Entity not found")
	case errors.Is(err, neohook.ErrConflict):
		return &refusal{status: http.StatusConflict, code: "conflict", detail: "An entity with this " + names.of("uid") + " exists"}
	case errors.Is(err, neohook.ErrKeyReused):
		return &refusal{
			status: http.StatusConflict, code: "idempotency_mismatch",
			detail: "The idempotency-key was used for a request with another body: use a new key for a new request",
		}
	case errors.Is(err, neohook.ErrPayloadGone):
		return &refusal{
			status: http.StatusBadRequest, code: "missing_payload",
			detail: "The message's payload is not kept any more: there is nothing to send",
		}
	case errors.Is(err, neohook.ErrEndpointDisabled):
		return &refusal{
			status: http.StatusBadRequest, code: "endpoint_disabled",
			detail: "The endpoint is disabled, and nothing is sent to it: enable it first",
		}
	case errors.Is(err, neohook.ErrTooManyJobs):
		return &refusal{
			status: http.StatusTooManyRequests, code: "too_many_tasks", retryAfter: seconds(fullRetryAfter),
			detail: "As many tasks of the application are running as may, " + limitOf(err) + ": wait for one, or cancel it",
		}
	case errors.Is(err, neohook.ErrTooManySends):
		return &refusal{
			status: http.StatusTooManyRequests, code: "too_many_resends", retryAfter: seconds(fullRetryAfter),
			detail: "As many resends wait at the endpoint as may, " + limitOf(err) + ": see whether it answers, or is paused",
		}
	case errors.Is(err, neohook.ErrDeliveryEnded):
		return &refusal{
			status: http.StatusConflict, code: "delivery_ended",
			detail: "The delivery has succeeded or was given up: there is nothing left to cancel",
		}
	case errors.Is(err, neohook.ErrNotDeferred):
		return &refusal{
			status: http.StatusConflict, code: "not_deferred",
			detail: "The message has no deliverAt, or that has come: what is being delivered can be cancelled for each endpoint",
		}
	case errors.Is(err, neohook.ErrNoExample):
		return &refusal{
			status: http.StatusBadRequest, code: "invalid_scheme",
			detail: "The event type has no example: give its schema of version 1 a list of examples",
		}
	case errors.Is(err, neohook.ErrTooManySecrets):
		return &refusal{
			status: http.StatusBadRequest, code: "limit_reached",
			detail: "Ten replaced secrets still sign: wait until one expires, or rotate with a shorter grace period",
		}
	case errors.Is(err, neohook.ErrTooManyEndpoints):
		return &refusal{
			status: http.StatusBadRequest, code: "limit_reached",
			detail: "The application has as many endpoints as it may, " + limitOf(err) + ": delete one, or ask the operator for more",
		}
	case errors.Is(err, neohook.ErrTooManyProbes):
		return &refusal{
			status: http.StatusTooManyRequests, code: "too_many_probes", retryAfter: "1",
			detail: "So many endpoints of the application are being verified or tested already, " + limitOf(err) + ": wait for one",
		}
	case errors.Is(err, neohook.ErrTooManyFollowers):
		return &refusal{
			status: http.StatusTooManyRequests, code: "too_many_streams", retryAfter: "10",
			detail: "As many read the stream as may: end another first",
		}
	case errors.Is(err, errors.ErrUnsupported):
		return &refusal{
			status: http.StatusBadRequest, code: "not_supported",
			detail: "What this server sends with can't do this",
		}
	case errors.Is(err, neohook.ErrBacklogFull):
		return &refusal{
			status: http.StatusTooManyRequests, code: "backlog_full", retryAfter: seconds(fullRetryAfter),
			detail: "The application has as many open deliveries as it may, " + limitOf(err) +
				": look for endpoints that do not answer. The request was not carried out",
		}
	case errors.Is(err, store.ErrFull), errors.As(err, &overloaded) && overloaded.Cause == neohook.DiskFull:
		return &refusal{
			status: http.StatusServiceUnavailable, code: storageFull, retryAfter: "10", cause: err,
			detail: "The server has no room on its disk. The request was not carried out: repeat it",
		}
	case overloaded != nil:
		return &refusal{
			status: http.StatusServiceUnavailable, code: "overloaded", retryAfter: seconds(overloaded.RetryAfter), cause: err,
			detail: "The server has more to do than it can hold. The request was not carried out: repeat it",
		}
	case errors.Is(err, neohook.ErrStopped), errors.Is(err, store.ErrClosed):
		return &refusal{
			status: http.StatusServiceUnavailable, code: "stopping", retryAfter: "5", cause: err,
			detail: "The server is stopping. Repeat the request",
		}
	case errors.Is(err, store.ErrStale):
		return &refusal{
			status: http.StatusServiceUnavailable, code: "contended", retryAfter: "1", cause: err,
			detail: "Others kept changing the same thing. Repeat the request",
		}
	case errors.Is(err, store.ErrCommitUnknown):
		return &refusal{
			status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: "1", cause: err,
			detail: "The store did not confirm the request, which may have been carried out. Repeat it with the same idempotency-key",
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &refusal{
			status: http.StatusServiceUnavailable, code: "timeout", retryAfter: "1", cause: err,
			detail: "The request was given up before it was carried out. Repeat it with the same idempotency-key",
		}
	}
	return &refusal{
		status: http.StatusInternalServerError, code: "internal", cause: err,
		detail: "The server failed. Its log says more under the neohook-request-id of this answer",
	}
}

// storageFull is the code of what there is no room for.
const storageFull = "storage_full"

// fullRetryAfter is when an application whose backlog is full is counted anew.
const fullRetryAfter = time.Minute

func limitOf(err error) string {
	var limit *neohook.LimitError
	if !errors.As(err, &limit) {
		return "by the operator's limit"
	}
	return strconv.Itoa(limit.Limit)
}

// seconds is a wait as Retry-After has it, rounded up.
func seconds(wait time.Duration) string {
	return strconv.FormatInt(wholeSeconds(wait), 10)
}

// wireNames are the names of an operation's body for fields that the domain calls
// otherwise. A field that is not here has the same name in both.
type wireNames map[string]string

func (names wireNames) of(field string) string {
	if name, found := names[field]; found {
		return name
	}
	return field
}

// faults tells the domain's complaints in the client's words: "channels[2]" becomes
// channels, [2] and "headers.X-Key" becomes headers, X-Key, unless the names have a word
// for all of it. Where begins each location.
func (names wireNames) faults(invalid *webhook.InvalidError, where ...string) (bad faults) {
	for _, one := range invalid.Fields {
		loc := slices.Clone(where)
		if name, found := names[one.Field]; found {
			bad.add(one.Message, append(loc, name)...)
			continue
		}
		field, inside, dotted := strings.Cut(one.Field, ".")
		name, index, indexed := strings.Cut(field, "[")
		loc = append(loc, names.of(name))
		if indexed {
			loc = append(loc, "["+index)
		}
		if dotted {
			loc = append(loc, clip(inside))
		}
		bad.add(one.Message, loc...)
	}
	return bad
}
