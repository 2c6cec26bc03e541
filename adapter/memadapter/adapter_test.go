package memadapter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/webhook"
)

func endpoint(id webhook.EndpointID) *webhook.Endpoint {
	return &webhook.Endpoint{ID: id, URL: "https://example.com/" + string(id)}
}

func delivery() *webhook.Delivery {
	return &webhook.Delivery{ID: webhook.NewDeliveryID(), Event: webhook.NewEventID(), Payload: []byte(`{"a":1}`)}
}

func TestRepliesComeInTurnAndTheLastAgain(t *testing.T) {
	mem := memadapter.New(memadapter.Reply{StatusCode: 503, RetryAfter: time.Second}, memadapter.Reply{Fault: webhook.FaultRefused},
		memadapter.Reply{StatusCode: 202, Header: map[string][]string{"X-A": {"b"}}, Body: []byte("ok"), ConnectionReused: true})
	mem.ScriptFor("other", memadapter.Reply{StatusCode: 410})

	first := mem.Deliver(t.Context(), delivery(), endpoint("one"))
	if first.Success || first.StatusCode != 503 || first.RetryAfter != time.Second || first.Fault != nil {
		t.Errorf("first = %+v", first)
	}
	if other := mem.Deliver(t.Context(), delivery(), endpoint("other")); other.Success || other.StatusCode != 410 {
		t.Errorf("other = %+v", other)
	}
	second := mem.Deliver(t.Context(), delivery(), endpoint("one"))
	if second.Success || second.StatusCode != 0 || second.Fault == nil || second.Fault.Code != webhook.FaultRefused || second.Fault.Kind != webhook.FaultClient {
		t.Errorf("second = %+v", second)
	}
	for range 2 {
		last := mem.Deliver(t.Context(), delivery(), endpoint("one"))
		if !last.Success || last.StatusCode != 202 || last.Header["X-A"][0] != "b" || string(last.Body) != "ok" ||
			!last.ConnectionReused || last.BytesSent != 7 || last.BytesReceived != 2 {
			t.Errorf("last = %+v", last)
		}
	}
	mem.ScriptFor("other")
	if other := mem.Deliver(t.Context(), delivery(), endpoint("other")); other.StatusCode != 202 {
		t.Errorf("without a script of its own: %+v", other)
	}
	mem.Script()
	if result := mem.Deliver(t.Context(), delivery(), endpoint("one")); result.StatusCode != 200 {
		t.Errorf("without any: %+v", result)
	}
}

func TestVerificationSucceedsBelow500(t *testing.T) {
	for status, want := range map[int]bool{200: true, 302: true, 404: true, 499: true, 500: false, 503: false} {
		mem := memadapter.New(memadapter.Reply{StatusCode: status})
		if got := mem.Verify(t.Context(), endpoint("one"), nil); got.Success != want {
			t.Errorf("%d: success = %v, want %v", status, got.Success, want)
		}
	}
}

func TestDelaysPassInFakeTime(t *testing.T) {
	tests := map[string]struct {
		delay, timeout, took time.Duration
		code                 webhook.FaultCode
	}{
		"at once":                        {0, 0, 0, ""},
		"after a while":                  {20 * time.Second, 0, 20 * time.Second, ""},
		"at the default timeout":         {30 * time.Second, 0, 30 * time.Second, webhook.FaultResponseTimeout},
		"never":                          {memadapter.Never, 0, 30 * time.Second, webhook.FaultResponseTimeout},
		"never, with a timeout":          {memadapter.Never, 5 * time.Second, 5 * time.Second, webhook.FaultResponseTimeout},
		"sooner than a timeout":          {4 * time.Second, 5 * time.Second, 4 * time.Second, ""},
		"later than the caller can wait": {60 * time.Second, 300 * time.Second, 50 * time.Second, webhook.FaultCancelled},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
				defer cancel()
				mem := memadapter.New(memadapter.Reply{Delay: test.delay})
				ep := endpoint("one")
				ep.Timeout = test.timeout
				begun := time.Now()
				result := mem.Deliver(ctx, delivery(), ep)
				if took := time.Since(begun); took != test.took || result.Duration() != test.took {
					t.Errorf("it took %v, told as %v, want %v", took, result.Duration(), test.took)
				}
				var code webhook.FaultCode
				if result.Fault != nil {
					code = result.Fault.Code
					if result.Fault.Kind != webhook.FaultTimeout {
						t.Errorf("kind = %q, want %q", result.Fault.Kind, webhook.FaultTimeout)
					}
				}
				if code != test.code || result.Success != (test.code == "") {
					t.Errorf("success = %v, fault %q, want %q", result.Success, code, test.code)
				}
			})
		})
	}
}

func TestRequestsAreKeptAsTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{Delay: time.Second})
		ep, d := endpoint("one"), delivery()
		ep.Headers = map[string]string{"X-A": "b"}
		mem.Deliver(t.Context(), d, ep)
		mem.Verify(t.Context(), ep, []byte(`{"test":true}`))
		ep.Headers["X-A"] = "changed"
		clear(d.Payload)

		requests := mem.Requests()
		if len(requests) != 2 {
			t.Fatalf("%d requests, want 2", len(requests))
		}
		first, second := requests[0], requests[1]
		if first.Verify || first.Delivery.ID != d.ID || string(first.Delivery.Payload) != `{"a":1}` || first.Endpoint.Headers["X-A"] != "b" {
			t.Errorf("first = %+v", first)
		}
		if !second.Verify || string(second.Delivery.Payload) != `{"test":true}` || second.At.Sub(first.At) != time.Second {
			t.Errorf("second = %+v", second)
		}
		if mem.Forget(); len(mem.Requests()) != 0 {
			t.Error("Forget left something")
		}
	})
}

func TestAnswerReplacesTheScripts(t *testing.T) {
	mem := memadapter.New(memadapter.Reply{StatusCode: 500})
	mem.Answer = func(request memadapter.Request) memadapter.Reply {
		if strings.HasSuffix(request.Endpoint.URL, "/bad") {
			return memadapter.Reply{StatusCode: 400}
		}
		return memadapter.Reply{}
	}
	if got := mem.Deliver(t.Context(), delivery(), endpoint("bad")); got.StatusCode != 400 {
		t.Errorf("status = %d, want 400", got.StatusCode)
	}
	if got := mem.Deliver(t.Context(), delivery(), endpoint("good")); got.StatusCode != 200 {
		t.Errorf("status = %d, want 200", got.StatusCode)
	}
}

func TestWaitReturnsWhenEnoughHaveCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{Delay: memadapter.Never})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 3 {
			go mem.Deliver(ctx, delivery(), endpoint("one"))
		}
		if err := mem.Wait(ctx, 3); err != nil {
			t.Fatal(err)
		}
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		err := mem.Wait(short, 4)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 of 4") {
			t.Errorf("err = %v, want the deadline and 3 of 4", err)
		}
	})
}

func TestCloseEndsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{Delay: memadapter.Never})
		results := make(chan webhook.Result, 1)
		go func() { results <- mem.Deliver(t.Context(), delivery(), endpoint("one")) }()
		synctest.Wait()
		if err := mem.Close(); err != nil {
			t.Fatal(err)
		}
		if result := <-results; result.Fault == nil || result.Fault.Code != webhook.FaultClosed {
			t.Errorf("result = %+v", result)
		}
		if len(mem.Requests()) != 1 {
			t.Error("the request is gone")
		}
	})
}

func TestURLIsShownWithoutItsPassword(t *testing.T) {
	mem := memadapter.New()
	ep := endpoint("one")
	ep.URL = "https://user:hunter2@example.com/hook"
	result := mem.Deliver(t.Context(), delivery(), ep)
	if strings.Contains(result.URL, "hunter2") || !strings.Contains(result.URL, "example.com/hook") {
		t.Errorf("url = %q", result.URL)
	}
	ep.URL = "https://exa mple.com:hunter2"
	if result := mem.Deliver(t.Context(), delivery(), ep); result.URL != "" {
		t.Errorf("url = %q, want none of one that can't be read", result.URL)
	}
}
