package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"log/slog"
	"sync"

	"github.com/neohook/neohook/webhook"
)

// Key is a secret made ready to sign. Copies share what is inside; it is safe for
// concurrent use. The zero value signs nothing and verifies nothing.
type Key struct {
	hmac    *sync.Pool // of *mac; nil for Ed25519
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// mac is an HMAC with its key taken in, and room for what is fed to it, so that signing
// allocates nothing but its result.
type mac struct {
	hash hash.Hash
	buf  []byte
}

// Parse makes a key of a secret: "whsec_" and the base64 of 24 to 75 bytes, "whsk_" and
// the base64 of a 64-byte Ed25519 private key, or without a prefix the raw bytes of an
// HMAC key. The error wraps webhook.ErrBadSecret and does not show the secret. A public
// key is refused: it can't sign.
func Parse(secret webhook.Secret) (Key, error) {
	key, err := parse(secret)
	if err == nil && key.hmac == nil && key.private == nil {
		return Key{}, errPublic
	}
	return key, err
}

func parse(secret webhook.Secret) (Key, error) {
	kind, bytes, err := secret.Decode()
	if err != nil {
		return Key{}, err
	}
	switch kind {
	case webhook.Ed25519Secret:
		private := ed25519.PrivateKey(bytes)
		return Key{private: private, public: private.Public().(ed25519.PublicKey)}, nil
	case webhook.Ed25519PublicSecret:
		return Key{public: bytes}, nil
	}
	return Key{hmac: &sync.Pool{New: func() any {
		return &mac{hash: hmac.New(sha256.New, bytes), buf: make([]byte, 0, 128)}
	}}}, nil
}

// Generate returns a fresh HMAC key of 24 random bytes.
func Generate() webhook.Secret {
	var key [webhook.MinHMACKeyBytes]byte
	_, _ = rand.Read(key[:]) // never fails: it ends the program rather than return an error
	return webhook.Secret(webhook.HMACPrefix + base64.StdEncoding.EncodeToString(key[:]))
}

// GenerateEd25519 returns a fresh Ed25519 private key.
func GenerateEd25519() webhook.Secret {
	var seed [ed25519.SeedSize]byte
	_, _ = rand.Read(seed[:])
	key := ed25519.NewKeyFromSeed(seed[:])
	return webhook.Secret(webhook.Ed25519Prefix + base64.StdEncoding.EncodeToString(key))
}

// Public returns the text of an Ed25519 key's public half, "whpk_…", which a receiver
// verifies with; "" for an HMAC key.
func (k Key) Public() string {
	if k.public == nil {
		return ""
	}
	return webhook.Ed25519PublicPrefix + base64.StdEncoding.EncodeToString(k.public)
}

// String returns a fixed text that tells nothing of the key.
func (k Key) String() string { return "[redacted]" }

// GoString is String, for the verb %#v.
func (k Key) GoString() string { return k.String() }

// LogValue is String, for log/slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
