package sqsadapter

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// The attributes of a message, all of the type String. What the signature covers is the
// id, the timestamp and the payload, as in Standard Webhooks; the others are not signed.
const (
	AttributeID        = signature.HeaderID        // the event's id
	AttributeTimestamp = signature.HeaderTimestamp // of the attempt, in Unix seconds
	AttributeSignature = signature.HeaderSignature // absent where the endpoint has no Secret
	AttributeEventType = "webhook-event-type"      // absent where the event has none
	AttributeEncoding  = "webhook-encoding"        // EncodingBase64, or absent
)

// EncodingBase64 marks a body that is the base64 of the payload, as the payload has
// characters that SQS does not take.
const EncodingBase64 = "base64"

// Limits of SQS.
const (
	maxAttributes = 10
	maxIDBytes    = 128 // of deduplication and group ids
	stringType    = "String"
)

// errTooLarge is wrapped by the error about a message over the limit.
var errTooLarge = errors.New("is more than the queue's limit")

// compose makes the message of a delivery, signed for the instant at.
func compose(delivery *webhook.Delivery, endpoint *webhook.Endpoint, queue Queue, at time.Time) (*sqs.SendMessageInput, error) {
	id := cmp.Or(string(delivery.Event), string(delivery.ID))
	if id == "" {
		return nil, errors.New("the delivery has neither an Event nor an ID to be known by")
	}
	if len(delivery.Payload) == 0 {
		return nil, errors.New("the payload is empty, and SQS has no empty messages")
	}
	signatures, err := sign(endpoint, id, at, delivery.Payload)
	if err != nil {
		return nil, fmt.Errorf("the secret: %w", err)
	}
	attributes := attributes{}
	for name, value := range endpoint.Headers {
		if err := attributes.addCustom(name, value); err != nil {
			return nil, fmt.Errorf("headers.%s: %w", name, err)
		}
	}
	body, encoding := string(delivery.Payload), ""
	if !sendable(body) {
		body, encoding = base64.StdEncoding.EncodeToString(delivery.Payload), EncodingBase64
	}
	for name, value := range map[string]string{
		AttributeID: id, AttributeTimestamp: strconv.FormatInt(at.Unix(), 10), AttributeSignature: signatures,
		AttributeEventType: delivery.EventType, AttributeEncoding: encoding,
	} {
		if err := attributes.add(name, value); err != nil {
			return nil, err
		}
	}
	if len(attributes) > maxAttributes {
		return nil, fmt.Errorf("the message has %d attributes, of them %d by the endpoint's headers; SQS takes %d",
			len(attributes), len(endpoint.Headers), maxAttributes)
	}
	message := &sqs.SendMessageInput{
		QueueUrl: aws.String(queue.URL), MessageBody: &body, MessageAttributes: attributes,
	}
	if queue.FIFO() {
		group := cmp.Or(string(endpoint.ID), string(delivery.Endpoint))
		if err := checkFIFO(id, group); err != nil {
			return nil, err
		}
		message.MessageDeduplicationId, message.MessageGroupId = &id, &group
	}
	return message, nil
}

func sign(endpoint *webhook.Endpoint, id string, at time.Time, payload []byte) (string, error) {
	secrets := endpoint.SigningSecrets(at)
	keys := make([]signature.Key, len(secrets))
	for i, secret := range secrets {
		key, err := signature.Parse(secret)
		if err != nil {
			return "", err
		}
		keys[i] = key
	}
	return signature.Sign(keys, id, at, payload), nil
}

func checkFIFO(id, group string) error {
	switch {
	case !identifier(id):
		return fmt.Errorf("the event's id can't be a deduplication id: 1 to %d letters, digits and punctuation of ASCII", maxIDBytes)
	case group == "":
		return errors.New("the endpoint has no ID, which is the group of its messages in a FIFO queue")
	case !identifier(group):
		return fmt.Errorf("the endpoint's ID can't be a message group's: 1 to %d letters, digits and punctuation of ASCII", maxIDBytes)
	}
	return nil
}

func identifier(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != "" && len(text) <= maxIDBytes
}

type attributes map[string]types.MessageAttributeValue

// add leaves out an empty value, which SQS does not take.
func (a attributes) add(name, value string) error {
	if value == "" {
		return nil
	}
	if !sendable(value) {
		return fmt.Errorf("the attribute %s has a character that SQS does not take", name)
	}
	a[name] = types.MessageAttributeValue{DataType: aws.String(stringType), StringValue: &value}
	return nil
}

// attributeName is what SQS takes; a dot is neither first, last nor beside another.
var attributeName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// addCustom adds one of the endpoint's own headers. The error does not repeat the value,
// which may be a secret.
func (a attributes) addCustom(name, value string) error {
	const longest = 256
	lower := strings.ToLower(name)
	switch {
	case len(name) > longest || !attributeName.MatchString(name):
		return fmt.Errorf("the name can't be an attribute's: 1 to %d of a-z A-Z 0-9 - _ and single dots", longest)
	case strings.HasPrefix(lower, "webhook-"), strings.HasPrefix(lower, "aws."), strings.HasPrefix(lower, "amazon."):
		return errors.New(`names that begin with "webhook-", "AWS." or "Amazon." are reserved`)
	case value == "":
		return errors.New("the value is empty, which SQS does not take")
	}
	return a.add(name, value)
}

// checkSize compares what SQS counts with the limit.
func checkSize(message *sqs.SendMessageInput, limit int) error {
	body, rest := len(*message.MessageBody), 0
	for name, value := range message.MessageAttributes {
		rest += len(name) + len(*value.DataType) + len(*value.StringValue)
	}
	if body+rest > limit {
		return fmt.Errorf("the message of %d bytes, %d of them attributes, %w of %d", body+rest, rest, errTooLarge, limit)
	}
	return nil
}

// sendable says whether SQS keeps every character of the text: UTF-8 of
// #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.
func sendable(text string) bool {
	for _, char := range text {
		switch {
		case char < ' ' && char != '\t' && char != '\n' && char != '\r', char == 0xFFFE, char == 0xFFFF:
			return false
		}
	}
	return utf8.ValidString(text)
}
