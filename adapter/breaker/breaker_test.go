package breaker_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/adapter/adaptertest"
	"github.com/neohook/neohook/adapter/breaker"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/adapter/retry"
	"github.com/neohook/neohook/webhook"
)

func TestKeepsTheContract(t *testing.T) {
	adaptertest.RunAround(t, func(_ *testing.T, inside webhook.Adapter) webhook.Adapter {
		return breaker.New(inside, breaker.Options{})
	})
}

func endpoint(id webhook.EndpointID) *webhook.Endpoint {
	return &webhook.Endpoint{ID: id, URL: "https://api.example.com/" + string(id)}
}

func delivery() *webhook.Delivery {
	return &webhook.Delivery{ID: webhook.NewDeliveryID(), Event: webhook.NewEventID(), Payload: []byte(`{}`)}
}

// sends makes n deliveries and returns how many were sent.
func sends(t *testing.T, a webhook.Adapter, mem *memadapter.Adapter, id webhook.EndpointID, n int) int {
	t.Helper()
	before := len(mem.Requests())
	for range n {
		a.Deliver(t.Context(), delivery(), endpoint(id))
	}
	return len(mem.Requests()) - before
}

func TestOpensAfterFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{StatusCode: 503})
		var changes []breaker.Change
		a := breaker.New(mem, breaker.Options{Changed: func(c breaker.Change) { changes = append(changes, c) }})

		if got := sends(t, a, mem, "one", 9); got != 5 {
			t.Errorf("%d were sent, want 5", got)
		}
		result := a.Deliver(t.Context(), &webhook.Delivery{Event: "msg_1", Attempt: 4}, &webhook.Endpoint{ID: "one", URL: "https://u:hunter2@example.com"})
		if result.Success || result.Fault == nil || result.Fault.Code != breaker.FaultOpen || result.Fault.Kind != webhook.FaultClient ||
			result.RetryAfter != 30*time.Second || result.Attempt != 4 || result.URL != "https://u:xxxxx@example.com" || result.Method != "POST" {
			t.Errorf("result = %+v, fault %+v", result, result.Fault)
		}
		if got := sends(t, a, mem, "two", 1); got != 1 {
			t.Error("another endpoint was refused")
		}

		time.Sleep(30*time.Second - 1)
		if got := sends(t, a, mem, "one", 1); got != 0 {
			t.Error("it was tried before the pause was over")
		}
		time.Sleep(time.Nanosecond)
		if got := sends(t, a, mem, "one", 3); got != 1 {
			t.Errorf("%d were sent after the pause, want one, which fails and opens it again", got)
		}
		time.Sleep(30 * time.Second)
		mem.Script()
		if got := sends(t, a, mem, "one", 3); got != 3 {
			t.Errorf("%d were sent once it works, want 3", got)
		}
		mem.Script(memadapter.Reply{StatusCode: 500})
		if got := sends(t, a, mem, "one", 9); got != 5 {
			t.Errorf("%d were sent before it opened anew, want 5", got)
		}
		want := []breaker.State{breaker.Open, breaker.HalfOpen, breaker.Open, breaker.HalfOpen, breaker.Closed, breaker.Open}
		from := breaker.Closed
		for i, change := range changes {
			if i >= len(want) || change.Key != "one" || change.From != from || change.To != want[i] {
				t.Fatalf("changes = %+v, want %v", changes, want)
			}
			from = change.To
		}
		if len(changes) != len(want) || a.State(endpoint("one")) != breaker.Open || a.State(endpoint("two")) != breaker.Closed {
			t.Errorf("changes = %+v", changes)
		}
	})
}

func TestASuccessBetweenKeepsItClosed(t *testing.T) {
	mem := &memadapter.Adapter{}
	var n atomic.Int32
	mem.Answer = func(memadapter.Request) memadapter.Reply {
		if n.Add(1)%5 == 0 {
			return memadapter.Reply{}
		}
		return memadapter.Reply{StatusCode: 503}
	}
	a := breaker.New(mem, breaker.Options{})
	if got := sends(t, a, mem, "one", 100); got != 100 {
		t.Errorf("%d were sent, want 100", got)
	}
}

func TestOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{StatusCode: 503})
		a := breaker.New(mem, breaker.Options{Failures: 2, Pause: time.Second})
		sends(t, a, mem, "one", 2)
		time.Sleep(time.Second)
		mem.Script(memadapter.Reply{Delay: 5 * time.Second})
		probe := make(chan webhook.Result, 1)
		go func() { probe <- a.Deliver(t.Context(), delivery(), endpoint("one")) }()
		synctest.Wait()
		result := a.Deliver(t.Context(), delivery(), endpoint("one"))
		if result.Fault == nil || result.Fault.Code != breaker.FaultOpen || a.State(endpoint("one")) != breaker.HalfOpen {
			t.Errorf("beside the probe: %+v, %s", result, a.State(endpoint("one")))
		}
		if result := <-probe; !result.Success {
			t.Errorf("probe = %+v", result)
		}
		if a.State(endpoint("one")) != breaker.Closed {
			t.Errorf("after the probe it is %s", a.State(endpoint("one")))
		}
	})
}

func TestSeveralProbesMustSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{StatusCode: 503})
		a := breaker.New(mem, breaker.Options{Failures: 1, Pause: time.Second, Probes: 3})
		sends(t, a, mem, "one", 1)
		time.Sleep(time.Second)
		mem.Script(memadapter.Reply{}, memadapter.Reply{}, memadapter.Reply{StatusCode: 503}, memadapter.Reply{})
		sends(t, a, mem, "one", 2)
		if a.State(endpoint("one")) != breaker.HalfOpen {
			t.Errorf("after two of three it is %s", a.State(endpoint("one")))
		}
		sends(t, a, mem, "one", 1)
		if a.State(endpoint("one")) != breaker.Open {
			t.Errorf("after one that failed it is %s", a.State(endpoint("one")))
		}
		time.Sleep(time.Second)
		sends(t, a, mem, "one", 3)
		if a.State(endpoint("one")) != breaker.Closed {
			t.Errorf("after three it is %s", a.State(endpoint("one")))
		}
	})
}

func TestWhatWasSentBeforeThePauseDoesNotCountAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{Delay: 20 * time.Second, StatusCode: 503}, memadapter.Reply{StatusCode: 503})
		a := breaker.New(mem, breaker.Options{Failures: 2, Pause: 10 * time.Second})
		slow := make(chan webhook.Result, 1)
		go func() { slow <- a.Deliver(t.Context(), delivery(), endpoint("one")) }()
		synctest.Wait()
		sends(t, a, mem, "one", 2)
		time.Sleep(15 * time.Second)
		mem.Script(memadapter.Reply{Delay: 20 * time.Second})
		probe := make(chan webhook.Result, 1)
		go func() { probe <- a.Deliver(t.Context(), delivery(), endpoint("one")) }()
		<-slow // it fails in the middle of the probe
		synctest.Wait()
		if got := a.State(endpoint("one")); got != breaker.HalfOpen {
			t.Errorf("a failure from before the pause made it %s", got)
		}
		<-probe
		if got := a.State(endpoint("one")); got != breaker.Closed {
			t.Errorf("after the probe it is %s", got)
		}
	})
}

func TestAProbeThatTellsNothingOpensItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{StatusCode: 503})
		a := breaker.New(mem, breaker.Options{Failures: 1, Pause: time.Second})
		sends(t, a, mem, "one", 1)
		time.Sleep(time.Second)
		mem.Script(memadapter.Reply{Delay: memadapter.Never})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		a.Deliver(ctx, delivery(), endpoint("one"))
		if got := a.State(endpoint("one")); got != breaker.Open {
			t.Errorf("after a cancelled probe it is %s", got)
		}
		time.Sleep(time.Second)
		mem.Script()
		if got := sends(t, a, mem, "one", 2); got != 2 {
			t.Errorf("%d were sent, want 2: a cancelled probe must not block those after it", got)
		}
	})
}

// fragile panics.
type fragile struct{ webhook.Adapter }

func (fragile) Deliver(context.Context, *webhook.Delivery, *webhook.Endpoint) webhook.Result {
	panic("broken")
}

func TestAPanicPassesAndCountsForNothing(t *testing.T) {
	a := breaker.New(fragile{}, breaker.Options{Failures: 1})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		a.Deliver(t.Context(), delivery(), endpoint("one"))
	}()
	if got := a.State(endpoint("one")); got != breaker.Closed {
		t.Errorf("after a panic it is %s", got)
	}
}

func TestJudge(t *testing.T) {
	for status, want := range map[int]breaker.Verdict{
		200: breaker.Good, 302: breaker.Good, 400: breaker.Good, 404: breaker.Good, 410: breaker.Good,
		429: breaker.Bad, 500: breaker.Bad, 501: breaker.Bad, 503: breaker.Bad,
	} {
		for _, fault := range []*webhook.Fault{nil, {Kind: webhook.FaultAnswered, Code: "one of an adapter's own"}} {
			if got := breaker.Judge(&webhook.Result{StatusCode: status, Fault: fault}); got != want {
				t.Errorf("%d, %+v: %v, want %v", status, fault, got, want)
			}
		}
	}
	for code, want := range map[webhook.FaultCode]breaker.Verdict{
		webhook.FaultRefused: breaker.Bad, webhook.FaultDNS: breaker.Bad, webhook.FaultResponseTimeout: breaker.Bad, webhook.FaultOther: breaker.Bad,
		webhook.FaultInvalidRequest: breaker.Neither, webhook.FaultMessageTooLarge: breaker.Neither, webhook.FaultBlockedAddress: breaker.Neither, webhook.FaultClosed: breaker.Neither,
		webhook.FaultCancelled: breaker.Neither, breaker.FaultOpen: breaker.Neither,
	} {
		if got := breaker.Judge(&webhook.Result{Fault: &webhook.Fault{Code: code}}); got != want {
			t.Errorf("%s: %v, want %v", code, got, want)
		}
	}
}

func TestKeys(t *testing.T) {
	first, second := endpoint("one"), endpoint("two")
	if breaker.ByHost(first) != "api.example.com" || breaker.ByHost(first) != breaker.ByHost(second) {
		t.Errorf("hosts %q and %q", breaker.ByHost(first), breaker.ByHost(second))
	}
	if breaker.ByEndpoint(first) != "one" || breaker.ByEndpoint(&webhook.Endpoint{URL: "https://x"}) != "https://x" {
		t.Error("ByEndpoint is not the id, else the URL")
	}
	if breaker.ByHost(&webhook.Endpoint{URL: "::"}) != "::" {
		t.Error("a URL that can't be read has no key")
	}
	mem := memadapter.New(memadapter.Reply{StatusCode: 503})
	a := breaker.New(mem, breaker.Options{Key: breaker.ByHost})
	if got := sends(t, a, mem, "one", 4) + sends(t, a, mem, "two", 4); got != 5 {
		t.Errorf("%d were sent to one host, want 5", got)
	}
}

func TestKeysAreBounded(t *testing.T) {
	mem := memadapter.New(memadapter.Reply{StatusCode: 503})
	a := breaker.New(mem, breaker.Options{Failures: 1, MaxKeys: 3})
	for i := range 3 {
		sends(t, a, mem, webhook.EndpointID(fmt.Sprint(i)), 1)
	}
	sends(t, a, mem, "0", 1) // refused, and used
	sends(t, a, mem, "3", 1)
	var open []string
	for i := range 4 {
		if id := fmt.Sprint(i); a.State(endpoint(webhook.EndpointID(id))) == breaker.Open {
			open = append(open, id)
		}
	}
	if want := []string{"0", "2", "3"}; !slices.Equal(open, want) {
		t.Errorf("open are %q, want %q: the one unused for longest is forgotten", open, want)
	}
}

func TestRetriesWaitForTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{StatusCode: 503}, memadapter.Reply{})
		a := breaker.New(mem, breaker.Options{Failures: 1})
		d := delivery()
		begun := time.Now()
		outcome := retry.Deliver(t.Context(), a, d, endpoint("one"), retry.Options{})
		// Sent at once; refused after 5 s, with 25 s to go; sent when they are over.
		if outcome.Status != retry.Success || outcome.Attempts != 3 || len(mem.Requests()) != 2 || time.Since(begun) != 30*time.Second {
			t.Errorf("%s after %d attempts and %d requests in %v", outcome.Status, outcome.Attempts, len(mem.Requests()), time.Since(begun))
		}
	})
}

func TestOverHTTP(t *testing.T) {
	bench := adaptertest.HTTP(t)
	var broken atomic.Bool
	broken.Store(true)
	receiver := adaptertest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	a := breaker.New(bench.Adapter, breaker.Options{Failures: 3, Pause: time.Nanosecond})
	for range 3 {
		if result := a.Deliver(t.Context(), delivery(), &receiver.Endpoint); result.StatusCode != 502 {
			t.Errorf("result = %+v", result)
		}
	}
	if got := a.State(&receiver.Endpoint); got != breaker.Open {
		t.Errorf("after three failures it is %s", got)
	}
	if result := a.Deliver(t.Context(), delivery(), &bench.Taking.Endpoint); !result.Success {
		t.Errorf("another endpoint: %s", result.ErrorMessage())
	}
	broken.Store(false)
	if result := a.Verify(t.Context(), &receiver.Endpoint, nil); !result.Success {
		t.Errorf("a verification past the open breaker: %s", result.ErrorMessage())
	}
	if result := a.Deliver(t.Context(), delivery(), &receiver.Endpoint); !result.Success || a.State(&receiver.Endpoint) != breaker.Closed {
		t.Errorf("the probe: %s, %s", result.ErrorMessage(), a.State(&receiver.Endpoint))
	}
}
