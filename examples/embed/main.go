// Command embed publishes an event from a Go program, without a server: a store, an
// engine, a tenant, an endpoint, an event.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

func main() {
	folder, err := os.MkdirTemp("", "neohook-embed-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := run(context.Background(), filepath.Join(folder, "neohook.db"), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, database string, out io.Writer) error {
	store, err := sqlite.Open(ctx, database)
	if err != nil {
		return err
	}
	defer store.Close()
	engine, err := neohook.New(ctx, store, neohook.Options{
		// This example's receiver is on this machine, which is refused unless allowed.
		Egress: egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()

	arrived, err := publish(ctx, engine)
	if err == nil {
		fmt.Fprintf(out, "arrived and verified: %s\n", <-arrived)
	}
	stop()
	return errors.Join(err, <-ended)
}

func publish(ctx context.Context, engine *neohook.Engine) (<-chan string, error) {
	const secret = webhook.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	receiver, arrived, err := receive(secret)
	if err != nil {
		return nil, err
	}
	if _, err := engine.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}); err != nil {
		return nil, err
	}
	if _, err := engine.CreateEndpoint(ctx, "acme", webhook.Endpoint{URL: receiver, Secret: secret}); err != nil {
		return nil, err
	}
	_, err = engine.Publish(ctx, webhook.Event{Tenant: "acme", Type: "invoice.paid", Payload: []byte(`{"amount": 1250}`)})
	return arrived, err
}

// receive is the other side: a customer's server, which checks the signature.
func receive(secret webhook.Secret) (url string, arrived <-chan string, err error) {
	verifier, err := signature.NewVerifier(secret)
	if err != nil {
		return "", nil, err
	}
	bodies := make(chan string, 1)
	server := httptest.NewServer(verifier.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
	})))
	return server.URL, bodies, nil
}
