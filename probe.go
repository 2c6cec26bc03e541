package neohook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Probes of endpoints that may be under way at once: each holds a connection and its
// caller for as long as a receiver likes to take.
const (
	maxProbes       = 64
	maxTenantProbes = 4
	// maxProbeTime bounds the endpoint's timeout, since somebody waits for the answer.
	maxProbeTime = 30 * time.Second
)

// ErrTooManyProbes is returned where as many of a tenant's endpoints are being verified or
// tested as may be, as a *LimitError.
var ErrTooManyProbes = errors.New("neohook: too many of the tenant's endpoints are being probed")

// VerifyEndpoint sends an endpoint a test event, signed as any, and returns what came of
// it; a nil payload is the adapter's own. It goes the way of all attempts, by the same
// rules of where a request may go, but is recorded nowhere, and neither the endpoint's
// pace nor its breaker learns of it. It is for a disabled endpoint too. It takes as long
// as the endpoint's timeout lets it, and 30 s at most.
//
// Errors: ErrNotFound; ErrTooManyProbes; ErrOverloaded; ErrStopped. That the endpoint does
// not work is in the Result.
func (o *Organisation) VerifyEndpoint(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, payload []byte) (webhook.Result, error) {
	return o.probe(ctx, tenant, endpoint, func(ep *webhook.Endpoint) (webhook.Result, error) {
		return o.engine.sending.Verify(ctx, ep, payload), nil
	})
}

// connector is an adapter that can ask whether something is there without an event.
type connector interface {
	TestConnectivity(ctx context.Context, url string, timeout time.Duration) webhook.Result
}

// TestConnectivity asks whether something at an endpoint's URL answers, with a request
// that carries no event, and returns how long each part of it took. The rest is as with
// VerifyEndpoint. errors.ErrUnsupported: the adapter has no such request.
func (o *Organisation) TestConnectivity(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID) (webhook.Result, error) {
	return o.probe(ctx, tenant, endpoint, func(ep *webhook.Endpoint) (webhook.Result, error) {
		if adapter, can := o.engine.sending.(connector); can {
			return adapter.TestConnectivity(ctx, ep.URL, ep.Timeout), nil
		}
		return webhook.Result{}, fmt.Errorf("neohook: test of connectivity: %w by the adapter", errors.ErrUnsupported)
	})
}

func (o *Organisation) probe(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, ask func(*webhook.Endpoint) (webhook.Result, error)) (webhook.Result, error) {
	owner, stored, err := o.endpoint(ctx, tenant, endpoint)
	if err != nil {
		return webhook.Result{}, err
	}
	ep, err := o.showEndpoint(&owner)(&stored)
	if err != nil {
		return webhook.Result{}, err
	}
	if err := o.engine.probes.begin(owner.Key); err != nil {
		return webhook.Result{}, err
	}
	defer o.engine.probes.end(owner.Key)
	ep.Timeout = min(ep.Timeout, maxProbeTime)
	result, err := ask(&ep)
	switch {
	case err != nil:
		return webhook.Result{}, err
	case ctx.Err() != nil:
		return webhook.Result{}, fmt.Errorf("neohook: probe of endpoint %q: %w", endpoint, ctx.Err())
	case result.Fault != nil && result.Fault.Code == webhook.FaultClosed:
		return webhook.Result{}, ErrStopped
	}
	return result, nil
}

// probes counts those under way. The zero value is ready.
type probes struct {
	mu      sync.Mutex
	all     int
	tenants map[store.TenantKey]int
}

func (p *probes) begin(tenant store.TenantKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.tenants[tenant] == maxTenantProbes:
		return &LimitError{ErrTooManyProbes, maxTenantProbes}
	case p.all == maxProbes:
		return &OverloadedError{Cause: ProbesFull, RetryAfter: time.Second}
	case p.tenants == nil:
		p.tenants = make(map[store.TenantKey]int)
	}
	p.all++
	p.tenants[tenant]++
	return nil
}

func (p *probes) end(tenant store.TenantKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.tenants[tenant]--; p.tenants[tenant] == 0 {
		delete(p.tenants, tenant)
	}
}
