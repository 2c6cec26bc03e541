package neohook

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// DefaultKeepFor is how long a repeat is recognised, unless a Once says otherwise.
const DefaultKeepFor = 12 * time.Hour

const (
	minKeepFor = time.Second
	maxKeepFor = 366 * 24 * time.Hour
)

// MaxKeyBytes bounds the Key of a Once.
const MaxKeyBytes = 512

// Once makes a change happen a single time however often it is asked for, through the view
// that Organisation.Once returns: eng.Once(neohook.Once{Key: key}).Publish(ctx, event).
type Once struct {
	// Key tells the request apart from others of its operation, of its KeepFor, and on the
	// same organisation, tenant or endpoint; 1 to MaxKeyBytes bytes.
	Key string
	// Request is what was asked for. The same Key with another Request is a mistake of
	// the caller's: ErrKeyReused.
	Request []byte
	// KeepFor is how long a repeat is recognised, a second to a year; 0 is DefaultKeepFor.
	KeepFor time.Duration
}

// Once returns a view whose CreateTenant, CreateEndpoint, CreateEventType,
// ImportEventTypes, CreateToken, RotateSecret, Publish, PublishTx, PublishBatch, SendExample,
// Resend, Recover, ReplayMissing, ResendWhere, CancelWhere, ExpungePayloads, CountUsage and
// CountSubscriptions do their work a single time under once: a repeat changes nothing and
// returns what the first returned. The key is stored in the same transaction as the change,
// so it outlives a crash. A failure leaves no trace, and the key can be used again.
func (o *Organisation) Once(once Once) *Organisation {
	view := *o
	view.once = &once
	return &view
}

// The operations that can be asked for once. Their names are hashed into what stores
// keep, and never change.
const (
	createTenantOp     = "create tenant"
	createEndpointOp   = "create endpoint"
	createEventTypeOp  = "create event type"
	importEventTypesOp = "import event types"
	rotateSecretOp     = "rotate secret"
	sendExampleOp      = "send example"
	publishOp          = "publish"
	publishBatchOp     = "publish batch"
	createTokenOp      = "create token"
	resendOp           = "resend"
	recoverOp          = "recover"
	replayMissingOp    = "replay missing"
	resendWhereOp      = "resend where"
	cancelWhereOp      = "cancel where"
	expungePayloadsOp  = "expunge payloads"
	countUsageOp       = "count usage"
	subscriptionsOp    = "count subscriptions"
)

// storeOnce returns what the store is told of an operation that is asked for under the
// view's Once; nil where there is none. The keys are of what the operation is on.
func (o *Organisation) storeOnce(now time.Time, operation string, on ...int64) (*store.Once, error) {
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
	if keepFor < minKeepFor || keepFor > maxKeepFor {
		bad.Add("keepFor", "must be between a second and a year")
	}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	// KeepFor is part of the name because stores forget by it.
	name := make([]byte, 0, 256)
	for _, part := range [...]string{string(o.id), operation, o.once.Key} {
		name = binary.BigEndian.AppendUint32(name, uint32(len(part))) //nolint:gosec // short
		name = append(name, part...)
	}
	for _, key := range on {
		name = binary.BigEndian.AppendUint64(name, uint64(key)) //nolint:gosec // keys are positive
	}
	name = binary.BigEndian.AppendUint64(name, uint64(keepFor)) //nolint:gosec // checked above
	hash, body := sha256.Sum256(name), sha256.Sum256(o.once.Request)
	return &store.Once{Hash: [16]byte(hash[:16]), Body: [16]byte(body[:16]), Now: now, TTL: keepFor}, nil
}

// creation is how a record comes to be, whatever it is of.
type creation[S, T any] struct {
	// validate says what is wrong with what was asked for.
	validate func() error
	// record makes the record under a fresh key.
	record func(key int64) (S, error)
	// insert stores it.
	insert func(S, *store.Once) error
	// show makes of the record what callers see.
	show func(*S) (T, error)
}

// create stores a record, or returns what was stored before under the same once. The
// record is the answer that a repeat is given: whatever has become of it since, a
// repeat is told the same.
func create[S, T any](ctx context.Context, o *Organisation, once *store.Once, at time.Time, c creation[S, T]) (made T, err error) {
	if answer, repeat, err := o.replay(ctx, once, at); repeat || err != nil {
		return shown(answer, err, c.show)
	}
	if err := c.validate(); err != nil {
		return made, err
	}
	key, err := o.engine.store.NewKey(ctx)
	if err != nil {
		return made, fmt.Errorf("neohook: draw a key: %w", err)
	}
	record, err := c.record(key)
	if err != nil {
		return made, err
	}
	if once != nil {
		if once.Answer, err = json.Marshal(record); err != nil {
			return made, err
		}
	}
	if answer, repeat, err := replayed(c.insert(record, once)); repeat || err != nil {
		return shown(answer, err, c.show)
	}
	return c.show(&record)
}

// shown makes of a stored answer what callers see.
func shown[S, T any](answer []byte, err error, show func(*S) (T, error)) (made T, _ error) {
	if err != nil {
		return made, err
	}
	var record S
	if err := json.Unmarshal(answer, &record); err != nil {
		return made, fmt.Errorf("neohook: answer kept under an idempotency key: %w", err)
	}
	return show(&record)
}

// replay returns the answer of a change that was made before under once, and true.
func (o *Organisation) replay(ctx context.Context, once *store.Once, at time.Time) ([]byte, bool, error) {
	if once == nil {
		return nil, false, nil
	}
	return replayed(o.engine.store.Replay(ctx, once, at))
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
