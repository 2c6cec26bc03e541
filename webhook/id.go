package webhook

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Each kind of thing has an identifier type of its own, so that two of them cannot
// be passed in the wrong order. The text is a prefix and 27 base62 characters that
// sort bytewise by the time of creation, to 4 ms.
type (
	// OrganisationID names an owner of tenants: "org_…". It is chosen by the operator;
	// see its Check.
	OrganisationID string
	// TenantID names a tenant: "app_…". Where an argument, a tenant's own UID serves too.
	TenantID string
	// EndpointID names an endpoint: "ep_…". Where an argument, an endpoint's own UID serves too.
	EndpointID string
	// EventID names an event: "msg_…". It is the webhook-id that receivers see, the
	// same for every endpoint and every attempt. Where an argument, an event's own
	// UID serves too.
	EventID string
	// DeliveryID names one event for one endpoint: "dlv_…".
	DeliveryID string
	// AttemptID names one request: "atmpt_…".
	AttemptID string
	// TokenID names a token: "tok_…". It is not the token itself, and opens nothing.
	TokenID string
	// JobID names a job: "qtask_…".
	JobID string
	// UserID names whoever created an endpoint: "usr_…".
	UserID string
)

// The prefixes of the identifiers.
const (
	OrganisationPrefix = "org_"
	TenantPrefix       = "app_"
	EndpointPrefix     = "ep_"
	EventPrefix        = "msg_"
	DeliveryPrefix     = "dlv_"
	AttemptPrefix      = "atmpt_"
	TokenPrefix        = "tok_"
	JobPrefix          = "qtask_"
	UserPrefix         = "usr_"
)

// ErrMalformedID is returned for a text that is not the prefix it should have and 27
// base62 characters behind it.
var ErrMalformedID = errors.New("malformed id")

// MaxOrganisationBytes bounds the length of an OrganisationID.
const MaxOrganisationBytes = 256

// Check returns an error that wraps ErrMalformedID for an id that does not begin with
// OrganisationPrefix, is longer than MaxOrganisationBytes, or is no text; see IsText.
func (id OrganisationID) Check() error {
	switch {
	case !strings.HasPrefix(string(id), OrganisationPrefix):
		return fmt.Errorf("%w: an organisation's id begins with %q", ErrMalformedID, OrganisationPrefix)
	case len(id) > MaxOrganisationBytes:
		return fmt.Errorf("%w: an organisation's id has at most %d bytes", ErrMalformedID, MaxOrganisationBytes)
	case !IsText(string(id)):
		return fmt.Errorf("%w: an organisation's id is %s", ErrMalformedID, textRule)
	}
	return nil
}

// NewTenantID returns a fresh, random identifier for the present moment. So do the
// other New…ID functions. An engine makes its own identifiers; these serve programs
// that use an adapter without one.
func NewTenantID() TenantID { return TenantID(newID(TenantPrefix)) }

// NewEndpointID returns a fresh identifier; see NewTenantID.
func NewEndpointID() EndpointID { return EndpointID(newID(EndpointPrefix)) }

// NewEventID returns a fresh identifier; see NewTenantID.
func NewEventID() EventID { return EventID(newID(EventPrefix)) }

// NewDeliveryID returns a fresh identifier; see NewTenantID.
func NewDeliveryID() DeliveryID { return DeliveryID(newID(DeliveryPrefix)) }

// NewAttemptID returns a fresh identifier; see NewTenantID.
func NewAttemptID() AttemptID { return AttemptID(newID(AttemptPrefix)) }

// NewJobID returns a fresh identifier; see NewTenantID.
func NewJobID() JobID { return JobID(newID(JobPrefix)) }

// NewUserID returns a fresh identifier; see NewTenantID.
func NewUserID() UserID { return UserID(newID(UserPrefix)) }

// ParseTenantID checks the form of text. So do the other Parse…ID functions; the
// error wraps ErrMalformedID and names the text.
func ParseTenantID(text string) (TenantID, error) { return parseID[TenantID](TenantPrefix, text) }

// ParseEndpointID checks the form of text; see ParseTenantID.
func ParseEndpointID(text string) (EndpointID, error) {
	return parseID[EndpointID](EndpointPrefix, text)
}

// ParseEventID checks the form of text; see ParseTenantID.
func ParseEventID(text string) (EventID, error) { return parseID[EventID](EventPrefix, text) }

// ParseDeliveryID checks the form of text; see ParseTenantID.
func ParseDeliveryID(text string) (DeliveryID, error) {
	return parseID[DeliveryID](DeliveryPrefix, text)
}

// ParseAttemptID checks the form of text; see ParseTenantID.
func ParseAttemptID(text string) (AttemptID, error) { return parseID[AttemptID](AttemptPrefix, text) }

// ParseJobID checks the form of text; see ParseTenantID.
func ParseJobID(text string) (JobID, error) { return parseID[JobID](JobPrefix, text) }

// ParseUserID checks the form of text; see ParseTenantID.
func ParseUserID(text string) (UserID, error) { return parseID[UserID](UserPrefix, text) }

// RawID is the 20 bytes behind an identifier's 27 characters: 4 bytes of seconds since
// idEpoch, one of milliseconds divided by 4, and 15 that tell identifiers of the same
// instant apart.
type RawID [20]byte

const (
	rawIDChars = 27
	// idEpoch is the KSUID epoch, 2014-05-13T16:53:20Z, in Unix seconds.
	idEpoch = 1_400_000_000
	base62  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// MakeRawID joins an instant, cut to 4 ms, and the fifteen bytes behind it. An instant
// outside 2014 to 2150 wraps round.
func MakeRawID(at time.Time, rest [15]byte) RawID {
	ms := at.UnixMilli()
	sec := uint32(ms/1000 - idEpoch)
	raw := RawID{byte(sec >> 24), byte(sec >> 16), byte(sec >> 8), byte(sec), byte(ms % 1000 / 4)}
	copy(raw[5:], rest[:])
	return raw
}

// Time returns the instant in the identifier, to 4 ms.
func (raw RawID) Time() time.Time {
	sec := uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8 | uint32(raw[3])
	return time.UnixMilli((int64(sec)+idEpoch)*1000 + int64(raw[4])*4).UTC()
}

// Rest returns the fifteen bytes behind the instant.
func (raw RawID) Rest() (rest [15]byte) {
	copy(rest[:], raw[5:])
	return rest
}

// Format writes the identifier with its prefix.
func (raw RawID) Format(prefix string) string {
	// Long division of the 160-bit number, from the last character to the first: by 62^5,
	// which leaves five characters at a time.
	const fiveChars = 62 * 62 * 62 * 62 * 62
	var parts [5]uint32
	for i := range parts {
		parts[i] = uint32(raw[4*i])<<24 | uint32(raw[4*i+1])<<16 | uint32(raw[4*i+2])<<8 | uint32(raw[4*i+3])
	}
	var room [len("atmpt_") + rawIDChars]byte
	text := append(room[:0], prefix...)
	text = append(text, "000000000000000000000000000"...)
	for end := len(text); end > len(prefix); end -= 5 {
		var rest uint64
		for i, part := range parts {
			value := rest<<32 | uint64(part)
			parts[i] = uint32(value / fiveChars) //nolint:gosec // rest is below the divisor
			rest = value % fiveChars
		}
		for at := end - 1; at >= max(end-5, len(prefix)); at-- {
			text[at] = base62[rest%62]
			rest /= 62
		}
	}
	return string(text)
}

// ParseRawID reads an identifier that must begin with prefix. The error wraps
// ErrMalformedID.
func ParseRawID(prefix, text string) (RawID, error) {
	digits, found := strings.CutPrefix(text, prefix)
	if !found || len(digits) != rawIDChars {
		return RawID{}, malformedID(prefix, text)
	}
	var parts [5]uint32
	for _, char := range []byte(digits) {
		digit := base62Digit(char)
		if digit < 0 {
			return RawID{}, malformedID(prefix, text)
		}
		carry := uint64(digit)
		for i := len(parts) - 1; i >= 0; i-- {
			value := uint64(parts[i])*62 + carry
			parts[i], carry = uint32(value), value>>32
		}
		if carry != 0 { // 27 characters can spell more than 160 bits
			return RawID{}, malformedID(prefix, text)
		}
	}
	var raw RawID
	for i, part := range parts {
		raw[4*i], raw[4*i+1], raw[4*i+2], raw[4*i+3] = byte(part>>24), byte(part>>16), byte(part>>8), byte(part)
	}
	return raw, nil
}

func base62Digit(char byte) int {
	switch {
	case '0' <= char && char <= '9':
		return int(char - '0')
	case 'A' <= char && char <= 'Z':
		return int(char-'A') + 10
	case 'a' <= char && char <= 'z':
		return int(char-'a') + 36
	}
	return -1
}

func newID(prefix string) string {
	var rest [15]byte
	_, _ = rand.Read(rest[:]) // never fails: it ends the program rather than return an error
	return MakeRawID(time.Now(), rest).Format(prefix)
}

func parseID[ID ~string](prefix, text string) (ID, error) {
	if _, err := ParseRawID(prefix, text); err != nil {
		return "", err
	}
	return ID(text), nil
}

func malformedID(prefix, text string) error {
	const most = 64 // of a stranger's text
	if len(text) > most {
		text = text[:most] + "…"
	}
	return fmt.Errorf("%w: %q is not %q and %d base62 characters", ErrMalformedID, text, prefix, rawIDChars)
}
