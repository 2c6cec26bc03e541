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
	if err == nil {
		err = run(context.Background(), filepath.Join(folder, "neohook.db"), os.Stdout)
	}
	_ = os.RemoveAll(folder)
	if err != nil {
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
	receiver, arrived, err := receive()
	if err != nil {
		return err
	}
	defer receiver.Close()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()

	if err = publish(ctx, engine, receiver.URL); err == nil {
		select {
		case body := <-arrived:
			fmt.Fprintf(out, "arrived and verified: %s\n", body)
		case err := <-ended: // the store has failed: nothing will arrive
			return err
		}
	}
	stop()
	return errors.Join(err, <-ended) // what was in flight has ended
}

func publish(ctx context.Context, engine *neohook.Engine, url string) error {
	if _, err := engine.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}); err != nil {
		return err
	}
	if _, err := engine.CreateEndpoint(ctx, "acme", webhook.Endpoint{URL: url, Secret: secret}); err != nil {
		return err
	}
	_, err := engine.Publish(ctx, webhook.Event{Tenant: "acme", Type: "invoice.paid", Payload: []byte(`{"amount": 1250}`)})
	return err
}

// secret is known to both sides. Without one the engine would make one, to be read from
// the endpoint and given to the customer.
const secret = webhook.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

// receive is the other side: a customer's server, which checks the signature.
func receive() (server *httptest.Server, arrived <-chan string, err error) {
	verifier, err := signature.NewVerifier(secret)
	if err != nil {
		return nil, nil, err
	}
	bodies := make(chan string, 1)
	server = httptest.NewServer(verifier.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // the verifier has read it already
		bodies <- string(body)
	})))
	return server, bodies, nil
}
