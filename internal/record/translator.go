// Package record turns what a store keeps of tenants and endpoints into what callers and
// adapters see, and back: keys into identifiers, sealed values into secrets.
package record

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/seal"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Translator knows one store's identifiers and keyset. It is safe for concurrent use.
type Translator struct {
	IDs    *ident.Codec
	Keyset *seal.Keyset
}

// Tenant returns a stored tenant as callers see it, sharing nothing with it.
func (tr *Translator) Tenant(t *store.Tenant) webhook.Tenant {
	return webhook.Tenant{
		ID: tr.IDs.Tenant(t.CreatedAt, t.Key), Organisation: webhook.OrganisationID(t.Organisation),
		UID: t.UID, Name: t.Name, RateLimit: t.RateLimit, Paused: t.Paused, Retention: t.Retention, Metadata: maps.Clone(t.Metadata),
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
}

// PutTenant writes into a stored tenant what callers rule over, sharing nothing with t.
func PutTenant(into *store.Tenant, t *webhook.Tenant) {
	into.UID, into.Name, into.RateLimit, into.Metadata = t.UID, t.Name, t.RateLimit, cloneMap(t.Metadata)
	into.Paused, into.Retention = t.Paused, t.Retention
}

// cloneMap and cloneSlice make nil of what is empty, as stores do.
func cloneMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

func cloneSlice[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

// Endpoint returns a stored endpoint as callers and adapters see it, with its secrets
// and headers opened, sharing nothing with it. An error is of the keyset's.
func (tr *Translator) Endpoint(tenant *store.Tenant, ep *store.Endpoint) (webhook.Endpoint, error) {
	out := webhook.Endpoint{
		ID: tr.IDs.Endpoint(ep.CreatedAt, ep.Key), Tenant: tr.IDs.Tenant(tenant.CreatedAt, tenant.Key),
		UID: ep.UID, Name: ep.Name, Description: ep.Description,
		URL: ep.URL, Method: ep.Method, Protocol: webhook.Protocol(ep.Protocol), Timeout: ep.Timeout,
		Disabled: ep.Disabled, Paused: ep.Paused, EventTypes: slices.Clone(ep.EventTypes), Channels: slices.Clone(ep.Channels),
		Concurrency: ep.Concurrency, Ordered: ep.Ordered,
		Schedule: slices.Clone(ep.Schedule), FinalStatuses: slices.Clone(ep.FinalStatuses),
		RateLimit: ep.RateLimit, Version: ep.UserVersion, Metadata: maps.Clone(ep.Metadata),
		CreatedBy: webhook.UserID(ep.CreatedBy), CreatedAt: ep.CreatedAt, UpdatedAt: ep.UpdatedAt,
	}
	if err := tr.openSecrets(&out, ep); err != nil {
		return out, err
	}
	return out, tr.openHeaders(&out, ep)
}

// PutEndpoint writes into a stored endpoint what callers rule over, with defaults in
// place of zero values, sharing nothing with ep. Key and Tenant must be set: what is
// sealed is bound to them.
func (tr *Translator) PutEndpoint(into *store.Endpoint, ep *webhook.Endpoint) (err error) {
	into.UID, into.Name, into.Description = ep.UID, ep.Name, ep.Description
	into.URL, into.Protocol = ep.URL, string(ep.Protocol)
	into.Method = cmp.Or(ep.Method, webhook.DefaultMethod)
	into.Timeout = cmp.Or(ep.Timeout, webhook.DefaultTimeout)
	into.Paused = ep.Paused
	into.Disabled, into.EventTypes, into.Channels = ep.Disabled, cloneSlice(ep.EventTypes), cloneSlice(ep.Channels)
	into.Concurrency, into.Ordered = ep.Concurrency, ep.Ordered
	into.Schedule, into.FinalStatuses = slices.Clone(ep.Schedule), cloneSlice(ep.FinalStatuses)
	into.RateLimit, into.UserVersion, into.Metadata = ep.RateLimit, cmp.Or(ep.Version, 1), cloneMap(ep.Metadata)
	if into.SealedSecrets, err = tr.sealSecrets(ep, into); err != nil {
		return err
	}
	into.SealedHeaders, err = tr.sealHeaders(ep, into)
	return err
}

// secrets is the JSON that is sealed. The fields are bytes, as a webhook.Secret hides
// itself from encoders and a raw one need not be text.
type secrets struct {
	Current  []byte           `json:"current"`
	Retiring []retiringSecret `json:"retiring,omitempty"`
}

type retiringSecret struct {
	Secret  []byte    `json:"secret"`
	Expires time.Time `json:"expires"`
}

func (tr *Translator) sealSecrets(ep *webhook.Endpoint, into *store.Endpoint) ([]byte, error) {
	plain := secrets{Current: []byte(ep.Secret)}
	for _, old := range ep.RetiringSecrets {
		plain.Retiring = append(plain.Retiring, retiringSecret{[]byte(old.Secret), old.Expires})
	}
	return tr.seal(plain, into, secretsUse)
}

func (tr *Translator) openSecrets(out *webhook.Endpoint, ep *store.Endpoint) error {
	var plain secrets
	if err := tr.open(&plain, ep.SealedSecrets, ep, secretsUse); err != nil {
		return fmt.Errorf("secrets of endpoint %s: %w", out.ID, err)
	}
	out.Secret = webhook.Secret(plain.Current)
	for _, old := range plain.Retiring {
		out.RetiringSecrets = append(out.RetiringSecrets, webhook.RetiringSecret{Secret: webhook.Secret(old.Secret), Expires: old.Expires})
	}
	return nil
}

func (tr *Translator) sealHeaders(ep *webhook.Endpoint, into *store.Endpoint) ([]byte, error) {
	if len(ep.Headers) == 0 {
		return nil, nil
	}
	plain := make(map[string][]byte, len(ep.Headers)) // a value need not be UTF-8
	for name, value := range ep.Headers {
		plain[name] = []byte(value)
	}
	return tr.seal(plain, into, headersUse)
}

func (tr *Translator) openHeaders(out *webhook.Endpoint, ep *store.Endpoint) error {
	if len(ep.SealedHeaders) == 0 {
		return nil
	}
	var plain map[string][]byte
	if err := tr.open(&plain, ep.SealedHeaders, ep, headersUse); err != nil {
		return fmt.Errorf("headers of endpoint %s: %w", out.ID, err)
	}
	out.Headers = make(map[string]string, len(plain))
	for name, value := range plain {
		out.Headers[name] = string(value)
	}
	return nil
}

// What is sealed is bound to its use and place, so that nobody who can write to the
// store can move it. These texts are in stores that are out in the world.
const (
	secretsUse = "endpoint secrets"
	headersUse = "endpoint headers"
)

func place(ep *store.Endpoint, use string) []byte {
	ad := make([]byte, 0, 64)
	ad = append(ad, use...)
	ad = append(ad, " of tenant "...)
	ad = strconv.AppendInt(ad, int64(ep.Tenant), 10)
	ad = append(ad, " endpoint "...)
	return strconv.AppendInt(ad, int64(ep.Key), 10)
}

func (tr *Translator) seal(value any, ep *store.Endpoint, use string) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return tr.Keyset.Seal(plain, place(ep, use))
}

func (tr *Translator) open(into any, sealed []byte, ep *store.Endpoint, use string) error {
	plain, err := tr.Keyset.Open(sealed, place(ep, use))
	if err != nil {
		return err
	}
	if json.Unmarshal(plain, into) != nil { // its error may repeat a part of it
		return fmt.Errorf("%s are not readable", use)
	}
	return nil
}
