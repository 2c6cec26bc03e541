package sqsadapter

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// Message is a webhook that came out of a queue.
type Message struct {
	ID webhook.EventID
	// EventType is not signed: whoever may send to the queue could have set it. A receiver
	// that acts on it reads it from the payload.
	EventType string
	// SentAt is when the attempt was made, in whole seconds.
	SentAt time.Time
	// Payload is as it was published, byte for byte.
	Payload []byte
}

// Reasons for which Open refuses a message, beside those of package signature.
var (
	ErrNoSentTimestamp = errors.New("the message came without SentTimestamp: ask ReceiveMessage for it in MessageSystemAttributeNames")
	ErrBadEncoding     = errors.New("the body is not in the encoding that the message names")
)

// Open verifies a message that an Adapter sent and returns what is in it. It serves the
// queue's consumer, who asks for the attributes that it needs:
//
//	received, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
//		QueueUrl:                    &queue,
//		MessageAttributeNames:       []string{"All"},
//		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameSentTimestamp},
//	})
//
// A message may have waited for days in the queue, so the signature's time is compared
// with that at which SQS took the message (SentTimestamp, which no sender sets), and not
// with now. Errors wrap those of package signature, ErrNoSentTimestamp or ErrBadEncoding.
func Open(verifier *signature.Verifier, m types.Message) (Message, error) {
	attribute := func(name string) string { return aws.ToString(m.MessageAttributes[name].StringValue) }
	payload := []byte(aws.ToString(m.Body))
	switch encoding := attribute(AttributeEncoding); encoding {
	case "":
	case EncodingBase64:
		decoded, err := base64.StdEncoding.DecodeString(string(payload))
		if err != nil {
			return Message{}, fmt.Errorf("%w: %w", ErrBadEncoding, err)
		}
		payload = decoded
	default:
		return Message{}, fmt.Errorf("%w, %q", ErrBadEncoding, encoding)
	}
	const name = string(types.MessageSystemAttributeNameSentTimestamp)
	taken, err := strconv.ParseInt(m.Attributes[name], 10, 64)
	if err != nil {
		return Message{}, ErrNoSentTimestamp
	}
	header := http.Header{}
	for _, name := range []string{AttributeID, AttributeTimestamp, AttributeSignature} {
		header.Set(name, attribute(name))
	}
	if err := verifier.Verify(header, payload, time.UnixMilli(taken)); err != nil {
		return Message{}, err
	}
	unix, _ := strconv.ParseInt(attribute(AttributeTimestamp), 10, 64) // Verify has read it
	return Message{
		ID: webhook.EventID(attribute(AttributeID)), EventType: attribute(AttributeEventType),
		SentAt: time.Unix(unix, 0).UTC(), Payload: payload,
	}, nil
}
