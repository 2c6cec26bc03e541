package httpapi

import (
	"net/http"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func probeOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "endpoint.verify", route: "POST /app/{app_id}/endpoint/{endpoint_id}/verify",
			scope: application, needs: access.CreateAttempts, refusals: []int{http.StatusTooManyRequests},
			summary: "Send an endpoint a signed test event and tell what came of it, with the time of each part",
			about:   probeText,
		}, verifyEndpoint),
		serves(operation{
			name: "endpoint.test-connectivity", route: "POST /app/{app_id}/endpoint/{endpoint_id}/test-connectivity",
			scope: application, needs: access.CreateAttempts, refusals: []int{http.StatusTooManyRequests},
			summary: "Ask with HEAD whether something at an endpoint's URL answers, with the time of each part",
			about:   probeText,
		}, testConnectivity),
	}
}

// probeOut is what came of a request that was made to see whether an endpoint works.
type probeOut struct {
	Success    bool       `json:"success" doc:"Whether the endpoint answered: with a status below 500 to an event, with any to a test of the connection."`
	URL        string     `json:"url" doc:"Where the request went, without a password."`
	Method     string     `json:"method" doc:"Of the request."`
	StatusCode int        `json:"statusCode" doc:"Of the answer; 0 where there was none."`
	Response   string     `json:"response" doc:"The beginning of the answer, in base64 where it is no text."`
	Protocol   *string    `json:"protocol" doc:"HTTP/1.1 or HTTP/2.0; null where there was no answer."`
	Reused     bool       `json:"connectionReused" doc:"The request went out on a connection that was open: then nothing was looked up and connected."`
	StartedAt  instant    `json:"startedAt" doc:"When it began."`
	Timings    timingsOut `json:"timings" doc:"What each part took."`
	Error      *faultOut  `json:"error" doc:"Why there is no answer, or none that could be read to its end; null where there is one."`
}

const probeText = "The request goes the way of all attempts, by the same rules of where one may go. It is recorded nowhere, and a disabled " +
	"endpoint is asked too. It takes as long as the endpoint's timeout lets it, and 30 seconds at most; four endpoints of an application " +
	"can be asked at once."

// timingsOut are the parts of the time taken.
type timingsOut struct {
	DNS       milliseconds `json:"dnsMs" doc:"The look-up of the host."`
	Connect   milliseconds `json:"connectMs" doc:"TCP, or to the proxy."`
	TLS       milliseconds `json:"tlsMs" doc:"The handshake."`
	FirstByte milliseconds `json:"firstByteMs" doc:"From the request sent to the first byte of the answer."`
	Total     milliseconds `json:"totalMs" doc:"All of it."`
}

// milliseconds is a time on the wire, to the microsecond.
type milliseconds float64

func inMilliseconds(length time.Duration) milliseconds {
	return milliseconds(float64(length.Microseconds()) / 1000)
}

// faultOut is why there is no answer.
type faultOut struct {
	Code    string `json:"code" doc:"The cause, for programs, such as dns, refused, tls_expired or blocked_address."`
	Phase   string `json:"phase" doc:"The part in which it came: prepare, wait, dns, connect, tls, request, response or body; empty where it is not known."`
	Message string `json:"message" doc:"The cause in a sentence."`
}

func showProbe(r *webhook.Result) probeOut {
	out := probeOut{
		Success: r.Success, URL: r.URL, Method: r.Method, StatusCode: r.StatusCode, Response: responseText(r.Body),
		Protocol: unlessZero(r.Protocol), Reused: r.ConnectionReused, StartedAt: instant(r.StartedAt),
		Timings: timingsOut{
			inMilliseconds(r.Timings.DNS), inMilliseconds(r.Timings.Connect), inMilliseconds(r.Timings.TLS),
			inMilliseconds(r.Timings.FirstByte), inMilliseconds(r.Timings.Total),
		},
	}
	if f := r.Fault; f != nil {
		out.Error = &faultOut{string(f.Code), string(f.Phase), f.Message}
	}
	return out
}

func verifyEndpoint(c *call, _, _ *none) (out probeOut, _ error) {
	result, err := c.org.VerifyEndpoint(c.ctx(), c.tenant(), c.endpoint(), nil)
	if err != nil {
		return out, c.missing(err, "Endpoint")
	}
	return showProbe(&result), nil
}

func testConnectivity(c *call, _, _ *none) (out probeOut, _ error) {
	result, err := c.org.TestConnectivity(c.ctx(), c.tenant(), c.endpoint())
	if err != nil {
		return out, c.missing(err, "Endpoint")
	}
	return showProbe(&result), nil
}
