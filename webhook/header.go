package webhook

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of an endpoint's own headers.
const (
	MaxHeaderValueBytes = 4096
	// MaxHeadersBytes bounds all names and values together; many receivers refuse more.
	MaxHeadersBytes = 32 << 10
)

// reservedHeaders are set by adapters, frame the message, or mean something to proxies
// on the way.
var reservedHeaders = map[string]bool{
	"age": true, "cache-control": true, "clear-site-data": true, "connection": true,
	"content-encoding": true, "content-language": true, "content-length": true,
	"content-location": true, "content-type": true, "expect": true, "expires": true,
	"host": true, "http2-settings": true, "keep-alive": true, "pragma": true,
	"proxy-authenticate": true, "proxy-authorization": true, "proxy-connection": true,
	"te": true, "trailer": true, "trailers": true, "transfer-encoding": true,
	"upgrade": true, "user-agent": true, "warning": true,
}

// reservedHeaderPrefixes belong to signatures and to clouds, which trust what bears them.
var reservedHeaderPrefixes = []string{
	"svix-", "webhook-", "x-amz-", "x-amzn-", "x-azure-", "x-fd-", "x-gfe", "x-goog-", "x-google", "x-svix-",
}

// CheckHeader says what keeps a name and value from being one of an endpoint's own
// headers; nil if nothing does. A name is a token (RFC 9110, 5.6.2), neither reserved
// nor under a reserved prefix, in any case. The value is as CheckHeaderValue wants it.
func CheckHeader(name, value string) error {
	if !isToken(name) {
		return errors.New("the name must be a token: letters, digits and !#$%&'*+-.^_`|~")
	}
	const longest = 32 // of the reserved names and prefixes
	var room [longest]byte
	lower := string(appendLower(room[:0], name[:min(len(name), longest)]))
	if len(name) < longest && reservedHeaders[lower] {
		return fmt.Errorf("the name %q is reserved", name)
	}
	for _, prefix := range reservedHeaderPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return fmt.Errorf("names that begin with %q are reserved", prefix)
		}
	}
	return CheckHeaderValue(value)
}

// CheckHeaderValue says what keeps a text from being the value of a header: more than
// MaxHeaderValueBytes, or a control character other than the tab. The error does not
// repeat the value, which may be a secret.
func CheckHeaderValue(value string) error {
	if len(value) > MaxHeaderValueBytes {
		return fmt.Errorf("the value must have at most %d bytes, not %d", MaxHeaderValueBytes, len(value))
	}
	for i := range len(value) {
		if char := value[i]; char < ' ' && char != '\t' || char == 0x7f {
			return fmt.Errorf("the value must not have the control character %q", char)
		}
	}
	return nil
}

// isToken says whether text is a token of RFC 9110, 5.6.2.
func isToken(text string) bool {
	for i := range len(text) {
		if !tokenBytes[text[i]] {
			return false
		}
	}
	return text != ""
}

var tokenBytes = func() (is [256]bool) {
	for char := range is {
		is[char] = isAlphanumeric(byte(char)) || char < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", rune(char))
	}
	return is
}()

func isAlphanumeric(char byte) bool {
	return 'a' <= char && char <= 'z' || 'A' <= char && char <= 'Z' || '0' <= char && char <= '9'
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
