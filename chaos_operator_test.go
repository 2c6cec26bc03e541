package neohook_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// chaosPause is somebody's pause, of an endpoint, a tenant, or everything.
type chaosPause struct {
	endpoint        *chaosEndpoint // nil is the tenant's
	tenant          *chaosTenant   // nil too is everything
	paused, resumed span           // guarded by chaos.mu
}

// of says whether an endpoint is paused by it.
func (p *chaosPause) of(e *chaosEndpoint) bool {
	return (p.endpoint == nil || p.endpoint == e) && (p.tenant == nil || p.tenant == e.tenant)
}

// chaosAsk is what somebody asks for of an event at an endpoint: a resend or a cancelling.
type chaosAsk struct {
	event    *chaosEvent
	endpoint *chaosEndpoint
	// All below is guarded by chaos.mu.
	asked   span
	granted bool
	// unsure says that a try was answered with an error, and may have been carried out.
	unsure bool
}

func (c *chaos) planOperators() {
	for i := range c.draw(4, "pauses") {
		p := &chaosPause{}
		switch c.draw(3, "pause of", i) {
		case 0:
			p.endpoint = c.endpoints[c.draw(len(c.endpoints), "pause of endpoint", i)]
			p.tenant = p.endpoint.tenant
		case 1:
			p.tenant = c.tenants[c.draw(len(c.tenants), "pause of tenant", i)]
		}
		// Of each thing once, or one's resuming is the end of another's pause.
		if !slices.ContainsFunc(c.pauses, func(q *chaosPause) bool { return q.endpoint == p.endpoint && q.tenant == p.tenant }) {
			c.pauses = append(c.pauses, p)
		}
	}
	ask := func(what string, n int) (asks []*chaosAsk) {
		for i := range n {
			a := &chaosAsk{
				event:    c.events[c.draw(len(c.events), what, "of event", i)],
				endpoint: c.endpoints[c.draw(len(c.endpoints), what, "at endpoint", i)],
			}
			if a.event.tenant == a.endpoint.tenant {
				asks = append(asks, a)
			}
		}
		return asks
	}
	c.resends = ask("resend", c.draw(60, "resends"))
	c.cancels = ask("cancel", c.draw(20, "cancels"))
}

// pause pauses something and resumes it, each at its moment of fake time.
func (c *chaos) pause(i int, p *chaosPause) {
	set := func(paused bool, during *span) {
		c.note(func() { during.began = time.Now() })
		c.insistGone(fmt.Sprint("pause ", i, paused), func(eng *neohook.Engine) error {
			err := c.setPaused(eng, p, paused)
			if p.endpoint != nil && !p.endpoint.deleted.began.IsZero() && isNotFound(err) {
				return nil
			}
			return err
		})
		c.note(func() { during.returned = time.Now() })
	}
	time.Sleep(time.Duration(c.draw(int(publishing/time.Second), "until it is paused", i)) * time.Second)
	if p.endpoint != nil {
		c.await(p.endpoint)
	}
	set(true, &p.paused)
	time.Sleep(time.Duration(c.draw(int(publishing/time.Second), "until it is resumed", i)) * time.Second)
	set(false, &p.resumed)
}

func (c *chaos) setPaused(eng *neohook.Engine, p *chaosPause, paused bool) error {
	switch {
	case p.endpoint != nil:
		_, err := eng.UpdateEndpoint(c.t.Context(), webhook.TenantID(p.tenant.uid), p.endpoint.id, func(ep *webhook.Endpoint) error {
			ep.Paused = paused
			return nil
		})
		return err
	case p.tenant != nil:
		_, err := eng.UpdateTenant(c.t.Context(), webhook.TenantID(p.tenant.uid), func(tenant *webhook.Tenant) error {
			tenant.Paused = paused
			return nil
		})
		return err
	case paused:
		return eng.Pause(c.t.Context())
	}
	return eng.Resume(c.t.Context())
}

// await waits until an endpoint is created, and looks every second of fake time.
func (c *chaos) await(endpoint *chaosEndpoint) {
	for created := false; !created; time.Sleep(time.Second) {
		c.note(func() { created = !endpoint.created.returned.IsZero() })
	}
}

// carryOut asks for something at its moment of fake time, again until it is granted or
// refused for good.
func (c *chaos) carryOut(what string, i int, a *chaosAsk, do func(eng *neohook.Engine) error) {
	time.Sleep(time.Duration(c.draw(int(troubled/time.Second)-60, what, "is asked for", i)) * time.Second)
	c.await(a.endpoint)
	for acked := false; !acked; time.Sleep(time.Second) {
		c.note(func() { acked = !a.event.acked.IsZero() })
	}
	c.note(func() { a.asked.began = time.Now() })
	refused := false
	c.insist(fmt.Sprint(what, i), func(eng *neohook.Engine) error {
		err := do(eng)
		switch {
		case isNotFound(err), errors.Is(err, neohook.ErrEndpointDisabled), errors.Is(err, neohook.ErrDeliveryEnded), errors.Is(err, neohook.ErrPayloadGone):
			refused = true
			return nil
		case err != nil:
			c.note(func() { a.unsure = true })
		}
		return err
	})
	c.note(func() { a.asked.returned, a.granted = time.Now(), !refused })
}

func (c *chaos) resend(i int, a *chaosAsk) {
	once := neohook.Once{Key: fmt.Sprint("resend-", i), KeepFor: 2 * hopeless}
	do := func(eng *neohook.Engine) error {
		return eng.Once(once).Resend(c.t.Context(), webhook.TenantID(a.event.tenant.uid), a.event.got.ID, a.endpoint.id)
	}
	c.carryOut("resend ", i, a, do)
	if a.granted && c.one(4, "resend twice", i) {
		c.insist(fmt.Sprint("resend again ", i), func(eng *neohook.Engine) error {
			if err := do(eng); !isNotFound(err) && !errors.Is(err, neohook.ErrPayloadGone) { // the endpoint is deleted by now
				return err
			}
			return nil
		})
	}
}

func (c *chaos) cancel(i int, a *chaosAsk) {
	c.carryOut("cancel ", i, a, func(eng *neohook.Engine) error {
		return eng.CancelDelivery(c.t.Context(), webhook.TenantID(a.event.tenant.uid), a.event.got.ID, a.endpoint.id)
	})
}

// asksFor are those of an event at an endpoint.
func asksFor(asks []*chaosAsk, event *chaosEvent, endpoint *chaosEndpoint) (of []*chaosAsk) {
	for _, a := range asks {
		if a.event == event && a.endpoint == endpoint {
			of = append(of, a)
		}
	}
	return of
}

// judgeManual holds the manual attempts of a delivery to what was asked for.
func (c *chaos) judgeManual(fail func(string, ...any), event *chaosEvent, endpoint *chaosEndpoint, manual []webhook.Attempt) {
	granted, most := 0, 0
	for _, a := range asksFor(c.resends, event, endpoint) {
		if a.granted {
			granted++
		}
		if a.granted || a.unsure {
			most++
		}
	}
	off := !endpoint.disabled.began.IsZero() || !endpoint.deleted.began.IsZero() || endpoint.isGone || c.opts.DisableAfter >= 0
	if off || event.expunges { // what waits then ends unsent
		granted = 0
	}
	if c.several > 0 { // another node may have made one that was recorded late
		most *= 2
	}
	if len(manual) < granted || len(manual) > most {
		fail("%d manual attempts are logged, want %d to %d", len(manual), granted, most)
	}
	for _, l := range manual {
		if l.Number != 1 {
			fail("a manual attempt has number %d, though a resend has only one", l.Number)
		}
	}
}
