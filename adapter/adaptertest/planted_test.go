package adaptertest

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

// broken is an adapter that keeps its contract but for what is set.
type broken struct {
	webhook.Adapter
	deliver func(context.Context, *webhook.Delivery, *webhook.Endpoint) webhook.Result
	verify  func(context.Context, *webhook.Endpoint, []byte) webhook.Result
	health  func(context.Context) webhook.Health
	close   func() error
}

func (b broken) Deliver(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
	if b.deliver != nil {
		return b.deliver(ctx, d, ep)
	}
	return b.Adapter.Deliver(ctx, d, ep)
}

func (b broken) Verify(ctx context.Context, ep *webhook.Endpoint, payload []byte) webhook.Result {
	if b.verify != nil {
		return b.verify(ctx, ep, payload)
	}
	return b.Adapter.Verify(ctx, ep, payload)
}

func (b broken) Health(ctx context.Context) webhook.Health {
	if b.health != nil {
		return b.health(ctx)
	}
	return b.Adapter.Health(ctx)
}

func (b broken) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.Adapter.(interface{ Close() error }).Close()
}

// planted has, by the case that must find it, what is broken.
var planted = map[string][]func(*broken){
	"TakesADelivery": {
		changed(func(r *webhook.Result) { r.StartedAt = time.Time{} }),
		changed(func(r *webhook.Result) { r.CompletedAt = r.StartedAt.Add(-1) }),
		changed(func(r *webhook.Result) { r.URL = "" }),
		changed(func(r *webhook.Result) { r.Method = "" }),
		changed(func(r *webhook.Result) { r.Fault = &webhook.Fault{} }),
		changed(func(r *webhook.Result) { r.Success = false }),
		func(b *broken) { // twice
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				b.Adapter.Deliver(ctx, d, ep)
				return b.Adapter.Deliver(ctx, d, ep)
			}
		},
		func(b *broken) { // elsewhere
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				return b.Adapter.Deliver(ctx, d, &webhook.Endpoint{ID: "nowhere", URL: ep.URL})
			}
		},
	},
	"SendsThePayloadByteForByte": {
		func(b *broken) {
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				other := *d
				other.Payload = []byte(strings.TrimSpace(string(d.Payload)))
				return b.Adapter.Deliver(ctx, &other, ep)
			}
		},
	},
	"CountsAttemptsFromOne": {
		changed(func(r *webhook.Result) { r.Attempt = 1 }),
		changed(func(r *webhook.Result) { r.Attempt-- }),
	},
	"LeavesItsArgumentsAlone": {
		func(b *broken) {
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				result := b.Adapter.Deliver(ctx, d, ep)
				d.Attempt++
				return result
			}
		},
		func(b *broken) {
			b.verify = func(ctx context.Context, ep *webhook.Endpoint, payload []byte) webhook.Result {
				if ep != nil && ep.Headers != nil {
					ep.Headers["X-Test"] = "1"
				}
				return b.Adapter.Verify(ctx, ep, payload)
			}
		},
	},
	"TellsWhyItFailed": {
		changed(func(r *webhook.Result) {
			r.StatusCode, r.Fault = 0, &webhook.Fault{Kind: webhook.FaultAnswered, Code: "full", Message: "the queue is full"}
		}),
		changed(func(r *webhook.Result) { r.Success, r.Fault = true, nil }),
		changed(func(r *webhook.Result) {
			if !r.Success {
				r.StatusCode, r.Fault = 0, nil
			}
		}),
		changed(func(r *webhook.Result) {
			if !r.Success {
				r.Fault = &webhook.Fault{Kind: "strange", Code: webhook.FaultOther, Message: "no"}
			}
		}),
	},
	"DoesNotRetry": {
		func(b *broken) {
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				result := b.Adapter.Deliver(ctx, d, ep)
				if result.StatusCode == http.StatusServiceUnavailable {
					result = b.Adapter.Deliver(ctx, d, ep)
				}
				return result
			}
		},
	},
	"TellsNoSecret": {
		func(b *broken) {
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				result := b.Adapter.Deliver(ctx, d, ep)
				if !result.Success {
					result.Fault = &webhook.Fault{
						Kind: webhook.FaultClient, Code: webhook.FaultOther, Message: fmt.Sprint("refused with ", ep.Headers),
					}
				}
				return result
			}
		},
	},
	"SendsNothingOnceTheContextHasEnded": {
		func(b *broken) {
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				return b.Adapter.Deliver(context.WithoutCancel(ctx), d, ep)
			}
		},
		func(b *broken) {
			b.verify = func(ctx context.Context, ep *webhook.Endpoint, payload []byte) webhook.Result {
				return b.Adapter.Verify(context.WithoutCancel(ctx), ep, payload)
			}
		},
	},
	"EndsWithTheContext": {changed(func(r *webhook.Result) {
		if r.Fault != nil && r.Fault.Code == webhook.FaultCancelled {
			r.Fault.Code = webhook.FaultOther
		}
	})},
	"EndsAtTheTimeout": {
		changed(func(r *webhook.Result) {
			if r.Fault != nil {
				r.Fault.Kind = webhook.FaultClient
			}
		}),
		func(b *broken) {
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				short := *ep
				short.Timeout = 10 * time.Millisecond
				return b.Adapter.Deliver(ctx, d, &short)
			}
		},
	},
	"RefusesNil": {
		func(b *broken) {
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				if ep == nil {
					return webhook.Result{}
				}
				return b.Adapter.Deliver(ctx, d, ep)
			}
		},
	},
	"Verifies": {
		func(b *broken) {
			b.verify = func(ctx context.Context, ep *webhook.Endpoint, payload []byte) webhook.Result {
				if payload == nil {
					return b.Adapter.Verify(ctx, nil, nil)
				}
				return b.Adapter.Verify(ctx, ep, payload)
			}
		},
	},
	"TellsItsHealth": {
		func(b *broken) { b.health = func(context.Context) webhook.Health { return webhook.Health{} } },
		func(b *broken) {
			b.health = func(context.Context) webhook.Health {
				return webhook.Health{Status: webhook.Healthy, Reasons: []string{"none"}}
			}
		},
		func(b *broken) {
			b.health = func(context.Context) webhook.Health { return webhook.Health{Status: webhook.Unhealthy} }
		},
	},
	"IsSafeForConcurrentUse": {
		func(b *broken) { // mixes up what several send
			var mu sync.Mutex
			var last []byte
			b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
				mu.Lock()
				if last == nil {
					last = d.Payload
				}
				other := *d
				other.Payload = last
				mu.Unlock()
				return b.Adapter.Deliver(ctx, &other, ep)
			}
		},
	},
	"RefusesOnceClosed": {
		func(b *broken) { b.close = func() error { return nil } },
		func(b *broken) { b.close = func() error { return context.Canceled } },
		func(b *broken) {
			b.health = func(context.Context) webhook.Health { return webhook.Health{Status: webhook.Healthy} }
		},
	},
	"EndsWhatIsInFlightOnClose": {changed(func(r *webhook.Result) {
		if r.Fault != nil && r.Fault.Code == webhook.FaultClosed {
			r.Success, r.StatusCode, r.Fault = true, http.StatusOK, nil
		}
	})},
}

// changed breaks the results of deliveries.
func changed(change func(*webhook.Result)) func(*broken) {
	return func(b *broken) {
		b.deliver = func(ctx context.Context, d *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
			result := b.Adapter.Deliver(ctx, d, ep)
			change(&result)
			return result
		}
	}
}

// witness is a TB that remembers failures in place of failing.
type witness struct {
	testing.TB
	ctx    context.Context
	failed bool
	mu     sync.Mutex
}

func (w *witness) Context() context.Context { return w.ctx }
func (w *witness) Helper()                  {}
func (w *witness) fail() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = true
}
func (w *witness) Error(...any)          { w.fail() }
func (w *witness) Errorf(string, ...any) { w.fail() }
func (w *witness) Fatal(...any)          { w.fail(); runtime.Goexit() }
func (w *witness) Fatalf(string, ...any) { w.fail(); runtime.Goexit() }

func TestEachCaseFindsWhatItIsFor(t *testing.T) {
	for _, c := range cases {
		if len(planted[c.name]) == 0 {
			t.Errorf("nothing is planted for %s", c.name)
		}
		for n, plant := range planted[c.name] {
			t.Run(fmt.Sprintf("%s/%d", c.name, n+1), func(t *testing.T) {
				t.Parallel()
				bench := Memory(t)
				bad := &broken{Adapter: bench.Adapter}
				plant(bad)
				bench.Adapter = bad
				// What never comes is waited for no longer than this.
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				w := &witness{TB: t, ctx: ctx}
				done := make(chan struct{})
				go func() {
					defer close(done)
					c.run(w, bench)
				}()
				<-done
				if !w.failed {
					t.Error("the case passes")
				}
			})
		}
	}
}
