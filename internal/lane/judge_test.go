package lane

import (
	"time"

	"github.com/neohook/neohook/store"
)

// judge is what the rules allow for an endpoint, worked out apart from the Board.
type judge struct {
	settings Settings
	flying   int
	began    time.Time // the latest attempt
	hold     time.Time
	failures int       // in a row
	failedAt time.Time // the latest of them that lengthens the pause
	// ordered is the number from which on order is kept: an endpoint that was closed and
	// opened again may get what was about to be ended late.
	ordered store.EventKey
	probing bool // an attempt began since so many failed
}

// judgeStart holds the start of an attempt against what its endpoint and tenant want.
func (w *world) judgeStart(d *Delivery, r *row) {
	j := w.judges[d.Endpoint]
	if w.paused {
		w.t.Fatalf("endpoint %d is sent to while everything is paused", d.Endpoint)
	}
	if r.closing = j.settings.Closed; r.closing {
		return
	}
	if j.settings.Paused {
		w.t.Fatalf("endpoint %d is sent to while it is paused", d.Endpoint)
	}
	if j.settings.Ordered && !r.send {
		w.judgeOrder(d, r, j)
	}
	if j.flying++; j.began.IsZero() { // it may have been allowed more before
	} else if j.flying > j.settings.Concurrency || (j.settings.Ordered && j.flying > 1) {
		w.t.Fatalf("endpoint %d: %d in flight, want at most %d", d.Endpoint, j.flying, j.settings.Concurrency)
	}
	if gap := w.now.Sub(j.began); j.settings.Rate > 0 && gap < time.Second/time.Duration(j.settings.Rate) {
		w.t.Fatalf("endpoint %d: sent %v after the attempt before, at %d/s", d.Endpoint, gap, j.settings.Rate)
	}
	tenant := w.tenants[d.Endpoint]
	if gap := w.now.Sub(w.tenantAt[tenant]); j.settings.TenantRate > 0 && gap < time.Second/time.Duration(j.settings.TenantRate) {
		w.t.Fatalf("tenant %d: sent %v after the attempt before, at %d/s", tenant, gap, j.settings.TenantRate)
	}
	if w.now.Before(j.hold) {
		w.t.Fatalf("endpoint %d is sent to %v before it wanted", d.Endpoint, j.hold.Sub(w.now))
	}
	if j.failures >= openAfter {
		if j.probing || w.now.Sub(j.failedAt) < firstPause {
			w.t.Fatalf("endpoint %d: sent after %d failures in a row, %v after the last, probing %v",
				d.Endpoint, j.failures, w.now.Sub(j.failedAt), j.probing)
		}
		j.probing, r.probe = true, true
	}
	j.began, w.tenantAt[tenant] = w.now, w.now
}

// judgeOrder wants what was accepted before to have been sent or ended: all of it that was
// not opened later, and before a fresh delivery also all that waits.
func (w *world) judgeOrder(d *Delivery, r *row, j *judge) {
	if r.ahead {
		return
	}
	for of, other := range w.rows[d.Endpoint] {
		event := store.EventKey(of)
		if other == r || other.send || other.dropped || other.sent || other.elsewhere || other.late || event <= j.ordered {
			continue
		}
		if !r.opening && !other.opening && event < d.Event {
			w.t.Fatalf("ordered endpoint %d: event %d is sent before %d", d.Endpoint, d.Event, event)
		}
		if d.Due.IsZero() && !other.due.IsZero() && other.told {
			w.t.Fatalf("ordered endpoint %d: fresh event %d is sent while %d waits", d.Endpoint, d.Event, event)
		}
	}
}
