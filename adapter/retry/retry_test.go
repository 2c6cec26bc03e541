package retry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/adapter/adaptertest"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/adapter/retry"
	"github.com/neohook/neohook/webhook"
)

func pair() (*webhook.Delivery, *webhook.Endpoint) {
	endpoint := &webhook.Endpoint{ID: webhook.NewEndpointID(), URL: "https://api.example.com/webhook"}
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "test.event", Payload: []byte(`{"id":123}`)}
	return webhook.NewDelivery(event, endpoint), endpoint
}

// sentAt are the instants at which requests came, since the first.
func sentAt(mem *memadapter.Adapter) []time.Duration {
	requests := mem.Requests()
	at := make([]time.Duration, len(requests))
	for i := range requests {
		at[i] = requests[i].At.Sub(requests[0].At)
	}
	return at
}

func TestWaitsGrowBetweenAttempts(t *testing.T) {
	const s = time.Second
	tests := map[string]struct {
		backoff webhook.Backoff
		opts    retry.Options
		want    []time.Duration
	}{
		"by default": {want: []time.Duration{0, 5 * s, 15 * s}},
		"capped at 300 s": {
			backoff: webhook.Backoff{MaxAttempts: 9},
			want:    []time.Duration{0, 5 * s, 15 * s, 35 * s, 75 * s, 155 * s, 315 * s, 615 * s, 915 * s},
		},
		"as the delivery says":   {backoff: webhook.Backoff{MaxAttempts: 4, Base: s, Multiplier: 3}, want: []time.Duration{0, s, 4 * s, 13 * s}},
		"as often as asked":      {backoff: webhook.Backoff{MaxAttempts: 7}, opts: retry.Options{MaxAttempts: 2}, want: []time.Duration{0, 5 * s}},
		"once":                   {opts: retry.Options{MaxAttempts: 1}, want: []time.Duration{0}},
		"once, too":              {opts: retry.Options{MaxAttempts: -4}, want: []time.Duration{0}},
		"without waiting at all": {backoff: webhook.Backoff{Base: -1}, want: []time.Duration{0, 0, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memadapter.New(memadapter.Reply{StatusCode: 503})
				delivery, endpoint := pair()
				delivery.Backoff = test.backoff
				begun := time.Now()
				outcome := retry.Deliver(t.Context(), mem, delivery, endpoint, test.opts)
				if got := sentAt(mem); !slices.Equal(got, test.want) {
					t.Errorf("sent at %v, want %v", got, test.want)
				}
				if outcome.Status != retry.Failed || outcome.Attempts != len(test.want) || outcome.Response.StatusCode != 503 {
					t.Errorf("outcome = %s after %d with %d", outcome.Status, outcome.Attempts, outcome.Response.StatusCode)
				}
				if took := time.Since(begun); took != test.want[len(test.want)-1] {
					t.Errorf("it took %v: there is no wait after the last attempt", took)
				}
			})
		})
	}
}

func TestOnlyWhatMayPassIsTriedAgain(t *testing.T) {
	again := map[int]bool{429: true, 500: true, 502: true, 503: true, 504: true}
	for _, status := range []int{100, 301, 304, 400, 401, 403, 404, 408, 409, 410, 422, 429, 499, 500, 501, 502, 503, 504, 505, 507, 599} {
		checkTries(t, fmt.Sprint(status), memadapter.Reply{StatusCode: status}, again[status])
	}
	stay := []webhook.FaultCode{webhook.FaultInvalidRequest, webhook.FaultMessageTooLarge, webhook.FaultBlockedAddress, webhook.FaultClosed, webhook.FaultCancelled}
	for _, code := range []webhook.FaultCode{
		webhook.FaultDNS, webhook.FaultRefused, webhook.FaultReset, webhook.FaultConnectTimeout, webhook.FaultResponseTimeout,
		webhook.FaultTLSExpired, webhook.FaultBodyTooLarge, webhook.FaultMalformedResponse, webhook.FaultPoolExhausted,
		webhook.FaultProxy, webhook.FaultOther, "one of an adapter's own",
		webhook.FaultInvalidRequest, webhook.FaultMessageTooLarge, webhook.FaultBlockedAddress, webhook.FaultClosed, webhook.FaultCancelled,
	} {
		checkTries(t, string(code), memadapter.Reply{Fault: code}, !slices.Contains(stay, code))
	}
	for status, want := range map[int]bool{400: false, 403: false, 429: true, 503: true} {
		answered := &webhook.Fault{Kind: webhook.FaultAnswered, Code: "one of an adapter's own"}
		if got := retry.Retryable(&webhook.Result{StatusCode: status, Fault: answered}); got != want {
			t.Errorf("a refusal with the status %d is retryable: %v, want %v", status, got, want)
		}
	}
	if retry.Retryable(&webhook.Result{Success: true, StatusCode: 503}) {
		t.Error("a success is retryable")
	}
}

func checkTries(t *testing.T, name string, reply memadapter.Reply, again bool) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mem := memadapter.New(reply)
			delivery, endpoint := pair()
			outcome := retry.Deliver(t.Context(), mem, delivery, endpoint, retry.Options{})
			want := 1
			if again {
				want = 3
			}
			if outcome.Status != retry.Failed || outcome.Attempts != want || len(mem.Requests()) != want {
				t.Errorf("%s after %d, sent %d times, want %d", outcome.Status, outcome.Attempts, len(mem.Requests()), want)
			}
		})
	})
}

func TestSuccessEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{StatusCode: 503}, memadapter.Reply{StatusCode: 204})
		delivery, endpoint := pair()
		before := *delivery
		outcome := retry.Deliver(t.Context(), mem, delivery, endpoint, retry.Options{})
		if outcome.Status != retry.Success || outcome.Attempts != 2 || outcome.Response.StatusCode != 204 {
			t.Errorf("outcome = %+v", outcome)
		}
		if requests := mem.Requests(); requests[0].Delivery.Attempt != 1 || requests[1].Delivery.Attempt != 2 || outcome.Response.Attempt != 2 {
			t.Errorf("attempts %d and %d", requests[0].Delivery.Attempt, requests[1].Delivery.Attempt)
		}
		if !reflect.DeepEqual(*delivery, before) {
			t.Errorf("the delivery was changed to %+v", *delivery)
		}
	})
}

func TestAttemptsGoOnCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{StatusCode: 500})
		delivery, endpoint := pair()
		delivery.Attempt = 4
		outcome := retry.Deliver(t.Context(), mem, delivery, endpoint, retry.Options{})
		if outcome.Attempts != 3 || outcome.Response.Attempt != 6 {
			t.Errorf("%d attempts, the last is number %d, want 3 and 6", outcome.Attempts, outcome.Response.Attempt)
		}
	})
}

func TestOutcomeMarshalsToItsThreeKeys(t *testing.T) {
	mem := memadapter.New()
	delivery, endpoint := pair()
	text, err := json.Marshal(retry.Deliver(t.Context(), mem, delivery, endpoint, retry.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"attempts", "response", "status"}) {
		t.Errorf("keys = %q", keys)
	}
	response, _ := got["response"].(map[string]any)
	if got["status"] != "success" || got["attempts"] != 1.0 || response["status_code"] != 200.0 {
		t.Errorf("outcome = %s", text)
	}
}

func TestRetryAfterLengthensAWait(t *testing.T) {
	const s = time.Second
	tests := map[string]struct {
		asked time.Duration
		opts  retry.Options
		want  time.Duration
	}{
		"longer than planned":    {7 * s, retry.Options{}, 7 * s},
		"shorter than planned":   {2 * s, retry.Options{}, 5 * s},
		"longer than the cap":    {10 * time.Minute, retry.Options{}, 10 * time.Minute},
		"absurd":                 {1 << 62, retry.Options{}, 12 * time.Hour},
		"past the caller's most": {time.Hour, retry.Options{MaxRetryAfter: time.Minute}, time.Minute},
		"not heeded":             {time.Hour, retry.Options{MaxRetryAfter: -1}, 5 * s},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memadapter.New(memadapter.Reply{StatusCode: 429, RetryAfter: test.asked}, memadapter.Reply{})
				delivery, endpoint := pair()
				retry.Deliver(t.Context(), mem, delivery, endpoint, test.opts)
				if got := sentAt(mem)[1]; got != test.want {
					t.Errorf("waited %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestJitterVariesWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := make(map[time.Duration]bool)
		for range 100 {
			mem := memadapter.New(memadapter.Reply{StatusCode: 503}, memadapter.Reply{})
			delivery, endpoint := pair()
			retry.Deliver(t.Context(), mem, delivery, endpoint, retry.Options{Jitter: 0.2})
			wait := sentAt(mem)[1]
			if wait < 4*time.Second || wait > 6*time.Second {
				t.Errorf("waited %v, want 4 s to 6 s", wait)
			}
			waits[wait] = true
		}
		if len(waits) < 50 {
			t.Errorf("only %d different waits in 100", len(waits))
		}
	})
}

func TestContextEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{StatusCode: 503})
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		delivery, endpoint := pair()
		begun := time.Now()
		outcome := retry.Deliver(ctx, mem, delivery, endpoint, retry.Options{})
		if took := time.Since(begun); took != 7*time.Second {
			t.Errorf("it took %v, want 7s", took)
		}
		if outcome.Status != retry.Failed || outcome.Attempts != 2 || outcome.Response.StatusCode != 503 {
			t.Errorf("outcome = %s after %d with %d", outcome.Status, outcome.Attempts, outcome.Response.StatusCode)
		}
	})
}

func TestContextEndedBeforehandSendsNothing(t *testing.T) {
	mem := memadapter.New()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	delivery, endpoint := pair()
	outcome := retry.Deliver(ctx, mem, delivery, endpoint, retry.Options{})
	if outcome.Status != retry.Failed || outcome.Attempts != 1 || outcome.Response.Fault.Code != webhook.FaultCancelled || len(mem.Requests()) != 0 {
		t.Errorf("outcome = %+v, %d requests", outcome, len(mem.Requests()))
	}
}

func TestContextEndedInAnAttemptIsNotFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{Delay: memadapter.Never})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		delivery, endpoint := pair()
		always := func(*webhook.Result) bool { return true }
		told := 0
		retry.Deliver(ctx, mem, delivery, endpoint, retry.Options{
			Retryable: always, BeforeWait: func(webhook.Result, time.Duration) { told++ },
		})
		if len(mem.Requests()) != 1 || told != 0 {
			t.Errorf("%d requests, %d waits announced, want 1 and 0", len(mem.Requests()), told)
		}
	})
}

func TestCallerSaysWhatIsRetryable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memadapter.New(memadapter.Reply{StatusCode: 404}, memadapter.Reply{StatusCode: 503})
		delivery, endpoint := pair()
		notFound := func(result *webhook.Result) bool { return result.StatusCode == http.StatusNotFound }
		var waits []time.Duration
		outcome := retry.Deliver(t.Context(), mem, delivery, endpoint, retry.Options{
			Retryable: notFound,
			BeforeWait: func(failed webhook.Result, wait time.Duration) {
				if failed.StatusCode != http.StatusNotFound {
					t.Errorf("told of %d", failed.StatusCode)
				}
				waits = append(waits, wait)
			},
		})
		if outcome.Attempts != 2 || !slices.Equal(waits, []time.Duration{5 * time.Second}) {
			t.Errorf("%d attempts with the waits %v, want 2 and 5s", outcome.Attempts, waits)
		}
	})
}

func TestNilDeliveryIsAFailure(t *testing.T) {
	mem := memadapter.New()
	delivery, endpoint := pair()
	for _, outcome := range []retry.Outcome{
		retry.Deliver(t.Context(), mem, nil, endpoint, retry.Options{}),
		retry.Deliver(t.Context(), mem, delivery, nil, retry.Options{}),
	} {
		if outcome.Status != retry.Failed || outcome.Attempts != 1 || outcome.Response.Fault.Code != webhook.FaultInvalidRequest {
			t.Errorf("outcome = %+v", outcome)
		}
	}
}

func TestOverHTTP(t *testing.T) {
	bench := adaptertest.HTTP(t)
	var calls atomic.Int32
	receiver := adaptertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Webhook-Id") == "" {
			t.Error("no webhook-id")
		}
		if calls.Add(1) < 3 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "test.event", Payload: []byte(`{"id":123}`)}
	delivery := webhook.NewDelivery(event, &receiver.Endpoint)
	delivery.Backoff.Base = time.Millisecond
	outcome := retry.Deliver(t.Context(), bench.Adapter, delivery, &receiver.Endpoint, retry.Options{})
	if outcome.Status != retry.Success || outcome.Attempts != 3 || outcome.Response.Attempt != 3 {
		t.Errorf("outcome = %+v", outcome)
	}
	for range 3 {
		if body := <-receiver.Arrived; string(body) != `{"id":123}` {
			t.Errorf("body = %s", body)
		}
	}

	refused := bench.Refusing.Endpoint
	delivery.Backoff = webhook.Backoff{Base: -1}
	if outcome := retry.Deliver(t.Context(), bench.Adapter, delivery, &refused, retry.Options{}); outcome.Attempts != 3 || len(bench.Refusing.Arrived) != 3 {
		t.Errorf("%d attempts, %d arrived, want 3", outcome.Attempts, len(bench.Refusing.Arrived))
	}
}
