package httpadapter

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/webhook"
)

// exchange is one request and its answer.
type exchange struct {
	adapter        *Adapter
	timeoutAfter   time.Duration
	connectTimeout time.Duration

	step      atomic.Uint32
	timings   webhook.Timings
	reused    bool
	exhausted bool
	dnsHit    bool
	made      bool         // the request was in order, and was tried
	written   atomic.Int64 // when the request was sent, in nanoseconds since the start
	firstByte atomic.Int64
	start     time.Time
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

// job is what an exchange is asked to do.
type job struct {
	method   string
	target   target
	header   func(at time.Time) (http.Header, error)
	body     []byte
	timeout  time.Duration
	protocol webhook.Protocol
	endpoint *webhook.Endpoint // for its TLS; may be nil
	success  func(status int) bool
}

// run does a job and completes the result.
func (a *Adapter) run(ctx context.Context, j *job, result *webhook.Result) {
	x := &exchange{adapter: a, timeoutAfter: j.timeout, connectTimeout: a.opts.connectTimeout(j.timeout)}
	if !a.enter() {
		result.StartedAt = time.Now()
		result.CompletedAt = result.StartedAt
		result.Fault = x.fault(ctx, errClosed)
		return
	}
	defer a.leave()
	err := a.acquire(ctx, x)
	x.start = time.Now()
	result.StartedAt = x.start
	if err == nil {
		err = x.send(ctx, j, result)
		a.release()
	}
	result.CompletedAt = time.Now()
	result.ConnectionReused = x.reused
	x.timings.Total = result.CompletedAt.Sub(x.start)
	if first, written := x.firstByte.Load(), x.written.Load(); first > 0 {
		x.timings.FirstByte = time.Duration(max(0, first-written))
	}
	result.Timings = x.timings
	if err != nil {
		result.Fault = x.fault(ctx, err)
	}
	result.Success = result.Fault == nil && j.success(result.StatusCode)
	a.stats.count(x, result)
}

// send makes the request and reads the answer.
func (x *exchange) send(parent context.Context, j *job, result *webhook.Result) error {
	a := x.adapter
	header, err := j.header(x.start)
	if err != nil {
		return invalidError{err}
	}
	x.made = true
	ctx, cancel := context.WithTimeout(parent, j.timeout)
	defer cancel()
	r := x.route(j)
	req := x.request(ctx, j, header)
	for {
		x.reused = false
		x.enter(stepWait)
		c, err := a.pool.get(ctx, x, r)
		if err != nil {
			return err
		}
		result.RemoteAddr = c.remote
		before := c.wire.written.Load()
		x.enter(stepRequest)
		resp, err := c.client.RoundTrip(req)
		if err == nil {
			return x.receive(c, resp, result)
		}
		a.pool.put(c, c.multiplexed) // a stream's failure is not the connection's
		// The connection was closed by its peer while it was idle. If nothing of the
		// request has left, or it changes nothing, another connection will do.
		unheard := !c.multiplexed && c.wire.written.Load() == before || j.method == http.MethodHead
		if x.reused && unheard && ctx.Err() == nil && !a.pool.isClosed() {
			req = x.request(ctx, j, header)
			continue
		}
		return err
	}
}

func (x *exchange) route(j *job) *route {
	r := &route{addr: j.target.addr, host: j.target.host, secure: j.target.secure, protocol: j.protocol}
	if r.protocol == "" {
		r.protocol = x.adapter.opts.Protocol
	}
	if !r.secure {
		if r.protocol == "" {
			r.protocol = webhook.HTTP1
		}
		return r
	}
	r.tls = x.adapter.opts.TLS
	if x.adapter.opts.TLSFor != nil && j.endpoint != nil {
		if own := x.adapter.opts.TLSFor(j.endpoint); own != nil {
			r.tls = own
		}
	}
	return r
}

// blank is copied by WithContext, which saves one of the two copies of NewRequest.
var blank http.Request

func (x *exchange) request(ctx context.Context, j *job, header http.Header) *http.Request {
	req := blank.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) {
			x.written.Store(int64(time.Since(x.start)))
			x.step.CompareAndSwap(stepRequest, stepResponse)
		},
		GotFirstResponseByte: func() { x.firstByte.Store(int64(time.Since(x.start))) },
	}))
	req.Method, req.URL, req.Header = j.method, j.target.url, header
	req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.1", 1, 1
	req.Host = j.target.url.Host
	req.Close = x.adapter.opts.KeepAlive < 0
	if j.body != nil {
		req.Body, req.ContentLength = bodyReader(j.body), int64(len(j.body))
		if len(j.body) == 0 {
			req.Body = http.NoBody
		}
	}
	return req
}

func (x *exchange) receive(c *conn, resp *http.Response, result *webhook.Result) error {
	x.enter(stepBody)
	result.StatusCode, result.Header, result.Protocol = resp.StatusCode, resp.Header, resp.Proto
	result.BytesSent = max(0, resp.Request.ContentLength)
	if resp.StatusCode == http.StatusSwitchingProtocols { // there is no answer behind it, and no deadline over it
		_ = resp.Body.Close()
		x.adapter.pool.put(c, false)
		return nil
	}
	result.RetryAfter = RetryAfter(resp.Header, time.Now())
	body, err := readBody(resp, x.adapter.opts.MaxBodyBytes, x.adapter.opts.MaxResponseBytes)
	_ = resp.Body.Close()
	x.adapter.pool.put(c, err == nil && body.ended && !resp.Close || c.multiplexed)
	result.Body, result.BodyTruncated = body.kept, body.truncated
	result.CompressionUsed, result.BytesReceived = body.compressed, body.wire
	return err
}

// invalidError is a request that can't be made.
type invalidError struct{ error }

func (e invalidError) Unwrap() error { return e.error }
