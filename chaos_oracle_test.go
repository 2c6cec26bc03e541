package neohook_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func isNotFound(err error) bool { return errors.Is(err, neohook.ErrNotFound) }

// read reads by whichever node there is: one may end just then.
func (c *chaos) read(by func(*node) error) error {
	for {
		if err := by(c.current()); !errors.Is(err, store.ErrClosed) {
			return err
		}
	}
}

// standing is where an event stands at an endpoint; found is false where it never was
// meant for it.
func (c *chaos) standing(event *chaosEvent, endpoint *chaosEndpoint) (record store.DeliveryRecord, found bool) {
	err := c.read(func(n *node) (err error) {
		record, err = n.st.Delivery(c.t.Context(), n.eng.EndpointKey(endpoint.id), n.eng.EventKey(event.got.ID))
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		c.t.Fatal(err)
	}
	return record, err == nil
}

// drain waits until all deliveries have ended, hours of fake time.
func (c *chaos) drain() {
	for {
		var open []string
		for i, event := range c.events {
			if _, routed := c.routing(event); time.Now().Before(routed) {
				open = append(open, fmt.Sprintf("event %d, due %v", i, event.due.Sub(c.start)))
			}
			for _, endpoint := range c.endpoints {
				if c.sendsWait(endpoint) {
					open = append(open, "sends to "+endpoint.wish.UID)
				}
				if d, found := c.standing(event, endpoint); found && !d.State.Ended() {
					open = append(open, fmt.Sprintf("event %d (%s) at %s: %v, tried %d, due %v", i, event.got.ID, endpoint.wish.UID, d.State, d.Tried, d.RetryAt.Sub(c.start)))
				}
			}
		}
		if len(open) == 0 {
			break
		}
		if c.passed() > c.hopeless() {
			c.t.Fatalf("%d deliveries never end, as %s; the engine holds %+v", len(open), open[0], c.current().eng.LaneStats())
		}
		if time.Sleep(time.Minute); c.several == 0 {
			time.Sleep(time.Hour)
		}
	}
	time.Sleep(time.Hour + c.longest()/8) // what is remembered of endpoints for a while, and a Retry-After
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if stats := n.eng.LaneStats(); stats != (lane.Stats{}) {
			c.t.Errorf("all has ended, yet node %d holds %+v", n.number, stats)
		}
	}
}

// sendsWait says that there are manual sends to an endpoint.
func (c *chaos) sendsWait(endpoint *chaosEndpoint) bool {
	var count int
	err := c.read(func(n *node) (err error) {
		count, err = n.st.CountSends(c.t.Context(), n.eng.EndpointKey(endpoint.id), 1)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return count > 0
}

// judge holds what happened to what was promised.
func (c *chaos) judge() {
	n := c.current()
	accepted := make(map[webhook.EventID]bool)
	for _, event := range c.events {
		accepted[event.got.ID] = true
	}
	if len(accepted) != len(c.events) {
		c.t.Errorf("%d publishes returned %d events", len(c.events), len(accepted))
	}
	stored := 0
	for _, tenant := range c.tenants {
		list, err := n.eng.Events(c.t.Context(), webhook.TenantID(tenant.uid), neohook.EventFilter{}, neohook.Page{Limit: 250})
		if err != nil || !list.Done {
			c.t.Fatal(err, list.Done)
		}
		stored += len(list.Items)
	}
	if stored != len(c.events) {
		c.t.Errorf("%d events were published and %d are stored: one was accepted twice", len(c.events), stored)
	}
	for _, a := range c.attempts {
		if !accepted[a.event] {
			c.t.Errorf("%s was sent to %s and never accepted", a.event, a.endpoint.wish.UID)
		}
	}
	for i, event := range c.events {
		for _, endpoint := range c.endpoints {
			c.judgeDelivery(i, event, endpoint)
		}
	}
	for _, endpoint := range c.endpoints {
		// What is being ended when an endpoint is enabled again waits for a moment, and comes
		// back in the order of its due times.
		switch {
		case !endpoint.wish.Ordered || !endpoint.enabled.began.IsZero():
		case c.several > 0:
			c.judgeOrderOfNodes(endpoint)
		default:
			c.judgeOrder(endpoint)
		}
	}
	for _, tenant := range c.tenants {
		c.judgeCounts(tenant)
	}
	c.judgeExpunged()
	if found, err := n.eng.Recount(c.t.Context()); err != nil || found.Wrong != 0 || found.Events < int64(len(c.events)) {
		c.t.Errorf("a recount found %+v, %v", found, err)
	}
}

// judgeCounts holds what was counted of a tenant to where its events stand, and to the log.
func (c *chaos) judgeCounts(tenant *chaosTenant) {
	var want neohook.Counts
	for _, event := range c.events {
		if event.tenant != tenant {
			continue
		}
		want.Events++
		for _, endpoint := range c.endpoints {
			d, found := c.standing(event, endpoint)
			if !found {
				continue
			}
			want.Deliveries++
			switch d.State {
			case webhook.Succeeded:
				want.Ended.Succeeded++
			case webhook.Exhausted:
				want.Ended.Exhausted++
			case webhook.Cancelled:
				want.Ended.Cancelled++
			}
			if !d.RecoveredAt.IsZero() {
				want.Ended.Recovered++
			}
		}
		list, err := c.current().eng.AttemptsOfEvent(c.t.Context(), webhook.TenantID(tenant.uid), event.got.ID, neohook.AttemptFilter{}, neohook.Page{Limit: 250})
		if err != nil {
			c.t.Fatal(err)
		}
		for i := range list.Items {
			if list.Items[i].Succeeded {
				want.Attempts.Succeeded++
			} else {
				want.Attempts.Failed++
			}
			if list.Items[i].Trigger == webhook.Manual {
				want.Attempts.Manual++
			}
		}
	}
	got, err := c.current().eng.CountTenant(c.t.Context(), webhook.TenantID(tenant.uid), neohook.Span{From: c.start})
	if err != nil || got.Events != want.Events || got.Deliveries != want.Deliveries || got.Ended != want.Ended ||
		got.Attempts.Succeeded != want.Attempts.Succeeded || got.Attempts.Failed != want.Attempts.Failed || got.Attempts.Manual != want.Attempts.Manual {
		c.t.Errorf("%s is counted as %+v, %v; want %+v", tenant.uid, got, err, want)
	}
}

// judgeDelivery holds one delivery's attempts to each other, to the log, to the schedule
// and to its end.
func (c *chaos) judgeDelivery(i int, event *chaosEvent, endpoint *chaosEndpoint) {
	d, found := c.standing(event, endpoint)
	what := fmt.Sprintf("event %d (%s) at %s, %v", i, event.got.ID, endpoint.wish.UID, d.State)
	fail := func(format string, args ...any) { c.t.Errorf(what+": "+format, args...) }
	var sent []*chaosAttempt
	for _, a := range c.attempts {
		if a.event == event.got.ID && a.endpoint == endpoint {
			sent = append(sent, a)
		}
	}
	must, may := c.routed(event, endpoint)
	switch {
	case found && !may:
		fail("it is not for the endpoint")
	case !found && must:
		fail("it never was routed")
	case !found && len(sent) > 0 && len(asksFor(c.resends, event, endpoint)) == 0:
		fail("sent, and there is no delivery")
	}
	list, err := c.current().eng.AttemptsOfEvent(c.t.Context(), webhook.TenantID(event.tenant.uid), event.got.ID,
		neohook.AttemptFilter{Endpoint: endpoint.id}, neohook.Page{Limit: 250})
	if err != nil && !isNotFound(err) {
		fail("%v", err)
	}
	if !endpoint.deleted.began.IsZero() {
		return
	}
	var logged, manual []webhook.Attempt
	for _, l := range list.Items {
		if l.Trigger == webhook.Manual {
			manual = append(manual, l)
		} else {
			logged = append(logged, l)
		}
	}
	logged, late := c.inTime(logged)
	c.judgeManual(fail, event, endpoint, manual)
	for _, l := range logged {
		if l.StartedAt.Before(event.due) {
			fail("attempt %d was made %v before its time", l.Number, event.due.Sub(l.StartedAt))
		}
	}
	c.judgeLog(fail, sent, logged, late, manual, endpoint)
	if found {
		c.judgeEnd(fail, d, logged, late, manual, event, endpoint)
	}
}

// routed says whether the delivery must be there, and whether it may.
func (c *chaos) routed(event *chaosEvent, endpoint *chaosEndpoint) (must, may bool) {
	from, to := c.routing(event)
	if event.tenant != endpoint.tenant || endpoint.created.began.After(to) {
		return false, false
	}
	off := endpoint.disabled.doneBefore(from) && endpoint.enabled.begunAfter(to) || endpoint.deleted.doneBefore(from)
	// One that is deferred may be expunged, and so cancelled, before it is due.
	always := (event.due.IsZero() || !event.expunges) && endpoint.created.doneBefore(from) && endpoint.disabled.begunAfter(to) && endpoint.deleted.begunAfter(to) &&
		!endpoint.isGone && c.opts.DisableAfter < 0
	return always, !off
}

func (c *chaos) schedule(endpoint *chaosEndpoint) webhook.Schedule {
	if endpoint.wish.Schedule != nil {
		return endpoint.wish.Schedule
	}
	return c.opts.Schedule
}

// judgeLog holds the scheduled attempts that are logged, and the manual ones, to those
// that were made.
func (c *chaos) judgeLog(fail func(string, ...any), sent []*chaosAttempt, logged, late, manual []webhook.Attempt, endpoint *chaosEndpoint) {
	made := func(l webhook.Attempt) *chaosAttempt {
		at := slices.IndexFunc(sent, func(a *chaosAttempt) bool {
			return !a.logged && a.number == l.Number && a.began.Truncate(time.Microsecond).Equal(l.StartedAt) && !a.ended.IsZero() && a.status == l.StatusCode
		})
		if at < 0 {
			fail("attempt %d, answered %d, is logged and was not made, or not answered so", l.Number, l.StatusCode)
			return nil
		}
		sent[at].logged = true
		return sent[at]
	}
	for _, l := range manual {
		if a := made(l); a != nil {
			a.manual = true
		}
	}
	for _, l := range late {
		made(l)
	}
	slices.SortFunc(logged, func(a, b webhook.Attempt) int { return cmp.Compare(a.Number, b.Number) })
	byNumber := make(map[int]*chaosAttempt)
	for k, l := range logged {
		if l.Number != k+1 {
			fail("attempt %d of the log has number %d: one was logged twice, or not at all", k+1, l.Number)
			return
		}
		if byNumber[l.Number] = made(l); byNumber[l.Number] == nil {
			return
		}
	}
	schedule := c.schedule(endpoint)
	jitter := max(0, c.opts.Jitter)
	for _, a := range sent {
		if !a.ended.IsZero() && !a.logged && !a.node.lossy {
			fail("attempt %d was answered %d, %v from the start, and is not logged as such", a.number, a.status, a.began.Sub(c.start))
		}
		if a.number == 1 || slices.ContainsFunc(late, func(l webhook.Attempt) bool { return l.Number >= a.number-1 }) {
			continue
		}
		before := byNumber[a.number-1]
		if before == nil || a.number > len(schedule)+1 {
			fail("attempt %d was made beyond the schedule, or before attempt %d was recorded", a.number, a.number-1)
			continue
		}
		wait := time.Duration(float64(schedule[a.number-2]) * (1 - jitter))
		if due := before.ended.Add(max(wait, before.retryAfter)); a.began.Before(due.Add(-time.Microsecond)) {
			fail("attempt %d was made %v before it was due", a.number, due.Sub(a.began))
		}
	}
}

func (c *chaos) judgeEnd(fail func(string, ...any), d store.DeliveryRecord, logged, late, manual []webhook.Attempt, event *chaosEvent, endpoint *chaosEndpoint) {
	succeeds := func(l webhook.Attempt) bool { return l.Succeeded }
	succeeded, resent := slices.ContainsFunc(logged, succeeds), slices.ContainsFunc(manual, succeeds)
	// One that comes too late ends what is open, and else nothing.
	succeeded = succeeded || d.State == webhook.Succeeded && slices.ContainsFunc(late, succeeds)
	cancels := asksFor(c.cancels, event, endpoint)
	_, to := c.routing(event)
	asked := d.State == webhook.Cancelled && (d.Reason == webhook.CancelAsked || d.Reason == webhook.PayloadExpunged)
	last := 0
	if len(logged) > 0 {
		last = logged[len(logged)-1].StatusCode
	}
	// What ends it from elsewhere counts no attempt that is in flight just then.
	counted := len(logged)
	if c.several > 0 { // its node may have heard of the end late
		counted = len(slices.DeleteFunc(slices.Clone(logged), func(l webhook.Attempt) bool { return l.StartedAt.After(d.EndedAt) }))
	}
	if ended := asked || resent; d.Tried != counted && (!ended || d.Tried != counted-1) {
		fail("%d attempts are counted, %d logged", d.Tried, counted)
	}
	switch {
	case d.State == webhook.Succeeded && !succeeded && !resent:
		fail("no attempt has succeeded")
	case d.State != webhook.Succeeded && succeeded && !asked:
		fail("an attempt has succeeded")
	case !event.due.IsZero() && resent && !slices.ContainsFunc(manual, func(l webhook.Attempt) bool { return succeeds(l) && l.StartedAt.After(to) }):
		// It may have been resent before there was a delivery to close, or to recover.
	case resent != (d.State == webhook.Succeeded || !d.RecoveredAt.IsZero()) && !succeeded:
		fail("recovered at %v; a manual attempt succeeded: %v", d.RecoveredAt, resent)
	}
	const told = 30 * time.Second // a store that stalls keeps the lanes from knowing
	for _, l := range logged {
		if l.StartedAt.After(d.EndedAt.Add(told)) {
			fail("attempt %d was made %v after it had ended", l.Number, l.StartedAt.Sub(d.EndedAt))
		}
	}
	for _, a := range cancels {
		if a.granted && d.State != webhook.Cancelled {
			fail("it was cancelled")
		}
		for _, l := range logged {
			if a.granted && !c.stalls && l.StartedAt.After(a.asked.returned.Add(c.slack())) {
				fail("attempt %d was made %v after it was cancelled", l.Number, l.StartedAt.Sub(a.asked.returned))
			}
		}
	}
	switch d.State {
	case webhook.Exhausted:
		if len(logged) != len(c.schedule(endpoint))+1 && !slices.Contains(endpoint.wish.FinalStatuses, last) {
			fail("after %d attempts, the last answered %d", len(logged), last)
		}
	case webhook.Cancelled:
		var right bool
		switch d.Reason {
		case webhook.ReceiverGone:
			right = last == 410
		case webhook.PayloadExpunged:
			right = event.expunges
		case webhook.CancelAsked:
			right = slices.ContainsFunc(cancels, func(a *chaosAsk) bool { return a.granted || a.unsure })
		case webhook.EndpointDisabled:
			right = endpoint.isGone || !endpoint.disabled.began.IsZero() || c.opts.DisableAfter >= 0
		}
		if !right {
			fail("for %q, which is not so", d.Reason)
		}
	}
}

// judgeOrder wants the scheduled attempts at an ordered endpoint in the order of
// acceptance. Of an event that was resent those alone are known that are logged.
func (c *chaos) judgeOrder(endpoint *chaosEndpoint) {
	eng := c.current().eng
	first := make(map[webhook.EventID]bool)
	var highest store.EventKey
	var node, highestHere = 0, store.EventKey(0)
	for _, a := range c.attempts {
		if a.endpoint != endpoint {
			continue
		}
		if a.manual || c.isDeferred(a.event) {
			continue
		}
		if !a.logged && c.wasResent(a) {
			first[a.event] = true // perhaps
			continue
		}
		key := eng.EventKey(a.event)
		if a.node.number != node {
			node, highestHere = a.node.number, 0
		}
		if key < highestHere || (!first[a.event] && key < highest) {
			c.t.Errorf("%s: event number %d is sent after number %d, %v from the start", endpoint.wish.UID, key, max(highest, highestHere), a.began.Sub(c.start))
		}
		first[a.event] = true
		highest, highestHere = max(highest, key), max(highestHere, key)
	}
}

// isDeferred says that an event has no place in the order of acceptance.
func (c *chaos) isDeferred(id webhook.EventID) bool {
	return slices.ContainsFunc(c.events, func(event *chaosEvent) bool { return event.got.ID == id && !event.due.IsZero() })
}

// wasResent says that an attempt may be a manual one.
func (c *chaos) wasResent(a *chaosAttempt) bool {
	return slices.ContainsFunc(c.resends, func(ask *chaosAsk) bool {
		return ask.endpoint == a.endpoint && ask.event.got.ID == a.event
	})
}
