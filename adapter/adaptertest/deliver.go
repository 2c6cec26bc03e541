package adaptertest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/neohook/neohook/webhook"
)

// payload is JSON that nobody writes the same again: spaces, escapes, a key twice, a
// number that no float holds.
const payload = " {\"b\":1.10,\n\t\"a\":\"gr\\u00fc\u00df \\/ <&> \u20ac\",\"a\":12345678901234567890,\"e\":[]} \n"

func delivery(endpoint *webhook.Endpoint, payload string) *webhook.Delivery {
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "adaptertest.event", Payload: []byte(payload)}
	return webhook.NewDelivery(event, endpoint)
}

func takesADelivery(t testing.TB, b Bench) {
	endpoint := b.Taking.endpoint()
	result := b.Adapter.Deliver(t.Context(), delivery(endpoint, `{}`), endpoint)
	checkSent(t, result)
	if !result.Success {
		t.Errorf("the delivery failed: %s", result.ErrorMessage())
	}
	arrival(t, &b.Taking)
	noMore(t, &b.Taking)
}

func sendsThePayload(t testing.TB, b Bench) {
	endpoint := b.Taking.endpoint()
	result := b.Adapter.Deliver(t.Context(), delivery(endpoint, payload), endpoint)
	if !result.Success {
		t.Fatalf("the delivery failed: %s", result.ErrorMessage())
	}
	if got := arrival(t, &b.Taking); string(got) != payload {
		t.Errorf("payload = %q, want %q", got, payload)
	}
}

func countsAttempts(t testing.TB, b Bench) {
	endpoint := b.Taking.endpoint()
	for attempt, want := range map[int]int{0: 1, 1: 1, 7: 7} {
		d := delivery(endpoint, `{}`)
		d.Attempt = attempt
		if result := b.Adapter.Deliver(t.Context(), d, endpoint); result.Attempt != want {
			t.Errorf("the attempt %d is told as %d, want %d", attempt, result.Attempt, want)
		}
	}
}

func leavesArguments(t testing.TB, b Bench) {
	endpoint := b.Taking.endpoint()
	endpoint.Headers = map[string]string{"X-Adaptertest": "1"}
	d := delivery(endpoint, payload)
	wantDelivery, wantEndpoint := *d, *endpoint
	wantDelivery.Payload = bytes.Clone(d.Payload)
	wantEndpoint.Headers = map[string]string{"X-Adaptertest": "1"}
	b.Adapter.Deliver(t.Context(), d, endpoint)
	b.Adapter.Verify(t.Context(), endpoint, d.Payload)
	if !reflect.DeepEqual(*d, wantDelivery) {
		t.Errorf("the delivery became %+v, was %+v", *d, wantDelivery)
	}
	if !reflect.DeepEqual(*endpoint, wantEndpoint) {
		t.Error("the endpoint was changed")
	}
	// What arrived must not share memory with what was given.
	clear(d.Payload)
	if got := arrival(t, &b.Taking); string(got) != payload {
		t.Errorf("the payload that arrived became %q when the caller changed its own", got)
	}
}

func tellsWhy(t testing.TB, b Bench) {
	endpoint := b.Refusing.endpoint()
	result := b.Adapter.Deliver(t.Context(), delivery(endpoint, `{}`), endpoint)
	checkSent(t, result)
	if result.Success {
		t.Error("success = true for a delivery that was refused")
	}
	if result.ErrorMessage() == "" {
		t.Error("nothing tells why it failed")
	}
}

func doesNotRetry(t testing.TB, b Bench) {
	endpoint := b.Refusing.endpoint()
	b.Adapter.Deliver(t.Context(), delivery(endpoint, `{}`), endpoint)
	if b.Refusing.Arrived == nil { // it can't be told what arrives where nothing does
		return
	}
	arrival(t, b.Refusing)
	noMore(t, b.Refusing)
}

func tellsNoSecret(t testing.TB, b Bench) {
	const secret, header = "a key nobody may read", "a token nobody may read"
	endpoint := b.Refusing.endpoint()
	endpoint.Secret = secret
	endpoint.Headers = map[string]string{"Authorization": header}
	result := b.Adapter.Deliver(t.Context(), delivery(endpoint, `{}`), endpoint)
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{secret, header} {
		if strings.Contains(string(text), hidden) || strings.Contains(result.ErrorMessage(), hidden) {
			t.Errorf("the result tells %q: %s", hidden, text)
		}
	}
}

func refusesNil(t testing.TB, b Bench) {
	endpoint := b.Taking.endpoint()
	for _, result := range []webhook.Result{
		b.Adapter.Deliver(t.Context(), nil, endpoint),
		b.Adapter.Deliver(t.Context(), delivery(endpoint, `{}`), nil),
		b.Adapter.Deliver(t.Context(), nil, nil),
		b.Adapter.Verify(t.Context(), nil, nil),
	} {
		checkRefused(t, result, webhook.FaultInvalidRequest)
	}
	noMore(t, &b.Taking)
}
