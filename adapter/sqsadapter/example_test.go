package sqsadapter_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/neohook/neohook/adapter/sqsadapter"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// A delivery to a queue. The server of the example takes the place of an emulator; with
// Amazon there are no AllowedEndpoints, and the Config is that of config.LoadDefaultConfig.
func Example() {
	server := httptest.NewServer(&queues{})
	defer server.Close()
	adapter, err := sqsadapter.New(sqsadapter.Options{
		Config:           aws.Config{Region: "eu-central-1", Credentials: credentials},
		Queues:           []string{"123456789012/webhooks-*"},
		AllowedEndpoints: []string{server.URL},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close()

	result := adapter.Deliver(context.Background(), &webhook.Delivery{
		Event: webhook.NewEventID(), EventType: "invoice.paid", Payload: []byte(`{"invoice":"4711"}`),
	}, &webhook.Endpoint{
		ID: webhook.NewEndpointID(), URL: server.URL + "/123456789012/webhooks-acme.fifo", Secret: signature.Generate(),
	})
	fmt.Println(result.Success, result.StatusCode)
	fmt.Printf("%s\n", result.Body)
	// Output:
	// true 200
	// {"MessageId":"message-1","SequenceNumber":"1001"}
}

// An endpoint's URL comes from a tenant, so it does not get to choose the host, nor any
// queue that was not meant for it.
func Example_untrustedURLs() {
	adapter, err := sqsadapter.New(sqsadapter.Options{
		Config: aws.Config{Region: "eu-central-1", Credentials: credentials},
		Queues: []string{"123456789012/webhooks-*"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adapter.Close()

	for _, url := range []string{
		"https://sqs.eu-central-1.amazonaws.com.example.com/123456789012/webhooks-acme",
		"https://sqs.eu-central-1.amazonaws.com/123456789012/payroll",
	} {
		result := adapter.Deliver(context.Background(), &webhook.Delivery{
			Event: webhook.NewEventID(), Payload: []byte(`{}`),
		}, &webhook.Endpoint{ID: webhook.NewEndpointID(), URL: url})
		fmt.Printf("%s: %s\n", result.Fault.Code, result.Fault.Message)
	}
	// Output:
	// blocked_address: https://sqs.eu-central-1.amazonaws.com.example.com is not a host of Amazon SQS, nor among the AllowedEndpoints
	// blocked_address: this endpoint may not send there: the queue payroll of the account 123456789012 is not among those that may be sent to
}

// Which queue is which tenant's is the embedding program's to know.
func ExampleOptions_allow() {
	owner := map[string]webhook.TenantID{"webhooks-acme.fifo": "app_acme"}
	opts := sqsadapter.Options{
		Queues: []string{"123456789012/webhooks-*"},
		Allow: func(endpoint *webhook.Endpoint, queue sqsadapter.Queue) error {
			if owner[queue.Name] != endpoint.Tenant {
				return fmt.Errorf("%s is not a queue of %s", queue.Name, endpoint.Tenant)
			}
			return nil
		},
	}
	fmt.Println(opts.Allow(&webhook.Endpoint{Tenant: "app_other"}, sqsadapter.Queue{Name: "webhooks-acme.fifo"}))
	// Output: webhooks-acme.fifo is not a queue of app_other
}

// A consumer verifies what comes out of its queue, and deletes it once it has worked it.
func ExampleOpen() {
	consume := func(ctx context.Context, client *sqs.Client, queue string, verifier *signature.Verifier, work func(sqsadapter.Message) error) error {
		received, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &queue, MaxNumberOfMessages: 10, WaitTimeSeconds: 20,
			MessageAttributeNames:       []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameSentTimestamp},
		})
		if err != nil {
			return err
		}
		for _, message := range received.Messages {
			opened, err := sqsadapter.Open(verifier, message)
			if err != nil {
				continue // it goes to the dead-letter queue in the end
			}
			if err := work(opened); err != nil {
				return err
			}
			if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: message.ReceiptHandle}); err != nil {
				return err
			}
		}
		return nil
	}
	_ = consume

	// A message as it comes out of the queue.
	secret := webhook.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	key, err := signature.Parse(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	text := func(value string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	const body = `{"invoice":"4711"}`
	message := types.Message{
		Body:       aws.String(body),
		Attributes: map[string]string{"SentTimestamp": "1767322000123"},
		MessageAttributes: map[string]types.MessageAttributeValue{
			sqsadapter.AttributeID:        text("msg_1"),
			sqsadapter.AttributeTimestamp: text("1767322000"),
			sqsadapter.AttributeSignature: text(signature.Sign([]signature.Key{key}, "msg_1", time.Unix(1767322000, 0), []byte(body))),
			sqsadapter.AttributeEventType: text("invoice.paid"),
		},
	}

	verifier, err := signature.NewVerifier(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, err := sqsadapter.Open(verifier, message)
	fmt.Println(opened.ID, opened.EventType, string(opened.Payload), err)
	message.Body = aws.String(strings.Replace(body, "4711", "4712", 1))
	_, err = sqsadapter.Open(verifier, message)
	fmt.Println(err)
	// Output:
	// msg_1 invoice.paid {"invoice":"4711"} <nil>
	// no signature matches
}
