// Package seal encrypts what a store must keep and may not read: signing keys, custom
// headers, the secret that identifiers are made with.
//
// A Keyset is a Tink AEAD keyset in cleartext JSON, in a file that its owner alone can
// read or handed over by the operator. Further keys can be added with Tink's own tool:
// the primary one seals, each of them opens.
package seal

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrWrongKeyset is wrapped by Open's errors: the value was sealed with another keyset,
// for another place, or is damaged.
var ErrWrongKeyset = errors.New("can't be opened with this keyset")

// Keyset seals and opens. It is safe for concurrent use.
type Keyset struct {
	aead tink.AEAD
	// source says where the keys came from, for errors.
	source string
}

// Parse reads a keyset from its JSON.
func Parse(json []byte) (*Keyset, error) { return parse(json, "the keyset given") }

func parse(json []byte, source string) (*Keyset, error) {
	// Tink's errors may repeat a part of what they could not read, and that is a key.
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(json)))
	if err != nil {
		return nil, fmt.Errorf("%s is not a Tink keyset in cleartext JSON", source)
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("%s is not an AEAD keyset with an enabled primary key", source)
	}
	return &Keyset{aead: primitive, source: source}, nil
}

// Generate returns the JSON of a fresh keyset with one AES256-GCM key.
func Generate() ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make a keyset: %w", err)
	}
	var json bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&json)); err != nil {
		return nil, fmt.Errorf("make a keyset: %w", err)
	}
	json.WriteByte('\n')
	return json.Bytes(), nil
}

// Source says where the keyset came from: its file, or that it was given.
func (k *Keyset) Source() string { return k.source }

// Seal encrypts plain and binds it to ad, which says what it is and whose: Open must be
// given the same.
func (k *Keyset) Seal(plain, ad []byte) ([]byte, error) {
	sealed, err := k.aead.Encrypt(plain, ad)
	if err != nil {
		return nil, fmt.Errorf("seal with %s: %w", k.source, err)
	}
	return sealed, nil
}

// Open decrypts what was sealed under the same ad. The error wraps ErrWrongKeyset and
// names the keyset's source.
func (k *Keyset) Open(sealed, ad []byte) ([]byte, error) {
	plain, err := k.aead.Decrypt(sealed, ad)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrWrongKeyset, k.source)
	}
	return plain, nil
}
