package adaptertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

// room is what an Arrived holds.
const room = 1000

// Memory is a Bench with a memadapter. It serves the tests of adapters that wrap
// another, as RunAround does: put yours round its Adapter.
func Memory(t *testing.T) Bench {
	arrived := map[webhook.EndpointID]chan []byte{"taking": nil, "refusing": nil, "silent": nil}
	for id := range arrived {
		arrived[id] = make(chan []byte, room)
	}
	mem := &memadapter.Adapter{Answer: func(request memadapter.Request) memadapter.Reply {
		if to := arrived[request.Endpoint.ID]; to != nil {
			to <- request.Delivery.Payload
		}
		switch request.Endpoint.ID {
		case "refusing":
			return memadapter.Reply{StatusCode: http.StatusServiceUnavailable}
		case "silent":
			return memadapter.Reply{Delay: memadapter.Never}
		}
		return memadapter.Reply{}
	}}
	t.Cleanup(func() { _ = mem.Close() })
	receiver := func(id webhook.EndpointID) Receiver {
		return Receiver{
			Endpoint: webhook.Endpoint{ID: id, Name: string(id), URL: "https://" + string(id) + ".example.com/hook"},
			Arrived:  arrived[id],
		}
	}
	refusing, silent := receiver("refusing"), receiver("silent")
	return Bench{Adapter: mem, Taking: receiver("taking"), Refusing: &refusing, Silent: &silent}
}

// HTTP is a Bench with an httpadapter and servers on the loopback; see Memory.
func HTTP(t *testing.T) Bench {
	t.Helper()
	dialer, err := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialer.Close() })
	adapter, err := httpadapter.New(httpadapter.Options{Dialer: dialer})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	taking := Serve(t, func(http.ResponseWriter, *http.Request) {})
	refusing := Serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	silent := Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	})
	t.Cleanup(func() { // before the servers', which wait for their clients
		close(over)
		_ = adapter.Close()
	})
	return Bench{Adapter: adapter, Taking: taking, Refusing: &refusing, Silent: &silent}
}

// RunAround holds an adapter that wraps another to each promise, over those of Memory and
// of HTTP.
func RunAround(t *testing.T, wrap func(t *testing.T, inside webhook.Adapter) webhook.Adapter) {
	t.Helper()
	for name, open := range map[string]func(*testing.T) Bench{"Memory": Memory, "HTTP": HTTP} {
		t.Run(name, func(t *testing.T) {
			Run(t, func(t *testing.T) Bench {
				bench := open(t)
				bench.Adapter = wrap(t, bench.Adapter)
				return bench
			})
		})
	}
}

// Serve is a Receiver on the loopback, over HTTP, for adapters that speak it. A request
// has arrived, its body read, when answer is called.
func Serve(t *testing.T, answer http.HandlerFunc) Receiver {
	t.Helper()
	arrived := make(chan []byte, room)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // its sender went away before the end
		}
		arrived <- body
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	endpoint := webhook.Endpoint{ID: webhook.NewEndpointID(), Name: "loopback", URL: server.URL + "/hook"}
	return Receiver{Endpoint: endpoint, Arrived: arrived}
}
