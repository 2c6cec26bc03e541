package httpadapter

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// The fields of InfoHeaders.
const (
	HeaderEventType  = "webhook-event-type"
	HeaderDeliveryID = "webhook-delivery-id"
	HeaderAttempt    = "webhook-attempt"
)

// HeaderBuilder makes the header of a webhook's request: the Standard Webhooks fields,
// what describes the body, and the endpoint's own. The zero value is ready. It is safe
// for concurrent use.
type HeaderBuilder struct {
	// UserAgent, SvixHeaders, InfoHeaders and NoCompression are as in Options.
	UserAgent     string
	SvixHeaders   bool
	InfoHeaders   bool
	NoCompression bool

	keys recent[webhook.Secret, signature.Key]
}

// Build makes the header of a request that is sent at the instant at. The signature
// covers the delivery's Event (its ID where there is none), the instant and the Payload.
// An endpoint without a Secret gets no signature. A user and password in the endpoint's
// URL become an Authorization, unless its Headers have one. The error says what of the
// endpoint or delivery is at fault.
func (b *HeaderBuilder) Build(delivery *webhook.Delivery, endpoint *webhook.Endpoint, at time.Time) (http.Header, error) {
	if delivery == nil || endpoint == nil {
		return nil, errors.New("there is no delivery or no endpoint")
	}
	t, err := parseTarget(endpoint.URL)
	if err != nil {
		return nil, err
	}
	var room [fieldsRoom]field
	fields, err := b.append(room[:0], delivery, endpoint, t.basic, at)
	if err != nil {
		return nil, err
	}
	return headerOf(fields), nil
}

// field is a header field as it goes out.
type field struct{ name, value string }

// fieldsRoom is enough for the builder's own fields and a few of the endpoint's.
const fieldsRoom = 20

func headerOf(fields []field) http.Header {
	header := make(http.Header, len(fields))
	for _, f := range fields {
		header[f.name] = append(header[f.name], f.value)
	}
	return header
}

func (b *HeaderBuilder) append(
	fields []field, delivery *webhook.Delivery, endpoint *webhook.Endpoint, basic string, at time.Time,
) ([]field, error) {
	id := cmp.Or(string(delivery.Event), string(delivery.ID))
	if id == "" {
		return nil, errors.New("the delivery has neither an Event nor an ID to be known by")
	}
	if err := webhook.CheckHeaderValue(id); err != nil {
		return nil, fmt.Errorf("the event's id: %w", err)
	}
	signatures, err := b.sign(endpoint, id, at, delivery.Payload)
	if err != nil {
		return nil, fmt.Errorf("the secret: %w", err)
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	fields = b.appendGeneral(fields, endpoint.Headers, basic)
	fields = append(fields,
		field{"Content-Type", "application/json"}, field{"Webhook-Id", id}, field{"Webhook-Timestamp", timestamp})
	if signatures != "" {
		fields = append(fields, field{"Webhook-Signature", signatures})
	}
	if b.SvixHeaders {
		fields = append(fields, field{"Svix-Id", id}, field{"Svix-Timestamp", timestamp})
		if signatures != "" {
			fields = append(fields, field{"Svix-Signature", signatures})
		}
	}
	if b.InfoHeaders {
		if fields, err = appendInfo(fields, delivery); err != nil {
			return nil, err
		}
	}
	return appendCustom(fields, endpoint.Headers)
}

// appendGeneral writes what every request has. Custom headers may replace some of it.
func (b *HeaderBuilder) appendGeneral(fields []field, custom map[string]string, basic string) []field {
	fields = append(fields, field{"User-Agent", cmp.Or(b.UserAgent, defaultUserAgent())})
	if !hasHeader(custom, "Accept") {
		fields = append(fields, field{"Accept", "*/*"})
	}
	if !hasHeader(custom, "Accept-Encoding") {
		encoding := "gzip"
		if b.NoCompression {
			encoding = "identity"
		}
		fields = append(fields, field{"Accept-Encoding", encoding})
	}
	if basic != "" && !hasHeader(custom, "Authorization") {
		fields = append(fields, field{"Authorization", basic})
	}
	return fields
}

func appendInfo(fields []field, delivery *webhook.Delivery) ([]field, error) {
	if err := webhook.CheckHeaderValue(delivery.EventType); err != nil {
		return nil, fmt.Errorf("the event's type: %w", err)
	}
	if err := webhook.CheckHeaderValue(string(delivery.ID)); err != nil {
		return nil, fmt.Errorf("the delivery's id: %w", err)
	}
	if delivery.EventType != "" {
		fields = append(fields, field{"Webhook-Event-Type", delivery.EventType})
	}
	if delivery.ID != "" {
		fields = append(fields, field{"Webhook-Delivery-Id", string(delivery.ID)})
	}
	return append(fields, field{"Webhook-Attempt", strconv.Itoa(attemptNumber(delivery))}), nil
}

// appendCustom keeps the spelling of the names, as far as HTTP/1.1 shows it.
func appendCustom(fields []field, custom map[string]string) ([]field, error) {
	for name, value := range custom {
		if err := webhook.CheckHeader(name, value); err != nil {
			return nil, fmt.Errorf("headers.%s: %w", strconv.QuoteToASCII(name), err)
		}
		fields = append(fields, field{name, value})
	}
	return fields, nil
}

func hasHeader(headers map[string]string, name string) bool {
	for have := range headers {
		if len(have) == len(name) && strings.EqualFold(have, name) {
			return true
		}
	}
	return false
}

// attemptNumber counts from 1.
func attemptNumber(delivery *webhook.Delivery) int { return max(1, delivery.Attempt) }

// sign returns the signatures of an endpoint's keys; "" where it has none.
func (b *HeaderBuilder) sign(endpoint *webhook.Endpoint, id string, at time.Time, body []byte) (string, error) {
	if endpoint.Secret == "" {
		return "", nil
	}
	var room [4]signature.Key
	key, err := b.keys.get(endpoint.Secret, signature.Parse)
	keys := append(room[:0], key)
	if len(endpoint.RetiringSecrets) > 0 {
		for _, secret := range endpoint.SigningSecrets(at)[1:] {
			if key, err = b.keys.get(secret, signature.Parse); err != nil {
				break
			}
			keys = append(keys, key)
		}
	}
	if err != nil {
		return "", err
	}
	return signature.Sign(keys, id, at, body), nil
}

// defaultUserAgent tells the version of this module that the program was built with.
var defaultUserAgent = sync.OnceValue(func() string {
	const module, product = "github.com/neohook/neohook", "Neohook/"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return product + "devel"
	}
	version := ""
	if info.Main.Path == module {
		version = info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			version = dep.Version
		}
	}
	version = strings.TrimPrefix(version, "v")
	if version == "" || strings.HasPrefix(version, "(") {
		version = "devel"
	}
	return product + version
})
