package signature_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// Whatever the secret: it is refused with the one error, or what it signs is verified by
// itself and, for HMAC, by the official library too.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{vectorHMAC, vectorEd25519, vectorPublic, "raw", "whsec_", "whsk_AAAA"} {
		f.Add(seed, "msg_1", []byte("body"))
	}
	f.Fuzz(func(t *testing.T, secret, id string, body []byte) {
		key, err := signature.Parse(webhook.Secret(secret))
		if err != nil {
			if !errors.Is(err, webhook.ErrBadSecret) {
				t.Fatalf("Parse: %v", err)
			}
			return
		}
		if id == "" {
			id = "msg_1"
		}
		now := time.Now()
		h := header("webhook", id, now, signature.Sign([]signature.Key{key}, id, now, body))
		if err := mustVerifier(t, webhook.Secret(secret)).Verify(h, body, now); err != nil {
			t.Fatalf("own verifier: %v", err)
		}
		kind, bytes, err := webhook.Secret(secret).Decode()
		if err != nil || kind != webhook.HMACSecret {
			return
		}
		library, err := standardwebhooks.NewWebhookRaw(bytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := library.Verify(body, h); err != nil {
			t.Fatalf("official library: %v", err)
		}
	})
}

// A header is accepted only with the one signature that is right for it.
func FuzzVerify(f *testing.F) {
	f.Add(vectorID, "1614265330", vectorV1, []byte(vectorBody))
	f.Add(vectorID, "1614265330", vectorV1a+" "+vectorV1, []byte(vectorBody))
	f.Add("", "-1", "v1, v1a,= v1", []byte(nil))
	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte) {
		at := time.Unix(vectorUnix, 0)
		verifier := mustVerifier(t, vectorHMAC, vectorPublic)
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signatures}}
		err := verifier.Verify(h, body, at)
		if err == nil && (id != vectorID || timestamp != "1614265330" || string(body) != vectorBody) {
			t.Fatalf("accepted %q %q %q %q", id, timestamp, signatures, body)
		}
	})
}
