package signature

import (
	"cmp"
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/neohook/neohook/webhook"
)

// DefaultTolerance is how far a webhook's time may be from the receiver's, either way.
const DefaultTolerance = 5 * time.Minute

// Reasons for which a webhook is refused. Verify's errors wrap one of them.
var (
	ErrNoHeaders    = errors.New("signature headers are missing")
	ErrBadTimestamp = errors.New("timestamp is not a number of seconds")
	ErrTooOld       = errors.New("timestamp is too old")
	ErrTooNew       = errors.New("timestamp is too far in the future")
	ErrNoMatch      = errors.New("no signature matches")
)

var errPublic = fmt.Errorf("%w: a public key verifies and can't sign", webhook.ErrBadSecret)

// mostSignatures is how many signatures of a webhook are tried; checking one of Ed25519
// takes some 50 µs, and the header is a stranger's. A sender that changes over between
// keys has 11 at most.
const mostSignatures = 32

// Verifier tells a sender's webhooks from anybody else's. Its fields may be set before
// it is used; from then on it is safe for concurrent use.
type Verifier struct {
	// Tolerance is how far a webhook's time may be from now, either way; 0 is
	// DefaultTolerance.
	Tolerance time.Duration
	// MaxBodyBytes is the longest body that Handler reads; 0 is DefaultMaxBodyBytes.
	MaxBodyBytes int64

	keys []Key
}

// NewVerifier returns a verifier that takes what is signed with any of the secrets; at
// least one is needed. A "whsk_" key verifies with its public half, which may be given
// alone as "whpk_…". The error wraps webhook.ErrBadSecret.
func NewVerifier(secrets ...webhook.Secret) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("%w: none was given", webhook.ErrBadSecret)
	}
	verifier := &Verifier{keys: make([]Key, len(secrets))}
	for i, secret := range secrets {
		key, err := parse(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(secrets), err)
		}
		verifier.keys[i] = key
	}
	return verifier, nil
}

// Verify returns nil if the header has a signature of body by one of the verifier's
// keys and its time is within the tolerance of now. It reads the webhook-… fields, and
// where these are not complete the svix-… ones. The comparison takes the same time
// however much of a signature is right.
func (v *Verifier) Verify(h http.Header, body []byte, now time.Time) error {
	id, timestamp, signatures := h.Get(HeaderID), h.Get(HeaderTimestamp), h.Get(HeaderSignature)
	if id == "" || timestamp == "" || signatures == "" {
		id, timestamp, signatures = h.Get(SvixHeaderID), h.Get(SvixHeaderTimestamp), h.Get(SvixHeaderSignature)
	}
	if id == "" || timestamp == "" || signatures == "" {
		return fmt.Errorf("%w: %s, %s and %s are needed", ErrNoHeaders, HeaderID, HeaderTimestamp, HeaderSignature)
	}
	unix, err := parseTimestamp(timestamp)
	if err != nil {
		return err
	}
	if err := v.checkTime(time.Unix(unix, 0), now); err != nil {
		return err
	}
	for _, key := range v.keys {
		if key.matches(signatures, id, unix, body) {
			return nil
		}
	}
	return ErrNoMatch
}

func (v *Verifier) checkTime(at, now time.Time) error {
	tolerance := cmp.Or(v.Tolerance, DefaultTolerance)
	switch apart := now.Sub(at); {
	case apart > tolerance:
		return fmt.Errorf("%w: sent %v ago, at most %v is accepted", ErrTooOld, apart.Round(time.Second), tolerance)
	case apart < -tolerance:
		return fmt.Errorf("%w: sent %v from now, at most %v is accepted", ErrTooNew, -apart.Round(time.Second), tolerance)
	}
	return nil
}

// parseTimestamp reads digits in the one way to write a number, as that text is signed.
func parseTimestamp(text string) (int64, error) {
	const most = 11 // digits, to the year 5138
	unix, err := strconv.ParseInt(text, 10, 64)
	if err != nil || len(text) > most || text != strconv.FormatInt(unix, 10) {
		return 0, ErrBadTimestamp
	}
	return unix, nil
}

// matches says whether one of the signatures in the header's value is by the key.
func (k Key) matches(signatures, id string, unix int64, body []byte) bool {
	version := ed25519Version
	var want, message []byte
	switch {
	case k.hmac != nil:
		version = hmacVersion
		var room [hmacTextBytes]byte
		want = k.appendHMAC(room[:0], id, unix, body)
	case k.public != nil:
		message = signedText(id, unix, body)
	default:
		return false
	}
	for tried := 0; signatures != "" && tried < mostSignatures; tried++ {
		var one string
		one, signatures, _ = strings.Cut(signatures, " ")
		got, found := strings.CutPrefix(one, version)
		if !found {
			continue
		}
		if want != nil && subtle.ConstantTimeCompare([]byte(got), want) == 1 {
			return true
		}
		if message != nil && k.verifyEd25519(message, got) {
			return true
		}
	}
	return false
}

func (k Key) verifyEd25519(message []byte, text string) bool {
	if len(text) != ed25519TextBytes {
		return false
	}
	signature, err := base64.StdEncoding.DecodeString(text)
	return err == nil && len(signature) == ed25519.SignatureSize && ed25519.Verify(k.public, message, signature)
}
