package job

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// judge holds what the job has visited to what it should have.
func (w *world) judge() {
	w.t.Helper()
	job := w.now()
	if job.State != webhook.JobFinished {
		w.judgeEnd(job)
		return
	}
	made := 0
	for _, ep := range w.endpoints {
		for _, ev := range w.events {
			ref := store.DeliveryRef{Endpoint: ep.Key, Event: ev.Key}
			must, may := w.should(ep, ev, w.deliveries[ref])
			count := w.visits(ref)
			made += count
			what := fmt.Sprintf("event %d at endpoint %d (%+v), a job of kind %v through %d", ev.Key, ep.Key, w.deliveries[ref], job.Kind, job.Through)
			switch {
			case must && count == 0:
				w.t.Errorf("%s: left out", what)
			case !may && count > 0:
				w.t.Errorf("%s: visited, and should not be", what)
			case count > 1:
				w.t.Errorf("%s: visited %d times", what, count)
			}
		}
	}
	w.judgeCounts(job, made)
}

// judgeEnd wants a job that did not finish to have had a reason.
func (w *world) judgeEnd(job store.Job) {
	w.t.Helper()
	at := slices.IndexFunc(w.endpoints, func(ep *site) bool { return ep.Key == job.Endpoint })
	switch {
	case job.State == webhook.JobCancelled && job.Error == endpointDeleted && at >= 0 && w.endpoints[at].deleted:
	case job.State == webhook.JobFailed && job.Error == endpointDisabled && at >= 0 && (w.endpoints[at].Disabled || w.endpoints[at].changed):
	default:
		w.t.Errorf("it ended as %v for %q", job.State, job.Error)
	}
}

// should says whether the job must have visited an event at an endpoint, and whether it
// may have.
func (w *world) should(ep *site, ev *event, d *delivery) (must, may bool) {
	if ev.late || w.job.Endpoint != 0 && w.job.Endpoint != ep.Key {
		return false, false
	}
	if w.kind == webhook.JobReplayMissing {
		must, may = w.missing(ep, ev, d)
	} else if d != nil {
		must = w.matches(ev, d)
		may = must || d.touched
		must = must && !d.touched
	}
	if ep.changed {
		return false, may
	}
	if ep.Disabled && w.kind != webhook.JobCancel {
		return false, false
	}
	return must, may
}

func (w *world) missing(ep *site, ev *event, d *delivery) (must, may bool) {
	switch {
	case ev.Only != 0 && ev.Only != ep.Key:
		return false, false
	case ev.Only == 0 && ep.EventTypes != nil && !slices.Contains(ep.EventTypes, ev.Type):
		return false, false
	case ev.Only == 0 && ep.Channels != nil && !slices.Contains(ev.Channels, "eu"):
		return false, false
	case ev.AcceptedAt.Before(w.filter.From) || ev.AcceptedAt.After(w.filter.To):
		return false, false
	}
	due := !ev.DeliverAt.After(w.job.CreatedAt)
	switch {
	case d == nil:
		return due, due || !ev.DeliverAt.After(time.Now())
	case d.state == webhook.Cancelled && len(d.attempts) == 0 && d.reason != webhook.CancelAsked:
		return !d.touched, true
	}
	return false, false
}

// matches says whether a delivery is one that the job is for.
func (w *world) matches(ev *event, d *delivery) bool {
	f := &w.filter
	if w.kind == webhook.JobRecover {
		return d.state != webhook.Succeeded && slices.ContainsFunc(d.attempts, func(a attempt) bool {
			return a.failed && !a.at.Before(f.FailedFrom) && a.at.Before(f.FailedTo)
		})
	}
	if w.kind == webhook.JobCancel && d.state.Ended() {
		return false
	}
	var last attempt
	if len(d.attempts) > 0 {
		last = d.attempts[len(d.attempts)-1]
	}
	return (f.States == nil || slices.Contains(f.States, d.state)) &&
		(f.Types == nil || slices.Contains(f.Types, ev.Type)) &&
		(f.Channel == "" || slices.Contains(ev.Channels, f.Channel)) &&
		(f.Tag == "" || slices.Contains(ev.Tags, f.Tag)) &&
		(f.From.IsZero() || !ev.AcceptedAt.Before(f.From)) && (f.To.IsZero() || !ev.AcceptedAt.After(f.To)) &&
		(!f.Attempted || len(d.attempts) > 0) &&
		(f.StatusClass == 0 || last.status/100*100 == f.StatusClass && len(d.attempts) > 0) &&
		(!f.NoStatus || last.status == 0 && len(d.attempts) > 0)
}

// visits counts what the job has made of an event at an endpoint. What it opened or
// cancelled can't be more than one.
func (w *world) visits(ref store.DeliveryRef) (count int) {
	for _, send := range w.sends {
		if send.Endpoint == ref.Endpoint && send.Event == ref.Event && send.Job == w.job.Key {
			count++
			if retried := w.kind != webhook.JobResend; send.Retried != retried {
				w.t.Errorf("send %d is retried: %v", send.Key, send.Retried)
			}
			if !w.told[send.Key] && !w.reread[ref.Endpoint] && !w.crashed {
				w.t.Errorf("send %d was stored, and its lane was not told", send.Key)
			}
		}
	}
	record, err := w.st.Delivery(w.ctx, ref.Endpoint, ref.Event)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Fatal(err)
	}
	known := w.deliveries[ref]
	opened := err == nil && known == nil
	cancelled := known != nil && !known.state.Ended() && record.State == webhook.Cancelled && record.Reason == webhook.CancelAsked
	if opened || cancelled {
		count++
		if !w.told[ref] && (cancelled || !w.reread[ref.Endpoint]) && !w.crashed {
			w.t.Errorf("event %d at endpoint %d was opened or cancelled, and its lane was not told", ref.Event, ref.Endpoint)
		}
	}
	return count
}

func (w *world) judgeCounts(job store.Job, made int) {
	if job.Made != int64(made) {
		w.t.Errorf("it says that it has made %d, and made %d", job.Made, made)
	}
	open, _, err := w.st.JobOpen(w.ctx, job.Key, 0, 1000)
	w.must(err)
	if sends(w.kind) && job.Made != job.Succeeded+job.Failed+int64(open) {
		w.t.Errorf("of %d, %d have succeeded, %d failed and %d are open", job.Made, job.Succeeded, job.Failed, open)
	}
	if job.Matched < job.Made || job.Examined < job.Matched {
		w.t.Errorf("examined %d, matched %d, made %d", job.Examined, job.Matched, job.Made)
	}
	if job.EndedAt.IsZero() || job.Error != "" {
		w.t.Errorf("it ended at %v with %q", job.EndedAt, job.Error)
	}
}
