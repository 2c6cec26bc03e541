package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
)

// newClient returns a published client, pointed at the server.
func newClient(t *testing.T, p *process) *svix.Svix {
	t.Helper()
	server, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	client, err := svix.New(p.token, &svix.SvixOptions{ServerUrl: server, RetrySchedule: &[]time.Duration{}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// statusOf is the HTTP status in a client's error.
func statusOf(err error) int {
	if refused, ok := errors.AsType[*svix.Error](err); ok {
		return refused.Status()
	}
	return 0
}

func ptr[T any](v T) *T { return &v }

// verify holds a webhook against both published verifiers.
func verify(t *testing.T, secret string, got delivered) {
	t.Helper()
	theirs, err := svix.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.Verify(got.body, got.header); err != nil {
		t.Errorf("Svix's verifier: %v", err)
	}
	common, err := standard.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := common.Verify(got.body, got.header); err != nil {
		t.Errorf("the verifier of Standard Webhooks: %v", err)
	}
}

// The whole way with a published client: make an application, an endpoint and a message,
// have it delivered, and read back what happened.
func TestAPublishedClientSendsAnEventThroughTheBinary(t *testing.T) {
	ctx := t.Context()
	server := startProcess(t, t.TempDir())
	client := newClient(t, server)
	receiver := newSink(t, nil)

	if err := client.Health.Get(ctx); err != nil {
		t.Fatalf("health: %v", err)
	}
	app, err := client.Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: ptr("acme")}, nil)
	if err != nil {
		t.Fatalf("create application: %v", err)
	}
	endpoint, err := client.Endpoint.Create(ctx, app.Id, models.EndpointIn{
		Url: receiver.URL + "/in", Uid: ptr("first"), Description: ptr("of Acme"),
	}, nil)
	if err != nil {
		t.Fatalf("create endpoint: %v", err)
	}
	secret, err := client.Endpoint.GetSecret(ctx, app.Id, endpoint.Id)
	if err != nil {
		t.Fatalf("get secret: %v", err)
	}
	payload := map[string]any{"invoice": 42, "text": "ä\u2028<&>"}
	message, err := client.Message.Create(ctx, "acme", models.MessageIn{
		EventType: "invoice.paid", EventId: ptr("invoice-42"), Payload: payload,
	}, nil)
	if err != nil {
		t.Fatalf("create message: %v", err)
	}

	got := <-receiver.arrivals
	want, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	if got.id != message.Id || got.path != "/in" || string(got.body) != string(want) {
		t.Errorf("the receiver got %s at %s:\n%s\nwant %s at /in:\n%s", got.id, got.path, got.body, message.Id, want)
	}
	verify(t, secret.Key, got)

	read, err := client.Message.Get(ctx, "acme", "invoice-42", nil)
	if err != nil || read.Id != message.Id || read.EventType != "invoice.paid" || read.Payload["invoice"] != 42.0 {
		t.Errorf("message reads back as %+v, %v", read, err)
	}
	attempts := awaitAttempts(t, client, message.Id, 1)
	if a := attempts[0]; a.EndpointId != endpoint.Id || a.ResponseStatusCode != 200 || a.Status != models.MESSAGESTATUS_SUCCESS {
		t.Errorf("attempt is %+v, want a success at the endpoint", a)
	}
	atEndpoint, err := client.MessageAttempt.ListByEndpoint(ctx, "acme", "first", nil)
	if err != nil || len(atEndpoint.Data) != 1 || atEndpoint.Data[0].Id != attempts[0].Id {
		t.Errorf("attempts at the endpoint are %+v, %v; want the same one", atEndpoint, err)
	}
	one, err := client.MessageAttempt.Get(ctx, "acme", message.Id, attempts[0].Id, nil)
	if err != nil || one.Url != receiver.URL+"/in" {
		t.Errorf("attempt reads as %+v, %v", one, err)
	}
	apps, err := client.Application.List(ctx, nil)
	if err != nil || len(apps.Data) != 1 || apps.Data[0].Id != app.Id || !apps.Done {
		t.Errorf("applications are %+v, %v; want Acme alone", apps, err)
	}
}

// awaitAttempts asks until n attempts of a message are recorded, oldest first.
func awaitAttempts(t *testing.T, client *svix.Svix, message string, n int) []models.MessageAttemptOut {
	t.Helper()
	for {
		list, err := client.MessageAttempt.ListByMsg(t.Context(), "acme", message, nil)
		if err != nil {
			t.Fatalf("attempts of %s: %v", message, err)
		}
		if len(list.Data) >= n {
			attempts := make([]models.MessageAttemptOut, len(list.Data))
			for i, attempt := range list.Data {
				attempts[len(list.Data)-1-i] = attempt
			}
			return attempts
		}
	}
}

func TestEndpointsChangeThroughTheBinary(t *testing.T) {
	ctx := t.Context()
	server := startProcess(t, t.TempDir())
	client := newClient(t, server)
	receiver := newSink(t, nil)
	app, err := client.Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: ptr("acme")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := client.Endpoint.Create(ctx, app.Id, models.EndpointIn{Url: receiver.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	publish := func() delivered {
		t.Helper()
		_, err := client.Message.Create(ctx, app.Id, models.MessageIn{EventType: "a.b", Payload: map[string]any{"a": 1}}, nil)
		if err != nil {
			t.Fatalf("create message: %v", err)
		}
		return <-receiver.arrivals
	}

	before, err := client.Endpoint.GetSecret(ctx, app.Id, endpoint.Id)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Endpoint.RotateSecret(ctx, app.Id, endpoint.Id, models.EndpointSecretRotateIn{}, nil); err != nil {
		t.Fatalf("rotate: %v", err)
	}
	after, err := client.Endpoint.GetSecret(ctx, app.Id, endpoint.Id)
	if err != nil || after.Key == before.Key {
		t.Fatalf("secret after the rotation is the old one, %v", err)
	}
	got := publish()
	verify(t, before.Key, got)
	verify(t, after.Key, got)

	err = client.Endpoint.UpdateHeaders(ctx, app.Id, endpoint.Id, models.EndpointHeadersIn{
		Headers: map[string]string{"X-Team": "billing", "Authorization": "Bearer hidden"},
	})
	if err != nil {
		t.Fatalf("headers: %v", err)
	}
	got = publish()
	if got.header.Get("X-Team") != "billing" || got.header.Get("Authorization") != "Bearer hidden" {
		t.Errorf("the receiver got headers %v, want those of the endpoint", got.header)
	}
	headers, err := client.Endpoint.GetHeaders(ctx, app.Id, endpoint.Id)
	if err != nil || headers.Headers["X-Team"] != "billing" || headers.Headers["Authorization"] != "" || len(headers.Sensitive) != 1 {
		t.Errorf("headers read as %+v, %v; want Authorization hidden", headers, err)
	}

	moved := models.EndpointPatch{}
	moved.Url = ptr(receiver.URL + "/moved")
	if _, err := client.Endpoint.Patch(ctx, app.Id, endpoint.Id, moved); err != nil {
		t.Fatalf("patch: %v", err)
	}
	if got := publish(); got.path != "/moved" {
		t.Errorf("the next event went to %s, want /moved", got.path)
	}
	if err := client.Endpoint.Delete(ctx, app.Id, endpoint.Id); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if _, err := client.Endpoint.Get(ctx, app.Id, endpoint.Id); statusOf(err) != http.StatusNotFound {
		t.Errorf("the deleted endpoint gives %v, want 404", err)
	}
}

// firstMessage gives acme its one endpoint, and a message.
func firstMessage(t *testing.T, client *svix.Svix, url string) *models.MessageOut {
	t.Helper()
	if _, err := client.Application.Create(t.Context(), models.ApplicationIn{Name: "Acme", Uid: ptr("acme")}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Endpoint.Create(t.Context(), "acme", models.EndpointIn{Url: url}, nil); err != nil {
		t.Fatal(err)
	}
	message, err := client.Message.Create(t.Context(), "acme", models.MessageIn{EventType: "a", Payload: map[string]any{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func TestAFailureIsRetriedAndToldOf(t *testing.T) {
	server := startProcess(t, t.TempDir(), "--retry-schedule", "50ms,50ms,50ms")
	client := newClient(t, server)
	receiver := newSink(t, func(got delivered) int {
		if got.count < 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	})
	message := firstMessage(t, client, receiver.URL)
	attempts := awaitAttempts(t, client, message.Id, 3)
	for i, want := range []int16{503, 503, 204} {
		a := attempts[i]
		if a.ResponseStatusCode != want || (a.Status == models.MESSAGESTATUS_SUCCESS) != (want == 204) || a.ResponseDurationMs < 0 {
			t.Errorf("attempt %d is %+v, want status %d", i+1, a, want)
		}
	}
	for range 3 {
		if got := <-receiver.arrivals; got.id != message.Id {
			t.Errorf("an attempt came with the id %s, want %s", got.id, message.Id)
		}
	}
}

func TestPrivateAddressesAreRefusedUnlessAllowed(t *testing.T) {
	server := startProcess(t, t.TempDir(), "--egress-allow=10.0.0.0/8", "--retry-schedule", "none")
	client := newClient(t, server)
	receiver := newSink(t, nil)
	message := firstMessage(t, client, receiver.URL)
	attempts := awaitAttempts(t, client, message.Id, 1)
	if a := attempts[0]; a.ResponseStatusCode != 0 || a.Status != models.MESSAGESTATUS_FAIL || a.Response == "" {
		t.Errorf("attempt is %+v, want a failure without an answer, and why", a)
	}
	select {
	case got := <-receiver.arrivals:
		t.Errorf("the receiver on loopback got %s", got.id)
	default:
	}
}

func TestAPublishedClientIsToldWhatIsWrong(t *testing.T) {
	ctx := t.Context()
	server := startProcess(t, t.TempDir())
	client := newClient(t, server)
	if _, err := client.Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: ptr("acme")}, nil); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		call func() error
		want int
	}{
		"uid is taken": {func() error {
			_, err := client.Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: ptr("acme")}, nil)
			return err
		}, 409},
		"no such application": {func() error { _, err := client.Application.Get(ctx, "nobody"); return err }, 404},
		"no name": {func() error {
			_, err := client.Application.Create(ctx, models.ApplicationIn{}, nil)
			return err
		}, 422},
		"not a URL": {func() error {
			_, err := client.Endpoint.Create(ctx, "acme", models.EndpointIn{Url: "gopher://x"}, nil)
			return err
		}, 422},
		"not served": {func() error { _, err := client.Connector.List(ctx, nil); return err }, 404},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := test.call(); statusOf(err) != test.want {
				t.Errorf("error is %v, want status %d", err, test.want)
			}
		})
	}
	stranger := *server
	stranger.token = "nh_wrong"
	if _, err := newClient(t, &stranger).Application.List(ctx, nil); statusOf(err) != http.StatusUnauthorized {
		t.Errorf("a wrong token gives %v, want 401", err)
	}
}

func TestARepeatedPublishIsOneMessage(t *testing.T) {
	ctx := t.Context()
	server := startProcess(t, t.TempDir())
	client := newClient(t, server)
	if _, err := client.Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: ptr("acme")}, nil); err != nil {
		t.Fatal(err)
	}
	in := models.MessageIn{EventType: "a", Payload: map[string]any{"n": 1}}
	once := &svix.MessageCreateOptions{IdempotencyKey: ptr("key-1")}
	first, err := client.Message.Create(ctx, "acme", in, once)
	if err != nil {
		t.Fatal(err)
	}
	again, err := client.Message.Create(ctx, "acme", in, once)
	if err != nil || again.Id != first.Id {
		t.Errorf("the repeat is %+v, %v; want %s", again, err, first.Id)
	}
	in.Payload["n"] = 2
	if _, err := client.Message.Create(ctx, "acme", in, once); statusOf(err) != http.StatusConflict {
		t.Errorf("the key with another body gives %v, want 409", err)
	}
}
