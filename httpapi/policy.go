package httpapi

import (
	"time"

	"github.com/neohook/neohook/webhook"
)

// policyIn is how an endpoint is delivered to, in its place in POST, PUT and PATCH alike:
// what is left out stays as it is, since clients of other servers do not know it, and null
// is the default.
type policyIn struct {
	Method        opt[string]  `json:"method" is:"enum=POST|PUT|PATCH" doc:"Of the request. Null is POST."`
	Protocol      opt[string]  `json:"protocol" is:"enum=http/1.1|http/2" doc:"The version of HTTP: http/1.1 is preferred, http/2 is spoken from the first byte. Null lets the two sides agree."`
	Timeout       opt[int64]   `json:"timeoutSeconds" is:"min=1,max=300" doc:"How long an attempt may take, from the look-up of the host to the last byte of the answer. Null is 30." eg:"15"`
	Concurrency   opt[int64]   `json:"concurrency" is:"min=1,max=1000" doc:"How many attempts may be in flight at once. Null is the server's default."`
	Ordered       opt[bool]    `json:"ordered" is:"solid" doc:"Send messages strictly in the order of acceptance, one at a time: the next waits until the one before has succeeded or ended."`
	Schedule      opt[[]int64] `json:"scheduleSeconds" is:"max=20,most=604800" doc:"The waits between attempts. Null is the server's schedule, an empty list is a single attempt." eg:"[5,300,1800,7200]"`
	FinalStatuses opt[[]int64] `json:"finalStatuses" is:"max=100,least=300,most=599" doc:"Statuses after which a message is not tried again. 410 always is one, and disables the endpoint." eg:"[400,404]"`
}

// policyNames are the wire's names of what the domain calls otherwise.
var policyNames = wireNames{"timeout": "timeoutSeconds", "schedule": "scheduleSeconds"}

func (in *policyIn) apply(ep *webhook.Endpoint) {
	in.Method.patch(&ep.Method)
	if in.Protocol.Given || in.Protocol.Null {
		ep.Protocol = webhook.Protocol(in.Protocol.Value)
	}
	if in.Timeout.Given || in.Timeout.Null {
		ep.Timeout = time.Duration(in.Timeout.Value) * time.Second
	}
	patchInt(&ep.Concurrency, in.Concurrency)
	in.Ordered.patch(&ep.Ordered)
	switch {
	case in.Schedule.Given:
		ep.Schedule = make(webhook.Schedule, len(in.Schedule.Value))
		for i, seconds := range in.Schedule.Value {
			ep.Schedule[i] = time.Duration(seconds) * time.Second
		}
	case in.Schedule.Null:
		ep.Schedule = nil
	}
	if in.FinalStatuses.Given || in.FinalStatuses.Null {
		ep.FinalStatuses = nil
		for _, status := range in.FinalStatuses.Value {
			ep.FinalStatuses = append(ep.FinalStatuses, int(status))
		}
	}
}

// policyOut is how an endpoint is delivered to. What is null is the server's to say.
type policyOut struct {
	like[policyIn]
	Method        string   `json:"method"`
	Protocol      *string  `json:"protocol" is:"enum=http/1.1|http/2"`
	Timeout       int64    `json:"timeoutSeconds"`
	Concurrency   *int     `json:"concurrency"`
	Ordered       bool     `json:"ordered"`
	Schedule      *[]int64 `json:"scheduleSeconds"`
	FinalStatuses []int    `json:"finalStatuses"`
}

func showPolicy(ep *webhook.Endpoint) policyOut {
	out := policyOut{
		Method: ep.Method, Protocol: unlessZero(string(ep.Protocol)), Timeout: wholeSeconds(ep.Timeout),
		Concurrency: unlessZero(ep.Concurrency), Ordered: ep.Ordered, FinalStatuses: ep.FinalStatuses,
	}
	if ep.Schedule != nil {
		waits := make([]int64, len(ep.Schedule))
		for i, wait := range ep.Schedule {
			waits[i] = wholeSeconds(wait)
		}
		out.Schedule = &waits
	}
	return out
}

// wholeSeconds is a time as the wire has it, rounded up: Go programs may have set
// fractions.
func wholeSeconds(length time.Duration) int64 {
	return int64((length + time.Second - 1) / time.Second)
}
