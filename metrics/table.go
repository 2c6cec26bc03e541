package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/httpadapter"
)

// metric is one series without labels and where its value is found in an S.
type metric[S any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*S) float64
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("neohook_"+name, help, labels, nil)
}

type number interface{ ~int | ~int64 | ~uint64 }

func gauge[S any, N number](name, help string, value func(*S) N) metric[S] {
	return metric[S]{describe(name, help), prometheus.GaugeValue, func(s *S) float64 { return float64(value(s)) }}
}

func counter[S any, N number](name, help string, value func(*S) N) metric[S] {
	return metric[S]{describe(name, help), prometheus.CounterValue, func(s *S) float64 { return float64(value(s)) }}
}

func seconds[S any](name, help string, value func(*S) time.Duration) metric[S] {
	return metric[S]{describe(name, help), prometheus.GaugeValue, func(s *S) float64 { return value(s).Seconds() }}
}

type stats = neohook.Stats

var plain = []metric[stats]{
	counter("events_accepted_total", "Events that were stored.", func(s *stats) uint64 { return s.Publish.Accepted }),
	counter("events_replayed_total", "Repeats under an idempotency key, answered with the first event.", func(s *stats) uint64 { return s.Publish.Replayed }),
	counter("deliveries_created_total", "Deliveries that were stored for accepted events.", func(s *stats) uint64 { return s.Publish.Deliveries }),

	gauge("publish_queued_events", "Events that have a place in memory and wait to be stored.", func(s *stats) int { return s.Publish.Queued }),
	gauge("publish_queued_bytes", "Bytes of events that have a place in memory until they are stored, a KiB for each beside its payload.", func(s *stats) int64 { return s.Publish.QueuedBytes }),
	gauge("publish_queued_bytes_limit", "Most bytes of events that have a place in memory.", func(s *stats) int64 { return s.Publish.MaxQueuedBytes }),
	gauge("publish_waiting_events", "Events whose publishers wait for a place.", func(s *stats) int { return s.Publish.Waiting }),
	gauge("publish_waiting_bytes", "Bytes of events whose publishers wait for a place.", func(s *stats) int64 { return s.Publish.WaitingBytes }),
	gauge("publish_waiting_bytes_limit", "Most bytes of events whose publishers wait for a place; beyond it they are refused.", func(s *stats) int64 { return s.Publish.MaxWaitingBytes }),
	gauge("publish_waiting_tenants", "Tenants with events that wait to be stored.", func(s *stats) int { return s.Publish.Tenants }),
	seconds("publish_delay_seconds", "How long the latest event to be taken for storing, or turned away, had waited.", func(s *stats) time.Duration { return s.Publish.Delay }),

	counter("deferred_promoted_total", "Deferred events that were matched to endpoints when they were due.", func(s *stats) uint64 { return s.Deferred.Promoted }),
	seconds("deferred_late_seconds", "For how long a deferred event is due that was not matched to endpoints yet.", func(s *stats) time.Duration { return s.Deferred.Late }),
	gauge("outbox_events", "Events that wait to be accepted: operational ones, and those published within transactions.", func(s *stats) int { return s.Outbox.Waiting }),
	gauge("outbox_events_limit", "Events that may wait before nothing more is told of, or taken within transactions.", func(s *stats) int { return s.Outbox.MaxWaiting }),
	counter("outbox_accepted_total", "Operational events that were accepted.", func(s *stats) uint64 { return s.Outbox.Accepted }),
	counter("outbox_dropped_total", "Operational events that were dropped: too many waited, or whoever is told has too many open deliveries.", func(s *stats) uint64 { return s.Outbox.Dropped }),

	gauge("node_buckets", "Parts of the tenants that this node sends for, of 1,024; alone it has all.", func(s *stats) int { return s.Node.Buckets }),
	gauge("node_members", "Nodes that share the work, itself included.", func(s *stats) int { return s.Node.Members }),
	seconds("node_lease_age_seconds", "How long ago the node told the others that it lives; from 7 on it sends nothing. 0 where it is alone.", func(s *stats) time.Duration { return s.Node.LeaseAge }),
	gauge("node_signals_waiting", "What other nodes have told and was not acted upon yet.", func(s *stats) int { return s.Node.Unheard }),
	counter("node_takeovers_total", "Parts of the tenants that this node took over.", func(s *stats) uint64 { return s.Node.Takeovers }),

	gauge("jobs_running", "Jobs that run: to recover, replay, resend or cancel deliveries.", func(s *stats) int { return s.Jobs.Running }),
	counter("jobs_examined_total", "Deliveries that jobs have looked at.", func(s *stats) uint64 { return s.Jobs.Examined }),
	counter("jobs_made_total", "Deliveries that jobs have sent or cancelled.", func(s *stats) uint64 { return s.Jobs.Made }),

	counter("commit_failures_total", "Transactions that the store did not take.", func(s *stats) uint64 { return s.Store.CommitFailures }),
	gauge("store_free_bytes", "Bytes that can still be written where the store is; -1 where the store can't tell.", func(s *stats) int64 { return s.Store.FreeBytes }),
	gauge("store_free_bytes_minimum", "Bytes that must be free there, or events are refused; -1 where that is not watched.", func(s *stats) int64 { return s.Store.MinFreeBytes }),
	gauge("store_bytes", "Bytes that the store's data take, its write-ahead log aside; 0 where the store can't tell, or was not asked before.", func(s *stats) int64 { return s.Store.Bytes }),
	gauge("store_unused_bytes", "Bytes of these that nothing is in: they are filled again before the store grows.", func(s *stats) int64 { return s.Store.UnusedBytes }),
	gauge("store_log_bytes", "Bytes of the store's write-ahead log.", func(s *stats) int64 { return s.Store.LogBytes }),

	gauge("retention_expunges_queued", "Deletions of all of a tenant, or of all its payloads, that were asked for and are not done.", func(s *stats) int { return s.Retention.Expunges }),
	seconds("retention_behind_seconds", "For how long more has had its time than was deleted; 0 where all was.", func(s *stats) time.Duration { return s.Retention.Behind }),
	gauge("retention_resting", "1 where nothing is deleted by time for now, as the clock has jumped.", func(s *stats) int { return s.Retention.Resting }),

	gauge("outcomes_queued", "Outcomes of attempts that wait to be stored.", func(s *stats) int { return s.Store.Unstored }),

	gauge("paused", "1 while everything is paused, else 0.", paused),
	seconds("lag_seconds", "Age of the oldest due delivery in memory that waits for nothing but the engine: its turn, or a place among slow attempts.", lag),
	gauge("endpoints_active", "Endpoints with something to send, or to remember.", func(s *stats) int { return s.Lanes.Endpoints }),
	gauge("endpoints_behind", "Endpoints with more due deliveries in the store than in memory.", func(s *stats) int { return s.Lanes.Behind }),
	gauge("deliveries_held", "Deliveries in memory.", func(s *stats) int { return s.Lanes.Rows }),
	gauge("deliveries_held_limit", "Most deliveries in memory; others wait in the store.", func(s *stats) int { return s.Lanes.MaxRows }),
	gauge("deliveries_held_bytes", "Bytes of payloads of deliveries in memory.", func(s *stats) int64 { return s.Lanes.Bytes }),
	gauge("deliveries_held_bytes_limit", "Most bytes of payloads of deliveries in memory.", func(s *stats) int64 { return s.Lanes.MaxBytes }),
	gauge("retries_held", "Deliveries and manual sends in memory whose next attempt is not due yet.", func(s *stats) int { return s.Lanes.Retries }),
	gauge("deliveries_unrecorded", "Deliveries between the start of an attempt and the storing of its outcome.", func(s *stats) int { return s.Lanes.Unrecorded }),
	gauge("deliveries_unrecorded_limit", "Most deliveries between start and storing; at the limit no attempt begins.", func(s *stats) int { return s.Lanes.MaxUnrecorded }),
	gauge("attempts_in_flight", "Attempts in flight.", func(s *stats) int { return s.Lanes.InFlight }),
	gauge("attempts_in_flight_limit", "Most attempts in flight.", func(s *stats) int { return s.Lanes.MaxInFlight }),
	gauge("attempts_slow", "Attempts in flight at endpoints that are slow, or not known to answer soon.", func(s *stats) int { return s.Lanes.Slow }),
	gauge("attempts_slow_limit", "Most attempts in flight at such endpoints; the rest is kept for the others.", func(s *stats) int { return s.Lanes.MaxSlow }),
}

func paused(s *stats) int {
	if s.Paused {
		return 1
	}
	return 0
}

// lag is of what nothing holds but the engine itself.
func lag(s *stats) time.Duration {
	return max(s.Lanes.Due[neohook.WaitTurn].Oldest, s.Lanes.Due[neohook.WaitSlow].Oldest)
}

var histograms = []struct {
	desc  *prometheus.Desc
	value func(*stats) *neohook.Histogram
}{
	{describe("commit_duration_seconds", "Time a transaction took."), func(s *stats) *neohook.Histogram { return &s.Store.CommitTime }},
	{describe("commit_events", "Events in a transaction."), func(s *stats) *neohook.Histogram { return &s.Store.Events }},
	{describe("commit_outcomes", "Outcomes of attempts in a transaction."), func(s *stats) *neohook.Histogram { return &s.Store.Outcomes }},
	{describe("attempt_duration_seconds", "Time an attempt took, from the look-up to the end of the answer."), func(s *stats) *neohook.Histogram { return &s.Attempts.Duration }},
	{describe("first_attempt_delay_seconds", "Time from the acceptance of an event to the start of a delivery's first attempt, where it was handed over in memory."), func(s *stats) *neohook.Histogram { return &s.Attempts.FirstDelay }},
}

var (
	refused  = describe("events_refused_total", "Events that were not accepted, by reason.", "reason")
	attempts = describe("attempts_total", "Attempts whose outcome is stored, by outcome (success, throttled by 429 or 503, timeout, failure) and by the code of what kept the answer away, empty where there was one.", "outcome", "code")
	ended    = describe("deliveries_ended_total", "Deliveries that ended, by state, and by reason where they were cancelled.", "state", "reason")

	dueEndpoints  = describe("due_endpoints", "Endpoints with due deliveries in memory, by what these wait for: resume (paused), breaker, receiver (asked for quiet), rate, predecessor (ordered), endpoint (its concurrency), slow (a place among slow attempts), turn.", "waits_for")
	dueDeliveries = describe("due_deliveries", "Due deliveries in memory that have not begun, by what they wait for.", "waits_for")
	dueAge        = describe("due_age_seconds", "Age of the oldest due delivery in memory that has not begun, by what it waits for.", "waits_for")

	tableBytes = describe("store_table_bytes", "Bytes that a table takes with its indexes; long_values is what long values of any table take beyond their row, schema the schema.", "table")
	deleted    = describe("retention_deleted_total", "What has had its time and was deleted: payloads, attempts, events (whose payloads are not counted).", "what")

	health = describe("adapter_health", "1 for what the HTTP adapter is: healthy, degraded or unhealthy.", "status")
)

type report = httpadapter.HealthReport

// adapter is of the engine's own adapter, left out where the program has given another.
var adapter = []metric[report]{
	counter("adapter_requests_total", "Requests that the HTTP adapter has tried.", func(r *report) int64 { return r.Stats.TotalRequests }),
	counter("adapter_connection_reuses_total", "Requests that went out on a connection that was open.", func(r *report) int64 { return r.Stats.ConnectionReuses }),
	counter("adapter_connection_errors_total", "Requests without an answer because of the connection.", func(r *report) int64 { return r.Stats.ConnectionErrors }),
	counter("adapter_dns_cache_hits_total", "Dials to a name that needed no look-up.", func(r *report) int64 { return r.Stats.DNSCacheHits }),
	counter("adapter_pool_exhausted_total", "Requests that had to wait for a connection.", func(r *report) int64 { return r.Stats.PoolExhausted }),
	gauge("adapter_connections_open", "Connections that are open or being opened.", func(r *report) int { return r.Pool.Open }),
	gauge("adapter_connections_idle", "Open connections that are not in use.", func(r *report) int { return r.Pool.Idle }),
	gauge("adapter_connections_limit", "Most open connections; -1 is no limit.", func(r *report) int { return r.Pool.TotalPoolSize }),
	gauge("adapter_requests_waiting", "Requests that wait for a connection.", func(r *report) int { return r.Pool.Waiting }),
}
