package batch

import (
	"context"

	"github.com/neohook/neohook/webhook"
)

// Job is one delivery of a batch. Jobs may share a Delivery or an Endpoint.
type Job struct {
	Delivery *webhook.Delivery
	Endpoint *webhook.Endpoint
}

// Results are those of a batch's jobs, in their order.
type Results []webhook.Result

// Deliver makes one attempt of each job. When ctx ends, those that are left fail with
// webhook.FaultCancelled.
func Deliver(ctx context.Context, adapter webhook.Adapter, jobs []Job, o Options) Results {
	results := make(Results, len(jobs))
	o.run(len(jobs), DefaultDeliverLimit, func(index int) webhook.Result {
		results[index] = adapter.Deliver(ctx, jobs[index].Delivery, jobs[index].Endpoint)
		return results[index]
	})
	return results
}

// Count returns how many have succeeded and how many failed.
func (r Results) Count() (successful, failed int) {
	for i := range r {
		if r[i].Success {
			successful++
		}
	}
	return successful, len(r) - successful
}
