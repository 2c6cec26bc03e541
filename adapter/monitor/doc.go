// Package monitor watches an adapter at work: it counts deliveries, measures how long they
// take, says when something is wrong, and logs.
//
//	watched := monitor.New(adapter, monitor.Options{Logger: logger})
//	result := watched.Deliver(ctx, delivery, endpoint)
//	…
//	if summary := watched.Summary(); summary.HighErrorRate { … }
//
// A Summary is over all deliveries since New; its percentiles are over the last 1,024.
// Where the adapter inside has statistics of its connections, as an httpadapter does,
// they are part of it.
//
// These are the log's records, all with delivery_id and endpoint_url, which has neither
// user nor query:
//
//   - info "webhook delivery completed", for each: success, response_time_ms,
//     connection_reused, and for a failure error_type and, without an answer, error_code;
//   - debug "connection reused";
//   - warn "slow response", for one that took over a second: response_time_ms;
//   - error "high error rate", when more than a tenth of the last 100, or of as many as
//     there were, have failed: error_rate and requests; once, until info "error rate
//     recovered".
package monitor
