package neohook

import (
	"cmp"
	"context"
	"errors"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
)

// laneSettings tells the lanes how endpoints want to be sent to.
type laneSettings struct {
	routes      *routing.Table
	concurrency int // of an endpoint that has none of its own
}

// closedConcurrency is how many deliveries of a closed endpoint are ended at a time.
const closedConcurrency = 64

// Known returns the settings if the tenant's routes are in memory.
func (s laneSettings) Known(tenant store.TenantKey, endpoint store.EndpointKey) lane.Settings {
	if routes := s.routes.Held(tenant); routes != nil {
		return s.of(routes, endpoint)
	}
	return lane.Settings{}
}

// Settings returns the settings, read from the store where they are not in memory.
func (s laneSettings) Settings(ctx context.Context, tenant store.TenantKey, endpoint store.EndpointKey) (lane.Settings, error) {
	routes, err := s.routes.Routes(ctx, tenant)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return lane.Settings{Concurrency: closedConcurrency, Closed: true}, nil
	case err != nil:
		return lane.Settings{}, err
	}
	return s.of(routes, endpoint), nil
}

func (s laneSettings) of(routes *routing.Routes, key store.EndpointKey) lane.Settings {
	endpoint, closed, err := routes.Endpoint(key)
	switch {
	case closed != "":
		return lane.Settings{Concurrency: closedConcurrency, Closed: true}
	case err != nil: // an attempt will say why it can't be sent to
		return lane.Settings{Concurrency: 1}
	}
	return lane.Settings{
		Concurrency: cmp.Or(endpoint.Concurrency, s.concurrency),
		Ordered:     endpoint.Ordered,
		Paused:      endpoint.Paused || routes.Tenant.Paused,
		Rate:        endpoint.RateLimit,
		TenantRate:  routes.Tenant.RateLimit,
	}
}
