package signature_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// The vectors that Svix publishes.
const (
	vectorID      = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorUnix    = 1614265330
	vectorBody    = `{"test": 2432232314}`
	vectorHMAC    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorEd25519 = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	vectorPublic  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="

	vectorV1  = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	vectorV1a = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

func mustParse(t testing.TB, secrets ...webhook.Secret) []signature.Key {
	t.Helper()
	keys := make([]signature.Key, len(secrets))
	for i, secret := range secrets {
		var err error
		if keys[i], err = signature.Parse(secret); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func mustVerifier(t testing.TB, secrets ...webhook.Secret) *signature.Verifier {
	t.Helper()
	verifier, err := signature.NewVerifier(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func header(family, id string, at time.Time, signatures string) http.Header {
	h := http.Header{}
	h.Set(family+"-id", id)
	h.Set(family+"-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set(family+"-signature", signatures)
	return h
}

func TestPublishedVectors(t *testing.T) {
	tests := map[string]struct {
		secrets []webhook.Secret
		want    string
	}{
		"hmac":           {[]webhook.Secret{vectorHMAC}, vectorV1},
		"ed25519":        {[]webhook.Secret{vectorEd25519}, vectorV1a},
		"both, in order": {[]webhook.Secret{vectorEd25519, vectorHMAC}, vectorV1a + " " + vectorV1},
		"none":           {nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := signature.Sign(mustParse(t, test.secrets...), vectorID, time.Unix(vectorUnix, 999), []byte(vectorBody))
			if got != test.want {
				t.Errorf("Sign = %q, want %q", got, test.want)
			}
		})
	}
	if got := mustParse(t, vectorEd25519)[0].Public(); got != vectorPublic {
		t.Errorf("Public = %q, want %q", got, vectorPublic)
	}
	if got := mustParse(t, vectorHMAC)[0].Public(); got != "" {
		t.Errorf("Public of an HMAC key = %q", got)
	}
}

// The libraries read the clock, so the webhooks are of now.
func TestOfficialLibrariesTakeOurSignatures(t *testing.T) {
	for name, secret := range map[string]webhook.Secret{
		"generated": signature.Generate(),
		"longest":   webhook.Secret("whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 75))),
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte("{\"text\": \"h\u00e9\", \"n\": 1.50 }\n")
			signed := signature.Sign(mustParse(t, signature.Generate(), secret), "msg_1", time.Now(), body)

			standard, err := standardwebhooks.NewWebhook(string(secret))
			if err != nil {
				t.Fatal(err)
			}
			if err := standard.Verify(body, header("webhook", "msg_1", time.Now(), signed)); err != nil {
				t.Errorf("standard-webhooks: %v", err)
			}
			svixWebhook, err := svix.NewWebhook(string(secret))
			if err != nil {
				t.Fatal(err)
			}
			for _, family := range []string{"webhook", "svix"} {
				if err := svixWebhook.Verify(body, header(family, "msg_1", time.Now(), signed)); err != nil {
					t.Errorf("svix, %s-…: %v", family, err)
				}
			}
		})
	}
}

func TestOurVerifierTakesTheLibrariesSignatures(t *testing.T) {
	at := time.Unix(vectorUnix, 0)
	secret := signature.Generate()
	standard, err := standardwebhooks.NewWebhook(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := standardwebhooks.NewWebhookRaw([]byte("webhook-hmac-secret"))
	if err != nil {
		t.Fatal(err)
	}
	verifier := mustVerifier(t, "webhook-hmac-secret", secret)
	for name, library := range map[string]*standardwebhooks.Webhook{"prefixed": standard, "raw": raw} {
		signed, err := library.Sign("msg_1", at, []byte("body"))
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range []string{"webhook", "svix"} {
			if err := verifier.Verify(header(family, "msg_1", at, signed), []byte("body"), at); err != nil {
				t.Errorf("%s key, %s-…: %v", name, family, err)
			}
		}
	}
}

func TestVerify(t *testing.T) {
	at := time.Unix(vectorUnix, 0)
	ok := func() http.Header { return header("webhook", vectorID, at, vectorV1) }
	with := func(name, value string) http.Header {
		h := ok()
		h.Set(name, value)
		return h
	}
	both := vectorV1a + " " + vectorV1

	tests := map[string]struct {
		secrets []webhook.Secret
		header  http.Header
		body    string
		now     time.Time
		want    error
	}{
		"right":                            {nil, ok(), vectorBody, at, nil},
		"right, second signature":          {nil, with("webhook-signature", both), vectorBody, at, nil},
		"right, second key":                {[]webhook.Secret{signature.Generate(), vectorHMAC}, ok(), vectorBody, at, nil},
		"right, by private key":            {[]webhook.Secret{vectorEd25519}, with("webhook-signature", both), vectorBody, at, nil},
		"right, by public key":             {[]webhook.Secret{vectorPublic}, with("webhook-signature", both), vectorBody, at, nil},
		"right, unknown versions beside":   {nil, with("webhook-signature", "v2,xyz v1 "+vectorV1+" , "), vectorBody, at, nil},
		"right, five minutes old":          {nil, ok(), vectorBody, at.Add(5 * time.Minute), nil},
		"right, five minutes early":        {nil, ok(), vectorBody, at.Add(-5 * time.Minute), nil},
		"too old":                          {nil, ok(), vectorBody, at.Add(5*time.Minute + 1), signature.ErrTooOld},
		"too new":                          {nil, ok(), vectorBody, at.Add(-5*time.Minute - 1), signature.ErrTooNew},
		"other body":                       {nil, ok(), vectorBody + " ", at, signature.ErrNoMatch},
		"other id":                         {nil, with("webhook-id", vectorID+"x"), vectorBody, at, signature.ErrNoMatch},
		"other time":                       {nil, with("webhook-timestamp", fmt.Sprint(vectorUnix+1)), vectorBody, at, signature.ErrNoMatch},
		"other key":                        {[]webhook.Secret{signature.Generate()}, ok(), vectorBody, at, signature.ErrNoMatch},
		"ed25519 of another key":           {[]webhook.Secret{signature.GenerateEd25519()}, with("webhook-signature", both), vectorBody, at, signature.ErrNoMatch},
		"hmac shown as ed25519":            {[]webhook.Secret{vectorPublic}, with("webhook-signature", "v1a,"+vectorV1[3:]), vectorBody, at, signature.ErrNoMatch},
		"ed25519 shown as hmac":            {nil, with("webhook-signature", "v1,"+vectorV1a[4:]), vectorBody, at, signature.ErrNoMatch},
		"signature cut short":              {nil, with("webhook-signature", vectorV1[:len(vectorV1)-1]), vectorBody, at, signature.ErrNoMatch},
		"signature with more behind":       {nil, with("webhook-signature", vectorV1+"="), vectorBody, at, signature.ErrNoMatch},
		"right one behind too many others": {nil, with("webhook-signature", strings.Repeat("v1,x ", 32)+vectorV1), vectorBody, at, signature.ErrNoMatch},
		"no id":                            {nil, with("webhook-id", ""), vectorBody, at, signature.ErrNoHeaders},
		"no timestamp":                     {nil, with("webhook-timestamp", ""), vectorBody, at, signature.ErrNoHeaders},
		"no signature":                     {nil, with("webhook-signature", ""), vectorBody, at, signature.ErrNoHeaders},
		"timestamp is a word":              {nil, with("webhook-timestamp", "now"), vectorBody, at, signature.ErrBadTimestamp},
		"timestamp with a sign":            {nil, with("webhook-timestamp", "+1614265330"), vectorBody, at, signature.ErrBadTimestamp},
		"timestamp with a fraction":        {nil, with("webhook-timestamp", "1614265330.0"), vectorBody, at, signature.ErrBadTimestamp},
		"timestamp beyond all":             {nil, with("webhook-timestamp", strings.Repeat("9", 18)), vectorBody, at, signature.ErrBadTimestamp},
		"timestamp of the year 5000":       {nil, with("webhook-timestamp", "95617584000"), vectorBody, at, signature.ErrTooNew},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.secrets == nil {
				test.secrets = []webhook.Secret{vectorHMAC}
			}
			err := mustVerifier(t, test.secrets...).Verify(test.header, []byte(test.body), test.now)
			if !errors.Is(err, test.want) {
				t.Errorf("Verify = %v, want %v", err, test.want)
			}
		})
	}
}

func TestToleranceCanBeSet(t *testing.T) {
	verifier := mustVerifier(t, vectorHMAC)
	verifier.Tolerance = time.Hour
	at := time.Unix(vectorUnix, 0)
	if err := verifier.Verify(header("svix", vectorID, at, vectorV1), []byte(vectorBody), at.Add(time.Hour)); err != nil {
		t.Error(err)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	if _, err := signature.Parse("whsec_short"); !errors.Is(err, webhook.ErrBadSecret) {
		t.Errorf("Parse(short) = %v", err)
	}
	if _, err := signature.Parse(vectorPublic); !errors.Is(err, webhook.ErrBadSecret) {
		t.Errorf("Parse(public) = %v", err)
	}
	if _, err := signature.NewVerifier(); !errors.Is(err, webhook.ErrBadSecret) {
		t.Errorf("NewVerifier() = %v", err)
	}
	_, err := signature.NewVerifier(vectorHMAC, "whsec_c2hvcnQ=")
	if !errors.Is(err, webhook.ErrBadSecret) || !strings.Contains(err.Error(), "secret 2 of 2") || strings.Contains(err.Error(), "c2hv") {
		t.Errorf("NewVerifier(good, bad) = %v", err)
	}
	var zero signature.Key
	if got := signature.Sign([]signature.Key{zero}, "id", time.Now(), nil); got != "" {
		t.Errorf("a zero Key signs %q", got)
	}
}

func TestKeyHidesItself(t *testing.T) {
	for _, key := range mustParse(t, "raw-secret-text", vectorEd25519) {
		held := struct{ Key signature.Key }{key}
		if text := fmt.Sprintf("%v %+v %#v %s", key, held, &held, key.LogValue()); strings.Contains(text, "raw-secret") || strings.Contains(text, "[1") || strings.Contains(text, "0x") {
			t.Errorf("a key prints as %s", text)
		}
	}
}

func TestSignConcurrently(t *testing.T) {
	keys := mustParse(t, vectorHMAC, vectorEd25519)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if got := signature.Sign(keys, vectorID, time.Unix(vectorUnix, 0), []byte(vectorBody)); got != vectorV1+" "+vectorV1a {
					t.Errorf("Sign = %q", got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestSignAllocatesOnlyItsResult(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	keys, body, at := mustParse(t, vectorHMAC), make([]byte, 1024), time.Unix(vectorUnix, 0)
	if n := testing.AllocsPerRun(1000, func() { signature.Sign(keys, vectorID, at, body) }); n > 1 {
		t.Errorf("Sign allocates %v times, want once", n)
	}
}

func BenchmarkSign(b *testing.B) {
	body := make([]byte, 1024)
	for name, secret := range map[string]webhook.Secret{"HMAC": vectorHMAC, "Ed25519": vectorEd25519} {
		b.Run(name, func(b *testing.B) {
			keys, at := mustParse(b, secret), time.Unix(vectorUnix, 0)
			b.ReportAllocs()
			for b.Loop() {
				signature.Sign(keys, vectorID, at, body)
			}
		})
	}
	b.Run("HMAC of standard-webhooks", func(b *testing.B) {
		library, _ := standardwebhooks.NewWebhook(vectorHMAC)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = library.Sign(vectorID, time.Unix(vectorUnix, 0), body)
		}
	})
	b.Run("Parse and HMAC", func(b *testing.B) {
		at := time.Unix(vectorUnix, 0)
		b.ReportAllocs()
		for b.Loop() {
			key, _ := signature.Parse(vectorHMAC)
			signature.Sign([]signature.Key{key}, vectorID, at, body)
		}
	})
}
