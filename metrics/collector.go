package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// Source is asked at each scrape; an *neohook.Engine is one.
type Source interface {
	Stats(ctx context.Context) neohook.Stats
}

// Collector is a prometheus.Collector over an engine. It is safe for concurrent use.
type Collector struct{ source Source }

// New returns a Collector, to be registered once.
func New(source Source) *Collector { return &Collector{source} }

// Describe sends the descriptions.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, one := range plain {
		out <- one.desc
	}
	for _, one := range histograms {
		out <- one.desc
	}
	for _, desc := range []*prometheus.Desc{refused, attempts, ended, dueEndpoints, dueDeliveries, dueAge, tableBytes, deleted, health} {
		out <- desc
	}
	for _, one := range adapter {
		out <- one.desc
	}
}

// Collect sends the metrics.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	s := c.source.Stats(context.Background()) //nolint:forbidigo // Prometheus hands on no context of the scrape
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	for _, one := range plain {
		send(one.desc, one.kind, one.value(&s))
	}
	for _, one := range histograms {
		h := one.value(&s)
		out <- constHistogram(one.desc, h)
	}
	for _, reason := range reasons {
		send(refused, prometheus.CounterValue, float64(s.Publish.Refused[reason]), string(reason))
	}
	for _, kind := range attemptKinds(&s) {
		send(attempts, prometheus.CounterValue, float64(s.Attempts.Made[kind]), string(kind.Outcome), string(kind.Code))
	}
	for _, ending := range endings(&s) {
		send(ended, prometheus.CounterValue, float64(s.Attempts.Ended[ending]), ending.State.String(), string(ending.Reason))
	}
	for table, bytes := range s.Store.TableBytes {
		send(tableBytes, prometheus.GaugeValue, float64(bytes), table)
	}
	for what, count := range map[string]uint64{"payloads": s.Retention.Payloads, "attempts": s.Retention.Attempts, "events": s.Retention.Events} {
		send(deleted, prometheus.CounterValue, float64(count), what)
	}
	for wait, due := range s.Lanes.Due {
		send(dueEndpoints, prometheus.GaugeValue, float64(due.Endpoints), string(wait))
		send(dueDeliveries, prometheus.GaugeValue, float64(due.Deliveries), string(wait))
		send(dueAge, prometheus.GaugeValue, due.Oldest.Seconds(), string(wait))
	}
	if s.Adapter == nil {
		return
	}
	for _, one := range adapter {
		send(one.desc, one.kind, one.value(s.Adapter))
	}
	for _, status := range []webhook.HealthStatus{webhook.Healthy, webhook.Degraded, webhook.Unhealthy} {
		send(health, prometheus.GaugeValue, truth(s.Adapter.Status == status), string(status))
	}
}

func constHistogram(desc *prometheus.Desc, h *neohook.Histogram) prometheus.Metric {
	upTo := make(map[float64]uint64, len(h.Bounds))
	var count uint64
	for i, n := range h.Counts {
		if count += n; i < len(h.Bounds) {
			upTo[h.Bounds[i]] = count
		}
	}
	return prometheus.MustNewConstHistogram(desc, count, h.Sum, upTo)
}

// reasons are there from the first scrape, so that a rate over them begins at 0.
var reasons = []neohook.Refusal{
	neohook.Refusal(neohook.QueueFull), neohook.Refusal(neohook.DiskFull), neohook.Refusal(neohook.RoutesChanging), neohook.Refusal(neohook.Joining),
	neohook.BacklogFull, neohook.Invalid, neohook.UnknownTenant, neohook.Conflicting, neohook.Stopped, neohook.GivenUp, neohook.StoreFailed,
}

// attemptKinds are the kinds that were seen, and those that a rate is taken of.
func attemptKinds(s *neohook.Stats) []neohook.AttemptKind {
	kinds := []neohook.AttemptKind{{Outcome: neohook.AttemptSucceeded}, {Outcome: neohook.AttemptFailed}, {Outcome: neohook.AttemptThrottled}}
	for kind := range s.Attempts.Made {
		if kind != kinds[0] && kind != kinds[1] && kind != kinds[2] {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func endings(s *neohook.Stats) []neohook.Ending {
	all := []neohook.Ending{{State: webhook.Succeeded}, {State: webhook.Exhausted}}
	for ending := range s.Attempts.Ended {
		if ending.State == webhook.Cancelled {
			all = append(all, ending)
		}
	}
	return all
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
