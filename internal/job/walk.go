package job

import (
	"math"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// walk is a running job: what is stored of it, what it has looked at since, and what it
// remembers of endpoints that it waits for.
type walk struct {
	job  store.Job
	spec Spec
	// unreadable says why the spec is not what was asked for: no step may be made of it.
	unreadable error

	counting counting        // of a job that counts
	expunged <-chan struct{} // closed when what a job is to delete is deleted
	turn     int             // among the places
	held     map[store.EndpointKey]hold
	unstored int // examined since the last step that was stored
}

// hold is an endpoint that has too much of the job's under way.
type hold struct {
	until time.Time
	wait  time.Duration
}

const (
	// mostLater is how many endpoints a job leaves for later.
	mostLater = 100
	// The wait for an endpoint that has too much under way doubles from one to the other.
	shortHold = 50 * time.Millisecond
	longHold  = 5 * time.Second
)

// beyond is the place of a walk that has come past the last endpoint.
const beyond = store.EndpointKey(math.MaxInt64)

func newWalk(job store.Job) *walk {
	spec, err := Decode(job.Spec)
	if job.Kind > webhook.JobSubscriptions { // the last one that is known
		err = errUnreadable
	}
	if counts(job.Kind) { // anew
		job.Examined, job.Matched = 0, 0
	}
	return &walk{job: job, spec: spec, unreadable: err, held: make(map[store.EndpointKey]hold)}
}

// single says that the job is for one endpoint.
func (w *walk) single() bool { return w.job.Endpoint != 0 }

// place is where a walk could go on: behind an event at an endpoint.
type place struct {
	store.DeliveryRef
	// later says that it is one of those that were left for later, not the one that the walk
	// has come to.
	later bool
}

func (w *walk) places() []place {
	places := make([]place, 0, len(w.job.Later)+1)
	for _, at := range w.job.Later {
		places = append(places, place{at, true})
	}
	if w.job.At.Endpoint != beyond {
		places = append(places, place{w.job.At, false})
	}
	return places
}

// entered says that there is something to visit at a place: the walk has come to an
// endpoint, and is not done there.
func (w *walk) entered(at place) bool { return at.Endpoint != 0 && at.Event < w.job.Through }

// place chooses where to go on, each place in its turn. It returns false and for how long
// to wait if all of them must wait, or 0 if there is none.
func (w *walk) place(now time.Time) (at place, wait time.Duration, found bool) {
	places := w.places()
	for i := range places {
		at = places[(w.turn+i)%len(places)]
		left := w.held[at.Endpoint].until.Sub(now)
		if left <= 0 || !w.entered(at) {
			w.turn += i + 1
			return at, 0, true
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return place{}, wait, false
}

// enter goes on to the next endpoint; nil is that there is none.
func (w *walk) enter(next *store.Endpoint) {
	if next == nil {
		w.job.At = store.DeliveryRef{Endpoint: beyond}
		return
	}
	w.job.At = store.DeliveryRef{Endpoint: next.Key}
}

// advance goes on behind an event at a place. Where that is the last one the place is left
// for good.
func (w *walk) advance(at place, to store.EventKey, done bool) {
	done = done || to >= w.job.Through
	switch {
	case !at.later && !done:
		w.job.At.Event = to
	case !at.later && w.single():
		w.enter(nil)
	case !at.later:
		w.job.At.Event = w.job.Through
	default:
		i := slices.IndexFunc(w.job.Later, func(later store.DeliveryRef) bool { return later.Endpoint == at.Endpoint })
		w.job.Later = slices.Clone(w.job.Later) // steps share it
		if done {
			w.job.Later = slices.Delete(w.job.Later, i, i+1)
			return
		}
		w.job.Later[i].Event = to
	}
}

// leave has done with a place, whatever there is still.
func (w *walk) leave(at place) { w.advance(at, 0, true) }

// putOff waits for an endpoint, and meanwhile goes on to the next, if there may be one.
func (w *walk) putOff(at place, now time.Time) {
	held := w.held[at.Endpoint]
	held.wait = min(max(2*held.wait, shortHold), longHold)
	held.until = now.Add(held.wait)
	w.held[at.Endpoint] = held
	if !at.later && !w.single() && len(w.job.Later) < mostLater {
		w.job.Later = append(slices.Clone(w.job.Later), at.DeliveryRef)
		w.job.At.Event = w.job.Through
	}
}

// visit makes a step of what was read at a place, and goes on behind it.
func (w *walk) visit(at place, ep *store.Endpoint, read *store.Listed[store.EndpointDelivery], now time.Time) store.JobStep {
	delete(w.held, at.Endpoint)
	step := store.JobStep{Job: w.job.Key, Version: w.job.Version}
	for i := range read.Items {
		d := &read.Items[i]
		if d.Event > w.job.Through {
			break
		}
		doing := decide(w.job.Kind, ep, d, now)
		if doing == pass {
			continue
		}
		w.job.Matched++
		// In the order of the events, where an endpoint is sent them in the order of due times.
		due := now.Add(time.Duration(i) * time.Microsecond)
		switch doing {
		case once, again:
			step.Sends = append(step.Sends, store.Send{
				Tenant: w.job.Tenant, Endpoint: ep.Key, Event: d.Event, Job: w.job.Key, Retried: doing == again, DueAt: due,
			})
		case open:
			step.Openings = append(step.Openings, store.Opening{Tenant: w.job.Tenant, Endpoint: ep.Key, Event: d.Event, DueAt: due})
		case cancel:
			step.Cancels = append(step.Cancels, store.DeliveryRef{Endpoint: ep.Key, Event: d.Event})
		}
	}
	w.job.Examined += int64(read.Examined)
	w.unstored += read.Examined
	if !read.LastAt.IsZero() {
		w.job.AtTime = read.LastAt
	}
	w.advance(at, store.EventKey(read.Last), read.Done || read.Last == 0)
	step.Progress = w.job.JobProgress
	return step
}

// end makes the step that ends the job.
func (w *walk) end(state webhook.JobState, why string, now time.Time) store.JobStep {
	w.job.State, w.job.Error, w.job.EndedAt = state, why, now
	return store.JobStep{Job: w.job.Key, Version: w.job.Version, Progress: w.job.JobProgress}
}

// makes is how much a step sends or cancels.
func makes(step *store.JobStep) int { return len(step.Sends) + len(step.Openings) + len(step.Cancels) }
