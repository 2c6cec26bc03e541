// Package sqsadapter delivers webhooks to queues of Amazon SQS: an endpoint's URL is a
// queue's, and each delivery is one message.
//
//	config, err := config.LoadDefaultConfig(ctx) // github.com/aws/aws-sdk-go-v2/config
//	adapter, err := sqsadapter.New(sqsadapter.Options{
//		Config: config,
//		Queues: []string{"123456789012/webhooks-*"},
//	})
//	result := adapter.Deliver(ctx, delivery, &webhook.Endpoint{
//		ID: "ep_…", URL: "https://sqs.eu-central-1.amazonaws.com/123456789012/webhooks-acme.fifo", Secret: "whsec_…",
//	})
//
// # The message
//
// The body is the payload, byte for byte. A payload that is not UTF-8, or has a character
// that SQS does not take (control characters but tab, line feed and carriage return, and
// U+FFFE and U+FFFF), is sent as its base64, which the attribute webhook-encoding says;
// valid JSON has none of these but the last two. An empty payload is refused, as SQS has
// no empty messages.
//
// The attributes are webhook-id, webhook-timestamp and webhook-signature, as Standard
// Webhooks says, and webhook-event-type. The signature is of the payload, before any
// base64. The endpoint's Headers are attributes too; SQS takes ten in all, so that five
// are left for them. Consumers verify with Open.
//
// In a FIFO queue, one whose name ends in ".fifo", the event's id is the deduplication
// id, and the endpoint's id the message group: what one endpoint is sent stays in the
// order in which it was sent, and endpoints that share a queue do not wait for one
// another. SQS drops a message whose deduplication id it took in the last five minutes
// and says that it took it. So an attempt that is repeated for want of an answer is not
// received twice, within that time. Nor is an event that is sent again by hand, and of
// two endpoints with the same queue only one is told, unless the queue's
// DeduplicationScope is messageGroup.
//
// # What is refused before sending
//
// A message larger than Options.MaxMessageBytes (1 MiB, body and attributes) fails with
// webhook.FaultMessageTooLarge. A queue's own limit, where it is lower, is refused by SQS as
// webhook.FaultInvalidRequest; Verify tells it. What can't be a message at all is
// webhook.FaultInvalidRequest, and a URL that must not be sent to is
// webhook.FaultBlockedAddress.
//
// # Where credentials go
//
// Whoever sets an endpoint's URL chooses where a request goes that is signed with the
// operator's credentials. So the host must be one of Amazon's public SQS endpoints, over
// https, in any of its partitions: sqs.<region>.amazonaws.com, its FIPS and dual-stack
// forms, and their like in China, GovCloud, the European and the isolated partitions. Any
// other, a VPC endpoint or an emulator, must be listed in Options.AllowedEndpoints. The
// SDK's own settings of an endpoint have no say, and redirects are not followed.
//
// The host is not all: in Amazon's cloud the credentials may reach queues that are not
// meant for tenants. Options.Queues says which may be named, and has no default.
// Options.Allow ties them to tenants. Beside these, give the credentials no more than
// sqs:SendMessage and sqs:GetQueueAttributes on those queues.
//
// # What is reported
//
// A Result's StatusCode, Header, timings and so on are those of the HTTP exchange with
// Amazon, and its Body is {"MessageId":…,"SequenceNumber":…}, which the Header has as
// HeaderMessageID and HeaderSequenceNumber. A refusal by SQS is a Fault of the kind
// webhook.FaultAnswered whose Code says why. A throttled request has the StatusCode 429,
// whatever Amazon gave it (400 or 403), so that whoever sends slows down as for any
// receiver. The SDK does not retry: the sender does.
//
// # What importing it costs
//
// The package is part of the main module. It alone imports the AWS SDK, so that programs
// which do not import it neither compile nor download the SDK; a test of the module's
// imports keeps it so. A module of its own would spare them one thing, that a program
// with an older SDK of its own is raised to this version by Go's version selection. It
// would cost a second release for each of ours, since a nested module needs a published
// version of the one around it, tests that "go test ./..." passes by, and a program
// (cmd/neohook) that could not use it without the two modules needing each other.
package sqsadapter
