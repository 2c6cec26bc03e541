package gate

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/neohook/neohook/access"
)

// tolerance is for the clocks of whoever makes tokens. An expired one is expired: it could
// have been made to last longer.
const tolerance = 15 * time.Minute

const (
	minSecretBytes = 32
	minRSABits     = 2048
)

// verifier checks tokens against the one key and algorithm that are taken.
type verifier struct {
	parser *jwt.Parser
	key    any
}

// newVerifier returns nil for the zero JWT.
func newVerifier(config access.JWT) (*verifier, error) {
	if config.Algorithm == "" && len(config.Key) == 0 {
		return nil, nil //nolint:nilnil // as documented
	}
	key, err := parseKey(config.Algorithm, config.Key)
	if err != nil {
		return nil, fmt.Errorf("key of signed tokens: %w", err)
	}
	return &verifier{key: key, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{config.Algorithm}), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
		jwt.WithoutClaimsValidation(), // they are validated below, with a tolerance for each
	)}, nil
}

// isSecret says whether a text is the secret itself, which a public key is not.
func (v *verifier) isSecret(text string) bool {
	if v == nil {
		return false
	}
	secret, is := v.key.([]byte)
	return is && subtle.ConstantTimeCompare(secret, []byte(text)) == 1
}

// parseKey checks a key and its strength, and says nothing of its text.
func parseKey(algorithm string, key []byte) (any, error) {
	switch algorithm {
	case "HS256", "HS384", "HS512":
		// A public key as a secret would let everybody who has it make tokens.
		if strings.HasPrefix(strings.TrimSpace(string(key)), "-----BEGIN") {
			return nil, fmt.Errorf("%s takes a secret, and this is a key in PEM: choose its algorithm", algorithm)
		}
		if len(key) < minSecretBytes {
			return nil, fmt.Errorf("the secret of %s has %d bytes, and what is shorter than %d can be guessed from one token: choose a longer one",
				algorithm, len(key), minSecretBytes)
		}
		return append([]byte(nil), key...), nil
	case "RS256", "RS384", "RS512":
		public, err := publicKey[*rsa.PublicKey](key, algorithm)
		if err == nil && public.N.BitLen() < minRSABits {
			err = fmt.Errorf("the RSA key has %d bits, and less than %d are too weak", public.N.BitLen(), minRSABits)
		}
		return public, err
	case "EdDSA":
		return publicKey[ed25519.PublicKey](key, algorithm)
	}
	return nil, fmt.Errorf("algorithm %q is not one of HS256, HS384, HS512, RS256, RS384, RS512, EdDSA", algorithm)
}

// publicKey reads a public key of one kind.
func publicKey[K any](text []byte, algorithm string) (key K, _ error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return key, fmt.Errorf("%s takes a public key in PEM, which begins with -----BEGIN PUBLIC KEY-----", algorithm)
	}
	var parsed any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return key, errors.New("this is a private key, which the server does not need: give its public half, as openssl pkey -pubout prints it")
		}
		err = fmt.Errorf("%q is no public key", block.Type)
	}
	if err != nil {
		return key, err
	}
	key, fits := parsed.(K)
	if !fits {
		return key, fmt.Errorf("the key is not one of %s", algorithm)
	}
	return key, nil
}

// claims are what is used of a token.
type claims struct {
	subject, organisation string // organisation is "" where there is none
	flags                 []string
	issued, expires       time.Time // zero where there is none
}

// verify returns the claims of a token that is genuine and valid now.
func (v *verifier) verify(text string, now time.Time) (*claims, error) {
	found := jwt.MapClaims{}
	token, err := v.parser.ParseWithClaims(text, found, func(*jwt.Token) (any, error) { return v.key, nil })
	if err != nil {
		return nil, access.ErrInvalid
	}
	if _, critical := token.Header["crit"]; critical { // and nothing of it is understood here (RFC 7515, 4.1.11)
		return nil, access.ErrInvalid
	}
	return readClaims(found, now)
}

func readClaims(found jwt.MapClaims, now time.Time) (*claims, error) {
	out := new(claims)
	var notBefore time.Time
	for name, at := range map[string]*time.Time{"exp": &out.expires, "nbf": &notBefore, "iat": &out.issued} {
		if !readTime(found[name], at) {
			return nil, access.ErrInvalid
		}
	}
	soon := now.Add(tolerance)
	if !lasts(out.expires, now) || notBefore.After(soon) || out.issued.After(soon) {
		return nil, access.ErrInvalid
	}
	for _, text := range [...]struct {
		name string
		into *string
	}{{"sub", &out.subject}, {"org", &out.organisation}} {
		var is bool
		if *text.into, is = found[text.name].(string); !is && found[text.name] != nil {
			return nil, &access.ClaimError{Claim: text.name, Want: "must be a string"}
		}
	}
	if found["sub"] == nil {
		return nil, &access.ClaimError{Claim: "sub", Missing: true, Want: "is missing"}
	}
	if found["org"] != nil && out.organisation == "" { // it must not read as none
		return nil, &access.ClaimError{Claim: "org", Want: "must not be empty"}
	}
	var err error
	out.flags, err = readFlags(found["feature_flags"])
	return out, err
}

// readTime reads seconds since 1970, with or without a fraction (RFC 7519, 2); nil leaves
// the zero time.
func readTime(claim any, at *time.Time) bool {
	if claim == nil {
		return true
	}
	number, is := claim.(json.Number)
	if !is {
		return false
	}
	const most = 253402300800 // the year 10000
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds >= most {
		return false
	}
	whole, fraction := math.Modf(seconds)
	*at = time.Unix(int64(whole), int64(fraction*1e9))
	return true
}

func readFlags(claim any) (flags []string, _ error) {
	bad := &access.ClaimError{Claim: "feature_flags", Want: "must be an array of strings"}
	list, is := claim.([]any)
	if !is && claim != nil {
		return nil, bad
	}
	for _, item := range list {
		flag, is := item.(string)
		if !is {
			return nil, bad
		}
		flags = append(flags, flag)
	}
	return flags, nil
}
