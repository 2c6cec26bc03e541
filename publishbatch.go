package neohook

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// The most that PublishBatch takes at once.
const (
	MaxBatchEvents = 1000
	MaxBatchBytes  = 16 << 20 // of payloads
)

// Published is what became of one event of a batch: the Event as Publish returns it, or
// the Err.
type Published struct {
	Event webhook.Event
	Err   error
}

// PublishBatch accepts several events of a tenant, in one transaction where they can be
// stored together, and returns what became of each, in their order. Their own Tenant is
// not looked at. An event that can't be accepted harms no other: its Err is what Publish
// would return for it. Each endpoint's deliveries begin in the order of the events.
//
// With an error, which is of Publish's too, or *webhook.InvalidError for a batch that is
// empty or larger than MaxBatchEvents and MaxBatchBytes, nothing is accepted; except for
// an error of the store, or that of ctx, after which each may have been: publish them
// again, under a Once, to be sure that each is accepted a single time.
//
// Under a Once, each event is known by the Key and its place in the batch, and is its own
// Request: a repeat of the batch returns what the first returned for those that it
// accepted, and tries the others again.
func (o *Organisation) PublishBatch(ctx context.Context, tenant webhook.TenantID, events []webhook.Event) ([]Published, error) {
	b := batch{org: o, tenant: tenant, results: make([]Published, len(events)), otherwise: make([]error, len(events))}
	if err := checkBatch(events); err != nil {
		return nil, err
	}
	if _, low := o.engine.space.check(); low {
		return nil, &OverloadedError{Cause: DiskFull, RetryAfter: diskRetryAfter}
	}
	for i := range events {
		event := &b.results[i].Event
		*event = events[i]
		event.Tenant = tenant
		err := o.checkEvent(event)
		var accept store.Accept
		if err == nil {
			accept, b.otherwise[i], err = o.acceptOf(ctx, event)
		}
		if err != nil {
			b.refuse(i, err)
			continue
		}
		b.open, b.accepts = append(b.open, i), append(b.accepts, accept)
	}
	for range maxRoutings {
		if err := b.submit(ctx); err != nil {
			o.engine.tally.refuse(err)
			return nil, err
		}
		if len(b.open) == 0 {
			break
		}
	}
	for _, i := range b.open {
		b.refuse(i, errRoutesChanging)
	}
	return b.results, b.failure()
}

func checkBatch(events []webhook.Event) error {
	var bad webhook.InvalidError
	size := 0
	for i := range events {
		size += len(events[i].Payload)
	}
	switch {
	case len(events) == 0 || len(events) > MaxBatchEvents:
		bad.Add("events", fmt.Sprintf("must be 1 to %d", MaxBatchEvents))
	case size > MaxBatchBytes:
		bad.Add("events", fmt.Sprintf("must have at most %d bytes of payload together", MaxBatchBytes))
	}
	return bad.Err()
}

// batch is a PublishBatch on its way.
type batch struct {
	org     *Organisation
	tenant  webhook.TenantID
	results []Published
	// open are the places of those that have no result yet, accepts what the store gets of
	// them.
	open    []int
	accepts []store.Accept
	// otherwise is why an event at a place is refused, unless it is a repeat.
	otherwise []error
}

func (b *batch) refuse(i int, err error) {
	b.results[i] = Published{Err: err}
	b.org.engine.tally.refuse(err)
}

// submit has the open events committed. Those that must be routed again stay open.
func (b *batch) submit(ctx context.Context) error {
	engine := b.org.engine
	if err := checkOrganisation(b.org.id); err != nil {
		return err
	}
	routes, err := engine.routes.Tenant(ctx, b.org.id, b.tenant)
	if err != nil {
		return translate(err, "tenant", string(b.tenant))
	}
	if len(b.open) == 0 {
		return nil // all that are left
	}
	deliveries, err := b.route(routes)
	if err != nil {
		return err
	}
	granted, err := engine.quota.Take(ctx, routes.Tenant.Key, deliveries)
	if err != nil {
		return fmt.Errorf("neohook: publish: %w", err)
	}
	if !granted {
		return &LimitError{ErrBacklogFull, engine.opts.MaxTenantBacklog}
	}
	answers, err := engine.intake.SubmitAll(ctx, b.accepts)
	if err != nil {
		engine.quota.Settle(routes.Tenant.Key, deliveries, false)
		return submitError(err)
	}
	open, accepts := b.open, b.accepts
	b.open, b.accepts = nil, nil
	for j, answer := range answers {
		i, accept := open[j], &accepts[j]
		engine.submitted(accept, answer.Verdict, answer.Err)
		switch {
		case answer.Err != nil:
			b.refuse(i, submitError(answer.Err))
		case answer.Verdict.Kind == store.Rerouted || answer.Verdict.Kind == store.TenantGone:
			b.open, b.accepts = append(b.open, i), append(b.accepts, *accept)
		default:
			if err := b.org.judged(&b.results[i].Event, accept, b.otherwise[i], routes, answer.Verdict); err != nil {
				b.refuse(i, err)
			}
		}
	}
	if len(b.open) > 0 {
		engine.routes.Refresh(routes.Tenant.Key)
	}
	return nil
}

// route chooses the endpoints of the open events, and returns how many deliveries that
// makes.
func (b *batch) route(routes *routing.Routes) (deliveries int, err error) {
	for j := range b.accepts {
		accept := &b.accepts[j]
		route(accept, routes)
		deliveries += accept.Opens()
		if accept.Once, err = b.once(b.open[j], routes.Tenant.Key); err != nil {
			return 0, err
		}
	}
	return deliveries, nil
}

// once is that of the event at a place of the batch.
func (b *batch) once(i int, tenant store.TenantKey) (*store.Once, error) {
	if b.org.once == nil {
		return nil, nil
	}
	own := *b.org.once
	own.Request = requestOf(&b.results[i].Event)
	return b.org.Once(own).storeOnce(time.Now(), publishBatchOp, int64(tenant), int64(i))
}

// requestOf is all that a publisher says of an event.
func requestOf(event *webhook.Event) (request []byte) {
	part := func(text string) {
		request = binary.AppendUvarint(request, uint64(len(text)))
		request = append(request, text...)
	}
	list := func(texts []string) {
		request = binary.AppendUvarint(request, uint64(len(texts)))
		for _, text := range texts {
			part(text)
		}
	}
	part(event.UID)
	part(event.Type)
	list(event.Channels)
	list(event.Tags)
	part(event.DeliverAt.UTC().Format(time.RFC3339Nano))
	part(event.PayloadTTL.String())
	return append(request, event.Payload...)
}

// failure is the error of a batch of which nothing was accepted for want of a store.
func (b *batch) failure() error {
	var first error
	for i := range b.results {
		switch err := b.results[i].Err; {
		case err == nil, !isOurFault(err):
			return nil
		case first == nil:
			first = err
		}
	}
	return first
}

// isOurFault says that an event was not refused for what it is.
func isOurFault(err error) bool {
	switch refusalOf(err) {
	case Invalid, Conflicting, UnknownTenant, BacklogFull:
		return false
	}
	return true
}
