package neohook

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/internal/failing"
	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/store"
)

// gone turns off an endpoint whose receiver says that it is gone for good.
func (e *Engine) gone(ctx context.Context, tenant store.TenantKey, key store.EndpointKey) {
	if err := e.disable(ctx, tenant, key, e.failing.Since(key)); err != nil {
		e.opts.Logger.WarnContext(ctx, "endpoint answered 410 and could not be disabled", "error", err)
	}
}

// disable turns off an endpoint that has failed since an instant; zero is from now on.
func (e *Engine) disable(ctx context.Context, tenant store.TenantKey, key store.EndpointKey, since time.Time) error {
	routes, err := e.routes.Routes(ctx, tenant)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	since = cmp.Or(since, now()).UTC().Truncate(time.Microsecond)
	announce := e.herald.Announce(routes.Tenant.Organisation, store.About{Tenant: tenant, Endpoint: key},
		operational.Details{FailSince: since}, operational.EndpointDisabled)
	for range maxTries {
		endpoint, err := e.store.Endpoint(ctx, tenant, key)
		if errors.Is(err, store.ErrNotFound) || (err == nil && endpoint.Disabled) {
			return nil
		}
		if err != nil {
			return err
		}
		endpoint.Disabled = true
		again, err := e.writeEndpoint(ctx, &endpoint, nil, announce...)
		if err == nil {
			e.failing.Forget(key)
		}
		if !again {
			return err
		}
	}
	return store.ErrStale
}

// watchFailing warns of endpoints that have failed for long, and disables those that have
// failed for too long, until ctx ends and all is told that there was by then.
func (e *Engine) watchFailing(ctx context.Context) {
	for {
		notices := e.failing.Next(ctx)
		if notices == nil {
			return
		}
		for _, notice := range notices {
			e.heed(ctx, notice)
		}
	}
}

func (e *Engine) heed(ctx context.Context, notice failing.Notice) {
	// That it was told is stored with an outcome: an end must not keep it from being told.
	const most = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	defer cancel()
	endpoint, err := e.store.Endpoint(ctx, notice.Tenant, notice.Endpoint)
	if errors.Is(err, store.ErrNotFound) || (err == nil && endpoint.Disabled) {
		return
	}
	log := e.opts.Logger
	if err == nil {
		log = log.With("endpoint_id", e.records.IDs.Endpoint(endpoint.CreatedAt, endpoint.Key))
	}
	log = log.With("failing_since", notice.Since)
	const all = 100
	if notice.Percent < all {
		log.WarnContext(ctx, "endpoint is failing and will be disabled",
			"percent", notice.Percent, "disabled_after", notice.Since.Add(e.opts.DisableAfter))
		return
	}
	if err == nil {
		err = e.disable(ctx, notice.Tenant, notice.Endpoint, notice.Since)
	}
	if err != nil { // the next failure tells again
		log.WarnContext(ctx, "endpoint has failed for too long and could not be disabled", "error", err)
		return
	}
	log.WarnContext(ctx, "endpoint was disabled: it has failed for too long")
}
