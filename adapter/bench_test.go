package adapter_test

import (
	"context"
	"testing"

	"github.com/neohook/neohook/adapter/breaker"
	"github.com/neohook/neohook/adapter/dynamic"
	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/adapter/monitor"
	"github.com/neohook/neohook/adapter/observe"
	"github.com/neohook/neohook/webhook"
)

// instant answers at once and keeps nothing.
type instant struct{ webhook.Adapter }

func (instant) Deliver(context.Context, *webhook.Delivery, *webhook.Endpoint) webhook.Result {
	return webhook.Result{Success: true, StatusCode: 200}
}

// BenchmarkWrapped is what each wrapper adds to a delivery; a request over a kept
// connection takes tens of microseconds beside it.
func BenchmarkWrapped(b *testing.B) {
	exchanged, err := dynamic.New(dynamic.Options{Open: func(httpadapter.Options) (webhook.Adapter, error) { return instant{}, nil }})
	if err != nil {
		b.Fatal(err)
	}
	hooks := observe.Hooks{After: func(context.Context, observe.Request, webhook.Result) {}}
	for name, a := range map[string]webhook.Adapter{
		"bare": instant{}, "breaker": breaker.New(instant{}, breaker.Options{}), "monitor": monitor.New(instant{}, monitor.Options{}),
		"observe": observe.New(instant{}, hooks), "dynamic": exchanged,
		"all": observe.New(monitor.New(breaker.New(exchanged, breaker.Options{}), monitor.Options{}), hooks),
	} {
		b.Run(name, func(b *testing.B) {
			delivery, endpoint := &webhook.Delivery{Event: "msg_1"}, &webhook.Endpoint{ID: "ep_1", URL: "https://api.example.com"}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					a.Deliver(b.Context(), delivery, endpoint)
				}
			})
		})
	}
}
