package lane

import (
	"maps"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// sharing is that there are other nodes, which have those tenants that the Board has not,
// and accept, send and cancel for all.
type sharing struct {
	holds map[store.TenantKey]*hold
	// signals are what the Board is to be told of, in their order.
	signals []signal
	// drawn are the numbers of events that others are about to store.
	drawn []store.EventKey
}

// hold is a tenant that the Board has.
type hold struct {
	read  bool // what was open when it was taken over has been listed
	lanes []store.EndpointKey
	whole bool // all of that was given to Recover
}

type signal struct {
	endpoint store.EndpointKey
	act      func()
}

func bucketOf(tenant store.TenantKey) []store.Bucket {
	return []store.Bucket{store.BucketOf(tenant)} // the three have one each
}

// share begins a run in which the Board may be one of several.
func (w *world) share() {
	if w.sharing == nil && w.next > 0 || w.rand.IntN(2) == 0 && w.next == 0 {
		return
	}
	w.sharing = &sharing{holds: make(map[store.TenantKey]*hold)}
	w.board.Share()
}

func (w *world) stepShared() {
	tenant := store.TenantKey(1 + w.rand.IntN(3))
	held := w.holds[tenant]
	switch w.rand.IntN(60) {
	case 0, 1, 2, 3:
		if held == nil {
			w.own(tenant)
		}
	case 4:
		if held != nil {
			w.disown(tenant)
			if w.rand.IntN(2) == 0 { // while something is out
				w.sendElsewhere(tenant)
				w.own(tenant)
				for !w.holds[tenant].whole {
					w.recover(tenant)
				}
				for range 8 {
					w.takePage()
					w.putPage()
				}
			}
		}
	case 5, 6, 7, 8:
		w.recover(tenant)
	case 9, 10, 11, 12:
		w.acceptElsewhere()
	case 13:
		w.openElsewhere()
	case 14:
		w.cancelElsewhere()
	case 15, 16, 17, 21, 22:
		w.hear()
	case 18, 19, 20:
		if held == nil {
			w.sendElsewhere(tenant)
		}
	}
	w.judgeLeft()
}

func (w *world) own(tenant store.TenantKey) {
	w.tellNow()
	w.holds[tenant] = &hold{}
	w.board.Own(w.now, bucketOf(tenant))
	w.signals = slices.DeleteFunc(w.signals, func(s signal) bool { return w.tenants[s.endpoint] == tenant })
	w.tenantAt[tenant] = w.now // no rate begins with a token
	for ep, of := range w.tenants {
		if of != tenant {
			continue
		}
		j := w.judges[ep]
		j.began, j.hold, j.failures, j.probing = w.now, time.Time{}, 0, false
		delete(w.lastSent, ep)
		for row, r := range w.rows[ep] {
			r.elsewhere, r.told, r.probe = false, true, false
			if r.known = r.dropped; r.dropped && !r.busy {
				delete(w.rows[ep], row)
			}
		}
	}
}

func (w *world) disown(tenant store.TenantKey) {
	delete(w.holds, tenant)
	for ep, of := range w.tenants {
		for _, r := range w.rows[ep] {
			r.ahead = r.ahead || of == tenant && r.busy
		}
	}
	w.board.Disown(w.now, bucketOf(tenant))
}

// recover lists what is open for a tenant that was taken over, or gives some of that to the
// Board.
func (w *world) recover(tenant store.TenantKey) {
	h := w.holds[tenant]
	switch {
	case h == nil || h.whole:
	case !h.read:
		h.read = true
		for ep := store.EndpointKey(1); ep <= endpoints; ep++ {
			for _, r := range w.rows[ep] {
				if w.tenants[ep] == tenant && !r.dropped {
					h.lanes = append(h.lanes, ep)
					break
				}
			}
		}
	case len(h.lanes) > 0:
		w.board.Recover(w.now, tenant, h.lanes[0])
		h.lanes = h.lanes[1:]
	default:
		h.whole = true
		w.board.Owned(bucketOf(tenant))
	}
}

// ownAll ends all sharing.
func (w *world) ownAll() {
	for tenant := store.TenantKey(1); tenant <= 3; tenant++ {
		if w.holds[tenant] == nil {
			w.own(tenant)
		}
		for !w.holds[tenant].whole {
			w.recover(tenant)
		}
	}
	w.hear()
}

// post notes what the Board is to be told of an endpoint, if it has the tenant; else nobody
// but the one who has it needs to know.
func (w *world) post(ep store.EndpointKey, act func()) {
	if w.holds[w.tenants[ep]] != nil {
		w.signals = append(w.signals, signal{ep, act})
	}
}

// hear acts upon all signals, in the writer's turn.
func (w *world) hear() {
	w.tellNow()
	w.act(w.takeSignals())
}

func (w *world) takeSignals() (signals []signal) {
	if w.sharing != nil {
		signals, w.signals = w.signals, nil
	}
	return signals
}

func (w *world) act(signals []signal) {
	for _, s := range signals {
		if w.holds[w.tenants[s.endpoint]] != nil {
			s.act()
		}
	}
}

func (w *world) acceptElsewhere() {
	ep := w.anyEndpoint()
	w.next++
	from := w.next
	if w.rand.IntN(2) == 0 { // a commit that takes its time
		w.drawn = append(w.drawn, from)
		return
	}
	late := len(w.drawn) > 0 && w.rand.IntN(2) == 0
	if late {
		from, w.drawn = w.drawn[0], w.drawn[1:]
	}
	if w.isGone(w.tenants[ep], from) {
		return
	}
	w.made++
	w.rows[ep][ref(from)] = &row{elsewhere: true, late: late}
	w.post(ep, func() {
		for of, r := range w.rows[ep] {
			if store.EventKey(of) >= from && !r.send {
				r.elsewhere = false
			}
		}
		w.lastSent[ep] = min(w.lastSent[ep], from-1)
		w.board.RereadFresh(w.now, w.tenants[ep], ep, from)
	})
}

// openElsewhere stores what waits from the beginning, and sends.
func (w *world) openElsewhere() {
	ep := w.anyEndpoint()
	var made []*row
	var soonest time.Time
	for range 1 + w.rand.IntN(3) {
		r := &row{due: w.soon()}
		soonest = sooner(soonest, r.due)
		var of ref
		if w.rand.IntN(2) == 0 {
			w.next++
			of, r.opening = ref(w.next), true
		} else if event := w.anyEvent(); !w.isGone(w.tenants[ep], event) {
			w.nextSend++
			of, r.send, r.event, r.retried = ref(-w.nextSend), true, event, w.rand.IntN(2) == 0
		} else {
			continue
		}
		w.made++
		w.rows[ep][of] = r
		made = append(made, r)
	}
	w.post(ep, func() {
		for _, r := range made {
			r.told = true
		}
		w.board.RereadWaiting(w.now, w.tenants[ep], ep, soonest)
	})
}

// cancelElsewhere ends a delivery, or a send.
func (w *world) cancelElsewhere() {
	ep := w.anyEndpoint()
	for _, of := range slices.Sorted(maps.Keys(w.rows[ep])) {
		r := w.rows[ep][of]
		if r.dropped || w.rand.IntN(3) > 0 {
			continue
		}
		r.dropped = true
		w.ended++
		d := Delivery{Event: store.EventKey(of)}
		if r.send {
			d = Delivery{Event: r.event, Send: store.SendKey(-of)}
		}
		known := func() {
			if r.known = true; !r.busy {
				delete(w.rows[ep], of)
			}
		}
		if w.holds[w.tenants[ep]] == nil {
			known()
		}
		w.post(ep, func() {
			known()
			w.board.Drop(w.now, ep, d.Event, d.Send)
		})
		return
	}
}

// sendElsewhere is an attempt by whoever has the tenant.
func (w *world) sendElsewhere(tenant store.TenantKey) {
	for ep := store.EndpointKey(1); ep <= endpoints; ep++ {
		if w.tenants[ep] != tenant {
			continue
		}
		for _, of := range slices.Sorted(maps.Keys(w.rows[ep])) {
			r := w.rows[ep][of]
			switch {
			case r.dropped || r.due.After(w.now):
			case w.rand.IntN(3) == 0:
				r.tried++
				r.due = w.soon()
			case w.rand.IntN(2) == 0:
				w.ended++
				if r.dropped, r.known = true, true; !r.busy {
					delete(w.rows[ep], of)
				}
			}
			if !r.dropped && !r.send && w.judges[ep].settings.Ordered {
				break // the others come behind it
			}
		}
	}
}

// judgeShare wants what is given out to be the Board's to send.
func (w *world) judgeShare(what string, d *Delivery) {
	if w.holds[d.Tenant] == nil {
		w.t.Fatalf("%s is sent for a tenant of somebody else", what)
	}
}

// judgeLeft wants nothing to be kept of tenants that were let go of, but what is out.
func (w *world) judgeLeft() {
	leaving := 0
	for ep, l := range w.board.lanes {
		if w.holds[l.tenant] != nil {
			continue
		}
		leaving += len(l.held)
		queued := l.due() + len(l.retries.waiting) + len(l.sends.waiting)
		if queued > 0 || l.page != nil || len(l.held) == 0 || l.wakeSlot >= 0 {
			w.t.Fatalf("endpoint %d was let go of, and %d are queued, %d held, a page is read: %v", ep, queued, len(l.held), l.page != nil)
		}
		for of, r := range w.rows[ep] {
			if _, held := l.held[of]; held && !r.busy {
				w.t.Fatalf("endpoint %d was let go of, and %d is held", ep, of)
			}
		}
	}
	for _, l := range w.board.wakes {
		if w.board.lanes[l.endpoint] != l {
			w.t.Fatalf("endpoint %d was let go of, and wakes", l.endpoint)
		}
	}
	for tenant := range w.board.turns.tenants {
		if w.holds[tenant] == nil {
			w.t.Fatalf("tenant %d was let go of, and has turns", tenant)
		}
	}
	told := 0
	for tenant := store.TenantKey(1); tenant <= 3; tenant++ {
		told += w.board.Leaving(bucketOf(tenant))
	}
	if told != leaving {
		w.t.Fatalf("%d are out of lanes that were let go of, the Board tells of %d", leaving, told)
	}
}
