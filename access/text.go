package access

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"log/slog"
	"math/big"
	"strings"
)

// Text is a token as its holder has it: "nhk_", 43 base62 characters that stand for 32
// random bytes, and 6 that are a checksum of all that is before them. So whoever looks
// for secrets in code finds it by its form, and a mistyped one is refused unseen.
//
// It hides itself: printed, logged or marshalled it reads "[redacted]". Convert it to a
// string where the text itself is wanted.
type Text string

// TextPrefix begins the text of a token.
const TextPrefix = "nhk_"

const (
	randomBytes = 32
	randomChars = 43 // 62^43 is more than 2^256
	checkChars  = 6  // 62^6 is more than 2^32
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	redacted    = "[redacted]"
)

// NewText returns a fresh text.
func NewText() Text {
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program rather than return an error
	return textOf(random)
}

func textOf(random [randomBytes]byte) Text {
	text := appendBase62([]byte(TextPrefix), random[:], randomChars)
	return Text(appendBase62(text, checksum(text), checkChars))
}

func checksum(text []byte) []byte {
	sum := crc32.ChecksumIEEE(text)
	return []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}

// appendBase62 appends a big-endian number as so many digits.
func appendBase62(text, number []byte, digits int) []byte {
	rest, base, digit := new(big.Int).SetBytes(number), big.NewInt(int64(len(base62))), new(big.Int)
	at := len(text) + digits
	text = append(text, strings.Repeat("0", digits)...)
	for range digits {
		at--
		rest.DivMod(rest, base, digit)
		text[at] = base62[digit.Int64()]
	}
	return text
}

// IsMistyped says that text begins as a token's does and can't be one.
func IsMistyped(text string) bool {
	if !strings.HasPrefix(text, TextPrefix) {
		return false
	}
	if len(text) != len(TextPrefix)+randomChars+checkChars {
		return true
	}
	body, check := text[:len(text)-checkChars], text[len(text)-checkChars:]
	return string(appendBase62(nil, checksum([]byte(body)), checkChars)) != check
}

// Hash is what is kept of a token: the SHA-256 of its text.
func (t Text) Hash() [32]byte { return sha256.Sum256([]byte(t)) }

// String returns a fixed text that tells nothing of the token.
func (t Text) String() string {
	if t == "" {
		return ""
	}
	return redacted
}

// GoString is String, for the verb %#v.
func (t Text) GoString() string { return t.String() }

// LogValue is String, for log/slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText is String, for encoders.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
