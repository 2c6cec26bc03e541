package memadapter

import (
	"cmp"
	"math"
	"net/http"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Never is the Delay of a receiver that does not answer.
const Never time.Duration = math.MaxInt64

// Reply is what a request is answered with. The zero value is 200 at once, without a body.
type Reply struct {
	// Delay passes before the answer. Where the endpoint's timeout is no longer than it,
	// the request fails with webhook.FaultResponseTimeout.
	Delay time.Duration
	// StatusCode of the answer; 0 is 200.
	StatusCode int
	// Header and Body of the answer. They go into the Result as they are.
	Header map[string][]string
	Body   []byte
	// RetryAfter and ConnectionReused are told in the Result.
	RetryAfter       time.Duration
	ConnectionReused bool
	// Fault fails the request in place of an answer, with this code; "" is an answer.
	Fault webhook.FaultCode
}

// apply completes a result that has waited long enough.
func (r *Reply) apply(result *webhook.Result, verify bool) {
	if r.Fault != "" {
		result.Fault = &webhook.Fault{
			Kind: kindOf(r.Fault), Code: r.Fault, Message: "the request failed as it was told to: " + string(r.Fault),
		}
		return
	}
	result.StatusCode = cmp.Or(r.StatusCode, http.StatusOK)
	result.Header, result.Body = r.Header, r.Body
	result.BytesReceived = int64(len(r.Body))
	result.RetryAfter, result.ConnectionReused = r.RetryAfter, r.ConnectionReused
	if verify {
		result.Success = result.StatusCode < http.StatusInternalServerError
	} else {
		result.Success = result.StatusCode >= http.StatusOK && result.StatusCode < http.StatusMultipleChoices
	}
}

func kindOf(code webhook.FaultCode) webhook.FaultKind {
	switch code {
	case webhook.FaultConnectTimeout, webhook.FaultPoolExhausted, webhook.FaultRequestTimeout,
		webhook.FaultResponseTimeout, webhook.FaultBodyTooSlow:
		return webhook.FaultTimeout
	}
	return webhook.FaultClient
}

// script is replies that are given in turn, the last again and again.
type script []Reply

func (s *script) next() Reply {
	if len(*s) == 0 {
		return Reply{}
	}
	reply := (*s)[0]
	if len(*s) > 1 {
		*s = (*s)[1:]
	}
	return reply
}
