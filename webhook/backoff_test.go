package webhook_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

func TestBackoffGrowsUpToItsCap(t *testing.T) {
	const s = time.Second
	tests := map[string]struct {
		in   webhook.Backoff
		want webhook.Schedule
	}{
		"the zero value is 3 attempts, 5 s, 2.0": {webhook.Backoff{}, webhook.Schedule{5 * s, 10 * s}},
		"the cap is 300 s": {
			webhook.Backoff{MaxAttempts: 9},
			webhook.Schedule{5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 300 * s, 300 * s},
		},
		"another base":       {webhook.Backoff{Base: 100 * time.Millisecond}, webhook.Schedule{s / 10, s / 5}},
		"a broken rate":      {webhook.Backoff{Base: 2 * s, Multiplier: 1.5, MaxAttempts: 4}, webhook.Schedule{2 * s, 3 * s, 4500 * time.Millisecond}},
		"even waits":         {webhook.Backoff{Multiplier: 1, MaxAttempts: 4}, webhook.Schedule{5 * s, 5 * s, 5 * s}},
		"another cap":        {webhook.Backoff{Cap: 7 * s}, webhook.Schedule{5 * s, 7 * s}},
		"a cap below base":   {webhook.Backoff{Cap: s}, webhook.Schedule{s, s}},
		"no cap":             {webhook.Backoff{Cap: -1, Base: 200 * s}, webhook.Schedule{200 * s, 400 * s}},
		"no waiting":         {webhook.Backoff{Base: -1, MaxAttempts: 4}, webhook.Schedule{0, 0, 0}},
		"one attempt":        {webhook.Backoff{MaxAttempts: 1}, webhook.Schedule{}},
		"negative attempts":  {webhook.Backoff{MaxAttempts: -1}, webhook.Schedule{}},
		"more than can be":   {webhook.Backoff{Cap: -1, Multiplier: 1e300}, webhook.Schedule{5 * s, math.MaxInt64}},
		"infinite":           {webhook.Backoff{Multiplier: math.Inf(1)}, webhook.Schedule{5 * s, 300 * s}},
		"not a number":       {webhook.Backoff{Multiplier: math.NaN()}, webhook.Schedule{5 * s, 300 * s}},
		"negative, the base": {webhook.Backoff{Multiplier: -3, MaxAttempts: 4}, webhook.Schedule{5 * s, 0, 45 * s}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.in.Schedule(); !slices.Equal(got, test.want) {
				t.Errorf("Schedule() = %v, want %v", got, test.want)
			}
		})
	}
}

func TestBackoffWaitsOnlyBetweenAttempts(t *testing.T) {
	for _, n := range []int{-1, 0, 3, 4, math.MaxInt} {
		if wait, again := (webhook.Backoff{}).Wait(n); again || wait != 0 {
			t.Errorf("Wait(%d) = %v, %v, want 0, false", n, wait, again)
		}
	}
	if wait, again := (webhook.Backoff{MaxAttempts: math.MaxInt}).Wait(math.MaxInt - 1); !again || wait != 300*time.Second {
		t.Errorf("after the last but one of very many: %v, %v, want 5m0s, true", wait, again)
	}
}

func TestNewDeliveryHasTheDefaults(t *testing.T) {
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "order.completed", Payload: []byte(`{"id":1}`)}
	endpoint := &webhook.Endpoint{ID: webhook.NewEndpointID()}
	d := webhook.NewDelivery(event, endpoint)
	if _, err := webhook.ParseDeliveryID(string(d.ID)); err != nil {
		t.Error(err)
	}
	if d.Event != event.ID || d.Endpoint != endpoint.ID || d.EventType != event.Type || string(d.Payload) != `{"id":1}` {
		t.Errorf("delivery = %+v", d)
	}
	if d.Attempt != 1 || d.Status != webhook.Pending {
		t.Errorf("attempt %d, status %v, want 1, pending", d.Attempt, d.Status)
	}
	if want := (webhook.Backoff{MaxAttempts: 3, Base: 5 * time.Second, Multiplier: 2, Cap: 300 * time.Second}); d.Backoff != want {
		t.Errorf("backoff = %+v, want %+v", d.Backoff, want)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	if other := webhook.NewDelivery(event, endpoint); other.ID == d.ID {
		t.Error("two deliveries have one id")
	}
}

func TestDeliveryValidationNamesAllFaults(t *testing.T) {
	bad := webhook.Delivery{
		EventType: "no spaces", Attempt: -1, Status: webhook.Cancelled + 1,
		Backoff: webhook.Backoff{MaxAttempts: -1, Multiplier: math.NaN()},
	}
	var invalid *webhook.InvalidError
	if err := bad.Validate(); !errors.As(err, &invalid) {
		t.Fatalf("err = %v, want an InvalidError", err)
	}
	var fields []string
	for _, field := range invalid.Fields {
		fields = append(fields, field.Field)
	}
	want := []string{"event", "eventType", "attempt", "status", "backoff.maxAttempts", "backoff.multiplier"}
	if !slices.Equal(fields, want) {
		t.Errorf("fields = %q, want %q", fields, want)
	}
	for _, multiplier := range []float64{0.5, -1, math.Inf(1)} {
		d := webhook.Delivery{Event: webhook.NewEventID(), Backoff: webhook.Backoff{Multiplier: multiplier}}
		if d.Validate() == nil {
			t.Errorf("a multiplier of %v is right, want a fault", multiplier)
		}
	}
	if err := (&webhook.Delivery{ID: webhook.NewDeliveryID()}).Validate(); err != nil {
		t.Errorf("zero values: %v", err)
	}
}
