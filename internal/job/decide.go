package job

import (
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// act is what a job does with a delivery.
type act uint8

const (
	pass   act = iota
	once       // a Send of a single attempt
	again      // a Send that is retried
	open       // a delivery where there was none
	cancel     // end it
)

// decide says what a job of a kind does with a delivery at an endpoint that its filter
// lets through, or with an event that has none.
func decide(kind webhook.JobKind, ep *store.Endpoint, d *store.EndpointDelivery, now time.Time) act {
	switch kind {
	case webhook.JobRecover:
		return again
	case webhook.JobResend:
		return once
	case webhook.JobCancel:
		if d.State == webhook.Pending || d.State == webhook.Waiting {
			return cancel
		}
	case webhook.JobReplayMissing:
		switch {
		case !meant(ep, &d.Of, now):
		case d.State == 0:
			return open
		case d.Reason != webhook.CancelAsked: // what somebody cancelled is not missing
			return again
		}
	}
	return pass
}

// meant says whether an endpoint, as it is now, would be sent an event, which is neither
// cancelled nor yet to come due.
func meant(ep *store.Endpoint, ev *store.Event, now time.Time) bool {
	if !ev.CancelledAt.IsZero() || ev.DeliverAt.After(now) {
		return false
	}
	if ev.Only != 0 {
		return ev.Only == ep.Key
	}
	listening := webhook.Endpoint{EventTypes: ep.EventTypes, Channels: ep.Channels}
	return listening.Hears(ev.Type, ev.Channels)
}

// sends says whether a kind of job sends.
func sends(kind webhook.JobKind) bool {
	switch kind {
	case webhook.JobRecover, webhook.JobReplayMissing, webhook.JobResend:
		return true
	}
	return false
}

// counts says whether a kind of job only counts.
func counts(kind webhook.JobKind) bool {
	return kind == webhook.JobUsage || kind == webhook.JobSubscriptions
}
