package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of what callers name and say.
const (
	MaxNameChars        = 256 // of a UID, an event type, a channel, a tag
	MaxRateLimit        = 65_535
	MaxMetadataBytes    = 4096 // as JSON text
	MaxURLBytes         = 8192
	MaxEventChannels    = 5
	MaxEventTags        = 10
	MaxEndpointChannels = 10
	MaxEndpointTypes    = 1000
	MaxConcurrency      = 1000
	MaxFinalStatuses    = 100
	// MaxRetiringSecrets is how many replaced secrets may sign beside the current one.
	MaxRetiringSecrets = 10
)

// Validate returns all that is wrong with what a caller sets of a tenant, as
// *InvalidError, or nil. ID, Organisation and times are not looked at.
func (t *Tenant) Validate() error {
	var bad InvalidError
	if t.Name == "" {
		bad.Add("name", "must not be empty")
	}
	checkText(&bad, "name", t.Name)
	checkUID(&bad, TenantPrefix, t.UID)
	checkRateLimit(&bad, t.RateLimit)
	t.Retention.check(&bad)
	checkMetadata(&bad, t.Metadata)
	return bad.Err()
}

// Validate returns all that is wrong with what a caller sets of an endpoint, as
// *InvalidError, or nil. Zero values that stand for a default are right, and an empty
// Secret too: an adapter does not sign without one. ID, Tenant and times are not looked
// at, and of CreatedBy only that it is text. No message repeats a secret, a header's value or the URL.
func (ep *Endpoint) Validate() error {
	var bad InvalidError
	checkUID(&bad, EndpointPrefix, ep.UID)
	checkText(&bad, "name", ep.Name)
	checkText(&bad, "description", ep.Description)
	checkURL(&bad, ep.URL)
	if len(ep.Method) > 32 || ep.Method != "" && !isToken(ep.Method) {
		bad.Add("method", "must be a token of at most 32 characters, such as POST")
	}
	if ep.Protocol != "" && ep.Protocol != HTTP1 && ep.Protocol != HTTP2 {
		bad.Add("protocol", fmt.Sprintf("must be %q, %q or empty", HTTP1, HTTP2))
	}
	ep.checkSecrets(&bad)
	ep.checkHeaders(&bad)
	if ep.Timeout != 0 && (ep.Timeout < MinTimeout || ep.Timeout > MaxTimeout) {
		bad.Add("timeout", fmt.Sprintf("must be between %d and %d seconds", int(MinTimeout.Seconds()), int(MaxTimeout.Seconds())))
	}
	checkNames(&bad, "eventTypes", ep.EventTypes, MaxEndpointTypes)
	checkNames(&bad, "channels", ep.Channels, MaxEndpointChannels)
	checkRateLimit(&bad, ep.RateLimit)
	if ep.Concurrency < 0 || ep.Concurrency > MaxConcurrency {
		bad.Add("concurrency", fmt.Sprintf("must be between 1 and %d, or 0 for the default", MaxConcurrency))
	}
	ep.Schedule.check(&bad)
	ep.checkFinalStatuses(&bad)
	if ep.Version < 0 {
		bad.Add("version", "must be 1 or more")
	}
	checkMetadata(&bad, ep.Metadata)
	if !IsText(string(ep.CreatedBy)) {
		bad.Add("createdBy", "must be "+textRule)
	}
	return bad.Err()
}

// Validate returns all that is wrong with what a caller sets of an event, as
// *InvalidError, or nil. ID and the times are not looked at, nor is the Payload: how
// large it may be, and what time it is, is the engine's to say.
func (e *Event) Validate() error {
	var bad InvalidError
	if e.Tenant == "" {
		bad.Add("tenant", "must not be empty")
	}
	checkUID(&bad, EventPrefix, e.UID)
	if !IsName(e.Type) {
		bad.Add("type", nameRule)
	}
	checkNames(&bad, "channels", e.Channels, MaxEventChannels)
	checkNames(&bad, "tags", e.Tags, MaxEventTags)
	checkPayloadTTL(&bad, e.PayloadTTL)
	return bad.Err()
}

const nameRule = "must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot"

// IsName says whether text can be a UID, an event type, a channel or a tag: 1 to 256
// characters of a-z A-Z 0-9 - _ and dot.
func IsName(text string) bool {
	for i := range len(text) {
		if char := text[i]; !isAlphanumeric(char) && char != '-' && char != '_' && char != '.' {
			return false
		}
	}
	return text != "" && len(text) <= MaxNameChars
}

const textRule = "UTF-8 text without U+0000"

// IsText says whether text is valid UTF-8 without U+0000. No database keeps anything else
// as text, so everything that is stored as such has to be.
func IsText(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

func checkNames(bad *InvalidError, field string, names []string, most int) {
	if len(names) > most {
		bad.Add(field, fmt.Sprintf("must be at most %d", most))
		return
	}
	for i, name := range names {
		if !IsName(name) {
			bad.Add(field+"["+strconv.Itoa(i)+"]", nameRule)
		}
	}
}

func checkUID(bad *InvalidError, prefix, uid string) {
	switch {
	case uid == "":
	case !IsName(uid):
		bad.Add("uid", nameRule)
	case strings.HasPrefix(uid, prefix):
		bad.Add("uid", fmt.Sprintf("must not begin with %q: that is for ids", prefix))
	}
}

func checkText(bad *InvalidError, field, text string) {
	if !utf8.ValidString(text) {
		bad.Add(field, "must be UTF-8 text")
	}
	if strings.ContainsFunc(text, func(char rune) bool { return char <= 8 }) {
		bad.Add(field, "must not have the control characters 0x00 to 0x08")
	}
}

func checkRateLimit(bad *InvalidError, rate int) {
	if rate < 0 || rate > MaxRateLimit {
		bad.Add("throttleRate", fmt.Sprintf("must be between 1 and %d", MaxRateLimit))
	}
}

func checkMetadata(bad *InvalidError, metadata map[string]string) {
	if len(metadata) == 0 {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) { // so that the same input is told the same
		switch {
		case !IsText(key):
			bad.Add("metadata", "must have names that are "+textRule)
		case !IsText(metadata[key]):
			bad.Add("metadata."+key, "must be "+textRule)
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(metadata); err != nil {
		bad.Add("metadata", "must be an object of strings")
	} else if size := text.Len() - 1; size > MaxMetadataBytes { // less the line's end
		bad.Add("metadata", fmt.Sprintf("must be at most %d bytes of JSON, not %d", MaxMetadataBytes, size))
	}
}

func checkURL(bad *InvalidError, text string) {
	parsed, err := url.Parse(text)
	switch {
	case len(text) > MaxURLBytes:
		bad.Add("url", fmt.Sprintf("must have at most %d bytes", MaxURLBytes))
	case err != nil || !utf8.ValidString(text) || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Opaque != "" || parsed.Hostname() == "":
		bad.Add("url", "must be an absolute http or https URL, such as https://example.com/hook")
	case strings.Contains(text, "#"):
		bad.Add("url", "must not have a fragment, which is never sent")
	case parsed.Port() != "" && !isPort(parsed.Port()):
		bad.Add("url", "must have a port between 1 and 65535")
	}
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port != 0
}

func (ep *Endpoint) checkSecrets(bad *InvalidError) {
	if ep.Secret != "" {
		checkSecret(bad, "secret", ep.Secret)
	}
	if len(ep.RetiringSecrets) > MaxRetiringSecrets {
		bad.Add("retiringSecrets", fmt.Sprintf("must be at most %d", MaxRetiringSecrets))
	}
	for i, retiring := range ep.RetiringSecrets {
		checkSecret(bad, "retiringSecrets["+strconv.Itoa(i)+"]", retiring.Secret)
	}
}

func checkSecret(bad *InvalidError, field string, secret Secret) {
	switch kind, _, err := secret.Decode(); {
	case err != nil:
		bad.Add(field, "is "+err.Error())
	case kind == Ed25519PublicSecret:
		bad.Add(field, fmt.Sprintf("must be a key that signs: %q is a public one", Ed25519PublicPrefix))
	}
}

func (ep *Endpoint) checkFinalStatuses(bad *InvalidError) {
	if len(ep.FinalStatuses) > MaxFinalStatuses {
		bad.Add("finalStatuses", fmt.Sprintf("must be at most %d", MaxFinalStatuses))
		return
	}
	for i, status := range ep.FinalStatuses {
		if status < 300 || status > 599 {
			bad.Add("finalStatuses["+strconv.Itoa(i)+"]", "must be between 300 and 599")
		}
	}
}

func (ep *Endpoint) checkHeaders(bad *InvalidError) {
	size, seen := 0, make(map[string]bool, len(ep.Headers))
	names := make([]string, 0, len(ep.Headers))
	for name, value := range ep.Headers {
		names = append(names, name)
		size += len(name) + len(value)
	}
	slices.Sort(names) // so that the same input is told the same
	for _, name := range names {
		const most = 64 // of a name that may be no name at all
		field := "headers." + name[:min(len(name), most)]
		if err := CheckHeader(name, ep.Headers[name]); err != nil {
			bad.Add(field, err.Error())
		}
		if lower := strings.ToLower(name); seen[lower] {
			bad.Add(field, "must not be there twice, in another case")
		} else {
			seen[lower] = true
		}
	}
	if size > MaxHeadersBytes {
		bad.Add("headers", fmt.Sprintf("must be at most %d bytes together, not %d", MaxHeadersBytes, size))
	}
}
