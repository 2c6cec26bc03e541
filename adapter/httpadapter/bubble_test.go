package httpadapter_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/webhook"
)

// inMemory dials a peer in memory that does as handle says.
func inMemory(handle func(net.Conn)) dialerFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			handle(far)
		}()
		return near, nil
	}
}

func TestADeliveryEndsAtItsDeadlineToTheMoment(t *testing.T) {
	tests := map[string]struct {
		dialer  httpadapter.Dialer
		timeout time.Duration
		after   time.Duration
		code    webhook.FaultCode
	}{
		"no answer":     {inMemory(untilClosed), 15 * time.Second, 15 * time.Second, webhook.FaultResponseTimeout},
		"nothing read":  {inMemory(func(c net.Conn) { _, _ = c.Write([]byte("x")) }), 15 * time.Second, 15 * time.Second, webhook.FaultRequestTimeout},
		"no connection": {stuck{}, 15 * time.Second, 5 * time.Second, webhook.FaultConnectTimeout},
		"a longer one":  {stuck{}, 300 * time.Second, 10 * time.Second, webhook.FaultConnectTimeout},
		"the default":   {inMemory(untilClosed), 0, 30 * time.Second, webhook.FaultResponseTimeout},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := openWith(t, httpadapter.Options{Dialer: test.dialer})
				ep := endpointAt("http://hook.example/")
				ep.Timeout = test.timeout
				began := time.Now()
				result := a.Deliver(t.Context(), delivery("{}"), ep)
				if took := time.Since(began); took != test.after || result.Duration() != took {
					t.Errorf("took %v and says %v, want %v", took, result.Duration(), test.after)
				}
				if result.Fault == nil || result.Fault.Code != test.code || result.Fault.Kind != webhook.FaultTimeout {
					t.Errorf("fault = %+v, want %s", result.Fault, test.code)
				}
			})
		})
	}
}

// A caller's end counts at once, wherever the attempt is.
func TestADeliveryEndsWithItsContext(t *testing.T) {
	for name, dialer := range map[string]httpadapter.Dialer{
		"connecting": stuck{}, "waiting": inMemory(untilClosed),
		"reading": inMemory(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\nhalf"))
			untilClosed(c)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := openWith(t, httpadapter.Options{Dialer: dialer})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				result := a.Deliver(ctx, delivery("{}"), endpointAt("http://hook.example/"))
				if took := time.Since(began); took != time.Second || result.Fault == nil || result.Fault.Code != webhook.FaultCancelled {
					t.Errorf("took %v, fault = %+v", took, result.Fault)
				}
			})
		})
	}
}

// A place and a connection are waited for in different ways: a place as long as the
// context allows, a connection as part of the request's time.
func TestWaitingForAPlaceIsNotPartOfTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openWith(t, httpadapter.Options{MaxConcurrent: 1, Timeout: 10 * time.Second, Dialer: inMemory(untilClosed)})
		results := make(chan webhook.Result)
		for range 3 {
			go func() { results <- a.Deliver(t.Context(), delivery("{}"), endpointAt("http://hook.example/")) }()
		}
		began := time.Now()
		for i := range 3 {
			result := <-results
			if result.Fault == nil || result.Fault.Code != webhook.FaultResponseTimeout || result.Duration() != 10*time.Second {
				t.Errorf("fault = %+v after %v", result.Fault, result.Duration())
			}
			if took := time.Since(began); took != time.Duration(i+1)*10*time.Second {
				t.Errorf("request %d ended after %v", i, took)
			}
		}
	})
}

func TestTimingsTellThePhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := inMemory(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			time.Sleep(3 * time.Second)
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"))
			time.Sleep(4 * time.Second)
			_, _ = c.Write([]byte("ok"))
			untilClosed(c)
		})
		a := openWith(t, httpadapter.Options{Dialer: dialerFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			time.Sleep(2 * time.Second)
			return answer(ctx, network, address)
		})})
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt("http://hook.example/"))
		want := webhook.Timings{Connect: 2 * time.Second, FirstByte: 3 * time.Second, Total: 9 * time.Second}
		if !result.Success || result.Timings != want {
			t.Errorf("%s, timings = %+v, want %+v", result.ErrorMessage(), result.Timings, want)
		}
	})
}

func TestADeadlineOfTheConnectionIsNotTakenForAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openWith(t, httpadapter.Options{Timeout: time.Second, Dialer: inMemory(untilClosed)})
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt("http://hook.example/"))
		if !errors.Is(result.Fault, os.ErrDeadlineExceeded) {
			t.Errorf("cause = %v", result.Fault.Cause)
		}
	})
}
