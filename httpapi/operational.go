package httpapi

import (
	"net/http"

	"github.com/neohook/neohook/access"
)

func operationalOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "operational-webhook-endpoint.list", route: "GET /operational-webhook/endpoint",
			scope: organisationOnly, needs: access.Administer,
			summary: "List the endpoints that are told of what happens to endpoints and messages",
		}, operationally(listEndpoints)),
		serves(operation{
			name: "operational-webhook-endpoint.create", route: "POST /operational-webhook/endpoint",
			scope: organisationOnly, needs: access.Administer, status: http.StatusCreated, once: true,
			summary: "Create an endpoint that is told of what happens",
		}, operationally(createEndpoint)),
		serves(operation{
			name: "operational-webhook-endpoint.get", route: "GET /operational-webhook/endpoint/{operational_endpoint_id}",
			scope: organisationOnly, needs: access.Administer,
			summary: "Get an endpoint that is told of what happens",
		}, operationally(getEndpoint)),
		serves(operation{
			name: "operational-webhook-endpoint.update", route: "PUT /operational-webhook/endpoint/{operational_endpoint_id}",
			scope: organisationOnly, needs: access.Administer, upsert: true, refusals: []int{http.StatusConflict},
			summary: "Create or replace an endpoint that is told of what happens",
		}, operationally(putEndpoint)),
		serves(operation{
			name: "operational-webhook-endpoint.delete", route: "DELETE /operational-webhook/endpoint/{operational_endpoint_id}",
			scope: organisationOnly, needs: access.Administer,
			summary: "Delete an endpoint that is told of what happens",
		}, operationally(deleteEndpoint)),
		serves(operation{
			name: "operational-webhook-endpoint.get-secret", route: "GET /operational-webhook/endpoint/{operational_endpoint_id}/secret",
			scope: organisationOnly, needs: access.Administer,
			summary: "Get the secret that its requests are verified with",
		}, operationally(getSecret)),
		serves(operation{
			name: "operational-webhook-endpoint.rotate-secret", route: "POST /operational-webhook/endpoint/{operational_endpoint_id}/secret/rotate",
			scope: organisationOnly, needs: access.Administer, once: true, names: wireNames{"secret": "key"},
			summary: "Replace its secret; the old one signs beside it for a while",
		}, operationally(rotateSecret)),
		serves(operation{
			name: "operational-webhook-endpoint.get-headers", route: "GET /operational-webhook/endpoint/{operational_endpoint_id}/headers",
			scope: organisationOnly, needs: access.Administer,
			summary: "Get the headers added to its requests, less the sensitive ones",
		}, operationally(getHeaders)),
		serves(operation{
			name: "operational-webhook-endpoint.update-headers", route: "PUT /operational-webhook/endpoint/{operational_endpoint_id}/headers",
			scope: organisationOnly, needs: access.Administer,
			summary: "Replace the headers added to its requests",
		}, operationally(putHeaders)),
	}
}

// operationally lets a handler work on the endpoints that an organisation's operational
// events go to: they are those of an application like any other, whose name clients need
// not know.
func operationally[Q, B, A any](handle handler[Q, B, A]) handler[Q, B, A] {
	return func(c *call, query *Q, body *B) (out A, _ error) {
		acting, tenant, err := c.org.Operational(c.ctx())
		if err != nil {
			return out, err
		}
		c.org, c.app = acting, tenant
		return handle(c, query, body)
	}
}
