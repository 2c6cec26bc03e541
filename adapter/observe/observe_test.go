package observe_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/neohook/neohook/adapter"
	"github.com/neohook/neohook/adapter/adaptertest"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/adapter/observe"
	"github.com/neohook/neohook/webhook"
)

func TestKeepsTheContract(t *testing.T) {
	adaptertest.RunAround(t, func(_ *testing.T, inside webhook.Adapter) webhook.Adapter {
		return observe.New(inside, observe.Hooks{
			Before: func(ctx context.Context, _ observe.Request) context.Context { return ctx },
			After:  func(context.Context, observe.Request, webhook.Result) {},
		})
	})
}

type key struct{}

func TestHooksAreCalledRoundEachRequest(t *testing.T) {
	mem := memadapter.New(memadapter.Reply{StatusCode: 503})
	var calls []string
	hooks := func(name string) observe.Hooks {
		return observe.Hooks{
			Before: func(ctx context.Context, r observe.Request) context.Context {
				calls = append(calls, fmt.Sprintf("%s before %s %s %v", name, r.Endpoint.ID, r.Payload, r.Verify()))
				return context.WithValue(ctx, key{}, name)
			},
			After: func(ctx context.Context, r observe.Request, result webhook.Result) {
				calls = append(calls, fmt.Sprintf("%s after %s %d %v", name, r.Endpoint.ID, result.StatusCode, ctx.Value(key{}) == name))
			},
		}
	}
	a := observe.New(observe.New(mem, hooks("inner")), hooks("outer"))
	endpoint := &webhook.Endpoint{ID: "ep"}
	a.Deliver(t.Context(), &webhook.Delivery{Payload: []byte("p")}, endpoint)
	a.Verify(t.Context(), endpoint, []byte("v"))
	a.Deliver(t.Context(), nil, endpoint) // no request
	a.Health(t.Context())
	want := []string{
		"outer before ep p false", "inner before ep p false", "inner after ep 503 true", "outer after ep 503 true",
		"outer before ep v true", "inner before ep v true", "inner after ep 503 true", "outer after ep 503 true",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("calls = %q\nwant %q", calls, want)
	}
	if inside, ok := adapter.As[*memadapter.Adapter](a); !ok || inside != mem {
		t.Error("the adapter inside is not found")
	}
}

func TestHooksMayBeNil(t *testing.T) {
	a := observe.New(memadapter.New(), observe.Hooks{})
	if result := a.Deliver(t.Context(), &webhook.Delivery{}, &webhook.Endpoint{}); !result.Success {
		t.Error(result.ErrorMessage())
	}
}

func Example() {
	hooks := observe.Hooks{
		Before: func(ctx context.Context, request observe.Request) context.Context {
			fmt.Println("sending to", request.Endpoint.Name)
			return ctx
		},
		After: func(_ context.Context, request observe.Request, result webhook.Result) {
			fmt.Println("answered by", request.Endpoint.Name, "with", result.StatusCode)
		},
	}
	observed := observe.New(memadapter.New(), hooks)
	endpoint := &webhook.Endpoint{Name: "Orders", URL: "https://api.example.com/orders"}
	event := &webhook.Event{ID: webhook.NewEventID(), Payload: []byte(`{}`)}
	observed.Deliver(context.Background(), webhook.NewDelivery(event, endpoint), endpoint)
	// Output:
	// sending to Orders
	// answered by Orders with 200
}
