package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// demoCommand shows the server at work on a folder that is thrown away.
type demoCommand struct {
	Listen address `placeholder:"HOST:PORT" default:"127.0.0.1:0" help:"Address the API is served on. Port 0 takes a free one."`
	Every  span    `placeholder:"TIME" default:"1s" help:"Time between the sample events."`
}

func (c *demoCommand) run(ctx context.Context, console console) (err error) {
	if c.Every <= 0 {
		return &usageError{errors.New("--every: want a time above 0")}
	}
	folder, err := os.MkdirTemp("", "neohook-demo-")
	if err != nil {
		return fmt.Errorf("folder for the demo: %w", err)
	}
	defer func() {
		if err = errors.Join(err, os.RemoveAll(folder)); err == nil {
			_, _ = fmt.Fprintln(console.out, "The demo has ended and its folder is removed.")
		}
	}()
	d := &demo{every: time.Duration(c.Every), out: console.printer(), accepted: make(map[string]time.Time)}
	if err := d.run(ctx, c.Listen, folder); err != nil && ctx.Err() == nil {
		return err
	}
	return nil // what Ctrl-C cuts short is no failure of a demo
}

// demo is one run of the command.
type demo struct {
	every  time.Duration
	out    *printer
	server *server
	// receivers takes what the server sends.
	receivers net.Listener
	secret    webhook.Secret

	// mu is held from before a sample is published until it is told of, and while an
	// arrival is told of: the telling keeps the order of what happened.
	mu       sync.Mutex
	accepted map[string]time.Time // the sample events, by id
}

// The demo's tenant, and its endpoints by their UIDs, which are also their paths.
const (
	demoTenant    = "acme"
	goodEndpoint  = "ledger"
	shakyEndpoint = "warehouse"
)

func (d *demo) run(ctx context.Context, on address, folder string) (err error) {
	settings, err := defaultSettings()
	if err != nil {
		return err
	}
	settings.Listen, settings.Data = on, folderName(folder)
	settings.EgressAllow = []cidr{cidr(netip.MustParsePrefix("127.0.0.0/8"))}
	settings.RetrySchedule = schedule{2 * time.Second, 5 * time.Second, 10 * time.Second}
	settings.Grace = span(5 * time.Second)

	if d.server, err = openServer(ctx, settings, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.server.close()) }()
	if d.receivers, err = listen(ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	if err := d.furnish(ctx); err != nil {
		_ = d.receivers.Close()
		return err
	}
	d.greet()
	return d.work(ctx)
}

// furnish makes the tenant and its endpoints.
func (d *demo) furnish(ctx context.Context) error {
	engine := d.server.engine
	d.secret = signature.Generate()
	tenant, err := engine.CreateTenant(ctx, webhook.Tenant{UID: demoTenant, Name: "Acme"})
	if err != nil {
		return err
	}
	for _, uid := range []string{goodEndpoint, shakyEndpoint} {
		endpoint := webhook.Endpoint{UID: uid, URL: baseURL(d.receivers) + "/" + uid, Secret: d.secret}
		if _, err := engine.CreateEndpoint(ctx, tenant.ID, endpoint); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) greet() {
	api, token := baseURL(d.server.listener), quote(filepath.Join(d.server.folder, tokenFile))
	d.out.printf(`Neohook demo: a server, two receivers and sample events. Ctrl-C ends it.

  The API is at %s, its token in %s
  Acme's %s takes every event; its %s refuses each fourth one once.

Send one of your own, from another terminal:

    curl -sS -H "Authorization: Bearer $(cat %s)" -H 'Content-Type: application/json' \
      %s/api/v1/app/%s/msg -d '{"eventType": "hello.world", "payload": {"hello": "there"}}'

`, api, token, goodEndpoint, shakyEndpoint, token, api, demoTenant)
}

// work runs the parts until ctx ends or one of them fails, receivers longest: the server
// lets its attempts in flight end.
func (d *demo) work(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	receiving, stopReceiving := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	var received, published error
	wg.Go(func() {
		defer stop()
		received = d.receive(receiving)
	})
	wg.Go(func() {
		defer stop()
		published = d.trickle(ctx)
	})
	served := d.server.run(ctx)
	stop()
	stopReceiving()
	wg.Wait()
	return errors.Join(served, received, published)
}

// samples are what happens at Acme.
var samples = []webhook.Event{
	{Type: "invoice.paid", Payload: []byte(`{"invoice": "2026-0042", "amount": "19.90", "currency": "EUR"}`)},
	{Type: "order.shipped", Payload: []byte(`{"order": 1007, "parcels": 2}`)},
	{Type: "customer.created", Payload: []byte(`{"customer": "cus_81", "name": "Ada"}`)},
}

// trickle publishes samples until ctx ends.
func (d *demo) trickle(ctx context.Context) error {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for n := 0; ; n++ {
		err := d.publish(ctx, samples[n%len(samples)])
		if ctx.Err() != nil || errors.Is(err, neohook.ErrStopped) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("publish a sample: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *demo) publish(ctx context.Context, event webhook.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	event.Tenant = demoTenant
	accepted, err := d.server.engine.Publish(ctx, event)
	if err != nil {
		return err
	}
	id := string(accepted.ID)
	d.accepted[id] = accepted.AcceptedAt
	d.tell(accepted.AcceptedAt, "33", "accepted", id, event.Type)
	return nil
}

// receive answers both endpoints until ctx ends.
func (d *demo) receive(ctx context.Context) error {
	verifier, err := signature.NewVerifier(d.secret)
	if err != nil {
		return err
	}
	var shaky refuser
	handler := &receiver{
		verifier: verifier,
		maxBody:  2 << 20,
		answer: func(got reception) int {
			if got.Path == "/"+shakyEndpoint {
				return shaky.answer(got.ID)
			}
			return http.StatusOK
		},
		seen: d.arrived,
	}
	return serveHTTP(ctx, newHTTPServer(handler, slog.New(slog.DiscardHandler)), d.receivers, receiveGrace)
}

// refuser refuses each fourth event once.
type refuser struct {
	events  atomic.Int64
	refused sync.Map // ids of events
}

func (r *refuser) answer(id string) int {
	if _, again := r.refused.LoadAndDelete(id); again || r.events.Add(1)%4 != 0 {
		return http.StatusOK
	}
	r.refused.Store(id, true)
	return http.StatusServiceUnavailable
}

// arrived tells of a request that a receiver got.
func (d *demo) arrived(got reception) {
	d.mu.Lock()
	defer d.mu.Unlock()
	endpoint := got.Path[1:]
	if got.Status != http.StatusOK {
		d.tell(got.At, "31", "refused", got.ID, fmt.Sprintf("by %s with %d: it will come again", endpoint, got.Status))
		return
	}
	what := fmt.Sprintf("a body of %d bytes", len(got.Body)) // somebody else's event
	if at, ours := d.accepted[got.ID]; ours {
		what = fmt.Sprintf("%v after it was accepted", briefly(got.At.Sub(at)))
	}
	d.tell(got.At, "32", "delivered", got.ID, fmt.Sprintf("to %s, signature %s, %s", endpoint, got.Signature, what))
}

// briefly rounds to what a person reads.
func briefly(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}

func (d *demo) tell(at time.Time, colour, what, id, more string) {
	d.out.printf("%s  %s  %s  %s\n", d.out.dim(at.Format("15:04:05.000")),
		d.out.paint(colour, fmt.Sprintf("%-9s", what)), harmless(id), harmless(more))
}
