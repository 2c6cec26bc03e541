package webhook_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/neohook/neohook/webhook"
)

func TestSecretDecode(t *testing.T) {
	hmacOf := func(n int) string {
		return webhook.HMACPrefix + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n)))
	}
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", 32)))
	foreign := slices.Concat(private[:32], []byte(strings.Repeat("p", 32)))
	ed := func(key []byte) string { return webhook.Ed25519Prefix + base64.StdEncoding.EncodeToString(key) }

	tests := map[string]struct {
		in   string
		kind webhook.SecretKind // 0: refused
		size int
	}{
		"hmac of 23 bytes":              {hmacOf(23), 0, 0},
		"hmac of 24 bytes":              {hmacOf(24), webhook.HMACSecret, 24},
		"hmac of 32 bytes, padded":      {hmacOf(32), webhook.HMACSecret, 32},
		"hmac of 32 bytes, no padding":  {strings.TrimRight(hmacOf(32), "="), 0, 0},
		"hmac of 75 bytes":              {hmacOf(75), webhook.HMACSecret, 75},
		"hmac of 76 bytes":              {hmacOf(76), 0, 0},
		"hmac with a line break":        {hmacOf(24)[:20] + "\n" + hmacOf(24)[20:], 0, 0},
		"hmac with a line break behind": {hmacOf(24) + "\n", 0, 0},
		"hmac with stray bits":          {hmacOf(25)[:len(hmacOf(25))-3] + "x==", 0, 0},
		"hmac in the URL alphabet":      {webhook.HMACPrefix + strings.Repeat("-_-_", 8), 0, 0},
		"hmac with nothing":             {"whsec_", 0, 0},
		"hmac, endless":                 {webhook.HMACPrefix + strings.Repeat("A", 1<<20), 0, 0},
		"ed25519":                       {ed(private), webhook.Ed25519Secret, 64},
		"ed25519, seed alone":           {ed(private[:32]), 0, 0},
		"ed25519 with a foreign public": {ed(foreign), 0, 0},
		"public":                        {"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", webhook.Ed25519PublicSecret, 32},
		"public of the wrong size":      {"whpk_" + base64.StdEncoding.EncodeToString(private), 0, 0},
		"raw":                           {"webhook-hmac-secret", webhook.HMACSecret, 19},
		"raw that looks like base64":    {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", webhook.HMACSecret, 32},
		"raw with a prefix in capitals": {"WHSEC_abc", webhook.HMACSecret, 9},
		"raw, as long as may be":        {strings.Repeat("r", 512), webhook.HMACSecret, 512},
		"raw, longer":                   {strings.Repeat("r", 513), 0, 0},
		"nothing":                       {"", 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			kind, key, err := webhook.Secret(test.in).Decode()
			if kind != test.kind || len(key) != test.size {
				t.Errorf("Decode = %d, %d bytes, %v; want %d, %d bytes", kind, len(key), err, test.kind, test.size)
			}
			if refused := test.kind == 0; refused != errors.Is(err, webhook.ErrBadSecret) {
				t.Errorf("err = %v, refused %v", err, refused)
			}
			if err != nil && len(test.in) > 12 && strings.Contains(err.Error(), test.in[6:12]) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestSecretHidesItself(t *testing.T) {
	secret := webhook.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	ep := webhook.Endpoint{Secret: secret, RetiringSecrets: []webhook.RetiringSecret{{Secret: secret}}}
	inJSON, err := json.Marshal(ep)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(secret), fmt.Sprintf("%q %s %v %x", secret, secret, secret, secret), fmt.Sprintf("%#v", ep),
		fmt.Sprintf("%+v", &ep), string(inJSON), secret.LogValue().String(),
	} {
		if strings.Contains(text, "MfKQ") || strings.Contains(text, fmt.Sprintf("%x", "MfKQ")) {
			t.Errorf("the secret shows in %s", text)
		}
	}
}
