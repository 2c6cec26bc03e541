package httpapi

import (
	"maps"
	"slices"
	"strings"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func headerOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "endpoint.get-headers", route: "GET /app/{app_id}/endpoint/{endpoint_id}/headers",
			scope: application, needs: access.ViewHeaders,
			summary: "Get the headers added to an endpoint's requests, less the sensitive ones",
		}, getHeaders),
		serves(operation{
			name: "endpoint.update-headers", route: "PUT /app/{app_id}/endpoint/{endpoint_id}/headers",
			scope: application, needs: access.ManageEndpoint,
			summary: "Replace the headers added to an endpoint's requests",
		}, putHeaders),
		serves(operation{
			name: "endpoint.patch-headers", route: "PATCH /app/{app_id}/endpoint/{endpoint_id}/headers",
			scope: application, needs: access.ManageEndpoint,
			summary: "Set and remove headers added to an endpoint's requests",
		}, patchHeaders),
	}
}

// sensitive are the headers whose values are not shown, in lower case.
var sensitive = map[string]bool{
	"authorization": true, "x-auth-token": true, "x-api-key": true,
	"www-authenticate": true, "proxy-authenticate": true, "proxy-authorization": true,
}

// headersOut are an endpoint's headers; of the sensitive ones only the names.
type headersOut struct {
	Headers   map[string]string `json:"headers" doc:"The headers and their values, but for sensitive ones."`
	Sensitive []string          `json:"sensitive" doc:"The names of headers whose values are not shown."`
}

func getHeaders(c *call, _, _ *none) (out headersOut, _ error) {
	ep, err := c.findEndpoint()
	if err != nil {
		return out, err
	}
	out.Headers = make(map[string]string)
	for name, value := range ep.Headers {
		if sensitive[strings.ToLower(name)] {
			out.Sensitive = append(out.Sensitive, name)
		} else {
			out.Headers[name] = value
		}
	}
	slices.Sort(out.Sensitive)
	return out, nil
}

type headersIn struct {
	Headers opt[map[string]string] `json:"headers" is:"required" doc:"All that is added to requests. Values have at most 4,096 bytes; names that the sender or the signature needs are refused." eg:"{\"x-team\":\"warehouse\"}"`
	rest
}

func (in *headersIn) check(bad *faults) {
	ep := webhook.Endpoint{URL: placeholderURL, Headers: in.Headers.Value}
	bad.domain(ep.Validate(), nil, "body")
}

func putHeaders(c *call, _ *none, in *headersIn) (out none, _ error) {
	return out, c.changeHeaders(func(headers map[string]string) {
		clear(headers)
		maps.Copy(headers, in.Headers.Value)
	})
}

// headersPatch sets headers, and removes those that are null or listed. Names are
// matched in the spelling they were set with.
type headersPatch struct {
	Headers       opt[map[string]*string] `json:"headers" doc:"Headers to set, or with null to remove." eg:"{\"x-team\":\"warehouse\"}"`
	DeleteHeaders opt[[]string]           `json:"deleteHeaders" doc:"Headers to remove, in the spelling they were set with."`
	rest
}

func (in *headersPatch) check(bad *faults) {
	for _, name := range in.DeleteHeaders.Value {
		if in.Headers.Value[name] != nil {
			bad.add("is set and deleted at once", "body", "headers", clip(name))
		}
	}
	ep := webhook.Endpoint{URL: placeholderURL, Headers: make(map[string]string)}
	in.apply(ep.Headers)
	bad.domain(ep.Validate(), nil, "body")
}

func (in *headersPatch) apply(headers map[string]string) {
	for name, value := range in.Headers.Value {
		if value == nil {
			delete(headers, name)
		} else {
			headers[name] = *value
		}
	}
	for _, name := range in.DeleteHeaders.Value {
		delete(headers, name)
	}
}

func patchHeaders(c *call, _ *none, in *headersPatch) (out none, _ error) {
	return out, c.changeHeaders(in.apply)
}

func (c *call) changeHeaders(change func(map[string]string)) error {
	_, err := c.org.UpdateEndpoint(c.ctx(), c.tenant(), c.endpoint(), func(ep *webhook.Endpoint) error {
		headers := make(map[string]string)
		maps.Copy(headers, ep.Headers)
		change(headers)
		ep.Headers = headers
		return nil
	})
	return c.missing(err, "Endpoint")
}
