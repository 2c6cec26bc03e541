package neohook

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/neohook/neohook/internal/feed"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// ErrTooManyFollowers is returned by Follow where as many follow a tenant, or the engine,
// as may.
var ErrTooManyFollowers = errors.New("neohook: too many follow already")

// FollowOptions say what to follow. The zero value is all of a tenant's deliveries, from
// now on.
type FollowOptions struct {
	// Endpoints narrows to those named, by id or UID.
	Endpoints []webhook.EndpointID
	// After is the ID of the last Progress that was read before; what came behind it is
	// read first.
	After string
}

// Progress is what was recorded of a delivery, or of a resend.
type Progress struct {
	// ID is for FollowOptions.After.
	ID        string
	Delivery  webhook.DeliveryID
	Event     webhook.EventID
	EventType string
	Endpoint  webhook.EndpointID
	// State is Waiting with DueAt, or one that ends; Reason is for Cancelled.
	State  webhook.State
	Reason webhook.Reason
	DueAt  time.Time
	// Attempt is what was tried, without its ID and its Response; nil where the delivery
	// ended without an attempt.
	Attempt *webhook.Attempt
}

// Follower reads what is recorded of a tenant's deliveries. It is for one goroutine.
type Follower struct {
	org       *Organisation
	tenant    store.TenantKey
	endpoints []store.EndpointKey
	reader    *feed.Reader
	ids       map[store.EndpointKey]webhook.EndpointID // of those met
}

// Follow lets somebody watch a tenant's deliveries as they are recorded. It is a matter of
// memory: nobody waits for a Follower, which is told where it was too slow, and what is
// kept for it to come back ends a minute after it has gone. It must be closed. At most 8
// follow a tenant, and 256 an Engine.
func (o *Organisation) Follow(ctx context.Context, tenant webhook.TenantID, opts FollowOptions) (*Follower, error) {
	owner, err := o.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	f := &Follower{org: o, tenant: owner.Key, ids: make(map[store.EndpointKey]webhook.EndpointID)}
	for _, ref := range opts.Endpoints {
		_, found, err := o.endpoint(ctx, tenant, ref)
		if err != nil {
			return nil, err
		}
		f.endpoints = append(f.endpoints, found.Key)
	}
	f.reader, err = o.engine.feed.Open(owner.Key, o.engine.feedNumber(opts.After))
	switch {
	case errors.Is(err, feed.ErrFull):
		return nil, ErrTooManyFollowers
	case err != nil:
		return nil, ErrStopped
	}
	return f, nil
}

// Next waits for what is recorded, and returns it in its order. Missed says that there was
// more before it, which is not kept: the lists have it. The error is that of ctx, of the
// store, or ErrStopped.
func (f *Follower) Next(ctx context.Context) (list []Progress, missed bool, err error) {
	for {
		entries, lost, err := f.reader.Read(ctx)
		missed = missed || lost
		switch {
		case errors.Is(err, feed.ErrClosed):
			return nil, missed, ErrStopped
		case err != nil:
			return nil, missed, fmt.Errorf("neohook: follow: %w", err)
		}
		for i := range entries {
			if len(f.endpoints) > 0 && !slices.Contains(f.endpoints, entries[i].Outcome.Endpoint) {
				continue
			}
			progress, err := f.show(ctx, &entries[i])
			if errors.Is(err, store.ErrNotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				return nil, missed, fmt.Errorf("neohook: follow: %w", err)
			}
			list = append(list, progress)
		}
		if len(list) > 0 || missed {
			return list, missed, nil
		}
	}
}

// Close ends the following.
func (f *Follower) Close() { f.reader.Close() }

func (f *Follower) show(ctx context.Context, entry *feed.Entry) (Progress, error) {
	e, out := f.org.engine, &entry.Outcome
	endpoint, err := f.endpointID(ctx, out.Endpoint)
	if err != nil {
		return Progress{}, err
	}
	acceptedAt, eventType := entry.AcceptedAt, out.EventType
	if acceptedAt.IsZero() || eventType == "" {
		event, err := e.store.Event(ctx, f.tenant, out.Event)
		if err != nil {
			return Progress{}, err
		}
		acceptedAt, eventType = event.AcceptedAt, event.Type
	}
	progress := Progress{
		ID: e.feedID(entry.Number), Delivery: e.records.IDs.Delivery(acceptedAt, out.Event, out.Endpoint),
		Event: e.records.IDs.Event(acceptedAt, out.Event), EventType: eventType, Endpoint: endpoint,
		State: out.State, Reason: out.Reason, DueAt: stored(out.RetryAt),
	}
	if a := out.Attempt; a != nil {
		progress.Attempt = &webhook.Attempt{
			Event: progress.Event, Endpoint: endpoint, EventType: eventType, Number: a.Number, Trigger: a.Trigger,
			URL: a.URL, Succeeded: a.Succeeded, StatusCode: a.StatusCode, Code: a.Code, StartedAt: stored(a.StartedAt), Duration: a.Duration,
		}
	}
	return progress, nil
}

func (f *Follower) endpointID(ctx context.Context, key store.EndpointKey) (webhook.EndpointID, error) {
	if id, known := f.ids[key]; known {
		return id, nil
	}
	found, err := f.org.engine.store.Endpoint(ctx, f.tenant, key)
	if err == nil {
		f.ids[key] = f.org.engine.records.IDs.Endpoint(found.CreatedAt, key)
	}
	return f.ids[key], err
}

// The numbers of a feed are told apart from those of an earlier process by its era.
const feedBase = 36

func newEra() string { return strconv.FormatUint(rand.Uint64(), feedBase) } //nolint:gosec // nothing is guarded by it

func (e *Engine) feedID(number uint64) string {
	return e.era + "-" + strconv.FormatUint(number, feedBase)
}

// feedNumber is the number of an ID; 0 for "", and one that was never given for an ID of
// another era.
func (e *Engine) feedNumber(id string) uint64 {
	if id == "" {
		return 0
	}
	era, text, _ := strings.Cut(id, "-")
	number, err := strconv.ParseUint(text, feedBase, 64)
	if era != e.era || err != nil || number == 0 {
		return math.MaxUint64
	}
	return number
}
