package neohook_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

func ExampleHistogram_Quantile() {
	latency := neohook.Histogram{Bounds: []float64{.1, .2, .3}, Counts: []uint64{90, 8, 2, 0}}
	fmt.Printf("%.3f %.3f\n", latency.Quantile(0.5), latency.Quantile(0.99))
	// Output: 0.056 0.250
}

func TestQuantileIsInTheBucketThatHasIt(t *testing.T) {
	bounds := []float64{1, 2, 4}
	tests := map[string]struct {
		counts []uint64
		share  float64
		want   float64
	}{
		"of none":                   {[]uint64{0, 0, 0, 0}, 0.5, 0},
		"of no buckets":             {nil, 0.5, 0},
		"half of one bucket":        {[]uint64{10, 0, 0, 0}, 0.5, 0.5},
		"all of one bucket":         {[]uint64{10, 0, 0, 0}, 1, 1},
		"none of one bucket":        {[]uint64{0, 0, 10, 0}, 0, 2},
		"at a bound":                {[]uint64{5, 0, 5, 0}, 0.5, 1},
		"just behind a bound":       {[]uint64{5, 0, 5, 0}, 0.6, 2.4},
		"in the last bucket":        {[]uint64{1, 1, 2, 0}, 0.75, 3},
		"beyond all bounds":         {[]uint64{1, 0, 0, 9}, 0.5, 4},
		"before what is beyond all": {[]uint64{1, 0, 0, 9}, 0.1, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := neohook.Histogram{Bounds: bounds, Counts: test.counts}
			if got := h.Quantile(test.share); math.Abs(got-test.want) > 1e-9 {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// counted is a run of an engine with something to count.
type counted struct {
	eng      *neohook.Engine
	start    time.Time
	endpoint webhook.Endpoint
}

// startCounted has two tenants publish: acme an event a minute for three minutes, one an
// invoice that is refused once, one that is never answered and one that is taken at once;
// other a single one. It takes three minutes of fake time.
func startCounted(t *testing.T) *counted {
	t.Helper()
	adapter := memadapter.New(memadapter.Reply{StatusCode: 503, Delay: 4 * time.Millisecond}, memadapter.Reply{Delay: 4 * time.Millisecond},
		memadapter.Reply{Delay: memadapter.Never}, memadapter.Reply{Delay: 40 * time.Millisecond})
	eng, _ := startFake(t, memstore.New(), adapter, neohook.Options{})
	c := &counted{eng: eng, start: time.Now().UTC()}
	createTenant(t, eng, "acme")
	createTenant(t, eng, "other")
	c.endpoint = createEndpoint(t, eng, "acme", webhook.Endpoint{
		URL: "https://acme.example", Timeout: 2 * time.Second, Schedule: webhook.Schedule{time.Second}, FinalStatuses: []int{},
	})
	createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example/none", EventTypes: []string{"none"}})
	for i, eventType := range []string{"invoice.paid", "invoice.paid", "order.made"} {
		if i == 1 { // what is not answered has one attempt
			c.change(t, webhook.Schedule{})
		}
		must[webhook.Event](t)(eng.Publish(t.Context(), webhook.Event{Tenant: "acme", Type: eventType, Payload: []byte("{}")}))
		time.Sleep(time.Minute)
	}
	publish(t, eng, "other", "{}")
	time.Sleep(time.Second) // into the minute
	return c
}

func (c *counted) change(t *testing.T, schedule webhook.Schedule) {
	t.Helper()
	must[webhook.Endpoint](t)(c.eng.UpdateEndpoint(t.Context(), "acme", c.endpoint.ID, func(ep *webhook.Endpoint) error {
		ep.Schedule = schedule
		return nil
	}))
}

func TestEndpointIsCounted(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		c := startCounted(t)
		got := must[neohook.Counts](t)(c.eng.CountEndpoint(t.Context(), "acme", c.endpoint.ID, neohook.Span{}))
		if got.Events != 0 || got.Deliveries != 3 || got.Ended != (neohook.EndingCounts{Succeeded: 2, Exhausted: 1}) {
			t.Errorf("%d events, %d deliveries, ended %+v", got.Events, got.Deliveries, got.Ended)
		}
		a := got.Attempts
		if a.Succeeded != 2 || a.Failed != 2 || a.WithoutStatus != 1 || a.TimedOut != 1 || a.Throttled != 1 || a.Manual != 0 || !maps.Equal(a.ByClass, map[int]int64{500: 1}) {
			t.Errorf("attempts %+v", a)
		}
		if sum := got.Latency.Sum; math.Abs(sum-2.048) > 1e-6 {
			t.Errorf("attempts took %v s together, want 2.048", sum)
		}
		if p50, p99 := got.Latency.Quantile(0.5), got.Latency.Quantile(0.99); p50 != 0.005 || p99 < 1.5 || p99 > 2 {
			t.Errorf("half took up to %v s, nearly all %v; want 5 ms, and up to 2 s", p50, p99)
		}
		if want := c.start.Add(4 * time.Minute).Truncate(time.Hour).Add(time.Hour); !got.To.Equal(want) || !got.From.Equal(want.Add(-28*24*time.Hour-time.Hour)) {
			t.Errorf("from %v to %v, want whole hours of 28 days", got.From, got.To)
		}
	})
}

func TestManualAttemptAndRecoveryAreCounted(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		eng, _ := startFake(t, memstore.New(), memadapter.New(memadapter.Reply{StatusCode: 404}, memadapter.Reply{}), neohook.Options{})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://acme.example", Schedule: webhook.Schedule{}})
		event := publish(t, eng, "acme", "{}")
		time.Sleep(time.Minute)
		resend(t, eng, event, endpoint.ID)
		got := must[neohook.Counts](t)(eng.CountTenant(t.Context(), "acme", neohook.Span{}))
		if a := got.Attempts; got.Events != 1 || a.Succeeded != 1 || a.Failed != 1 || a.Manual != 1 || got.Ended != (neohook.EndingCounts{Exhausted: 1, Recovered: 1}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestSeriesHasEveryUnit(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		c := startCounted(t)
		start := c.start.Truncate(time.Minute)
		query := neohook.SeriesQuery{Tenant: "acme", Unit: neohook.PerMinute, Span: neohook.Span{From: start.Add(-time.Minute), To: start.Add(4*time.Minute - 1)}}
		series := must[[]neohook.Counts](t)(c.eng.Series(t.Context(), query))
		var events, attempts []int64
		for i, unit := range series {
			if from := query.From.Add(time.Duration(i) * time.Minute); !unit.From.Equal(from) || unit.To.Sub(unit.From) != time.Minute {
				t.Errorf("unit %d is from %v to %v", i, unit.From, unit.To)
			}
			events, attempts = append(events, unit.Events), append(attempts, unit.Attempts.Succeeded+unit.Attempts.Failed)
		}
		if !slices.Equal(events, []int64{0, 1, 1, 1, 0}) || !slices.Equal(attempts, []int64{0, 2, 1, 1, 0}) {
			t.Errorf("events %v, attempts %v", events, attempts)
		}
		query.Endpoint, query.Type, query.Unit = c.endpoint.ID, "order.made", neohook.PerDay
		days := must[[]neohook.Counts](t)(c.eng.Series(t.Context(), query))
		if all := days[len(days)-1]; all.Deliveries != 1 || all.Attempts.Succeeded != 1 || all.Attempts.Failed != 0 {
			t.Errorf("the day of a type at the endpoint: %+v", all)
		}
		for unit, count := range map[neohook.Unit]int{neohook.PerMinute: 61, neohook.PerHour: 25, neohook.PerDay: 29} {
			whole := must[[]neohook.Counts](t)(c.eng.Series(t.Context(), neohook.SeriesQuery{Tenant: "acme", Unit: unit}))
			var events int64
			for i := range whole {
				events += whole[i].Events
			}
			if len(whole) != count || events != 3 {
				t.Errorf("%d events in %d units of a %s, want 3 in %d", events, len(whole), unit, count)
			}
		}
	})
}

func TestUsageIsCountedByTenantAndByType(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		c := startCounted(t)
		first := must[neohook.List[neohook.TenantCounts]](t)(c.eng.CountTenants(t.Context(), neohook.Span{}, neohook.Page{Limit: 1}))
		rest := must[neohook.List[neohook.TenantCounts]](t)(c.eng.CountTenants(t.Context(), neohook.Span{}, neohook.Page{After: first.Last}))
		if len(first.Items) != 1 || len(rest.Items) != 1 || first.Done || !rest.Done {
			t.Fatalf("pages %+v, %+v", first, rest)
		}
		acme, other := first.Items[0], rest.Items[0]
		if acme.Tenant.UID != "acme" || acme.Events != 3 || acme.Deliveries != 3 || acme.Attempts.Failed != 2 {
			t.Errorf("first %+v", acme)
		}
		if other.Tenant.UID != "other" || other.Events != 1 || other.Deliveries != 0 || !other.From.Equal(other.From.Truncate(day)) {
			t.Errorf("second %+v", other)
		}
		for tenant, want := range map[webhook.TenantID]map[string]int64{
			"acme": {"invoice.paid": 2, "order.made": 1}, "other": {"invoice.paid": 1}, "": {"invoice.paid": 3, "order.made": 1},
		} {
			got := make(map[string]int64)
			var names []string
			for _, of := range must[[]neohook.TypeCounts](t)(c.eng.CountTypes(t.Context(), tenant, neohook.Span{})) {
				got[of.Type] = of.Events
				names = append(names, of.Type)
			}
			if !maps.Equal(got, want) || !slices.IsSorted(names) {
				t.Errorf("of %q: %v by type, in the order %v; want %v", tenant, got, names, want)
			}
		}
		found := must[neohook.Recounted](t)(c.eng.Recount(t.Context()))
		if found.Events != 4 || found.Attempts != 4 || found.Wrong != 0 {
			t.Errorf("recounted %+v, want 4 events and 4 attempts, none wrong", found)
		}
	})
}

func TestSpanIsWidenedToWhatIsKept(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		eng, _ := startFake(t, memstore.New(), memadapter.New(), neohook.Options{})
		createTenant(t, eng, "acme")
		time.Sleep(time.Until(time.Date(2026, 5, 10, 12, 30, 30, 0, time.UTC)))
		now := time.Now()
		tests := map[string]struct{ span, want neohook.Span }{
			"minutes": {neohook.Span{From: now.Add(-time.Hour), To: now.Add(-time.Minute)}, neohook.Span{
				From: time.Date(2026, 5, 10, 11, 30, 0, 0, time.UTC), To: time.Date(2026, 5, 10, 12, 30, 0, 0, time.UTC),
			}},
			"hours": {neohook.Span{From: now.Add(-3 * day)}, neohook.Span{
				From: time.Date(2026, 5, 7, 12, 0, 0, 0, time.UTC), To: time.Date(2026, 5, 10, 13, 0, 0, 0, time.UTC),
			}},
			"days": {neohook.Span{From: now.Add(-100 * day), To: now.Add(-99 * day)}, neohook.Span{
				From: time.Date(2026, 1, 30, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
			}},
			"whole already": {neohook.Span{From: now.Add(-time.Hour).Truncate(time.Minute), To: now.Truncate(time.Minute)}, neohook.Span{
				From: time.Date(2026, 5, 10, 11, 30, 0, 0, time.UTC), To: time.Date(2026, 5, 10, 12, 30, 0, 0, time.UTC),
			}},
		}
		for name, test := range tests {
			got := must[neohook.Counts](t)(eng.CountTenant(t.Context(), "acme", test.span))
			if !got.From.Equal(test.want.From) || !got.To.Equal(test.want.To) {
				t.Errorf("%s: from %v to %v, want %v to %v", name, got.From, got.To, test.want.From, test.want.To)
			}
		}
	})
}

func TestQuestionThatCannotBeAnsweredSaysWhatIsWrong(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		eng, _ := startFake(t, memstore.New(), memadapter.New(), neohook.Options{})
		createTenant(t, eng, "acme")
		now := time.Now()
		series := func(query neohook.SeriesQuery) error {
			query.Tenant = "acme"
			_, err := eng.Series(t.Context(), query)
			return err
		}
		_, backwards := eng.CountTenant(t.Context(), "acme", neohook.Span{From: now, To: now.Add(-1)})
		_, ancient := eng.CountTypes(t.Context(), "acme", neohook.Span{From: now.Add(-4 * 366 * day)})
		tests := map[string]struct {
			err   error
			field string
		}{
			"from behind to":           {backwards, "from"},
			"from before all":          {ancient, "from"},
			"no unit":                  {series(neohook.SeriesQuery{}), "unit"},
			"another unit":             {series(neohook.SeriesQuery{Unit: "week"}), "unit"},
			"too many units":           {series(neohook.SeriesQuery{Unit: neohook.PerMinute, Span: neohook.Span{From: now.Add(-40 * time.Hour)}}), "from"},
			"units that are not kept":  {series(neohook.SeriesQuery{Unit: neohook.PerHour, Span: neohook.Span{From: now.Add(-91 * day), To: now.Add(-80 * day)}}), "from"},
			"minutes that are so old":  {series(neohook.SeriesQuery{Unit: neohook.PerMinute, Span: neohook.Span{From: now.Add(-49 * time.Hour), To: now.Add(-47 * time.Hour)}}), "from"},
			"a day that ends too soon": {series(neohook.SeriesQuery{Unit: neohook.PerDay, Span: neohook.Span{From: now, To: now}}), "from"},
		}
		for name, test := range tests {
			var invalid *webhook.InvalidError
			if !errors.As(test.err, &invalid) || invalid.Fields[0].Field != test.field {
				t.Errorf("%s: %v, want an error about %s", name, test.err, test.field)
			}
		}
		if _, err := eng.Series(t.Context(), neohook.SeriesQuery{Tenant: "nobody", Unit: neohook.PerDay}); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("of nobody: %v, want ErrNotFound", err)
		}
		if _, err := eng.CountEndpoint(t.Context(), "acme", "nothing", neohook.Span{}); !errors.Is(err, neohook.ErrNotFound) {
			t.Errorf("of nothing: %v, want ErrNotFound", err)
		}
	})
}
