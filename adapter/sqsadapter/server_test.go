package sqsadapter_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/neohook/neohook/adapter/sqsadapter"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// The tests here run against a server that speaks SQS: the one at NEOHOOK_TEST_SQS
// ("http://127.0.0.1:9324"), else a moto (pip install 'moto[server]') that python3 on the
// PATH can start. Without either they are left out, or fail if NEOHOOK_CI is 1.

// moto is a server of the tests' own. It ends with its standard input, and so with the
// tests, however they end.
const moto = `
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(["-H", "127.0.0.1", "-p", "0"])
`

var stopMoto = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stopMoto()
	os.Exit(code)
}

// server finds or starts the server, once.
var server = sync.OnceValues(func() (string, error) {
	if address := os.Getenv("NEOHOOK_TEST_SQS"); address != "" {
		return strings.TrimSuffix(address, "/"), nil
	}
	command := exec.Command("python3", "-c", moto)
	stdin, err := command.StdinPipe()
	if err != nil {
		return "", err
	}
	stderr, err := command.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", err
	}
	stopMoto = func() { _ = stdin.Close(); _ = command.Wait() }
	var said strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if _, address, found := strings.Cut(lines.Text(), "Running on "); found {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return strings.TrimSpace(address), nil
		}
		said.WriteString(lines.Text() + "\n")
	}
	return "", errors.New(said.String())
})

// broker is a client of the server, as a consumer has one.
type broker struct {
	*sqs.Client
	address string
}

func newBroker(t *testing.T) broker {
	t.Helper()
	address, err := server()
	switch {
	case err != nil && os.Getenv("NEOHOOK_CI") == "1":
		t.Fatal("no server that speaks SQS could be started: ", err)
	case err != nil:
		t.Skip("left out: NEOHOOK_TEST_SQS names no server that speaks SQS, and moto could not be started: ", err)
	}
	return broker{sqs.NewFromConfig(config(), func(o *sqs.Options) { o.BaseEndpoint = &address }), address}
}

// queue makes a queue and an endpoint for it. The name is the test's.
func (b broker) queue(t *testing.T, suffix string, attributes map[string]string) *webhook.Endpoint {
	t.Helper()
	if strings.HasSuffix(suffix, ".fifo") {
		attributes = maps.Clone(attributes)
		if attributes == nil {
			attributes = map[string]string{}
		}
		attributes["FifoQueue"] = "true"
	}
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == '.' {
			return '_'
		}
		return r
	}, t.Name()) + suffix
	made, err := b.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = b.DeleteQueue(context.WithoutCancel(t.Context()), &sqs.DeleteQueueInput{QueueUrl: made.QueueUrl})
	})
	_, path, _ := strings.Cut(strings.TrimPrefix(*made.QueueUrl, "http://"), "/")
	return &webhook.Endpoint{ID: webhook.NewEndpointID(), URL: b.address + "/" + path, Secret: signature.Generate()}
}

func (b broker) adapter(t *testing.T) *sqsadapter.Adapter {
	t.Helper()
	return open(t, sqsadapter.Options{AllowedEndpoints: []string{b.address}})
}

// receive takes what there is out of a queue, in the queue's order.
func (b broker) receive(t testing.TB, endpoint *webhook.Endpoint) []types.Message {
	t.Helper()
	var all []types.Message
	for {
		got, err := b.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &endpoint.URL, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) == 0 {
			return all
		}
		for _, message := range got.Messages {
			if _, err := b.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &endpoint.URL, ReceiptHandle: message.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, got.Messages...)
	}
}

// receiveOne opens the only message in a queue.
func (b broker) receiveOne(t testing.TB, endpoint *webhook.Endpoint) sqsadapter.Message {
	t.Helper()
	messages := b.receive(t, endpoint)
	if len(messages) != 1 {
		t.Fatalf("%d messages are in the queue, want 1", len(messages))
	}
	verifier, err := signature.NewVerifier(endpoint.Secret)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := sqsadapter.Open(verifier, messages[0])
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func event(payload string) *webhook.Delivery {
	return &webhook.Delivery{ID: webhook.NewDeliveryID(), Event: webhook.NewEventID(), EventType: "invoice.paid", Payload: []byte(payload)}
}

func TestServerGivesBackWhatWasSent(t *testing.T) {
	broker := newBroker(t)
	adapter := broker.adapter(t)
	for name, payload := range map[string]string{
		"JSON":                 ` {"b":1.10, "a":"\u00fc <&> \/", "a":12345678901234567890}`,
		"every kind of white":  "\ta\r\nb\n\rc\r \n",
		"many bytes":           "ü€😀\u007f\u0080\u2028\ufffd\U0010ffff",
		"not a character":      "{\"a\":\"\ufffe\uffff\"}",
		"bytes":                "\x00\x01\xff\xfe\x80",
		"what looks like more": `"}],"MessageBody":"x`,
		"a byte":               "0",
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, sent := broker.queue(t, "", nil), event(payload)
			r := adapter.Deliver(t.Context(), sent, endpoint)
			if !r.Success {
				t.Fatalf("the delivery failed: %s", r.ErrorMessage())
			}
			got := broker.receiveOne(t, endpoint)
			if string(got.Payload) != payload || got.ID != sent.Event || got.EventType != "invoice.paid" {
				t.Errorf("got %+v, want the payload %q of %s", got, payload, sent.Event)
			}
		})
	}
}

func TestServerKeepsTheHeadersAsAttributes(t *testing.T) {
	broker := newBroker(t)
	endpoint := broker.queue(t, "", nil)
	endpoint.Headers = map[string]string{"X-Api-Key": "grün", "Authorization": "Bearer t"}
	r := broker.adapter(t).Deliver(t.Context(), event(`{}`), endpoint)
	if !r.Success {
		t.Fatal(r.ErrorMessage())
	}
	message := broker.receive(t, endpoint)[0]
	if got := aws.ToString(message.MessageAttributes["X-Api-Key"].StringValue); got != "grün" {
		t.Errorf("X-Api-Key = %q", got)
	}
	if got, want := http.Header(r.Header).Get(sqsadapter.HeaderMessageID), aws.ToString(message.MessageId); got != want || got == "" {
		t.Errorf("the result has the message id %q, the queue %q", got, want)
	}
}

func TestServerKeepsAnEndpointsOrder(t *testing.T) {
	broker := newBroker(t)
	adapter := broker.adapter(t)
	one := broker.queue(t, ".fifo", nil)
	other := &webhook.Endpoint{ID: webhook.NewEndpointID(), URL: one.URL, Secret: one.Secret}
	const each = 25
	numbers := map[string]bool{}
	for n := range each {
		for _, endpoint := range []*webhook.Endpoint{one, other} {
			r := adapter.Deliver(t.Context(), event(fmt.Sprint(n)), endpoint)
			if !r.Success {
				t.Fatal(r.ErrorMessage())
			}
			numbers[http.Header(r.Header).Get(sqsadapter.HeaderSequenceNumber)] = true
		}
	}
	groups := map[string][]string{}
	for _, message := range broker.receive(t, one) {
		group := message.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
		groups[group] = append(groups[group], *message.Body)
		if number := message.Attributes[string(types.MessageSystemAttributeNameSequenceNumber)]; !numbers[number] {
			t.Errorf("no result has the sequence number %q", number)
		}
	}
	for _, endpoint := range []*webhook.Endpoint{one, other} {
		got := groups[string(endpoint.ID)]
		if len(got) != each {
			t.Fatalf("the group of %s has %d messages, want %d", endpoint.ID, len(got), each)
		}
		for n, body := range got {
			if body != fmt.Sprint(n) {
				t.Fatalf("the group of %s is %q", endpoint.ID, got)
			}
		}
	}
}

func TestServerDropsARepeatedAttempt(t *testing.T) {
	broker := newBroker(t)
	adapter := broker.adapter(t)
	endpoint, sent := broker.queue(t, ".fifo", nil), event(`{"n":1}`)
	for attempt := range 3 {
		sent.Attempt = attempt + 1
		if r := adapter.Deliver(t.Context(), sent, endpoint); !r.Success || r.Attempt != attempt+1 {
			t.Fatalf("attempt %d: %s", r.Attempt, r.ErrorMessage())
		}
	}
	if r := adapter.Deliver(t.Context(), event(`{"n":1}`), endpoint); !r.Success { // the same payload of another event
		t.Fatal(r.ErrorMessage())
	}
	if n := len(broker.receive(t, endpoint)); n != 2 {
		t.Errorf("%d messages are in the queue, want one for each of two events", n)
	}
}

func TestServerTakesAMessageOfTheLimit(t *testing.T) {
	broker := newBroker(t)
	adapter := broker.adapter(t)
	endpoint := broker.queue(t, "", nil)
	r := adapter.Verify(t.Context(), endpoint, []byte("x"))
	if !r.Success {
		t.Fatal(r.ErrorMessage())
	}
	limit := 0
	_, _ = fmt.Sscan(http.Header(r.Header).Get(sqsadapter.HeaderMaximumMessageSize), &limit)
	if limit < 1024 {
		t.Fatalf("the queue's limit is %d", limit)
	}
	const attributes = 400 // at most
	if r := adapter.Deliver(t.Context(), event(strings.Repeat("x", limit-attributes)), endpoint); !r.Success {
		t.Errorf("under the limit of %d: %s", limit, r.ErrorMessage())
	}
}

func TestServersOwnLowerLimitIsItsRefusal(t *testing.T) {
	broker := newBroker(t)
	endpoint := broker.queue(t, "", map[string]string{"MaximumMessageSize": "1024"})
	r := broker.adapter(t).Deliver(t.Context(), event(strings.Repeat("x", 2000)), endpoint)
	checkFault(t, r, webhook.FaultAnswered, webhook.FaultInvalidRequest, 400)
	if !strings.Contains(r.Fault.Message, "1024") {
		t.Errorf("message = %q, want the queue's limit in it", r.Fault.Message)
	}
}

func TestServerVerifies(t *testing.T) {
	broker := newBroker(t)
	adapter := broker.adapter(t)
	for _, suffix := range []string{"", ".fifo"} {
		endpoint := broker.queue(t, suffix, nil)
		r := adapter.Verify(t.Context(), endpoint, nil)
		if !r.Success {
			t.Fatalf("%q: %s", suffix, r.ErrorMessage())
		}
		if got := broker.receiveOne(t, endpoint); got.EventType != "verification.test" || !strings.Contains(string(got.Payload), `"test":true`) {
			t.Errorf("%q: the verification is %+v", suffix, got)
		}
	}
}

func TestServerHasNoSuchQueue(t *testing.T) {
	broker := newBroker(t)
	adapter := broker.adapter(t)
	endpoint := broker.queue(t, "", nil)
	endpoint.URL += "-not"
	for what, r := range map[string]webhook.Result{
		"Deliver": adapter.Deliver(t.Context(), event(`{}`), endpoint), "Verify": adapter.Verify(t.Context(), endpoint, nil),
	} {
		t.Log(what, r.ErrorMessage())
		checkFault(t, r, webhook.FaultAnswered, sqsadapter.FaultNoSuchQueue, 400)
	}
}

func TestServerIsHealthy(t *testing.T) {
	broker := newBroker(t)
	endpoint := broker.queue(t, "", nil)
	for url, want := range map[string]webhook.HealthStatus{endpoint.URL: webhook.Healthy, endpoint.URL + "-not": webhook.Unhealthy} {
		adapter := open(t, sqsadapter.Options{AllowedEndpoints: []string{broker.address}, HealthQueue: url})
		if health := adapter.Health(t.Context()); health.Status != want {
			t.Errorf("%s is %q for %q, want %q", url, health.Status, health.Reasons, want)
		}
	}
}

func TestServerTakesManyAtOnce(t *testing.T) {
	broker := newBroker(t)
	adapter := broker.adapter(t)
	endpoint := broker.queue(t, "", nil)
	const senders, each = 8, 8
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for n := range each {
				if r := adapter.Deliver(t.Context(), event(fmt.Sprint(sender, "/", n)), endpoint); !r.Success {
					t.Error(r.ErrorMessage())
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, message := range broker.receive(t, endpoint) {
		seen[*message.Body] = true
	}
	if len(seen) != senders*each {
		t.Errorf("%d different messages arrived, want %d", len(seen), senders*each)
	}
}
