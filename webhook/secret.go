package webhook

import "log/slog"

// Secret is a signing key in text form: "whsec_" and base64 for HMAC-SHA256, "whsk_" and
// base64 for Ed25519, or, without a prefix, the raw bytes of an HMAC key. Package
// signature gives it meaning.
//
// It hides itself: printed, logged or marshalled it reads "[redacted]". Convert it to a
// string where the text itself is wanted.
type Secret string

const redacted = "[redacted]"

// String returns a fixed text that tells nothing of the key.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is String, for the verb %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue is String, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, for encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
