// Package retry delivers a webhook and, where that fails for a passing reason, delivers it
// again after a growing wait, over any webhook.Adapter.
//
//	outcome := retry.Deliver(ctx, adapter, delivery, endpoint, retry.Options{})
//	if outcome.Status == retry.Failed {
//		log.Print(outcome.Attempts, outcome.Response.ErrorMessage())
//	}
//
// The waits are those of the delivery's Backoff: three attempts with 5 s and 10 s between
// them, unless it says otherwise. They happen here, in memory, while the caller waits. The
// engine does better: it keeps what is to be tried again on disk, over restarts and days.
package retry
