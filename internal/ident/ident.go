// Package ident makes identifiers of integer keys, and keys of identifiers, so that an
// identifier is decoded and not looked up.
//
// The fifteen free bytes of an identifier hold the key masked and a check over kind,
// time and key, both under a secret of the store. Whoever lacks the secret can neither
// make an identifier that decodes nor see from two of them how much was stored between.
package ident

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// SecretBytes is the length of a codec's secret.
const SecretBytes = 32

// ErrForeign is returned for a well-formed identifier that was not made with this
// secret, or for another kind of thing. As an argument it names nothing; as a page's
// cursor it is as bad as a malformed one.
var ErrForeign = errors.New("id was not made here")

// NewSecret returns a fresh secret.
func NewSecret() []byte {
	secret := make([]byte, SecretBytes)
	_, _ = rand.Read(secret) // never fails: it ends the program rather than return an error
	return secret
}

// Codec encodes and decodes under one secret. It is safe for concurrent use.
//
// The time given to an encoder is cut to 4 ms and comes back so. A decoder's error wraps
// webhook.ErrMalformedID or ErrForeign.
type Codec struct {
	block cipher.Block
	// scratch spares an allocation: what goes through the interface escapes.
	scratch sync.Pool
}

// New returns a codec for a secret of SecretBytes.
func New(secret []byte) (*Codec, error) {
	if len(secret) != SecretBytes {
		return nil, fmt.Errorf("id secret has %d bytes, want %d", len(secret), SecretBytes)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return &Codec{block: block, scratch: sync.Pool{New: func() any { return new([aes.BlockSize]byte) }}}, nil
}

// kind is a kind of thing that has one key. Its number is part of the check, so that an id
// of one kind is none of another.
type kind[K ~int64, ID ~string] struct {
	number byte
	prefix string
}

// The numbers are in identifiers that are out in the world: they never change.
var (
	tenants   = kind[store.TenantKey, webhook.TenantID]{1, webhook.TenantPrefix}
	endpoints = kind[store.EndpointKey, webhook.EndpointID]{2, webhook.EndpointPrefix}
	events    = kind[store.EventKey, webhook.EventID]{3, webhook.EventPrefix}
	attempts  = kind[store.AttemptKey, webhook.AttemptID]{4, webhook.AttemptPrefix}
	jobs      = kind[store.JobKey, webhook.JobID]{6, webhook.JobPrefix}
	tokens    = kind[store.TokenKey, webhook.TokenID]{8, webhook.TokenPrefix}
)

// deliveryNumber is that of deliveries, which have two keys.
const deliveryNumber = 5

// Uses of the cipher, the last byte of its input.
const (
	checkUse byte = iota + 1
	maskUse
	wideCheckUse
)

const (
	keyBytes   = 8
	checkBytes = 7
)

// id lays out the fifteen bytes as the masked key and the check (a synthetic
// initialisation vector: the mask is drawn from the check, and so differs for each key).
func (of kind[K, ID]) id(c *Codec, at time.Time, key K) ID {
	raw := webhook.MakeRawID(at, [15]byte{})
	block := c.scratch.Get().(*[aes.BlockSize]byte)
	defer c.scratch.Put(block)

	check := c.check(block, of.number, &raw, uint64(key)) //nolint:gosec // the same bits
	mask := c.mask(block, of.number, &raw, check[:])
	binary.BigEndian.PutUint64(raw[5:], uint64(key)^binary.BigEndian.Uint64(mask)) //nolint:gosec // the same bits
	copy(raw[5+keyBytes:], check[:])
	return ID(raw.Format(of.prefix))
}

// key is the way back.
func (of kind[K, ID]) key(c *Codec, id ID) (K, time.Time, error) {
	raw, err := webhook.ParseRawID(of.prefix, string(id))
	if err != nil {
		return 0, time.Time{}, err
	}
	block := c.scratch.Get().(*[aes.BlockSize]byte)
	defer c.scratch.Put(block)

	given := raw[5+keyBytes:]
	mask := c.mask(block, of.number, &raw, given)
	key := binary.BigEndian.Uint64(raw[5:]) ^ binary.BigEndian.Uint64(mask)
	check := c.check(block, of.number, &raw, key)
	if subtle.ConstantTimeCompare(check[:], given) != 1 {
		return 0, time.Time{}, foreign(string(id))
	}
	return K(key), raw.Time(), nil //nolint:gosec // the same bits
}

func (c *Codec) check(block *[aes.BlockSize]byte, number byte, raw *webhook.RawID, key uint64) (check [checkBytes]byte) {
	*block = [aes.BlockSize]byte{0: number, 15: checkUse}
	copy(block[1:], raw[:5])
	binary.BigEndian.PutUint64(block[6:], key)
	c.block.Encrypt(block[:], block[:])
	copy(check[:], block[:])
	return check
}

// mask returns bytes that hold until block is used again.
func (c *Codec) mask(block *[aes.BlockSize]byte, number byte, raw *webhook.RawID, check []byte) []byte {
	*block = [aes.BlockSize]byte{0: number, 15: maskUse}
	copy(block[1:], raw[:5])
	copy(block[6:], check)
	c.block.Encrypt(block[:], block[:])
	return block[:]
}

func foreign(text string) error { return fmt.Errorf("%w: %s", ErrForeign, text) }

// Tenant returns a tenant's identifier.
func (c *Codec) Tenant(createdAt time.Time, key store.TenantKey) webhook.TenantID {
	return tenants.id(c, createdAt, key)
}

// ParseTenant returns the key and the time in a tenant's identifier.
func (c *Codec) ParseTenant(id webhook.TenantID) (store.TenantKey, time.Time, error) {
	return tenants.key(c, id)
}

// Endpoint returns an endpoint's identifier.
func (c *Codec) Endpoint(createdAt time.Time, key store.EndpointKey) webhook.EndpointID {
	return endpoints.id(c, createdAt, key)
}

// ParseEndpoint returns the key and the time in an endpoint's identifier.
func (c *Codec) ParseEndpoint(id webhook.EndpointID) (store.EndpointKey, time.Time, error) {
	return endpoints.key(c, id)
}

// Event returns an event's identifier.
func (c *Codec) Event(acceptedAt time.Time, key store.EventKey) webhook.EventID {
	return events.id(c, acceptedAt, key)
}

// ParseEvent returns the key and the time in an event's identifier.
func (c *Codec) ParseEvent(id webhook.EventID) (store.EventKey, time.Time, error) {
	return events.key(c, id)
}

// Attempt returns an attempt's identifier.
func (c *Codec) Attempt(startedAt time.Time, key store.AttemptKey) webhook.AttemptID {
	return attempts.id(c, startedAt, key)
}

// ParseAttempt returns the key and the time in an attempt's identifier.
func (c *Codec) ParseAttempt(id webhook.AttemptID) (store.AttemptKey, time.Time, error) {
	return attempts.key(c, id)
}

// Token returns a token's identifier.
func (c *Codec) Token(createdAt time.Time, key store.TokenKey) webhook.TokenID {
	return tokens.id(c, createdAt, key)
}

// ParseToken returns the key and the time in a token's identifier.
func (c *Codec) ParseToken(id webhook.TokenID) (store.TokenKey, time.Time, error) {
	return tokens.key(c, id)
}

// Job returns a job's identifier.
func (c *Codec) Job(createdAt time.Time, key store.JobKey) webhook.JobID {
	return jobs.id(c, createdAt, key)
}

// ParseJob returns the key and the time in a job's identifier.
func (c *Codec) ParseJob(id webhook.JobID) (store.JobKey, time.Time, error) {
	return jobs.key(c, id)
}
