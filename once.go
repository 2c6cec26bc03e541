package neohook

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// DefaultKeepFor is how long a repeat is recognised, unless a Once says otherwise.
const DefaultKeepFor = 12 * time.Hour

// MaxKeyBytes bounds the Key of a Once.
const MaxKeyBytes = 512

// Once makes a change happen a single time however often it is asked for.
type Once struct {
	// Key tells the request apart within its organisation, operation, tenant and KeepFor;
	// 1 to MaxKeyBytes bytes.
	Key string
	// Request is what was asked for. The same Key with another Request is a mistake of
	// the caller's: ErrKeyReused.
	Request []byte
	// KeepFor is how long a repeat is recognised; 0 is DefaultKeepFor.
	KeepFor time.Duration
}

// Once returns a view whose CreateTenant, CreateEndpoint, RotateSecret and Publish do
// their work a single time under once: a repeat changes nothing and returns what the
// first returned. The key is stored in the same transaction as the change, so it
// outlives a crash. A failure leaves no trace, and the key can be used again.
func (o *Organisation) Once(once Once) *Organisation {
	return &Organisation{engine: o.engine, id: o.id, once: &once}
}

// The operations that can be asked for once. Their names are hashed into what stores
// keep, and never change.
const (
	createTenantOp   = "create tenant"
	createEndpointOp = "create endpoint"
	rotateSecretOp   = "rotate secret"
	publishOp        = "publish"
)

// storeOnce returns what the store is told of an operation that is asked for under the
// view's Once; nil where there is none. tenant is 0 for an operation on no tenant.
func (o *Organisation) storeOnce(operation string, tenant store.TenantKey, now time.Time) (*store.Once, error) {
	if o.once == nil {
		return nil, nil
	}
	keepFor := o.once.KeepFor
	if keepFor == 0 {
		keepFor = DefaultKeepFor
	}
	var bad webhook.InvalidError
	if o.once.Key == "" || len(o.once.Key) > MaxKeyBytes {
		bad.Add("idempotencyKey", fmt.Sprintf("must have 1 to %d bytes", MaxKeyBytes))
	}
	if keepFor < 0 {
		bad.Add("keepFor", "must not be negative")
	}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	// KeepFor is part of the name because stores forget by it.
	hash := sha256.New()
	for _, part := range [...]string{string(o.id), operation, o.once.Key} {
		_ = binary.Write(hash, binary.BigEndian, uint32(len(part))) //nolint:gosec // short
		hash.Write([]byte(part))
	}
	_ = binary.Write(hash, binary.BigEndian, [...]int64{int64(tenant), int64(keepFor)})
	body := sha256.Sum256(o.once.Request)
	return &store.Once{
		Hash: [16]byte(hash.Sum(nil)), Body: [16]byte(body[:]), Now: now, TTL: keepFor,
	}, nil
}

// replayed returns the answer in a store's error that says that the change was made
// before, and true; or false with the error that it is then.
func replayed(err error) ([]byte, bool, error) {
	var replay *store.ReplayError
	switch {
	case !errors.As(err, &replay):
		return nil, false, err
	case replay.Mismatch:
		return nil, false, ErrKeyReused
	}
	return replay.Answer, true, nil
}
