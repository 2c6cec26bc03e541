package adapter_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// From an HTTP client of one's own: the request becomes a delivery to an endpoint, and the
// status a result.
func Example_migrationFromHTTP() {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	payload := []byte(`{"event":"test.event","data":{"id":123}}`)

	// Before: no signature, no bound on the answer, any address, an error or a status.
	before := func(ctx context.Context, url string, payload []byte) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(payload))
		if err != nil {
			return false, err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, err
		}
		defer response.Body.Close() //nolint:errcheck // it was not read
		return response.StatusCode == http.StatusOK, nil
	}
	fmt.Println(before(context.Background(), receiver.URL, payload))

	// After.
	adapter, err := httpadapter.New(httpadapter.Options{Egress: loopback})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close() //nolint:errcheck // always nil
	after := func(ctx context.Context, endpoint *webhook.Endpoint, payload []byte) webhook.Result {
		event := &webhook.Event{ID: webhook.NewEventID(), Type: "test.event", Payload: payload}
		return adapter.Deliver(ctx, webhook.NewDelivery(event, endpoint), endpoint)
	}
	result := after(context.Background(), &webhook.Endpoint{URL: receiver.URL, Secret: signature.Generate()}, payload)
	fmt.Println(result.Success, result.Fault)
	// Output:
	// true <nil>
	// true <nil>
}

// From another library of webhooks: its receivers and messages become an Endpoint and an
// Event, its secret stays, and whatever verifies Standard Webhooks verifies on.
func Example_migrationFromOtherLibraries() {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	verifier, err := signature.NewVerifier(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	receiver := httptest.NewServer(verifier.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("verified, of", r.Header.Get("X-Tenant"))
	})))
	defer receiver.Close()

	old := struct { // as another library keeps it
		url, secret    string
		timeoutSeconds int
		headers        map[string]string
	}{receiver.URL, secret, 20, map[string]string{"X-Tenant": "acme"}}
	endpoint := &webhook.Endpoint{
		ID: webhook.NewEndpointID(), URL: old.url, Secret: webhook.Secret(old.secret),
		Timeout: time.Duration(old.timeoutSeconds) * time.Second, Headers: old.headers,
	}
	if err := endpoint.Validate(); err != nil { // all that is wrong with it, at once
		fmt.Println(err)
		return
	}
	adapter, err := httpadapter.New(httpadapter.Options{Egress: loopback})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close() //nolint:errcheck // always nil
	event := &webhook.Event{ID: webhook.NewEventID(), Type: "invoice.paid", Payload: []byte(`{"invoice":17}`)}
	fmt.Println(adapter.Deliver(context.Background(), webhook.NewDelivery(event, endpoint), endpoint).Success)
	// Output:
	// verified, of acme
	// true
}
