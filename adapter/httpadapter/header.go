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

	keys keyring
}

// Build makes the header of a request that is sent at the instant at. The signature
// covers the delivery's Event (its ID where there is none), the instant and the Payload.
// An endpoint without a Secret gets no signature. The error says which field of the
// endpoint or delivery is at fault.
func (b *HeaderBuilder) Build(delivery *webhook.Delivery, endpoint *webhook.Endpoint, at time.Time) (http.Header, error) {
	if delivery == nil || endpoint == nil {
		return nil, errors.New("there is no delivery or no endpoint")
	}
	header := make(http.Header, 8+len(endpoint.Headers))
	err := b.write(header, delivery, endpoint, at)
	return header, err
}

// The values that are always the same are shared by all requests: nobody writes to them.
var (
	anything    = []string{"*/*"}
	jsonContent = []string{"application/json"}
	gzipOnly    = []string{"gzip"}
	identity    = []string{"identity"}
)

func (b *HeaderBuilder) write(header http.Header, delivery *webhook.Delivery, endpoint *webhook.Endpoint, at time.Time) error {
	id := cmp.Or(string(delivery.Event), string(delivery.ID))
	if id == "" {
		return errors.New("the delivery has neither an Event nor an ID to be known by")
	}
	if err := checkValue(id); err != nil {
		return fmt.Errorf("the event's id: %w", err)
	}
	signatures, err := b.keys.sign(endpoint, id, at, delivery.Payload)
	if err != nil {
		return fmt.Errorf("the secret: %w", err)
	}
	values := make([]string, 3) // one allocation for three values
	values[0], values[1], values[2] = id, strconv.FormatInt(at.Unix(), 10), signatures

	header["Accept"] = anything
	header["Accept-Encoding"] = gzipOnly
	if b.NoCompression {
		header["Accept-Encoding"] = identity
	}
	header["Content-Type"] = jsonContent
	header["User-Agent"] = []string{cmp.Or(b.UserAgent, defaultUserAgent())}
	header["Webhook-Id"] = values[0:1:1]
	header["Webhook-Timestamp"] = values[1:2:2]
	if signatures != "" {
		header["Webhook-Signature"] = values[2:3:3]
	}
	if b.SvixHeaders {
		header["Svix-Id"] = values[0:1:1]
		header["Svix-Timestamp"] = values[1:2:2]
		if signatures != "" {
			header["Svix-Signature"] = values[2:3:3]
		}
	}
	if b.InfoHeaders {
		if err := b.describe(header, delivery); err != nil {
			return err
		}
	}
	return b.addCustom(header, endpoint.Headers)
}

func (b *HeaderBuilder) describe(header http.Header, delivery *webhook.Delivery) error {
	if err := checkValue(delivery.EventType); err != nil {
		return fmt.Errorf("the event's type: %w", err)
	}
	if err := checkValue(string(delivery.ID)); err != nil {
		return fmt.Errorf("the delivery's id: %w", err)
	}
	if delivery.EventType != "" {
		header["Webhook-Event-Type"] = []string{delivery.EventType}
	}
	if delivery.ID != "" {
		header["Webhook-Delivery-Id"] = []string{string(delivery.ID)}
	}
	header["Webhook-Attempt"] = []string{strconv.Itoa(attemptNumber(delivery))}
	return nil
}

// addCustom keeps the spelling of the names, as far as HTTP/1.1 shows it.
func (b *HeaderBuilder) addCustom(header http.Header, custom map[string]string) error {
	for name, value := range custom {
		if err := CheckHeader(name, value); err != nil {
			return fmt.Errorf("headers.%s: %w", name, err)
		}
		if strings.EqualFold(name, "Accept") || strings.EqualFold(name, "Accept-Encoding") {
			delete(header, http.CanonicalHeaderKey(name))
		}
		header[name] = []string{value}
	}
	return nil
}

func hasHeader(headers map[string]string, name string) bool {
	for have := range headers {
		if strings.EqualFold(have, name) {
			return true
		}
	}
	return false
}

// attemptNumber counts from 1.
func attemptNumber(delivery *webhook.Delivery) int { return max(1, delivery.Attempt) }

// keyring keeps the keys of recent secrets ready, as they are costly to make. The zero
// value is empty.
type keyring struct {
	mu   sync.RWMutex
	keys map[webhook.Secret]signature.Key
}

// maxKeys bounds a keyring. A full one is emptied: it fills again in a moment.
const maxKeys = 16_384

func (k *keyring) sign(endpoint *webhook.Endpoint, id string, at time.Time, body []byte) (string, error) {
	if endpoint.Secret == "" {
		return "", nil
	}
	if len(endpoint.RetiringSecrets) == 0 {
		key, err := k.key(endpoint.Secret)
		if err != nil {
			return "", err
		}
		return signature.Sign([]signature.Key{key}, id, at, body), nil
	}
	secrets := endpoint.SigningSecrets(at)
	keys := make([]signature.Key, len(secrets))
	for i, secret := range secrets {
		key, err := k.key(secret)
		if err != nil {
			return "", err
		}
		keys[i] = key
	}
	return signature.Sign(keys, id, at, body), nil
}

func (k *keyring) key(secret webhook.Secret) (signature.Key, error) {
	k.mu.RLock()
	key, known := k.keys[secret]
	k.mu.RUnlock()
	if known {
		return key, nil
	}
	key, err := signature.Parse(secret)
	if err != nil {
		return key, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) >= maxKeys {
		clear(k.keys)
	}
	if k.keys == nil {
		k.keys = make(map[webhook.Secret]signature.Key)
	}
	k.keys[secret] = key
	return key, nil
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
