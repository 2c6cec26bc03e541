package httpapi

import (
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
	reason := err
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &invalid):
		return &refusal{status: http.StatusUnprocessableEntity, faults: names.faults(invalid, "body")}
	case errors.As(err, &misfit):
		return &refusal{status: http.StatusUnprocessableEntity, faults: payloadFaults(misfit, "body", names.of("payload"))}
	case errors.Is(err, neohook.ErrConflict):
		return &refusal{status: http.StatusConflict, code: "conflict", detail: "An entity with this " + names.of("uid") + " exists"}
	case errors.As(err, &overloaded) && overloaded.Cause == neohook.DiskFull:
		reason = store.ErrFull
	case overloaded != nil:
		return &refusal{
			status: http.StatusServiceUnavailable, code: "overloaded", retryAfter: seconds(overloaded.RetryAfter), cause: err,
			detail: "The server has more to do than it can hold. The request was not carried out: repeat it",
		}
	}
	for i := range knownErrors {
		if known := &knownErrors[i]; errors.Is(reason, known.err) {
			return known.refusal(err)
		}
	}
	return &refusal{
		status: http.StatusInternalServerError, code: "internal", cause: err,
		detail: "The server failed. Its log says more under the neohook-request-id of this answer",
	}
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
