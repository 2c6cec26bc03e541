package neohook

import (
	"context"
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
)

// Pause keeps everything from being sent, to all endpoints of all tenants, until Resume:
// events are accepted, and wait. What is in flight ends. That it is paused is stored, and
// so outlives a restart. To pause an endpoint or a tenant, update its Paused.
//
// An endpoint that was failing fails anew when it is resumed: the time does not count
// towards disabling it.
func (e *Engine) Pause(ctx context.Context) error { return e.setPaused(ctx, true) }

// Resume lets everything be sent again that is not paused for itself.
func (e *Engine) Resume(ctx context.Context) error { return e.setPaused(ctx, false) }

// Paused says whether everything is paused.
func (e *Engine) Paused() bool { return e.paused.Load() }

func (e *Engine) setPaused(ctx context.Context, paused bool) error {
	// One after another, so that what is stored and what is done do not cross.
	select {
	case e.pausing <- struct{}{}:
		defer func() { <-e.pausing }()
	case <-ctx.Done():
		return fmt.Errorf("neohook: pause: %w", ctx.Err())
	}
	if err := e.store.SetPaused(ctx, paused); err != nil {
		return fmt.Errorf("neohook: pause: %w", err)
	}
	e.pauseHere(ctx, paused)
	e.heard(ctx, 0)
	return nil
}

// pauseHere acts upon it that everything was paused or resumed.
func (e *Engine) pauseHere(ctx context.Context, paused bool) {
	e.failing.ForgetAll()
	e.lanes.Pause(time.Now(), paused)
	if was := e.paused.Swap(paused); was != paused {
		e.opts.Logger.InfoContext(ctx, "sending was paused or resumed", "paused", paused)
	}
}

// startAfresh lets the failing endpoints of a tenant fail anew, as the store does, when it
// was paused or resumed.
func (e *Engine) startAfresh(ctx context.Context, tenant store.TenantKey) {
	routes, err := e.routes.Routes(context.WithoutCancel(ctx), tenant)
	if err != nil {
		e.opts.Logger.WarnContext(ctx, "endpoints of a tenant that was paused or resumed are taken to fail still", "error", err)
		return
	}
	e.failing.Forget(routes.Keys()...)
}
