package gate

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// documented is the token in the documentation of the Svix server, with the secret beside
// it there: what users of that server have.
const (
	documentedSecret = "8KjzRXrKkd9YFcNyqLSIY8JwiaCeRc6WK4UkMnSW"
	documented       = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE2NTUxNDA2MzksImV4cCI6MTk3MDUwMDYzOSwibmJmIjoxNjU1MTQwNjM5LCJpc3MiOiJzdml4LXNlcnZlciIsInN1YiI6Im9yZ18yM3JiOFlkR3FNVDBxSXpwZ0d3ZFhmSGlyTXUifQ." +
		"USMuIPrqsZTSj3kyWupCzJO9eyQioBzh5alGlvRbrbA"
)

// inBubble runs a test in June 2026, by a clock that it can move.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)))
		test(t)
	})
}

var documentedKey = access.JWT{Algorithm: "HS256", Key: []byte(documentedSecret)}

func TestTokenOfAnotherServerWorksUnchanged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, documentedKey)
		got, err := r.Caller(t.Context(), documented)
		if err != nil || got.Organisation != "org_23rb8YdGqMT0qIzpgGwdXfHirMu" || got.IsConfined() || !got.May(access.Administer) {
			t.Errorf("%+v, %v", got, err)
		}
		time.Sleep(time.Until(time.Unix(1970500639, 0)) - time.Nanosecond)
		r.admits("just before it expires", documented, true)
		time.Sleep(time.Nanosecond)
		r.admits("from then on", documented, false)
	})
	newRig(t, access.JWT{}).admits("where none are taken", documented, false)
}

func TestSecretItselfIsNoToken(t *testing.T) {
	r := newRig(t, documentedKey)
	for text, want := range map[string]bool{documentedSecret: true, documentedSecret[1:]: false, documentedSecret + "x": false} {
		if _, err := r.Caller(t.Context(), text); !errors.Is(err, access.ErrInvalid) || errors.Is(err, access.ErrSecret) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := newRig(t, access.JWT{}).Caller(t.Context(), ""); !errors.Is(err, access.ErrInvalid) || errors.Is(err, access.ErrSecret) {
		t.Errorf("no text where there is no secret: %v", err)
	}
}

// foreign are tokens that another library has made; testdata/make_tokens.py tells which.
func foreign(t *testing.T) (made struct {
	Tokens []struct {
		Algorithm, Key            string
		Organisation, Application access.Text
	}
	Weak string
}) {
	t.Helper()
	text, err := os.ReadFile("testdata/tokens.json")
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	if err != nil || len(made.Tokens) != 7 {
		t.Fatalf("%d tokens: %v", len(made.Tokens), err)
	}
	return made
}

func TestEachAlgorithmTakesItsOwnTokensOnly(t *testing.T) {
	made := foreign(t)
	for _, own := range made.Tokens {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, access.JWT{Algorithm: own.Algorithm, Key: []byte(own.Key)})
			for _, other := range made.Tokens {
				r.admits(other.Algorithm+" where it is "+own.Algorithm, other.Organisation, other.Algorithm == own.Algorithm)
			}
			got, err := r.Caller(t.Context(), string(own.Application))
			if err != nil || got.Organisation != "org_x" || got.Tenant != "app_2srOrx2ZWZBpBUvZwXKQmoEYga2" ||
				len(got.FeatureFlags) != 2 || got.May(access.Publish) || got.May(access.Administer) || !got.May(access.ManageEndpoint) {
				t.Errorf("%s: %+v, %v", own.Algorithm, got, err)
			}
		})
	}
}

// sign makes a token by hand. A header of "" is what the documented one has.
func sign(header, payload, secret string) access.Text {
	if header == "" {
		header = `{"alg":"HS256","typ":"JWT"}`
	}
	signed := encoded(header) + "." + encoded(payload)
	hashes := map[bool]func() hash.Hash{true: sha512.New, false: sha256.New}
	mac := hmac.New(hashes[strings.Contains(header, "512")], []byte(secret))
	mac.Write([]byte(signed))
	return access.Text(signed + "." + encoded(string(mac.Sum(nil))))
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestForgedTokensAreRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const payload = `{"sub":"org_x"}`
		r := newRig(t, documentedKey)
		good := string(sign("", payload, documentedSecret))
		r.admits("genuine", access.Text(good), true)
		head, body, signature := encoded(`{"alg":"HS256","typ":"JWT"}`), encoded(payload), good[strings.LastIndexByte(good, '.')+1:]
		for name, forged := range map[string]string{
			"no signature":                     head + "." + body + ".",
			"alg none":                         encoded(`{"alg":"none"}`) + "." + body + ".",
			"alg none, signed":                 string(sign(`{"alg":"none"}`, payload, documentedSecret)),
			"alg None":                         encoded(`{"alg":"None"}`) + "." + body + ".",
			"no alg":                           string(sign(`{"typ":"JWT"}`, payload, documentedSecret)),
			"another alg, rightly signed":      string(sign(`{"alg":"HS512"}`, payload, documentedSecret)),
			"another secret":                   string(sign("", payload, documentedSecret+"!")),
			"another payload":                  head + "." + encoded(`{"sub":"org_y"}`) + "." + signature,
			"a key of its own":                 string(sign(`{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`, payload, "\x00\x00\x00")),
			"a critical extension":             string(sign(`{"alg":"HS256","crit":["exp"]}`, payload, documentedSecret)),
			"base64 with padding":              good + "=",
			"stray bits in the signature":      good[:len(good)-1] + stray(good[len(good)-1]),
			"four parts":                       good + ".",
			"payload is a list":                string(sign("", `["sub"]`, documentedSecret)),
			"payload is no JSON":               string(sign("", `{"sub":`, documentedSecret)),
			"header is no JSON":                string(sign(`{"alg":"HS256"`, payload, documentedSecret)),
			"two dots":                         "..",
			"expired":                          string(sign("", fmt.Sprintf(`{"sub":"org_x","exp":%d}`, time.Now().Unix()), documentedSecret)),
			"expired by a fraction":            string(sign("", fmt.Sprintf(`{"sub":"org_x","exp":%d.999}`, time.Now().Unix()-1), documentedSecret)),
			"expired at 0":                     string(sign("", `{"sub":"org_x","exp":0}`, documentedSecret)),
			"expiry is a text":                 string(sign("", `{"sub":"org_x","exp":"9999999999"}`, documentedSecret)),
			"expiry is no time":                string(sign("", `{"sub":"org_x","exp":1e300}`, documentedSecret)),
			"expiry is negative":               string(sign("", `{"sub":"org_x","exp":-1}`, documentedSecret)),
			"to begin in over 15 minutes":      string(sign("", fmt.Sprintf(`{"sub":"org_x","nbf":%d}`, time.Now().Unix()+901), documentedSecret)),
			"issued in over 15 minutes":        string(sign("", fmt.Sprintf(`{"sub":"org_x","iat":%d}`, time.Now().Unix()+901), documentedSecret)),
			"a public key is not a secret":     string(sign("", payload, "-----BEGIN PUBLIC KEY-----")),
			"longer than any":                  string(sign("", `{"sub":"org_x","pad":"`+strings.Repeat("x", maxText)+`"}`, documentedSecret)),
			"the sub has its name in capitals": string(sign("", `{"SUB":"org_x","exp":"no"}`, documentedSecret)),
		} {
			r.admits(name, access.Text(forged), false)
		}
		for name, payload := range map[string]string{
			"without times":             payload,
			"a future expiry":           fmt.Sprintf(`{"sub":"org_x","exp":%d}`, time.Now().Unix()+1),
			"to begin in 15 minutes":    fmt.Sprintf(`{"sub":"org_x","nbf":%d}`, time.Now().Unix()+900),
			"issued in 15 minutes":      fmt.Sprintf(`{"sub":"org_x","iat":%d}`, time.Now().Unix()+900),
			"another issuer's, for all": `{"sub":"org_x","iss":"somebody","aud":["anybody"],"jti":"7"}`,
			"no org, in words":          `{"sub":"org_x","org":null}`,
			"no flags, in words":        `{"sub":"org_x","feature_flags":null}`,
		} {
			r.admits(name, sign("", payload, documentedSecret), true)
		}
	})
}

// stray returns a character that decodes to the same bytes where bits of it are left over.
func stray(char byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(digits, char)
	return string(digits[at^1])
}

func TestClaimsThatDoNotFitAreNamed(t *testing.T) {
	r := newRig(t, documentedKey)
	for payload, want := range map[string]access.ClaimError{
		`{}`:                                     {Claim: "sub", Missing: true},
		`{"SUB":"org_x"}`:                        {Claim: "sub", Missing: true},
		`{"sub":null,"org":"org_x"}`:             {Claim: "sub", Missing: true},
		`{"sub":7}`:                              {Claim: "sub"},
		`{"sub":"app_x"}`:                        {Claim: "sub"},
		`{"sub":"Org_x"}`:                        {Claim: "sub"},
		`{"sub":"org_x","org":"org_x"}`:          {Claim: "sub"},
		`{"sub":"app_x","org":"x"}`:              {Claim: "org"},
		`{"sub":"org_x","org":""}`:               {Claim: "org"},
		`{"sub":"app_x","org":["org_x"]}`:        {Claim: "org"},
		`{"sub":"org_x","feature_flags":"beta"}`: {Claim: "feature_flags"},
		`{"sub":"org_x","feature_flags":[1]}`:    {Claim: "feature_flags"},
	} {
		_, err := r.Caller(t.Context(), string(sign("", payload, documentedSecret)))
		got, is := errors.AsType[*access.ClaimError](err)
		if !is || got.Claim != want.Claim || got.Missing != want.Missing || got.Want == "" {
			t.Errorf("%s: %v, want %+v", payload, err, want)
		}
	}
}

func TestSignedTokenOfATenantIsConfinedToIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, documentedKey)
		key, id := r.tenant()
		token := func(issued string) access.Text {
			return sign("", `{"sub":"`+string(id)+`","org":"org_x"`+issued+`}`, documentedSecret)
		}
		got, err := r.Caller(t.Context(), string(token("")))
		if err != nil || got.Tenant != id || got.Rights != access.PortalRights(nil, false) {
			t.Fatalf("%+v, %v", got, err)
		}
		before := token(fmt.Sprintf(`,"iat":%d`, time.Now().Unix()-10))
		r.admits("before", before, true)
		r.must(r.store.ExpireTokens(t.Context(), key, store.Expiry{Now: time.Now(), At: time.Now().Add(time.Minute)}))
		after := token(fmt.Sprintf(`,"iat":%d`, time.Now().Unix()+1))
		time.Sleep(time.Minute)
		r.admits("issued before all were expired", before, false)
		r.admits("issued nobody knows when", token(""), false)
		r.admits("issued afterwards", after, true)
		r.admits("of the organisation", sign("", `{"sub":"org_x"}`, documentedSecret), true)
		r.admits("of a tenant made elsewhere", sign("", `{"sub":"`+string(webhook.NewTenantID())+`","org":"org_x"}`, documentedSecret), true)
	})
}

func TestSignedTokenThatWasEndedIsRefusedUntilItExpires(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, documentedKey)
		r.must(r.End(t.Context(), documented))
		r.admits("ended", documented, false)
		r.admits("with its signature spelt otherwise", access.Text(documented[:len(documented)-1]+stray(documented[len(documented)-1])), false)
		r.admits("another of its organisation", sign("", `{"sub":"org_23rb8YdGqMT0qIzpgGwdXfHirMu"}`, documentedSecret), true)
		time.Sleep(2 * trust)
		r.admits("ended a while ago", documented, false)
		endless := sign("", `{"sub":"org_x"}`, documentedSecret)
		r.must(r.End(t.Context(), string(endless)))
		time.Sleep(100 * 365 * 24 * time.Hour)
		r.admits("ended, and without expiry", endless, false)
	})
}

func TestWeakKeysAreRefused(t *testing.T) {
	made := foreign(t)
	private, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curvePublic, err := x509.MarshalPKIXPublicKey(&curve.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	rsaPublic, edPublic := made.Tokens[3].Key, made.Tokens[6].Key
	tests := map[string]struct{ algorithm, key, says string }{
		"short secret":          {"HS256", "0123456789012345678901234567890", "31 bytes"},
		"no secret":             {"HS256", "", "0 bytes"},
		"no algorithm":          {"", strings.Repeat("x", 64), "not one of"},
		"none":                  {"none", strings.Repeat("x", 64), "not one of"},
		"another algorithm":     {"ES256", asPEM("PUBLIC KEY", curvePublic), "not one of"},
		"lower case":            {"hs256", strings.Repeat("x", 64), "not one of"},
		"public key as secret":  {"HS256", rsaPublic, "in PEM"},
		"the same, after space": {"HS512", "\n " + edPublic, "in PEM"},
		"weak RSA":              {"RS256", made.Weak, "1024 bits"},
		"secret as public key":  {"RS256", documentedSecret, "PEM"},
		"private key":           {"EdDSA", asPEM("PRIVATE KEY", private), "private key"},
		"Ed25519 for RSA":       {"RS256", edPublic, "not one of RS256"},
		"RSA for Ed25519":       {"EdDSA", rsaPublic, "not one of EdDSA"},
		"another curve":         {"EdDSA", asPEM("PUBLIC KEY", curvePublic), "not one of EdDSA"},
		"garbage in PEM":        {"RS512", asPEM("PUBLIC KEY", []byte("garbage")), "asn1"},
		"a certificate":         {"RS512", asPEM("CERTIFICATE", []byte("garbage")), "no public key"},
	}
	for name, test := range tests {
		_, err := newVerifier(access.JWT{Algorithm: test.algorithm, Key: []byte(test.key)})
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want what says %q", name, err, test.says)
		}
		if err != nil && len(test.key) > 8 && strings.Contains(err.Error(), test.key[:8]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	for _, good := range made.Tokens {
		if _, err := newVerifier(access.JWT{Algorithm: good.Algorithm, Key: []byte(good.Key)}); err != nil {
			t.Errorf("%s: %v", good.Algorithm, err)
		}
	}
}

// A stranger may present anything.
func FuzzSignedToken(f *testing.F) {
	verifier, err := newVerifier(documentedKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(documented)
	f.Add("a.b.c")
	f.Add(string(sign(`{"alg":"none"}`, `{"sub":"org_x"}`, documentedSecret)))
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if claims, err := verifier.verify(text, at); err == nil && text != documented {
			t.Errorf("%q was taken for %+v", text, claims)
		}
	})
}

// And whoever has the key may claim anything.
func FuzzClaims(f *testing.F) {
	verifier, err := newVerifier(documentedKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"sub":"org_x","exp":1970500639.5,"feature_flags":["a"]}`)
	f.Add(`{"sub":"app_x","org":"org_x","iat":1e3,"nbf":-0}`)
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, payload string) {
		claims, err := verifier.verify(string(sign("", payload, documentedSecret)), at)
		if err != nil {
			return
		}
		if !claims.expires.IsZero() && !at.Before(claims.expires) {
			t.Errorf("%s: expired at %v and taken", payload, claims.expires)
		}
	})
}
