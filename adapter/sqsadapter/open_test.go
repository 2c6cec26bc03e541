package sqsadapter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/neohook/neohook/adapter/sqsadapter"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// received is a message as ReceiveMessage returns what was sent, taken by SQS at an instant.
func received(s sent, at time.Time) types.Message {
	message := types.Message{
		Body:              &s.Body,
		Attributes:        map[string]string{"SentTimestamp": fmt.Sprint(at.UnixMilli())},
		MessageAttributes: map[string]types.MessageAttributeValue{},
	}
	for name, attribute := range s.Attributes {
		message.MessageAttributes[name] = types.MessageAttributeValue{DataType: &attribute.DataType, StringValue: &attribute.StringValue}
	}
	return message
}

func TestOpen(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	endpoint := server.endpoint("events")
	endpoint.RetiringSecrets = []webhook.RetiringSecret{{Secret: "the old secret", Expires: time.Now().Add(time.Hour)}}
	const payload = "\x00 not a text"
	if r := adapter.Deliver(t.Context(), delivery(payload), endpoint); !r.Success {
		t.Fatal(r.ErrorMessage())
	}
	now := time.Now()
	set := func(m *types.Message, name, value string) {
		m.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	for name, test := range map[string]struct {
		secret webhook.Secret
		change func(*types.Message)
		want   error
	}{
		"as it came":            {secret: endpoint.Secret},
		"by the retiring key":   {secret: "the old secret"},
		"by another key":        {secret: "another secret", want: signature.ErrNoMatch},
		"another body":          {endpoint.Secret, func(m *types.Message) { m.Body = aws.String("AGJ5dGVz") }, signature.ErrNoMatch},
		"no body":               {endpoint.Secret, func(m *types.Message) { m.Body = nil }, signature.ErrNoMatch},
		"the body as it stands": {endpoint.Secret, func(m *types.Message) { delete(m.MessageAttributes, "webhook-encoding") }, signature.ErrNoMatch},
		"not base64":            {endpoint.Secret, func(m *types.Message) { m.Body = aws.String("%") }, sqsadapter.ErrBadEncoding},
		"another encoding":      {endpoint.Secret, func(m *types.Message) { set(m, "webhook-encoding", "zip") }, sqsadapter.ErrBadEncoding},
		"another id":            {endpoint.Secret, func(m *types.Message) { set(m, "webhook-id", "msg_2") }, signature.ErrNoMatch},
		"no attributes":         {endpoint.Secret, func(m *types.Message) { m.MessageAttributes = nil }, signature.ErrNoHeaders},
		"no system attributes":  {endpoint.Secret, func(m *types.Message) { m.Attributes = nil }, sqsadapter.ErrNoSentTimestamp},
		"sent again much later": {endpoint.Secret, func(m *types.Message) {
			m.Attributes["SentTimestamp"] = fmt.Sprint(now.Add(6 * time.Minute).UnixMilli())
		}, signature.ErrTooOld},
	} {
		t.Run(name, func(t *testing.T) {
			verifier, err := signature.NewVerifier(test.secret)
			if err != nil {
				t.Fatal(err)
			}
			message := received(server.messages()[0], now)
			if test.change != nil {
				test.change(&message)
			}
			got, err := sqsadapter.Open(verifier, message)
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Fatalf("err = %v, want %v", err, test.want)
			}
			if err == nil && (string(got.Payload) != payload || got.ID != "msg_1" || got.EventType != "invoice.paid" || now.Sub(got.SentAt) > time.Minute) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// Whatever is published is what a consumer opens, and what is sent SQS takes as it is.
func FuzzThePayloadArrivesByteForByte(f *testing.F) {
	server := serve(f, nil)
	adapter := open(f, sqsadapter.Options{}, server)
	endpoint := server.endpoint("events")
	verifier, err := signature.NewVerifier(endpoint.Secret)
	if err != nil {
		f.Fatal(err)
	}
	for _, payload := range []string{`{"a":1}`, "\x00", "\xff", "\ufffe", "\ufffd", "\r\n\t", "😀", "\xed\xa0\x80", " "} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := len(server.messages())
		r := adapter.Deliver(t.Context(), &webhook.Delivery{Event: "msg_1", Payload: payload}, endpoint)
		if len(payload) == 0 {
			checkFault(t, r, webhook.FaultClient, webhook.FaultInvalidRequest, 0)
			return
		}
		if !r.Success {
			t.Fatal(r.ErrorMessage())
		}
		message := server.messages()[before]
		// #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF
		if bad := strings.IndexFunc(message.Body, func(c rune) bool {
			return !(c == 0x9 || c == 0xA || c == 0xD || 0x20 <= c && c <= 0xD7FF || 0xE000 <= c && c <= 0xFFFD || 0x10000 <= c && c <= 0x10FFFF)
		}); bad >= 0 {
			t.Errorf("the body %q has what SQS does not take at %d", message.Body, bad)
		}
		got, err := sqsadapter.Open(verifier, received(message, time.Now()))
		if err != nil || string(got.Payload) != string(payload) {
			t.Errorf("payload = %q, %v; want %q", got.Payload, err, payload)
		}
	})
}
