package httpapi

import (
	"crypto/ed25519"
	"encoding/base64"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func secretOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "endpoint.get-secret", route: "GET /app/{app_id}/endpoint/{endpoint_id}/secret",
			scope: application, needs: access.ViewSecret,
			summary: "Get the secret that an endpoint's requests are verified with",
		}, getSecret),
		serves(operation{
			name: "endpoint.rotate-secret", route: "POST /app/{app_id}/endpoint/{endpoint_id}/secret/rotate",
			scope: application, needs: access.ManageSecret, once: true, names: wireNames{"secret": "key"},
			summary: "Replace an endpoint's secret; the old one signs beside it for a while",
		}, rotateSecret),
	}
}

type secretOut struct {
	Key string `json:"key" doc:"What requests are verified with: the secret, or for Ed25519 the public half of the key."`
}

func getSecret(c *call, _, _ *none) (out secretOut, _ error) {
	ep, err := c.findEndpoint()
	if err != nil {
		return out, err
	}
	return secretOut{verifyingKey(ep.Secret)}, nil
}

// verifyingKey is what a receiver needs: the secret itself, or for Ed25519 the public
// half of the key.
func verifyingKey(secret webhook.Secret) string {
	if kind, key, err := secret.Decode(); err == nil && kind == webhook.Ed25519Secret {
		return webhook.Ed25519PublicPrefix + base64.StdEncoding.EncodeToString(ed25519.PrivateKey(key).Public().(ed25519.PublicKey))
	}
	return string(secret)
}

type rotateIn struct {
	Key   opt[string] `json:"key" is:"secret" doc:"The new key; one is made where none is given."`
	Grace opt[int64]  `json:"gracePeriodSeconds" is:"max=604800,default=86400" doc:"How long the old key signs beside the new one."`
	rest
}

func (in *rotateIn) check(bad *faults) {
	ep := webhook.Endpoint{URL: placeholderURL, Secret: webhook.Secret(in.Key.Value)}
	bad.domain(ep.Validate(), wireNames{"secret": "key"}, "body")
}

// rotateSecret answers with the new key: the newest clients read it, and older ones, which
// expect nothing, leave it.
func rotateSecret(c *call, _ *none, in *rotateIn) (out secretOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	grace := time.Duration(in.Grace.Value) * time.Second
	err = org.RotateSecret(c.ctx(), c.tenant(), c.endpoint(), webhook.Secret(in.Key.Value), grace)
	if err != nil {
		return out, c.missing(err, "Endpoint")
	}
	return getSecret(c, nil, nil)
}
