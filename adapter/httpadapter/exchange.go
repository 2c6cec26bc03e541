package httpadapter

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/webhook"
)

// exchange is one request and its answer.
type exchange struct {
	adapter        *Adapter
	start          time.Time
	deadline       time.Time
	timeoutAfter   time.Duration
	connectTimeout time.Duration

	step      atomic.Uint32
	sentAt    atomic.Int64 // nanoseconds since start
	firstByte atomic.Int64
	timings   webhook.Timings
	reused    bool
	exhausted bool
	dnsHit    bool
	made      bool // the request was in order, and was tried
	refusals  int  // of HTTP/2 connections to take it
}

// The steps of an exchange, as indexes of phases.
const (
	stepPrepare uint32 = iota
	stepWait
	stepDNS
	stepConnect
	stepTLS
	stepRequest
	stepResponse
	stepBody
)

var phases = [...]webhook.Phase{
	webhook.PhasePrepare, webhook.PhaseWait, webhook.PhaseDNS, webhook.PhaseConnect,
	webhook.PhaseTLS, webhook.PhaseRequest, webhook.PhaseResponse, webhook.PhaseBody,
}

func (x *exchange) enter(step uint32) { x.step.Store(step) }

func (x *exchange) phase() webhook.Phase { return phases[x.step.Load()] }

// sent notes that the request is written.
func (x *exchange) sent() {
	x.sentAt.Store(int64(time.Since(x.start)))
	x.step.CompareAndSwap(stepRequest, stepResponse)
}

// answered notes the first byte of the answer.
func (x *exchange) answered() { x.firstByte.Store(int64(time.Since(x.start))) }

// job is what an exchange is asked to do.
type job struct {
	message  message // without its fields
	timeout  time.Duration
	protocol webhook.Protocol
	// delivery and endpoint make the fields; nil for a test of connectivity.
	delivery *webhook.Delivery
	endpoint *webhook.Endpoint
	succeeds func(status int) bool
}

// run does a job and completes the result.
func (a *Adapter) run(ctx context.Context, j *job, result *webhook.Result) {
	x := &exchange{adapter: a, timeoutAfter: j.timeout, connectTimeout: a.opts.connectTimeout(j.timeout)}
	err := errClosed
	if a.enter() {
		defer a.leave()
		err = a.acquire(ctx, x)
	}
	x.start = time.Now()
	x.deadline = x.start.Add(j.timeout)
	if err == nil {
		defer a.release()
		err = x.send(ctx, j, result)
	}
	result.StartedAt, result.CompletedAt = x.start, time.Now()
	result.ConnectionReused = x.reused
	x.timings.Total = result.CompletedAt.Sub(x.start)
	if first := x.firstByte.Load(); first > 0 {
		x.timings.FirstByte = time.Duration(max(0, first-x.sentAt.Load()))
	}
	result.Timings = x.timings
	if x.sentAt.Load() > 0 {
		result.BytesSent = int64(len(j.message.body))
	}
	if err != nil {
		result.Fault = x.fault(ctx, err)
	}
	result.Success = err == nil && j.succeeds(result.StatusCode)
	a.stats.count(x, result)
}

// send makes the request and reads the answer.
func (x *exchange) send(ctx context.Context, j *job, result *webhook.Result) error {
	var room [fieldsRoom]field
	m := j.message
	var err error
	if m.fields, err = x.fields(room[:0], j); err != nil {
		return invalidError{err}
	}
	x.made = true
	r := x.route(j)
	for {
		x.reused = false
		x.enter(stepWait)
		c, err := x.adapter.pool.get(ctx, x, &r)
		if err != nil {
			return err
		}
		result.RemoteAddr = c.remote
		again, err := x.over(ctx, c, &m, result)
		if !again || ctx.Err() != nil || x.adapter.pool.isClosed() {
			return err
		}
	}
}

func (x *exchange) fields(room []field, j *job) ([]field, error) {
	headers := &x.adapter.headers
	if j.delivery == nil {
		return headers.appendGeneral(room, nil, j.message.target.basic), nil
	}
	return headers.append(room, j.delivery, j.endpoint, j.message.target.basic, x.start)
}

func (x *exchange) route(j *job) route {
	opts, t := &x.adapter.opts, j.message.target
	r := route{addr: t.addr, secure: t.secure, protocol: cmp.Or(j.protocol, opts.Protocol)}
	if !r.secure {
		r.protocol = cmp.Or(r.protocol, webhook.HTTP1)
		return r
	}
	if opts.TLSFor != nil && j.endpoint != nil {
		r.tls = opts.TLSFor(j.endpoint)
	}
	if r.tls == nil {
		r.tls = opts.TLS
	}
	return r
}

// over makes the request over a connection, reads the answer, and gives the connection
// back. Where again is true it failed in a way that says the receiver has not acted on
// it, and another connection may do.
func (x *exchange) over(ctx context.Context, c *conn, m *message, result *webhook.Result) (again bool, err error) {
	if c.two != nil {
		return x.over2(ctx, c, m, result)
	}
	resp, sent, err := c.one.roundTrip(ctx, x, m)
	usable := false
	if err == nil {
		var ended bool
		ended, err = x.receive(resp, &c.one.in, result)
		usable = ended && !resp.Close && err == nil
		c.keepFor = keepAliveHint(resp.Header)
	}
	usable = c.one.done() && usable
	x.adapter.pool.put(c, usable)
	// A connection that was kept may be closed by its peer at the moment it is used again.
	// Then a request of which nothing has left can be made anew, and so can one that
	// changes nothing.
	harmless := !sent || m.method == http.MethodHead
	return err != nil && resp == nil && x.reused && harmless, err
}

func (x *exchange) over2(ctx context.Context, c *conn, m *message, result *webhook.Result) (again bool, err error) {
	ctx, cancel := context.WithDeadline(ctx, x.deadline)
	defer cancel()
	resp, err := c.two.roundTrip(ctx, x, m)
	if err != nil && notProcessed(err) {
		x.adapter.pool.refused(c)
		x.refusals++
		return x.refusals < mostRefusals, err
	}
	if err == nil {
		_, err = x.receive(resp, nil, result)
		_ = resp.Body.Close()
	}
	// A request's failure is not the connection's, but where no answer comes the
	// connection may be dead without knowing.
	x.adapter.pool.put(c, err == nil || !isTimeout(err))
	return false, err
}

// mostRefusals bounds the connections tried for one request. The first burst over a new
// one can exceed a limit that the receiver has yet to tell.
const mostRefusals = 4

// receive reads the answer, and says whether it got to the end.
func (x *exchange) receive(resp *http.Response, from *source, result *webhook.Result) (ended bool, err error) {
	opts := &x.adapter.opts
	x.enter(stepBody)
	result.StatusCode, result.Header, result.Protocol = resp.StatusCode, resp.Header, resp.Proto
	if resp.StatusCode == http.StatusSwitchingProtocols { // what follows is not HTTP
		return false, nil
	}
	if resp.Header.Get("Retry-After") != "" {
		result.RetryAfter = RetryAfter(resp.Header, time.Now())
	}
	body, err := readBody(resp, opts.MaxBodyBytes, opts.MaxResponseBytes, from)
	result.Body, result.BodyTruncated = body.kept, body.truncated
	result.CompressionUsed, result.BytesReceived = body.compressed, body.wire
	return body.ended, err
}

// keepAliveHint reads how long a receiver keeps an idle connection ("Keep-Alive:
// timeout=5", which HTTP/1.1 does not define and many servers send), less a second for
// the way; 0 where it does not say. A request that crosses with the closing fails, and
// nobody can tell whether it was read.
func keepAliveHint(header http.Header) time.Duration {
	values := header["Keep-Alive"]
	if len(values) == 0 {
		return 0
	}
	for part := range strings.SplitSeq(values[0], ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(name, "timeout") {
			continue
		}
		if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
			return max(time.Millisecond, time.Duration(seconds)*time.Second-time.Second)
		}
	}
	return 0
}

// invalidError is a request that can't be made.
type invalidError struct{ error }

func (e invalidError) Unwrap() error { return e.error }
