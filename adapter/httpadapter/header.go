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

// MaxHeaderValueBytes bounds the value of a custom header.
const MaxHeaderValueBytes = 4096

// The fields of InfoHeaders.
const (
	HeaderEventType  = "webhook-event-type"
	HeaderDeliveryID = "webhook-delivery-id"
	HeaderAttempt    = "webhook-attempt"
)

// reservedNames can't be custom headers: they are set by the adapter, frame the message,
// or mean something to proxies on the way.
var reservedNames = map[string]bool{
	"age": true, "cache-control": true, "clear-site-data": true, "connection": true,
	"content-encoding": true, "content-language": true, "content-length": true,
	"content-location": true, "content-type": true, "expect": true, "expires": true,
	"host": true, "http2-settings": true, "keep-alive": true, "pragma": true,
	"proxy-authenticate": true, "proxy-authorization": true, "proxy-connection": true,
	"te": true, "trailer": true, "trailers": true, "transfer-encoding": true,
	"upgrade": true, "user-agent": true, "warning": true,
}

// reservedPrefixes belong to the signature and to clouds, which trust what bears them.
var reservedPrefixes = []string{
	"svix-", "webhook-", "x-amz-", "x-amzn-", "x-azure-", "x-fd-", "x-gfe", "x-goog-", "x-google", "x-svix-",
}

// CheckHeader says what keeps a name and value from being a custom header; nil if
// nothing does. A name is a token (RFC 9110, 5.6.2) and neither reserved nor under a
// reserved prefix, in any case. A value has at most MaxHeaderValueBytes and no control
// character but the tab. The error does not repeat the value, which may be a secret.
func CheckHeader(name, value string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return checkValue(value)
}

func checkName(name string) error {
	if name == "" {
		return errors.New("the name is empty")
	}
	for i := range len(name) {
		if !tokenBytes[name[i]] {
			return fmt.Errorf("the name has the character %q, which is not allowed in one", name[i])
		}
	}
	const longest = 32 // of the reserved names and prefixes
	var room [longest]byte
	lower := string(appendLower(room[:0], name[:min(len(name), longest)]))
	if len(name) < longest && reservedNames[lower] {
		return fmt.Errorf("the name %q is reserved", name)
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return fmt.Errorf("names that begin with %q are reserved", prefix)
		}
	}
	return nil
}

func checkValue(value string) error {
	if len(value) > MaxHeaderValueBytes {
		return fmt.Errorf("the value has %d bytes, more than %d", len(value), MaxHeaderValueBytes)
	}
	for i := range len(value) {
		if char := value[i]; char < ' ' && char != '\t' || char == 0x7f {
			return fmt.Errorf("the value has the control character %q", char)
		}
	}
	return nil
}

func appendLower(out []byte, text string) []byte {
	for i := range len(text) {
		char := text[i]
		if 'A' <= char && char <= 'Z' {
			char += 'a' - 'A'
		}
		out = append(out, char)
	}
	return out
}

// tokenBytes are the characters of a token, RFC 9110, 5.6.2.
var tokenBytes = func() (is [256]bool) {
	for _, char := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		is[char] = true
	}
	return is
}()

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
	if err := checkValue(id); err != nil {
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
	if err := checkValue(delivery.EventType); err != nil {
		return nil, fmt.Errorf("the event's type: %w", err)
	}
	if err := checkValue(string(delivery.ID)); err != nil {
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
		if err := CheckHeader(name, value); err != nil {
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
