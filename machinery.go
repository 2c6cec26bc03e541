package neohook

import (
	"io"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/internal/attempt"
	"github.com/neohook/neohook/internal/commit"
	"github.com/neohook/neohook/internal/deferral"
	"github.com/neohook/neohook/internal/dispatch"
	"github.com/neohook/neohook/internal/failing"
	"github.com/neohook/neohook/internal/feed"
	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/job"
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/internal/outbox"
	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/internal/quota"
	"github.com/neohook/neohook/internal/retention"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	// maxRetryAfter caps how long a receiver may ask to be left alone.
	maxRetryAfter = 12 * time.Hour
	// maxResponseBytes is how much of an answer is kept.
	maxResponseBytes = 20_000
	// unrecordedPerAttempt is how many outcomes may wait to be stored for each attempt
	// that may be in flight.
	unrecordedPerAttempt = 2
	// heldRows is how many deliveries are held in memory.
	heldRows = 65_536
	pageRows = 256
)

// machinery is what moves events from Publish to the endpoints. Arrows of data: intake →
// writer → lanes → sender → outcomes → writer.
type machinery struct {
	intake    *intake.Queue
	outcomes  *outcome.Queue
	failing   *failing.Watch
	lanes     *dispatch.Dispatcher
	writer    *commit.Writer
	tally     *tally
	quota     *quota.Quota
	space     *space
	probes    probes
	feed      *feed.Feed
	era       string // of the feed's numbers
	deferred  *deferral.Clock
	outbox    *outbox.Promoter
	jobs      *job.Runner
	herald    *operational.Herald
	keeper    *retention.Keeper
	footprint *footprint
	// sending is the adapter; adapter is the engine's own, nil where Options has one.
	sending webhook.Adapter
	adapter *httpadapter.Adapter
	// closers are closed, in order, when nothing is sent any more.
	closers []io.Closer
}

func (e *Engine) assemble() error {
	sender := &attempt.Sender{
		Endpoints: e.routes, Payloads: e.store, IDs: e.records.IDs, Adapter: e.opts.Adapter,
		Gone: e.gone,
		Policy: attempt.Policy{
			Schedule: e.opts.Schedule, Jitter: e.opts.Jitter,
			MaxRetryAfter: maxRetryAfter, MaxResponse: maxResponseBytes,
		},
	}
	if sender.Adapter == nil {
		adapter, err := e.httpAdapter()
		if err != nil {
			return err
		}
		sender.Adapter = adapter
	}
	e.sending = sender.Adapter
	e.intake = intake.New(intake.Limits{
		Bytes: e.opts.MaxMemoryBytes, Outside: e.opts.MaxWaitingBytes, Wait: e.opts.PublishWait,
	})
	e.failing = failing.New(e.opts.DisableAfter)
	e.outcomes = outcome.New()
	e.outcomes.Judge = func(o *store.Outcome) { e.herald.Judge(o, e.failing.Judge(o), e.opts.DisableAfter) }
	e.lanes = dispatch.New(e.laneLimits(), e.store, laneSettings{e.routes, e.opts.EndpointConcurrency}, sender, e.outcomes, e.opts.Logger)
	e.tally = newTally()
	e.feed, e.era = feed.New(feed.Limits{}), newEra()
	e.quota = quota.New(e.opts.MaxTenantBacklog, e.store)
	e.space = newSpace(e.store, e.opts.MinFreeBytes, e.opts.Logger)
	e.writer = commit.New(watchedStore{e.store, e.tally, func(n int) { e.outbox.Added(n) }}, e.intake, e.outcomes, watchedLanes{e.lanes, e.tally, e.quota, e.feed}, commit.Limits{}, e.opts.Logger)
	e.assemblePromotion()
	e.footprint = newFootprint(e.store, e.opts.Logger)
	e.keeper = retention.New(retention.Parts{
		Store: e.store, Writer: e.writer, Lanes: e.lanes, Defaults: e.opts.Retention, Ended: e.expunged, Heard: e.heard, Log: e.opts.Logger,
	})
	e.assembleJobs()
	return nil
}

// assemblePromotion makes what turns events into deliveries that nobody publishes at the
// moment: those that come due, and those that were announced.
func (e *Engine) assemblePromotion() {
	e.deferred = deferral.New(deferral.Parts{
		Store: e.store, Routes: e.routes, Writer: e.writer,
		Opened: func(now time.Time, openings []store.Opening) {
			deliveries := make([]lane.Delivery, len(openings))
			for i, o := range openings {
				deliveries[i] = lane.Delivery{Tenant: o.Tenant, Endpoint: o.Endpoint, Event: o.Event, Due: o.DueAt}
			}
			e.lanes.Await(now, deliveries)
		},
		Settled: func(tenant store.TenantKey, deliveries int) {
			e.tally.promoted.Add(1)
			e.tally.deliveries.Add(uint64(deliveries)) //nolint:gosec // not negative
			e.quota.End(tenant, 1)
			e.quota.Open(tenant, deliveries)
		},
		Log: e.opts.Logger,
	})
	e.outbox = outbox.New(outbox.Parts{
		Store: e.store, Intake: e.intake, Routes: e.routes, Quota: e.quota, IDs: e.records.IDs,
		Ready:    func() bool { _, low := e.space.check(); return !low },
		Deferred: e.deferred.Note,
		Accepted: func() { e.tally.accept(store.Accepted) },
		Repeated: func() { e.tally.accept(store.Replayed) },
		Announce: e.announceRefused, Refused: e.refused,
		Log: e.opts.Logger,
	})
	e.herald = operational.NewHerald(e.routes, e.outbox.Full, e.opts.Logger)
}

func (e *Engine) laneLimits() lane.Limits {
	return lane.Limits{
		Attempts:   e.opts.MaxInFlight,
		Unrecorded: unrecordedPerAttempt * e.opts.MaxInFlight,
		Rows:       heldRows,
		Bytes:      e.opts.MaxMemoryBytes,
		Page:       pageRows,
	}
}

// httpAdapter makes the engine's own adapter. The lanes keep the limits: the adapter has
// none that one endpoint's requests could take from another's.
func (e *Engine) httpAdapter() (webhook.Adapter, error) {
	dialer, err := egress.New(e.opts.Egress)
	if err != nil {
		return nil, err
	}
	adapter, err := httpadapter.New(httpadapter.Options{
		Dialer: dialer, MaxConcurrent: -1, PoolSizePerHost: -1,
		// Room for every attempt in flight and as many idle connections.
		PoolSize: 2 * e.opts.MaxInFlight,
		// Half the processor time of HTTP/2 for small requests; a receiver that speaks
		// nothing else, or an endpoint that asks for it, gets HTTP/2.
		Protocol:     webhook.HTTP1,
		MaxBodyBytes: maxResponseBytes, SvixHeaders: e.opts.SvixHeaders,
		UserAgent: e.opts.UserAgent,
	})
	if err != nil {
		return nil, err
	}
	e.adapter = adapter
	e.closers = append(e.closers, adapter, dialer)
	return adapter, nil
}
