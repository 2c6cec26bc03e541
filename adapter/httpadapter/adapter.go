package httpadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

// Adapter delivers webhooks over HTTP. It is safe for concurrent use; make one and share
// it, as it is what keeps the connections.
type Adapter struct {
	opts    Options
	headers HeaderBuilder
	targets recent[string, *target]
	own     *egress.Dialer // closed with the adapter; nil where it was given one
	pool    *pool
	places  chan struct{} // one value for each request at a time; nil: no bound
	stats   stats

	// users counts the requests; from Close on it is lower by math.MinInt64.
	users   atomic.Int64
	closing chan struct{} // closed by the first Close
	ended   chan struct{} // closed when the last request after it is done
	refuse  sync.Once
	cut     sync.Once
	end     sync.Once
}

var _ webhook.Adapter = (*Adapter)(nil)

// New makes an adapter. It starts nothing and opens nothing.
func New(opts Options) (*Adapter, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	var own *egress.Dialer
	if opts.Dialer == nil {
		if own, err = egress.New(opts.Egress); err != nil {
			return nil, fmt.Errorf("httpadapter: %w", err)
		}
		opts.Dialer = own
	}
	a := &Adapter{
		own:  own,
		opts: opts, closing: make(chan struct{}), ended: make(chan struct{}),
		headers: HeaderBuilder{
			UserAgent: opts.UserAgent, SvixHeaders: opts.SvixHeaders,
			InfoHeaders: opts.InfoHeaders, NoCompression: opts.NoCompression,
		},
		pool: newPool(opts.PoolSize, opts.PoolSizePerHost, opts.KeepAlive),
	}
	a.pool.every = opts.cleanupEvery()
	if knowing, ok := opts.Dialer.(MovingDialer); ok {
		a.pool.moved = knowing.Moved
	}
	a.pool.dial = (&dialling{opts: &a.opts, gone: a.pool.gone, two: newHTTP2Codec(&opts)}).dial
	if opts.MaxConcurrent > 0 {
		a.places = make(chan struct{}, opts.MaxConcurrent)
	}
	return a, nil
}

// Deliver sends a delivery's payload to an endpoint, signed, and reads the answer. It
// succeeds with a status of 2xx. Redirects are not followed. It makes one attempt.
func (a *Adapter) Deliver(ctx context.Context, delivery *webhook.Delivery, endpoint *webhook.Endpoint) webhook.Result {
	if delivery == nil {
		return refused(nil, endpoint, errors.New("the delivery is nil"))
	}
	return a.post(ctx, delivery, endpoint, taken)
}

// Verify sends an endpoint a test event, signed as a delivery is, and succeeds with a
// status below 500. A nil payload is the verification event, of the type
// "verification.test" with the present time and {"test": true}: webhook.VerificationPayload.
func (a *Adapter) Verify(ctx context.Context, endpoint *webhook.Endpoint, payload []byte) webhook.Result {
	if payload == nil {
		payload = webhook.VerificationPayload(time.Now())
	}
	test := &webhook.Delivery{
		ID: webhook.NewDeliveryID(), Event: webhook.NewEventID(), EventType: webhook.VerificationType, Payload: payload,
	}
	return a.post(ctx, test, endpoint, there)
}

// TestConnectivity asks with HEAD whether something at the URL speaks HTTP: any answer is
// a success. The timeout is that of the request; 0 is the adapter's. The request is not
// signed. A failure tells the phase it came in, in its Fault.
func (a *Adapter) TestConnectivity(ctx context.Context, url string, timeout time.Duration) webhook.Result {
	target, err := a.targets.get(url, parseTarget)
	if err != nil {
		return refused(nil, &webhook.Endpoint{URL: url, Method: http.MethodHead}, err)
	}
	result := webhook.Result{Attempt: 1, URL: target.shown, Method: http.MethodHead}
	a.run(ctx, &job{
		message:  message{method: http.MethodHead, target: target, bodiless: true},
		timeout:  cmp.Or(max(0, timeout), a.opts.Timeout),
		succeeds: answered,
	}, &result)
	return result
}

// The statuses that are a success to each kind of request.
func taken(status int) bool    { return status >= 200 && status < 300 }
func there(status int) bool    { return status > 0 && status < 500 }
func answered(status int) bool { return status > 0 }

func (a *Adapter) post(ctx context.Context, delivery *webhook.Delivery, endpoint *webhook.Endpoint, success func(int) bool) webhook.Result {
	if endpoint == nil {
		return refused(delivery, nil, errors.New("the endpoint is nil"))
	}
	method := cmp.Or(endpoint.Method, webhook.DefaultMethod)
	if err := checkMethod(method); err != nil {
		return refused(delivery, endpoint, err)
	}
	if err := checkProtocol(endpoint.Protocol); err != nil {
		return refused(delivery, endpoint, fmt.Errorf("the protocol: %w", err))
	}
	target, err := a.targets.get(endpoint.URL, parseTarget)
	if err != nil {
		return refused(delivery, endpoint, err)
	}
	result := webhook.Result{Attempt: attemptNumber(delivery), URL: target.shown, Method: method}
	a.run(ctx, &job{
		message:  message{method: method, target: target, body: delivery.Payload},
		timeout:  cmp.Or(max(0, endpoint.Timeout), a.opts.Timeout),
		protocol: endpoint.Protocol, delivery: delivery, endpoint: endpoint, succeeds: success,
	}, &result)
	return result
}

// checkMethod refuses what is no method, and those that are for proxies.
func checkMethod(method string) error {
	const legal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if method == "" || strings.Trim(method, legal) != "" || method == http.MethodConnect || method == http.MethodTrace {
		return fmt.Errorf("the method %q can't be sent; POST is the usual one", method)
	}
	return nil
}

// refused is the result of a request that can't be made as it is.
func refused(delivery *webhook.Delivery, endpoint *webhook.Endpoint, err error) webhook.Result {
	return webhook.NotMade(delivery, endpoint, invalid(err))
}

// acquire waits for one of the places.
func (a *Adapter) acquire(ctx context.Context, x *exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if a.places == nil {
		return nil
	}
	select {
	case a.places <- struct{}{}:
		return nil
	default:
	}
	x.exhausted = true
	select {
	case a.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-a.closing:
		return errClosed
	}
}

func (a *Adapter) release() {
	if a.places != nil {
		<-a.places
	}
}

// enter counts a request in, unless the adapter is closed.
func (a *Adapter) enter() bool {
	if a.users.Add(1) > 0 {
		return true
	}
	a.leave()
	return false
}

func (a *Adapter) leave() {
	if a.users.Add(-1) == math.MinInt64 {
		a.end.Do(func() { close(a.ended) })
	}
}

// refuseNew makes enter fail from now on.
func (a *Adapter) refuseNew() {
	a.refuse.Do(func() {
		if a.users.Add(math.MinInt64) == math.MinInt64 {
			a.end.Do(func() { close(a.ended) })
		}
	})
}

// Close ends the adapter: requests in flight fail with webhook.FaultClosed, and when it
// returns all of them have, and every connection is closed. It returns nil.
func (a *Adapter) Close() error {
	a.refuseNew()
	a.cut.Do(func() { close(a.closing) })
	a.pool.close()
	<-a.ended
	if a.own != nil {
		return a.own.Close()
	}
	return nil
}

// Shutdown lets the requests in flight end, as long as ctx does, and closes. It returns
// the context's error if some had to be cut short.
func (a *Adapter) Shutdown(ctx context.Context) error {
	a.refuseNew()
	var err error
	select {
	case <-a.ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = a.Close()
	return err
}
