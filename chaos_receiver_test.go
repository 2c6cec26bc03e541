package neohook_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// How receivers are.
const (
	steady = iota
	flapping
	hanging
	throttling
	erratic
	gone
	failing // to the end
	kinds
)

type chaosEndpoint struct {
	tenant *chaosTenant
	kind   int
	wish   webhook.Endpoint
	late   bool // created while events are published

	// All below is guarded by chaos.mu.

	id webhook.EndpointID
	// What the operator did, and between which instants.
	created, disabled, enabled, deleted span

	inFlight map[int]int // by node
	last     time.Time   // start of the latest attempt
	holds    map[int]time.Time
	isGone   bool
}

// span is when an operation was going on; zero is never.
type span struct{ began, returned time.Time }

func (s span) doneBefore(at time.Time) bool { return !s.returned.IsZero() && s.returned.Before(at) }
func (s span) begunAfter(at time.Time) bool { return s.began.IsZero() || s.began.After(at) }

// chaosAttempt is an attempt as its receiver saw it.
type chaosAttempt struct {
	node       *node
	endpoint   *chaosEndpoint
	event      webhook.EventID
	number     int
	began      time.Time
	ended      time.Time // zero for one that was cut off
	status     int
	retryAfter time.Duration

	logged, manual bool // found in the log, and to be so
}

func (c *chaos) planEndpoint(i int) *chaosEndpoint {
	endpoint := &chaosEndpoint{
		tenant: c.tenants[c.draw(len(c.tenants), "tenant of endpoint", i)],
		kind:   c.draw(kinds, "kind of endpoint", i),
		late:   i > 0 && c.one(4, "late", i),
		holds:  make(map[int]time.Time), inFlight: make(map[int]int),
		wish: webhook.Endpoint{
			UID: fmt.Sprint("endpoint-", i), URL: fmt.Sprintf("https://endpoint-%d.example", i),
			Timeout: time.Duration(1+c.draw(20, "timeout", i)) * time.Second,
			Ordered: c.one(3, "ordered", i),
		},
	}
	if c.one(3, "rate of endpoint", i) {
		endpoint.wish.RateLimit = 1 + c.draw(10, "rate of endpoint is", i)
	}
	if c.one(3, "own concurrency", i) {
		endpoint.wish.Concurrency = 1 + c.draw(4, "own concurrency is", i)
	}
	if c.one(4, "own schedule", i) {
		endpoint.wish.Schedule = webhook.Schedule{3 * time.Second, 30 * time.Second}[:c.draw(3, "own schedule is", i)]
	}
	if c.one(4, "final", i) {
		endpoint.wish.FinalStatuses = []int{404}
	}
	return endpoint
}

func (c *chaos) createEndpoint(i int, endpoint *chaosEndpoint) {
	began := time.Now()
	c.note(func() { endpoint.created.began = began })
	once := neohook.Once{Key: fmt.Sprint("endpoint-", i)}
	c.insist("create "+endpoint.wish.UID, func(eng *neohook.Engine) error {
		made, err := eng.Once(once).CreateEndpoint(c.t.Context(), webhook.TenantID(endpoint.tenant.uid), endpoint.wish)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			endpoint.id = made.ID
		}
		return err
	})
	c.note(func() { endpoint.created.returned = time.Now() })
}

// operate changes an endpoint while events are published, at moments of fake time.
func (c *chaos) operate(i int, endpoint *chaosEndpoint) {
	pause := func(what string) {
		time.Sleep(time.Duration(c.draw(int(publishing/time.Second)/2, what, i)) * time.Second)
	}
	if endpoint.late {
		pause("until it is created")
		c.createEndpoint(i, endpoint)
	}
	switch c.draw(6, "fate", i) {
	case 0:
		pause("until it is deleted")
		c.note(func() { endpoint.deleted.began = time.Now() })
		c.insistGone("delete "+endpoint.wish.UID, func(eng *neohook.Engine) error {
			return eng.DeleteEndpoint(c.t.Context(), webhook.TenantID(endpoint.tenant.uid), endpoint.id)
		})
		c.note(func() { endpoint.deleted.returned = time.Now() })
	case 1, 2:
		pause("until it is disabled")
		c.setDisabled(endpoint, true, &endpoint.disabled)
		pause("until it is enabled")
		c.setDisabled(endpoint, false, &endpoint.enabled)
	}
}

// insistGone is insist for a deletion, which a crash may have let happen.
func (c *chaos) insistGone(what string, do func(eng *neohook.Engine) error) {
	tried := false
	c.insist(what, func(eng *neohook.Engine) error {
		err := do(eng)
		if tried && isNotFound(err) {
			return nil
		}
		tried = true
		return err
	})
}

func (c *chaos) setDisabled(endpoint *chaosEndpoint, disabled bool, during *span) {
	c.note(func() { during.began = time.Now() })
	c.insist(fmt.Sprintf("set disabled of %s to %v", endpoint.wish.UID, disabled), func(eng *neohook.Engine) error {
		_, err := eng.UpdateEndpoint(c.t.Context(), webhook.TenantID(endpoint.tenant.uid), endpoint.id, func(ep *webhook.Endpoint) error {
			ep.Disabled = disabled
			return nil
		})
		return err
	})
	c.note(func() { during.returned = time.Now() })
}

// reply is what a receiver does with an attempt: how long it takes, and what it answers.
func (c *chaos) reply(endpoint *chaosEndpoint, delivery *webhook.Delivery) (takes time.Duration, status int, retryAfter time.Duration) {
	const never = time.Hour
	passed := c.passed()
	on := []any{endpoint.wish.UID, string(delivery.Payload[:min(12, len(delivery.Payload))]), delivery.Attempt}
	spell := passed / (3 * time.Minute)
	takes = time.Duration(c.draw(800, "takes", on)) * time.Millisecond
	bad := passed < c.sick() && c.one(2, "bad spell", endpoint.wish.UID, spell)
	switch {
	case endpoint.kind == failing && (c.several == 0 || passed < 2*c.sick()): // probes take their time
		return takes, 500, 0
	case endpoint.kind == gone && passed > publishing/2:
		return takes, 410, 0
	case endpoint.kind == flapping && bad:
		return takes, 500, 0
	case endpoint.kind == hanging && bad:
		return never, 0, 0
	case endpoint.kind == throttling && bad:
		return takes, []int{429, 503}[c.draw(2, "throttles", on)],
			[]time.Duration{0, 20 * time.Second, 5 * time.Minute, c.longest()}[c.draw(4, "asks for", on)]
	case endpoint.kind == erratic && passed < c.sick():
		switch c.draw(8, "erratic", on) {
		case 0:
			return never, 0, 0
		case 1, 2:
			return takes, 500, 0
		case 3:
			return takes, 404, 0
		}
	}
	return takes, 204, 0
}

// chaosReceivers are all receivers, as one node reaches them.
type chaosReceivers struct{ node *node }

func (r *chaosReceivers) Verify(context.Context, *webhook.Endpoint, []byte) webhook.Result {
	return webhook.Result{}
}

func (r *chaosReceivers) Health(context.Context) webhook.Health {
	return webhook.Health{Status: webhook.Healthy}
}

func (r *chaosReceivers) Deliver(ctx context.Context, delivery *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
	result := webhook.Result{URL: ep.URL, Method: "POST", StartedAt: time.Now(), Attempt: delivery.Attempt}
	c := r.node.chaos
	stats := r.node.eng.LaneStats()
	a := c.begin(r.node, delivery, ep)
	if a != nil {
		if stats.Bytes > c.opts.MaxMemoryBytes || stats.InFlight > c.opts.MaxInFlight || stats.Unrecorded > 2*c.opts.MaxInFlight {
			c.t.Errorf("beyond the bounds, %d in flight and %d bytes: %+v", c.opts.MaxInFlight, c.opts.MaxMemoryBytes, stats)
		}
		takes, status, retryAfter := c.reply(a.endpoint, delivery)
		timer := time.NewTimer(min(takes, ep.Timeout))
		defer timer.Stop()
		select {
		case <-timer.C:
			if takes >= ep.Timeout {
				status, retryAfter = 0, 0
				result.Fault = &webhook.Fault{Kind: webhook.FaultTimeout, Code: webhook.FaultResponseTimeout, Message: "no answer in time"}
			}
			c.end(a, status, retryAfter)
			result.StatusCode, result.RetryAfter, result.Success = status, retryAfter, status/100 == 2
			result.CompletedAt = time.Now()
			return result
		case <-ctx.Done():
		case <-r.node.dead:
		}
		c.end(a, -1, 0)
	}
	result.CompletedAt = time.Now()
	result.Fault = &webhook.Fault{Kind: webhook.FaultClient, Code: webhook.FaultCancelled, Message: "cut off"}
	return result
}

// begin judges the start of an attempt. It returns nil for one that a dead process makes.
func (c *chaos) begin(n *node, delivery *webhook.Delivery, ep *webhook.Endpoint) *chaosAttempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-n.dead:
		return nil
	default:
	}
	at := slices.IndexFunc(c.endpoints, func(e *chaosEndpoint) bool { return e.wish.UID == ep.UID })
	e, now := c.endpoints[at], time.Now()
	what := fmt.Sprintf("attempt %d of %s at %s, %v from the start", delivery.Attempt, delivery.Event, ep.UID, c.passed())
	most := c.opts.EndpointConcurrency
	if e.wish.Concurrency > 0 {
		most = e.wish.Concurrency
	}
	if e.wish.Ordered {
		most = 1
	}
	if beside := e.inFlight[n.number]; beside >= most {
		c.t.Errorf("%s: begins beside %d others, at most %d may be in flight", what, beside, most)
	}
	all := 0
	for _, other := range c.endpoints {
		all += other.inFlight[n.number]
	}
	if all >= c.opts.MaxInFlight {
		c.t.Errorf("%s: begins beside %d of all endpoints, at most %d may be in flight", what, all, c.opts.MaxInFlight)
	}
	if until := e.holds[n.number]; !c.stalls && now.Before(until) {
		c.t.Errorf("%s: the receiver asked to be left alone until %v", what, until.Sub(c.start))
	}
	if !c.stalls {
		for _, pace := range []struct {
			rate int
			last time.Time
		}{{e.wish.RateLimit, e.last}, {e.tenant.rate, e.tenant.last}} {
			if pace.rate > 0 && now.Sub(pace.last) < time.Second/time.Duration(pace.rate)-time.Microsecond {
				c.t.Errorf("%s: begins %v after another, at %d a second", what, now.Sub(pace.last), pace.rate)
			}
		}
		if e.disabled.doneBefore(now.Add(-c.slack())) && e.enabled.begunAfter(now) || e.deleted.doneBefore(now.Add(-c.slack())) {
			c.t.Errorf("%s: the endpoint was turned off before", what)
		}
		for _, p := range c.pauses {
			if p.of(e) && p.paused.doneBefore(now.Add(-c.slack())) && p.resumed.begunAfter(now) {
				c.t.Errorf("%s: it was paused before", what)
			}
		}
	}
	e.last, e.tenant.last = now, now
	e.inFlight[n.number]++
	a := &chaosAttempt{node: n, endpoint: e, event: delivery.Event, number: delivery.Attempt, began: now}
	c.attempts = append(c.attempts, a)
	c.judgeBegun(what, delivery.Event)
	if payload := c.payload(delivery.Event); payload != "" && payload != string(delivery.Payload) {
		c.t.Errorf("%s: it arrives as %q, published as %q", what, delivery.Payload, payload)
	}
	return a
}

func (c *chaos) payload(id webhook.EventID) string {
	for _, event := range c.events {
		if event.got.ID == id && !event.acked.IsZero() {
			return event.payload
		}
	}
	return "" // its publisher does not know yet
}

// end notes an answer, or with -1 that there was none as the attempt was cut off.
func (c *chaos) end(a *chaosAttempt, status int, retryAfter time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.endpoint.inFlight[a.node.number]--
	if status < 0 {
		return
	}
	a.ended, a.status, a.retryAfter = time.Now(), status, min(retryAfter, 12*time.Hour)
	if hold := a.ended.Add(a.retryAfter); hold.After(a.endpoint.holds[a.node.number]) && a.retryAfter > 0 {
		a.endpoint.holds[a.node.number] = hold
	}
	a.endpoint.isGone = a.endpoint.isGone || status == 410
}
