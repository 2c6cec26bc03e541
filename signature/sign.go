package signature

import (
	"crypto/ed25519"
	"encoding/base64"
	"strconv"
	"time"
)

// Names of the header fields that carry an id, the time of sending in Unix seconds, and
// the signatures.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Names that Svix gives the same fields. A Verifier reads both families.
const (
	SvixHeaderID        = "svix-id"
	SvixHeaderTimestamp = "svix-timestamp"
	SvixHeaderSignature = "svix-signature"
)

const (
	hmacVersion    = "v1,"
	ed25519Version = "v1a,"

	hmacTextBytes    = 44 // base64 of 32 bytes
	ed25519TextBytes = 88 // base64 of 64 bytes
)

// Sign returns the value of the signature header: one signature for each key, in their
// order, with a space between. It is "" without keys. The time counts in whole seconds.
func Sign(keys []Key, id string, at time.Time, body []byte) string {
	var room [256]byte // enough for five HMAC keys
	out := room[:0]
	for _, key := range keys {
		if len(out) > 0 {
			out = append(out, ' ')
		}
		out = key.append(out, id, at.Unix(), body)
	}
	return string(out)
}

func (k Key) append(out []byte, id string, unix int64, body []byte) []byte {
	switch {
	case k.hmac != nil:
		out = append(out, hmacVersion...)
		return k.appendHMAC(out, id, unix, body)
	case k.private != nil:
		out = append(out, ed25519Version...)
		return base64.StdEncoding.AppendEncode(out, ed25519.Sign(k.private, signedText(id, unix, body)))
	}
	return out
}

func (k Key) appendHMAC(out []byte, id string, unix int64, body []byte) []byte {
	m := k.hmac.Get().(*mac)
	m.buf = appendPrefix(m.buf[:0], id, unix)
	m.hash.Write(m.buf)
	m.hash.Write(body)
	m.buf = m.hash.Sum(m.buf[:0])
	out = base64.StdEncoding.AppendEncode(out, m.buf)
	m.hash.Reset()
	k.hmac.Put(m)
	return out
}

// signedText is what a signature covers. An HMAC takes it in parts, Ed25519 in one piece.
func signedText(id string, unix int64, body []byte) []byte {
	const room = 24 // for the time and two dots
	return append(appendPrefix(make([]byte, 0, len(id)+len(body)+room), id, unix), body...)
}

func appendPrefix(out []byte, id string, unix int64) []byte {
	out = append(out, id...)
	out = append(out, '.')
	out = strconv.AppendInt(out, unix, 10)
	return append(out, '.')
}
