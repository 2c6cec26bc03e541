package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func statisticsOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "endpoint.get-stats", route: "GET /app/{app_id}/endpoint/{endpoint_id}/stats",
			scope: application, needs: access.View,
			summary: "Count an endpoint's attempts by what came of them",
			about:   "Over 28 days at most. The ends of the time are widened to whole minutes, hours or days, by how long ago it was.",
		}, getEndpointStats),
		serves(operation{
			name: "endpoint.get-attempt-stats", route: "GET /app/{app_id}/endpoint/{endpoint_id}/attempt-stats",
			scope: application, needs: access.View,
			summary: "Count an endpoint's attempts by what came of them",
			about:   "Over 28 days at most. The ends of the time are widened to whole minutes, hours or days, by how long ago it was.",
		}, getAttemptStats),
		serves(operation{
			name: "statistics.application", route: "GET /app/{app_id}/stats",
			scope: application, needs: access.View,
			summary: "Count what happened in an application",
			about:   statsText,
		}, getApplicationStats),
		serves(operation{
			name: "statistics.series", route: "GET /app/{app_id}/stats/series",
			scope: application, needs: access.View,
			summary: "Count what happened in an application, or at an endpoint, minute by minute, hour by hour or day by day",
		}, getSeries),
		serves(operation{
			name: "statistics.usage-by-app", route: "GET /stats/usage/app",
			scope: organisationOnly, needs: access.View,
			summary: "Count what happened in each application",
			about:   "In whole days of UTC.",
		}, listApplicationUsage),
		serves(operation{
			name: "statistics.usage-by-event-type", route: "GET /stats/usage/event-types",
			scope: organisationOnly, needs: access.View,
			summary: "Count what happened to messages by their types",
			about:   "Of all applications together, in whole days of UTC.",
		}, getTypesUsage),
		serves(operation{
			name: "statistics.aggregate-app-stats", route: "POST /stats/usage/app",
			scope: organisationOnly, needs: access.View, status: http.StatusAccepted,
			once: true, refusals: []int{http.StatusTooManyRequests}, names: usageNames,
			summary: "Have the deliveries counted that were made in each application",
			about: "A task counts them: poll background-task until it is finished, and find them as `appStats` in its data. " +
				"The ends of the time are widened to whole minutes, hours or days, by how long ago it was.",
		}, startUsage),
		serves(operation{
			name: "statistics.aggregate-event-types", route: "PUT /stats/usage/event-types",
			scope: organisationOnly, needs: access.View, status: http.StatusAccepted,
			refusals: []int{http.StatusTooManyRequests},
			summary:  "Have it gathered which event types the endpoints of each application listen to",
			about:    "A task does it: poll background-task until it is finished, and find them as `event_types` in its data.",
		}, startSubscriptions),
	}
}

// statsText is what the document says of statistics.
const statsText = "What retention has let go of since is counted still, what was expunged is not. The ends of the time are widened to whole " +
	"minutes if it began within two days, to whole hours within ninety, and else to whole days of UTC."

// spanQuery is the time that statistics are of.
type spanQuery struct {
	Since opt[time.Time] `query:"since" doc:"From when on; 28 days before until unless told." eg:"2026-01-02T15:04:05Z"`
	Until opt[time.Time] `query:"until" doc:"Until when; now unless told."`
}

func (q *spanQuery) span() neohook.Span { return neohook.Span{From: q.Since.Value, To: q.Until.Value} }

// most of a span that the statistics of older clients have.
const (
	statsSpan = 28*24*time.Hour + 5*time.Minute
	statsSkew = 5 * time.Minute
)

// checkRange refuses what older clients know to be refused.
func (q *spanQuery) checkRange(now time.Time) error {
	until := q.Until.or(now)
	if !until.After(now.Add(statsSkew)) && (!q.Since.Given || !q.Since.Value.Before(until.Add(-statsSpan))) {
		return nil
	}
	return &refusal{
		status: http.StatusBadRequest, code: "invalid_range",
		detail: "until must not be in the future, and since not more than 28 days before it",
	}
}

// endpointStatsOut are attempts by what came of them.
type endpointStatsOut struct {
	Success  int64 `json:"success" doc:"Attempts that succeeded."`
	Pending  int64 `json:"pending" doc:"Always 0: an attempt is counted when it is over."`
	Sending  int64 `json:"sending" doc:"Always 0."`
	Fail     int64 `json:"fail" doc:"Attempts that failed."`
	Canceled int64 `json:"canceled" doc:"Deliveries that were cancelled."`
}

func getEndpointStats(c *call, q *spanQuery, _ *none) (out endpointStatsOut, _ error) {
	if err := q.checkRange(time.Now()); err != nil {
		return out, err
	}
	counts, err := c.org.CountEndpoint(c.ctx(), c.tenant(), c.endpoint(), q.span())
	if err != nil {
		return out, c.missing(badSpan(err), "Endpoint")
	}
	return endpointStatsOut{Success: counts.Attempts.Succeeded, Fail: counts.Attempts.Failed, Canceled: counts.Ended.Cancelled}, nil
}

// attemptStatsOut is what endpointStatsOut is to newer clients.
type attemptStatsOut struct {
	like[endpointStatsOut]
	Success  int64 `json:"success"`
	Fail     int64 `json:"fail"`
	Canceled int64 `json:"canceled"`
}

func getAttemptStats(c *call, q *spanQuery, body *none) (attemptStatsOut, error) {
	all, err := getEndpointStats(c, q, body)
	return attemptStatsOut{Success: all.Success, Fail: all.Fail, Canceled: all.Canceled}, err
}

// spanNames are a query's words for the ends of a span.
var spanNames = wireNames{"from": "since", "to": "until"}

// badSpan tells what is wrong with a query.
func badSpan(err error) error {
	var invalid *webhook.InvalidError
	if errors.As(err, &invalid) {
		return spanNames.faults(invalid, "query").err()
	}
	return err
}

// countsOut is what happened in a time.
type countsOut struct {
	Since      instant    `json:"since" doc:"The time that was counted: from then on."`
	Until      instant    `json:"until" doc:"And until then."`
	Messages   int64      `json:"messages" doc:"Messages that were accepted; 0 where an endpoint was asked for."`
	Deliveries int64      `json:"deliveries" doc:"Deliveries that were made of them."`
	Succeeded  int64      `json:"succeededAttempts" doc:"Attempts that succeeded."`
	Failed     int64      `json:"failedAttempts" doc:"Attempts that failed."`
	Manual     int64      `json:"manualAttempts" doc:"Attempts among them that somebody asked for."`
	TimedOut   int64      `json:"timedOutAttempts" doc:"Failed attempts that took too long."`
	Throttled  int64      `json:"throttledAttempts" doc:"Failed attempts that were answered 429 or 503."`
	Ended      endingsOut `json:"endedDeliveries" doc:"Deliveries that ended, by how."`
	Latency    latencyOut `json:"latencyMs" doc:"How long attempts took, in milliseconds."`
}

type endingsOut struct {
	Succeeded int64 `json:"succeeded" doc:"Delivered."`
	Exhausted int64 `json:"exhausted" doc:"Given up after the last attempt."`
	Cancelled int64 `json:"cancelled" doc:"Ended for another reason."`
	Recovered int64 `json:"recovered" doc:"Of those not delivered, the ones that a resend delivered later."`
}

// latencyOut are quantiles, drawn from a histogram of six bounds to a power of ten.
type latencyOut struct {
	P50 float64 `json:"p50" doc:"Half of the attempts took no longer."`
	P95 float64 `json:"p95" doc:"19 of 20."`
	P99 float64 `json:"p99" doc:"99 of 100."`
}

func showCounts(counts *neohook.Counts) countsOut {
	const ms = 1000
	quantile := func(share float64) float64 { return counts.Latency.Quantile(share) * ms }
	return countsOut{
		Since: instant(counts.From), Until: instant(counts.To), Messages: counts.Events, Deliveries: counts.Deliveries,
		Succeeded: counts.Attempts.Succeeded, Failed: counts.Attempts.Failed, Manual: counts.Attempts.Manual,
		TimedOut: counts.Attempts.TimedOut, Throttled: counts.Attempts.Throttled,
		Ended: endingsOut{
			Succeeded: counts.Ended.Succeeded, Exhausted: counts.Ended.Exhausted, Cancelled: counts.Ended.Cancelled, Recovered: counts.Ended.Recovered,
		},
		Latency: latencyOut{P50: quantile(0.5), P95: quantile(0.95), P99: quantile(0.99)},
	}
}

func getApplicationStats(c *call, q *spanQuery, _ *none) (out countsOut, _ error) {
	counts, err := c.org.CountTenant(c.ctx(), c.tenant(), q.span())
	if err != nil {
		return out, c.missing(badSpan(err), "")
	}
	return showCounts(&counts), nil
}

// applicationUsageOut is what happened in an application.
type applicationUsageOut struct {
	AppID  webhook.TenantID `json:"appId" doc:"The application."`
	AppUID *string          `json:"appUid" doc:"Its uid."`
	countsOut
}

type usageQuery struct {
	limited
	spanQuery
	Iterator opt[string] `query:"iterator" is:"iterator=app_" doc:"The iterator or prevIterator of another page; without one, the first page."`
}

func listApplicationUsage(c *call, q *usageQuery, _ *none) (out listOut[applicationUsageOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, false)
	got, err := c.org.CountTenants(c.ctx(), q.span(), w.Page)
	if err != nil {
		return out, badIterator(badSpan(err))
	}
	return listed(w, got, func(t *neohook.TenantCounts) string { return string(t.Tenant.ID) },
		func(t *neohook.TenantCounts) applicationUsageOut {
			return applicationUsageOut{AppID: t.Tenant.ID, AppUID: unlessZero(t.Tenant.UID), countsOut: showCounts(&t.Counts)}
		}), nil
}

// typesUsageOut is what happened to messages by their types.
type typesUsageOut struct {
	Data []typeUsageOut `json:"data" doc:"By name."`
}

type typeUsageOut struct {
	EventType *string `json:"eventType" doc:"The type; null for those beyond the first 1,000 that an application has used."`
	countsOut
}

func getTypesUsage(c *call, q *spanQuery, _ *none) (out typesUsageOut, _ error) {
	got, err := c.org.CountTypes(c.ctx(), "", q.span())
	if err != nil {
		return out, badSpan(err)
	}
	out.Data = make([]typeUsageOut, len(got))
	for i := range got {
		out.Data[i] = typeUsageOut{unlessZero(got[i].Type), showCounts(&got[i].Counts)}
	}
	return out, nil
}

type seriesQuery struct {
	spanQuery
	Unit     opt[string] `query:"unit" is:"enum=minute|hour|day,default=hour" doc:"What each point is of. Minutes go two days back, hours ninety days, days three years."`
	Endpoint opt[string] `query:"endpoint_id" is:"slug" doc:"Only what happened at this endpoint, by its id or uid."`
	Type     opt[string] `query:"event_type" is:"slug" doc:"Only what happened to messages of this type."`
}

// seriesOut is what happened, unit by unit.
type seriesOut struct {
	Data []countsOut `json:"data" doc:"One for each unit, oldest first, those in which nothing happened included; at most 1,500."`
}

func getSeries(c *call, q *seriesQuery, _ *none) (out seriesOut, _ error) {
	got, err := c.org.Series(c.ctx(), neohook.SeriesQuery{
		Span: q.span(), Unit: neohook.Unit(q.Unit.Value),
		Tenant: c.tenant(), Endpoint: webhook.EndpointID(q.Endpoint.Value), Type: q.Type.Value,
	})
	if err != nil {
		return out, c.missing(badSpan(err), "Endpoint")
	}
	out.Data = make([]countsOut, len(got))
	for i := range got {
		out.Data[i] = showCounts(&got[i])
	}
	return out, nil
}

// usageIn says whose deliveries are counted, and when they were made.
type usageIn struct {
	Apps  opt[[]string]  `json:"appIds" is:"max=10000,slug" doc:"Only these applications, by their ids or uids."`
	Since opt[time.Time] `json:"since" is:"required" doc:"From when on." eg:"2026-01-02T15:04:05Z"`
	Until opt[time.Time] `json:"until" is:"required" doc:"Until when." eg:"2026-02-02T15:04:05Z"`
	rest
}

// usageNames are a body's words for the domain's.
var usageNames = wireNames{"from": "since", "to": "until", "tenants": "appIds"}

// usageTaskOut is the task that counts.
type usageTaskOut struct {
	taskOut
	Unresolved []string `json:"unresolvedAppIds" doc:"Those of appIds that are no application's."`
}

func startUsage(c *call, _ *none, in *usageIn) (usageTaskOut, error) {
	out := usageTaskOut{Unresolved: []string{}}
	task, err := c.start("", func(org *neohook.Organisation) (webhook.Job, error) {
		tenants := make([]webhook.TenantID, len(in.Apps.Value))
		for i, name := range in.Apps.Value {
			tenants[i] = webhook.TenantID(name)
		}
		job, err := org.CountUsage(c.ctx(), tenants, neohook.Span{From: in.Since.Value, To: in.Until.Value})
		out.Unresolved = append(out.Unresolved, job.Unknown...)
		return job, err
	})
	out.taskOut = task
	return out, err
}

func startSubscriptions(c *call, _, _ *none) (out taskOut, _ error) {
	job, err := c.org.CountSubscriptions(c.ctx())
	if err != nil {
		return out, err
	}
	return showTask(&job), nil
}
