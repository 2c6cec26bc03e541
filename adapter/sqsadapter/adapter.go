package sqsadapter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/webhook"
)

// Fields that a Result's Header has beside those of Amazon's answer.
const (
	HeaderMessageID      = "Sqs-Message-Id"      // the id that the queue gave the message
	HeaderSequenceNumber = "Sqs-Sequence-Number" // its place in a FIFO queue
	// HeaderMaximumMessageSize is the queue's limit in bytes, as Verify found it.
	HeaderMaximumMessageSize = "Sqs-Maximum-Message-Size"
)

// Adapter delivers webhooks to queues. It is safe for concurrent use; make one and share
// it, as it is what keeps the connections.
type Adapter struct {
	opts    Options
	origins map[string]bool // of AllowedEndpoints
	health  *Queue          // of HealthQueue, or nil
	client  *sqs.Client
	idle    func() // lets go of idle connections
	stats   stats
	users   users
}

var _ webhook.Adapter = (*Adapter)(nil)

// New makes an adapter. It starts nothing, opens nothing and asks for no credentials.
func New(opts Options) (*Adapter, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &Adapter{opts: opts, users: users{ended: make(chan struct{})}}
	if a.origins, err = opts.origins(); err != nil {
		return nil, err
	}
	if opts.HealthQueue != "" {
		queue, err := parseQueue(opts.HealthQueue, a.origins, opts.Config.Region)
		if err != nil {
			return nil, fmt.Errorf("sqsadapter: HealthQueue: %w", err)
		}
		a.health = &queue
	}
	a.opts.Config.Credentials = tagged(opts.Config.Credentials)
	var client aws.HTTPClient
	client, a.idle = newClient(opts.Config.HTTPClient)
	a.client = sqs.NewFromConfig(a.opts.Config, func(o *sqs.Options) {
		o.HTTPClient = wire{client}
		o.Retryer, o.RetryMaxAttempts = aws.NopRetryer{}, 0
		// Each operation names its own server: see Queue.route.
		o.EndpointResolver, o.BaseEndpoint = nil, nil //nolint:staticcheck // deprecated, and still heeded by the SDK if set
		o.EndpointResolverV2 = sqs.NewDefaultEndpointResolverV2()
		o.EndpointOptions = sqs.EndpointResolverOptions{}
	})
	return a, nil
}

// tagged marks the provider's errors, and keeps its credentials until they expire.
func tagged(provider aws.CredentialsProvider) aws.CredentialsProvider {
	if _, cached := provider.(*aws.CredentialsCache); !cached {
		provider = aws.NewCredentialsCache(provider)
	}
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		credentials, err := provider.Retrieve(ctx)
		if err != nil {
			return credentials, credentialsError{err}
		}
		return credentials, nil
	})
}

// Deliver sends a delivery's payload to the queue that the endpoint's URL names, signed.
// It succeeds once SQS has taken the message. It makes one attempt.
func (a *Adapter) Deliver(ctx context.Context, delivery *webhook.Delivery, endpoint *webhook.Endpoint) webhook.Result {
	r := begin(endpoint)
	switch {
	case delivery == nil:
		return a.refuse(r, errors.New("the delivery is nil"))
	case endpoint == nil:
		return a.refuse(r, errors.New("the endpoint is nil"))
	}
	r.Attempt = max(1, delivery.Attempt)
	queue, err := a.queue(endpoint)
	if err != nil {
		return a.refuse(r, err)
	}
	return a.send(ctx, r, queue, delivery, endpoint, a.timeout(endpoint))
}

// Verify asks for the queue's attributes, and then sends a test event, signed as a
// delivery is. It succeeds once SQS has taken the message: whoever may send and may not
// ask is verified too. A nil payload is the verification event, of the type
// "verification.test" with the present time and {"test": true}; consumers see it. The
// Result is that of the sending, and its Header has the queue's limit as
// HeaderMaximumMessageSize if the attributes were to be had; where they show that the
// queue is not there, nothing is sent.
func (a *Adapter) Verify(ctx context.Context, endpoint *webhook.Endpoint, payload []byte) webhook.Result {
	r := begin(endpoint)
	if endpoint == nil {
		return a.refuse(r, errors.New("the endpoint is nil"))
	}
	queue, err := a.queue(endpoint)
	if err != nil {
		return a.refuse(r, err)
	}
	timeout := a.timeout(endpoint)
	asked, attributes := a.ask(ctx, r, queue, timeout)
	if asked.Fault != nil && asked.Fault.Code != FaultAccessDenied {
		return asked
	}
	if payload == nil {
		payload = webhook.VerificationPayload(r.StartedAt)
	}
	r = a.send(ctx, r, queue, &webhook.Delivery{
		ID: webhook.NewDeliveryID(), Event: webhook.NewEventID(), EventType: webhook.VerificationType, Payload: payload,
	}, endpoint, max(time.Millisecond, timeout-time.Since(r.StartedAt)))
	if limit := attributes[string(types.QueueAttributeNameMaximumMessageSize)]; limit != "" && r.Header != nil {
		http.Header(r.Header).Set(HeaderMaximumMessageSize, limit)
	}
	return r
}

// begin is the result of an attempt that begins now.
func begin(endpoint *webhook.Endpoint) webhook.Result {
	r := webhook.Result{Attempt: 1, Method: http.MethodPost, StartedAt: time.Now()}
	if endpoint != nil {
		r.URL = endpoint.ShownURL()
	}
	return r
}

func (a *Adapter) refuse(r webhook.Result, err error) webhook.Result {
	a.stats.refused.Add(1)
	return end(r, refusal(err))
}

func end(r webhook.Result, fault *webhook.Fault) webhook.Result {
	r.Fault = fault
	r.Success = fault == nil
	r.CompletedAt = time.Now()
	r.Timings.Total = r.Duration()
	return r
}

// queue reads the endpoint's URL, and refuses what the options do not allow.
func (a *Adapter) queue(endpoint *webhook.Endpoint) (Queue, error) {
	queue, err := parseQueue(endpoint.URL, a.origins, a.opts.Config.Region)
	if err != nil {
		return queue, err
	}
	if err := a.opts.allow(endpoint, queue); err != nil {
		return queue, fmt.Errorf("%w: %w", errNotAllowed, err)
	}
	return queue, nil
}

func (a *Adapter) timeout(endpoint *webhook.Endpoint) time.Duration {
	return cmp.Or(max(0, endpoint.Timeout), a.opts.Timeout)
}

func (a *Adapter) send(ctx context.Context, r webhook.Result, queue Queue, delivery *webhook.Delivery, endpoint *webhook.Endpoint, timeout time.Duration) webhook.Result {
	message, err := compose(delivery, endpoint, queue, time.Now())
	if err == nil {
		err = checkSize(message, a.opts.MaxMessageBytes)
	}
	if err != nil {
		return a.refuse(r, err)
	}
	var sent *sqs.SendMessageOutput
	r = a.operate(ctx, r, queue, timeout, func(ctx context.Context) (err error) {
		sent, err = a.client.SendMessage(ctx, message, queue.route)
		if err == nil && aws.ToString(sent.MessageId) == "" {
			return errNoMessageID
		}
		return err
	})
	if r.Success {
		answer(&r, sent)
	}
	return r
}

// answer notes what the queue said of a message that it took.
func answer(r *webhook.Result, sent *sqs.SendMessageOutput) {
	said := struct {
		MessageID      string `json:"MessageId"`
		SequenceNumber string `json:"SequenceNumber,omitempty"`
	}{aws.ToString(sent.MessageId), aws.ToString(sent.SequenceNumber)}
	r.Body, _ = json.Marshal(said) // of these types it can't fail
	header := http.Header(r.Header)
	header.Set(HeaderMessageID, said.MessageID)
	if said.SequenceNumber != "" {
		header.Set(HeaderSequenceNumber, said.SequenceNumber)
	}
}

// ask gets a queue's attributes.
func (a *Adapter) ask(ctx context.Context, r webhook.Result, queue Queue, timeout time.Duration) (webhook.Result, map[string]string) {
	var attributes map[string]string
	r = a.operate(ctx, r, queue, timeout, func(ctx context.Context) error {
		out, err := a.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: &queue.URL, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameMaximumMessageSize},
		}, queue.route)
		if err == nil {
			attributes = out.Attributes
		}
		return err
	})
	return r, attributes
}

// operate makes one request of the client and tells what came of it.
func (a *Adapter) operate(parent context.Context, r webhook.Result, queue Queue, timeout time.Duration, do func(context.Context) error) webhook.Result {
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	ctx, leave, err := a.users.enter(ctx)
	defer leave()
	x := newExchange()
	if err == nil {
		err = parent.Err()
	}
	if err == nil {
		err = do(x.watch(ctx))
	}
	if errors.Is(context.Cause(ctx), errClosed) && err != nil {
		err = errClosed
	}
	r.URL = queue.URL
	phase := x.report(&r)
	if err == nil {
		a.stats.sent.Add(1)
		return end(r, nil)
	}
	fault := failure(parent, err, phase, r.StatusCode, timeout)
	a.stats.failed.Add(1)
	if fault.Kind == webhook.FaultAnswered {
		r.Body = []byte(fault.Message)
		r.RetryAfter = httpadapter.RetryAfter(r.Header, time.Now())
	}
	if fault.Code == FaultThrottled {
		a.stats.throttled.Add(1)
		r.StatusCode = http.StatusTooManyRequests
	}
	return end(r, fault)
}

// Close ends the adapter: what is in flight fails with webhook.FaultClosed, and has when
// it returns. It returns nil.
func (a *Adapter) Close() error {
	a.users.close(true)
	<-a.users.ended
	a.idle()
	return nil
}

// Shutdown lets what is in flight end, as long as ctx does, and closes. It returns the
// context's error if some had to be cut short.
func (a *Adapter) Shutdown(ctx context.Context) error {
	a.users.close(false)
	var err error
	select {
	case <-a.users.ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = a.Close()
	return err
}
