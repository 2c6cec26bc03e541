package batch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/adapter/adaptertest"
	"github.com/neohook/neohook/adapter/batch"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/webhook"
)

// many are deliveries to n endpoints, numbered in their ids and payloads.
func many(n int) ([]batch.Job, []webhook.Endpoint) {
	jobs, endpoints := make([]batch.Job, n), make([]webhook.Endpoint, n)
	for i := range n {
		id := fmt.Sprintf("ep_%d", i)
		endpoints[i] = webhook.Endpoint{ID: webhook.EndpointID(id), Name: "name " + id, URL: "https://api.example.com/" + id}
		event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(id)}
		jobs[i] = batch.Job{Delivery: webhook.NewDelivery(event, &endpoints[i]), Endpoint: &endpoints[i]}
	}
	return jobs, endpoints
}

// uneven answers the later the lower an endpoint's number is, and every tenth with 500.
func uneven(request memadapter.Request) memadapter.Reply {
	var n int
	_, _ = fmt.Sscanf(string(request.Endpoint.ID), "ep_%d", &n)
	reply := memadapter.Reply{Delay: time.Duration(1000-n) * time.Millisecond}
	if n%10 == 0 {
		reply.StatusCode = 500
	}
	return reply
}

// gauge measures how many requests are inside an adapter at once.
type gauge struct {
	webhook.Adapter
	mu        sync.Mutex
	now, most int
}

func (g *gauge) enter(by int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += by
	g.most = max(g.most, g.now)
}

func (g *gauge) Deliver(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
	g.enter(1)
	defer g.enter(-1)
	return g.Adapter.Deliver(ctx, d, ep)
}

func (g *gauge) Verify(ctx context.Context, ep *webhook.Endpoint, payload []byte) webhook.Result {
	g.enter(1)
	defer g.enter(-1)
	return g.Adapter.Verify(ctx, ep, payload)
}

func TestDeliverKeepsTheOrderAndSparesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := &memadapter.Adapter{Answer: uneven}
		jobs, _ := many(100)
		jobs[50] = batch.Job{} // nothing in it: a failure like any other
		results := batch.Deliver(t.Context(), mem, jobs, batch.Options{})
		for i, result := range results {
			switch {
			case i == 50:
				if result.Fault == nil || result.Fault.Code != webhook.FaultInvalidRequest {
					t.Errorf("result of an empty job = %+v", result)
				}
			case result.URL != jobs[i].Endpoint.URL:
				t.Errorf("result %d is of %s", i, result.URL)
			case result.Success != (i%10 != 0):
				t.Errorf("result %d: success = %v", i, result.Success)
			}
		}
		if successful, failed := results.Count(); successful != 90 || failed != 10 {
			t.Errorf("%d successful, %d failed, want 90 and 10", successful, failed)
		}
	})
}

func TestLimitsHold(t *testing.T) {
	deliver := func(ctx context.Context, a webhook.Adapter, n int, o batch.Options) {
		jobs, _ := many(n)
		batch.Deliver(ctx, a, jobs, o)
	}
	verify := func(ctx context.Context, a webhook.Adapter, n int, o batch.Options) {
		_, endpoints := many(n)
		batch.Verify(ctx, a, endpoints, o)
	}
	event := func(ctx context.Context, a webhook.Adapter, n int, o batch.Options) {
		_, endpoints := many(n)
		batch.Event(ctx, a, &webhook.Event{}, endpoints, o)
	}
	tests := map[string]struct {
		run   func(context.Context, webhook.Adapter, int, batch.Options)
		total int
		limit int
		most  int
		took  time.Duration
	}{
		"deliver, 50 by default": {deliver, 100, 0, 50, 2 * time.Second},
		"event, 50 by default":   {event, 100, 0, 50, 2 * time.Second},
		"verify, 10 by default":  {verify, 100, 0, 10, 10 * time.Second},
		"one after the other":    {deliver, 5, 1, 1, 5 * time.Second},
		"verify, more":           {verify, 100, 25, 25, 4 * time.Second},
		"all at once":            {deliver, 100, -1, 100, time.Second},
		"fewer than the limit":   {deliver, 3, 0, 3, time.Second},
		"none":                   {deliver, 0, 0, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gauge{Adapter: memadapter.New(memadapter.Reply{Delay: time.Second})}
				begun := time.Now()
				test.run(t.Context(), g, test.total, batch.Options{Limit: test.limit})
				if g.most != test.most || g.now != 0 {
					t.Errorf("%d at once, %d left, want %d and none", g.most, g.now, test.most)
				}
				if took := time.Since(begun); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
			})
		})
	}
}

func TestProgressIsToldInTheOrderOfTheEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := &memadapter.Adapter{Answer: uneven}
		jobs, _ := many(20)
		var seen []int
		batch.Deliver(t.Context(), mem, jobs, batch.Options{Progress: func(p batch.Progress) {
			seen = append(seen, p.Index)
			if p.Done != len(seen) || p.Total != 20 || p.Result.URL != jobs[p.Index].Endpoint.URL {
				t.Errorf("progress = %d of %d, %s", p.Done, p.Total, p.Result.URL)
			}
		}})
		want := make([]int, 20)
		for i := range want {
			want[i] = 19 - i
		}
		if !slices.Equal(seen, want) {
			t.Errorf("ended in the order %v, want %v", seen, want)
		}
	})
}

func TestContextEndsABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{Delay: 10 * time.Second})
		jobs, _ := many(100)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		results := batch.Deliver(ctx, mem, jobs, batch.Options{Limit: 10})
		successful, failed := results.Count()
		if successful != 10 || failed != 90 || len(mem.Requests()) != 20 {
			t.Errorf("%d successful, %d failed, %d sent, want 10, 90 and 20", successful, failed, len(mem.Requests()))
		}
		for i, result := range results {
			if !result.Success && result.Fault.Code != webhook.FaultCancelled {
				t.Errorf("result %d = %+v", i, result.Fault)
			}
		}
	})
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestVerificationMarshalsToItsFiveKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New()
		mem.ScriptFor("ep_0", memadapter.Reply{StatusCode: 404, Delay: 149_600 * time.Microsecond})
		mem.ScriptFor("ep_1", memadapter.Reply{StatusCode: 503})
		mem.ScriptFor("ep_2", memadapter.Reply{Delay: memadapter.Never})
		_, endpoints := many(3)
		endpoints[2].Timeout = 10 * time.Second
		got := asJSON(t, batch.Verify(t.Context(), mem, endpoints, batch.Options{}))
		want := `[{"endpoint_id":"ep_0","endpoint_name":"name ep_0","success":true,"response_time_ms":150,"error":null},` +
			`{"endpoint_id":"ep_1","endpoint_name":"name ep_1","success":false,"response_time_ms":0,"error":"the receiver answered 503 Service Unavailable"},` +
			`{"endpoint_id":"ep_2","endpoint_name":"name ep_2","success":false,"response_time_ms":10000,"error":"no answer in 10s"}]`
		if got != want {
			t.Errorf("verifications = %s\nwant %s", got, want)
		}
		for _, request := range mem.Requests() {
			if !request.Verify {
				t.Errorf("%s got a delivery", request.Endpoint.ID)
			}
		}
	})
}

func TestEventGoesToEachEndpointUnderOneID(t *testing.T) {
	mem := memadapter.New()
	mem.ScriptFor("ep_1", memadapter.Reply{StatusCode: 500})
	_, endpoints := many(3)
	endpoints[2].EventTypes = []string{"another.type"} // who wants to hear is the caller's to ask
	event := &webhook.Event{Type: "order.completed", Payload: []byte(`{"order":1}`)}
	sent := batch.Event(t.Context(), mem, event, endpoints, batch.Options{})
	for i, s := range sent {
		if s.EndpointID != endpoints[i].ID || s.Success != (i != 1) || s.Info.Success != s.Success || s.Info.URL != endpoints[i].URL {
			t.Errorf("sent %d = %+v", i, s)
		}
	}
	if event.ID != "" {
		t.Error("the event was changed")
	}
	requests := mem.Requests()
	ids := make(map[webhook.DeliveryID]bool)
	for _, request := range requests {
		d := request.Delivery
		ids[d.ID] = true
		if _, err := webhook.ParseEventID(string(d.Event)); err != nil || d.Event != requests[0].Delivery.Event {
			t.Errorf("event id %q, the first has %q", d.Event, requests[0].Delivery.Event)
		}
		if d.Endpoint != request.Endpoint.ID || d.EventType != event.Type || string(d.Payload) != `{"order":1}` || d.Attempt != 1 {
			t.Errorf("delivery = %+v", d)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d delivery ids, want 3", len(ids))
	}
	if text := asJSON(t, sent[0]); !strings.HasPrefix(text, `{"endpoint_id":"ep_0","success":true,"info":{"attempt":1,`) {
		t.Errorf("sent = %s", text)
	}
	for _, s := range batch.Event(t.Context(), mem, nil, endpoints, batch.Options{}) {
		if s.Success || s.Info.Fault.Code != webhook.FaultInvalidRequest {
			t.Errorf("of a nil event: %+v", s)
		}
	}
	event.ID = "msg_of_mine"
	mem.Forget()
	batch.Event(t.Context(), mem, event, endpoints, batch.Options{})
	if got := mem.Requests()[0].Delivery.Event; got != "msg_of_mine" {
		t.Errorf("event id = %q", got)
	}
}

func TestOverHTTP(t *testing.T) {
	bench := adaptertest.HTTP(t)
	other := adaptertest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	endpoints := []webhook.Endpoint{bench.Taking.Endpoint, bench.Refusing.Endpoint, other.Endpoint, {Name: "nowhere"}}

	jobs := make([]batch.Job, 100)
	for i := range jobs {
		endpoint := &endpoints[i%3]
		event := &webhook.Event{ID: webhook.NewEventID(), Payload: fmt.Appendf(nil, "%d", i)}
		jobs[i] = batch.Job{Delivery: webhook.NewDelivery(event, endpoint), Endpoint: endpoint}
	}
	results := batch.Deliver(t.Context(), bench.Adapter, jobs, batch.Options{})
	for i, result := range results {
		if want := []int{200, 503, 404}[i%3]; result.StatusCode != want || result.Success != (want == 200) {
			t.Errorf("result %d = %d, %s", i, result.StatusCode, result.ErrorMessage())
		}
	}
	if successful, failed := results.Count(); successful != 34 || failed != 66 || len(bench.Taking.Arrived) != 34 {
		t.Errorf("%d successful, %d failed, %d arrived", successful, failed, len(bench.Taking.Arrived))
	}

	for i, v := range batch.Verify(t.Context(), bench.Adapter, endpoints, batch.Options{}) {
		if want := []bool{true, false, true, false}[i]; v.Result.Success != want || v.EndpointID != endpoints[i].ID || v.EndpointName != endpoints[i].Name {
			t.Errorf("verification %d = %+v", i, v)
		}
	}
	for i, s := range batch.Event(t.Context(), bench.Adapter, &webhook.Event{Payload: []byte(`{}`)}, endpoints, batch.Options{}) {
		if want := []bool{true, false, false, false}[i]; s.Success != want || s.EndpointID != endpoints[i].ID {
			t.Errorf("sent %d = %+v", i, s)
		}
	}
}
