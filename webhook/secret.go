package webhook

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Secret is a signing key in text form: "whsec_" and base64 for HMAC-SHA256, "whsk_" and
// base64 for Ed25519, or, without a prefix, the raw bytes of an HMAC key. Package
// signature gives it meaning.
//
// It hides itself: printed, logged or marshalled it reads "[redacted]". Convert it to a
// string where the text itself is wanted.
type Secret string

const redacted = "[redacted]"

// The prefixes of keys in text form.
const (
	// HMACPrefix goes before the base64 of 24 to 75 bytes, a key of HMAC-SHA256.
	HMACPrefix = "whsec_"
	// Ed25519Prefix goes before the base64 of 64 bytes, an Ed25519 private key: the seed
	// and the public key.
	Ed25519Prefix = "whsk_"
	// Ed25519PublicPrefix goes before the base64 of 32 bytes, an Ed25519 public key. It
	// verifies and can't sign, so it is no endpoint's Secret.
	Ed25519PublicPrefix = "whpk_"
)

// Bounds of an HMAC key with prefix, in bytes.
const (
	MinHMACKeyBytes = 24
	MaxHMACKeyBytes = 75
)

// MaxRawSecretBytes bounds a Secret without a prefix.
const MaxRawSecretBytes = 512

// SecretKind tells what a Secret is a key of.
type SecretKind uint8

// The kinds of secret.
const (
	HMACSecret          SecretKind = iota + 1 // "whsec_…", or raw
	Ed25519Secret                             // "whsk_…"
	Ed25519PublicSecret                       // "whpk_…", for verifying only
)

// ErrBadSecret is wrapped by the errors about a Secret that is none.
var ErrBadSecret = errors.New("not a signing secret")

// Decode returns the key in the text. The base64 is the standard alphabet with padding,
// nothing else in it and no stray bits at its end, so that one key has one text. The
// two halves of an Ed25519 private key must belong together. The error wraps
// ErrBadSecret and says what would be right, and nothing of the text.
func (s Secret) Decode() (SecretKind, []byte, error) {
	text := string(s)
	if rest, found := strings.CutPrefix(text, HMACPrefix); found {
		key, err := decodeKey(rest)
		if err != nil || len(key) < MinHMACKeyBytes || len(key) > MaxHMACKeyBytes {
			return 0, nil, fmt.Errorf("%w: behind %q comes the base64 of %d to %d bytes",
				ErrBadSecret, HMACPrefix, MinHMACKeyBytes, MaxHMACKeyBytes)
		}
		return HMACSecret, key, nil
	}
	if rest, found := strings.CutPrefix(text, Ed25519Prefix); found {
		key, err := decodeKey(rest)
		if err != nil || len(key) != ed25519.PrivateKeySize {
			return 0, nil, fmt.Errorf("%w: behind %q comes the base64 of %d bytes, an Ed25519 private key",
				ErrBadSecret, Ed25519Prefix, ed25519.PrivateKeySize)
		}
		// Signing under a public key that is not the seed's gives the seed away.
		if !bytes.Equal(key, ed25519.NewKeyFromSeed(key[:ed25519.SeedSize])) {
			return 0, nil, fmt.Errorf("%w: the last 32 bytes behind %q are not the public key of the first 32",
				ErrBadSecret, Ed25519Prefix)
		}
		return Ed25519Secret, key, nil
	}
	if rest, found := strings.CutPrefix(text, Ed25519PublicPrefix); found {
		key, err := decodeKey(rest)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return 0, nil, fmt.Errorf("%w: behind %q comes the base64 of %d bytes, an Ed25519 public key",
				ErrBadSecret, Ed25519PublicPrefix, ed25519.PublicKeySize)
		}
		return Ed25519PublicSecret, key, nil
	}
	if text == "" || len(text) > MaxRawSecretBytes {
		return 0, nil, fmt.Errorf("%w: it begins with %q or %q, or is the 1 to %d bytes of an HMAC key",
			ErrBadSecret, HMACPrefix, Ed25519Prefix, MaxRawSecretBytes)
	}
	return HMACSecret, []byte(text), nil
}

var strictBase64 = base64.StdEncoding.Strict()

func decodeKey(text string) ([]byte, error) {
	const most = 128 // characters; the longest key is 75 bytes in 100
	// The decoder skips line breaks wherever they stand.
	if len(text) > most || strings.ContainsAny(text, "\r\n") {
		return nil, ErrBadSecret
	}
	return strictBase64.DecodeString(text)
}

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
