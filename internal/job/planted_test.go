package job

import (
	"testing"

	"github.com/neohook/neohook/internal/planted"
)

// mistakes of one line that the killed and the random runs must find.
var mistakes = map[string]planted.Mistake{
	"a step that failed is taken for stored":             {"step.go", "of.job.JobProgress, of.unstored = before, unstored\n", "_, _ = before, unstored\n"},
	"a job is not read again when a step's fate is open": {"runner.go", "of.at = now.Add(pause(1))\n\t\tr.reread(ctx, of)", "of.follow(&store.JobStep{Progress: of.job.JobProgress})"},
	"a refused step is taken for an error":               {"runner.go", "case errors.Is(err, store.ErrStale), errors.Is(err, store.ErrNotFound):", "case false:"},
	"a job begins anew after a restart":                  {"walk.go", "return &walk{job: job,", "job.At, job.Later = store.DeliveryRef{}, nil\n\treturn &walk{job: job,"},
	"what comes later is visited too":                    {"walk.go", "if d.Event > w.job.Through {", "if false {"},
	"the last event is left out":                         {"walk.go", "if d.Event > w.job.Through {", "if d.Event >= w.job.Through {"},
	"a page without matches is taken for the last":       {"walk.go", "read.Done || read.Last == 0", "read.Done || len(read.Items) == 0"},
	"an endpoint that is left for later is forgotten":    {"walk.go", "w.job.Later = append(slices.Clone(w.job.Later), at.DeliveryRef)", ""},
	"an endpoint left for later begins anew":             {"walk.go", "w.job.Later = append(slices.Clone(w.job.Later), at.DeliveryRef)", "w.job.Later = append(slices.Clone(w.job.Later), store.DeliveryRef{Endpoint: at.Endpoint})"},
	"steps share what they have left for later":          {"walk.go", "w.job.Later = slices.Clone(w.job.Later) // steps share it", ""},
	"disabled endpoints are sent to":                     {"step.go", "case ep.Disabled && sends(of.job.Kind):\n\t\tof.leave(at)\n\t\treturn 0, nil", "case false:"},
	"what is under way is not bounded by endpoint":       {"step.go", "r.limits.Untried-untried)", "r.limits.Untried-0*untried)"},
	"what is under way is not bounded":                   {"step.go", "r.limits.Open-open,", "r.limits.Open-0*open,"},
	"a resent delivery is retried":                       {"decide.go", "return once", "return again"},
	"what succeeded is recovered":                        {"spec.go", "webhook.Exhausted, webhook.Cancelled},", "webhook.Exhausted, webhook.Cancelled, webhook.Succeeded},"},
	"what is not due is replayed":                        {"decide.go", "|| ev.DeliverAt.After(now)", ""},
	"what is for another endpoint is replayed":           {"decide.go", "if ev.Only != 0 {", "if false {"},
	"what an endpoint does not hear of is replayed":      {"decide.go", "return listening.Hears(ev.Type, ev.Channels)", "_ = listening\n\treturn true"},
	"what somebody cancelled is replayed":                {"decide.go", "case d.Reason != webhook.CancelAsked:", "default:"},
	"the lanes do not hear of what was sent":             {"step.go", "of.Sends = append(of.Sends, send)", ""},
	"the lanes do not hear of a cancelling in doubt":     {"runner.go", "made.Cancelled = append(made.Cancelled, ref)", ""},
	"a job does not wait for commits under way":          {"../../store/memstore/underway.go", "if keys.from <= int64(through) {", "if keys.from < 0 {"},
	"the store makes a step twice":                       {"../../store/memstore/job.go", "case j.Version != step.Version || j.State != webhook.JobRunning:", "case false:"},
	"the store stores a step without what it makes":      {"../../store/memstore/job.go", "\t\tfor _, send := range step.Sends {\n\t\t\tkey", "\t\tfor _, send := range step.Sends[:0] {\n\t\t\tkey"},
}

func TestPlantedBugsAreFound(t *testing.T) {
	planted.Find(t, mistakes, "^TestJob", "JOB_RUNS=400")
}
