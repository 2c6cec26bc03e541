package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func endpointOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "endpoint.list", route: "GET /app/{app_id}/endpoint",
			scope: application, needs: access.View,
			summary: "List the endpoints of an application",
		}, listEndpoints),
		serves(operation{
			name: "endpoint.create", route: "POST /app/{app_id}/endpoint",
			scope: application, needs: access.ManageEndpoint, status: http.StatusCreated, once: true,
			summary: "Create an endpoint",
		}, createEndpoint),
		serves(operation{
			name: "endpoint.get", route: "GET /app/{app_id}/endpoint/{endpoint_id}",
			scope: application, needs: access.View,
			summary: "Get an endpoint",
		}, getEndpoint),
		serves(operation{
			name: "endpoint.update", route: "PUT /app/{app_id}/endpoint/{endpoint_id}",
			scope: application, needs: access.ManageEndpoint, upsert: true, refusals: []int{http.StatusConflict},
			summary: "Create or replace an endpoint",
		}, putEndpoint),
		serves(operation{
			name: "endpoint.patch", route: "PATCH /app/{app_id}/endpoint/{endpoint_id}",
			scope: application, needs: access.ManageEndpoint, refusals: []int{http.StatusConflict},
			summary: "Change parts of an endpoint",
		}, patchEndpoint),
		serves(operation{
			name: "endpoint.delete", route: "DELETE /app/{app_id}/endpoint/{endpoint_id}",
			scope: application, needs: access.ManageEndpoint,
			summary: "Delete an endpoint",
		}, deleteEndpoint),
	}
}

// endpointIn is an endpoint to be made or put in another's place. A replaced endpoint
// keeps its secret, its headers and its policy unless new ones are given.
type endpointIn struct {
	URL          opt[string]            `json:"url" is:"required,url" doc:"Where requests go: http or https. Whether the address may be reached is judged at each attempt. A user and password in it go out as HTTP Basic." eg:"https://example.com/webhook"`
	Description  opt[string]            `json:"description" doc:"For people." eg:"Orders to the warehouse"`
	UID          opt[string]            `json:"uid" is:"uid=ep_" doc:"Your own name for the endpoint, unique in its application. It serves wherever the id does." eg:"warehouse"`
	Disabled     opt[bool]              `json:"disabled" is:"default=false" doc:"Nothing is sent to a disabled endpoint, and what was waiting for it is cancelled."`
	EventTypes   opt[[]string]          `json:"eventTypes" is:"min=1,slug" doc:"The types of messages that it gets, compared as they stand. Null is all."`
	FilterTypes  opt[[]string]          `json:"filterTypes" is:"min=1,slug,older=eventTypes"`
	Channels     opt[[]string]          `json:"channels" is:"min=1,max=10,slug" doc:"Narrows further: a message must share a channel. Null is no narrowing."`
	ThrottleRate opt[int64]             `json:"throttleRate" is:"min=1,max=65535" doc:"The most attempts per second. Null is no limit."`
	RateLimit    opt[int64]             `json:"rateLimit" is:"min=1,max=65535,older=throttleRate"`
	Version      opt[int64]             `json:"version" is:"min=1,max=65535,default=1" doc:"Your own number; nothing is done with it."`
	Secret       opt[string]            `json:"secret" is:"secret" doc:"The key that requests are signed with: whsec_ and base64 of 24 to 75 bytes, or whsk_ and base64 of a 64-byte Ed25519 key. One is made where none is given."`
	Headers      opt[map[string]string] `json:"headers" doc:"Added to each request. Values have at most 4,096 bytes; names that the sender or the signature needs are refused."`
	Metadata     opt[map[string]string] `json:"metadata" doc:"Whatever you want to keep with it, at most 4,096 bytes as JSON."`
	policyIn
	rest
}

func (in *endpointIn) check(bad *faults) {
	oneName(in.EventTypes, in.FilterTypes, bad)
	var ep webhook.Endpoint
	in.fill(&ep)
	bad.domain(ep.Validate(), endpointNames(in.EventTypes, in.FilterTypes, in.ThrottleRate, in.RateLimit), "body")
}

// oneName refuses event types that are told differently under their two names.
func oneName(types, filter opt[[]string], bad *faults) {
	if types.Given && filter.Given && !slices.Equal(types.Value, filter.Value) {
		bad.add("must be the same as eventTypes, of which it is the older name", "body", "filterTypes")
	}
}

// endpointNames tells under which names the client sent what has two.
func endpointNames(types, filter opt[[]string], throttle, limit opt[int64]) wireNames {
	names := maps.Clone(policyNames)
	maps.Copy(names, rateNames(throttle, limit))
	if filter.Given && !types.Given {
		names["eventTypes"] = "filterTypes"
	}
	return names
}

// spelled tells what the engine finds wrong with an endpoint under the names that the client
// sent.
func (in *endpointIn) spelled(err error) error {
	return spelled(err, endpointNames(in.EventTypes, in.FilterTypes, in.ThrottleRate, in.RateLimit))
}

func (in *endpointPatch) spelled(err error) error {
	return spelled(err, endpointNames(in.EventTypes, in.FilterTypes, in.ThrottleRate, in.RateLimit))
}

// fill writes all that the client rules over.
func (in *endpointIn) fill(ep *webhook.Endpoint) {
	ep.URL, ep.Description, ep.UID = normalURL(in.URL.Value), in.Description.Value, in.UID.Value
	ep.Disabled, ep.Channels, ep.Metadata = in.Disabled.Value, in.Channels.Value, in.Metadata.Value
	ep.EventTypes = in.EventTypes.or(in.FilterTypes.Value)
	ep.RateLimit = int(in.ThrottleRate.or(in.RateLimit.Value))
	ep.Version = int(in.Version.Value)
	if in.Secret.Given {
		replaceSecret(ep, webhook.Secret(in.Secret.Value))
	}
	if in.Headers.Given {
		ep.Headers = in.Headers.Value
	}
	in.policyIn.apply(ep)
}

// replaceSecret makes secret the only one that signs.
func replaceSecret(ep *webhook.Endpoint, secret webhook.Secret) {
	ep.Secret, ep.RetiringSecrets = secret, nil
}

// endpointPatch is what changes of an endpoint.
type endpointPatch struct {
	like[endpointIn]
	URL          opt[string]            `json:"url" is:"solid,url"`
	Description  opt[string]            `json:"description" is:"solid"`
	UID          opt[string]            `json:"uid" is:"uid=ep_"`
	Disabled     opt[bool]              `json:"disabled" is:"solid"`
	EventTypes   opt[[]string]          `json:"eventTypes" is:"min=1,slug"`
	FilterTypes  opt[[]string]          `json:"filterTypes" is:"min=1,slug,older=eventTypes"`
	Channels     opt[[]string]          `json:"channels" is:"min=1,max=10,slug"`
	ThrottleRate opt[int64]             `json:"throttleRate" is:"min=1,max=65535"`
	RateLimit    opt[int64]             `json:"rateLimit" is:"min=1,max=65535,older=throttleRate"`
	Version      opt[int64]             `json:"version" is:"solid,min=1,max=65535"`
	Secret       opt[string]            `json:"secret" is:"solid,secret"`
	Metadata     opt[map[string]string] `json:"metadata"`
	policyIn
	rest
}

func (in *endpointPatch) check(bad *faults) {
	oneName(in.EventTypes, in.FilterTypes, bad)
	ep := webhook.Endpoint{URL: placeholderURL}
	_ = in.apply(&ep)
	bad.domain(ep.Validate(), endpointNames(in.EventTypes, in.FilterTypes, in.ThrottleRate, in.RateLimit), "body")
}

// placeholderURL stands for the address that an endpoint has when only other parts of it
// are checked.
const placeholderURL = "https://example.com/"

func (in *endpointPatch) apply(ep *webhook.Endpoint) error {
	if in.URL.Given {
		ep.URL = normalURL(in.URL.Value)
	}
	in.Description.patch(&ep.Description)
	in.UID.patch(&ep.UID)
	in.Disabled.patch(&ep.Disabled)
	in.FilterTypes.patch(&ep.EventTypes)
	in.EventTypes.patch(&ep.EventTypes)
	in.Channels.patch(&ep.Channels)
	patchInt(&ep.RateLimit, in.RateLimit, in.ThrottleRate)
	patchInt(&ep.Version, in.Version)
	if in.Secret.Given {
		replaceSecret(ep, webhook.Secret(in.Secret.Value))
	}
	in.Metadata.patch(&ep.Metadata)
	in.policyIn.apply(ep)
	return nil
}

// normalURL is the address with its host in lower case and a path, as clients have come
// to see it. It has passed the rule for addresses.
func normalURL(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return text
	}
	parsed.Host = strings.ToLower(parsed.Host)
	if parsed.Path == "" {
		parsed.Path = "/"
	}
	return parsed.String()
}

// endpointOut is an endpoint as shown: without secret and headers.
type endpointOut struct {
	like[endpointIn]
	ID           webhook.EndpointID `json:"id" doc:"Sortable by the time of creation."`
	UID          *string            `json:"uid"`
	URL          string             `json:"url"`
	Description  string             `json:"description"`
	Disabled     bool               `json:"disabled"`
	Paused       bool               `json:"paused" doc:"Nothing is sent to it until it is resumed; what is for it waits."`
	EventTypes   *[]string          `json:"eventTypes"`
	FilterTypes  *[]string          `json:"filterTypes" is:"older=eventTypes"`
	Channels     *[]string          `json:"channels"`
	ThrottleRate *int               `json:"throttleRate"`
	RateLimit    *int               `json:"rateLimit" is:"older=throttleRate"`
	Version      int                `json:"version"`
	CreatedAt    instant            `json:"createdAt" doc:"When it was made."`
	UpdatedAt    instant            `json:"updatedAt" doc:"When it was last changed."`
	Metadata     map[string]string  `json:"metadata"`
	policyOut
}

func showEndpoint(ep *webhook.Endpoint) endpointOut {
	types := unlessEmpty(ep.EventTypes)
	return endpointOut{
		ID: ep.ID, UID: unlessZero(ep.UID), URL: ep.URL, Description: ep.Description, Disabled: ep.Disabled, Paused: ep.Paused,
		EventTypes: types, FilterTypes: types, Channels: unlessEmpty(ep.Channels),
		ThrottleRate: unlessZero(ep.RateLimit), RateLimit: unlessZero(ep.RateLimit), Version: max(ep.Version, 1),
		CreatedAt: instant(ep.CreatedAt), UpdatedAt: instant(ep.UpdatedAt), Metadata: ep.Metadata,
		policyOut: showPolicy(ep),
	}
}

func endpointIterator(ep *webhook.Endpoint) string { return string(ep.ID) }

type endpointsQuery struct {
	limited
	Iterator opt[string] `query:"iterator" is:"iterator=ep_" doc:"The iterator or prevIterator of another page; without one, the first page."`
	Order    opt[string] `query:"order" is:"enum=ascending|descending,default=descending" doc:"By the time of creation."`
}

func listEndpoints(c *call, q *endpointsQuery, _ *none) (out listOut[endpointOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, q.Order.Value != "ascending")
	got, err := c.org.Endpoints(c.ctx(), c.tenant(), w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "")
	}
	return listed(w, got, endpointIterator, showEndpoint), nil
}

func createEndpoint(c *call, _ *none, in *endpointIn) (out endpointOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	var made webhook.Endpoint
	in.fill(&made)
	made, err = org.KnownTypes().CreateEndpoint(c.ctx(), c.tenant(), made)
	if err != nil {
		return out, c.missing(in.spelled(err), "")
	}
	return showEndpoint(&made), nil
}

func getEndpoint(c *call, _, _ *none) (out endpointOut, _ error) {
	found, err := c.findEndpoint()
	if err != nil {
		return out, err
	}
	return showEndpoint(&found), nil
}

// findEndpoint returns the endpoint in the path.
func (c *call) findEndpoint() (webhook.Endpoint, error) {
	found, err := c.org.Endpoint(c.ctx(), c.tenant(), c.endpoint())
	return found, c.missing(err, "Endpoint")
}

func putEndpoint(c *call, _ *none, in *endpointIn) (out endpointOut, _ error) {
	put, err := upsert(c,
		func() (webhook.Endpoint, error) {
			return c.org.KnownTypes().UpdateEndpoint(c.ctx(), c.tenant(), c.endpoint(), func(ep *webhook.Endpoint) error {
				in.fill(ep)
				return nil
			})
		},
		func() (webhook.Endpoint, error) {
			var made webhook.Endpoint
			in.fill(&made)
			return c.org.KnownTypes().CreateEndpoint(c.ctx(), c.tenant(), made)
		})
	if err != nil {
		return out, c.missing(in.spelled(err), "")
	}
	return showEndpoint(&put), nil
}

func patchEndpoint(c *call, _ *none, in *endpointPatch) (out endpointOut, _ error) {
	patched, err := c.org.KnownTypes().UpdateEndpoint(c.ctx(), c.tenant(), c.endpoint(), in.apply)
	if err != nil {
		return out, c.missing(in.spelled(err), "Endpoint")
	}
	return showEndpoint(&patched), nil
}

func deleteEndpoint(c *call, _, _ *none) (out none, _ error) {
	return out, c.missing(c.org.DeleteEndpoint(c.ctx(), c.tenant(), c.endpoint()), "Endpoint")
}
