package sqsadapter

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/neohook/neohook/webhook"
)

// maxAnswerBytes is the most that is read of an answer; those of SQS have under 2 KiB.
const maxAnswerBytes = 1 << 20

const connectTimeout = 10 * time.Second

// newClient returns the client beneath the SDK, and how to let go of its idle
// connections. No redirect is followed: the signed request, with its session token, is
// for the host that was judged and for no other.
func newClient(given aws.HTTPClient) (aws.HTTPClient, func()) {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	switch given := given.(type) {
	case nil:
		transport := &http.Transport{
			DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout: connectTimeout,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			MaxIdleConns:        256,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     60 * time.Second,
		}
		return &http.Client{Transport: transport, CheckRedirect: stay}, transport.CloseIdleConnections
	case *awshttp.BuildableClient:
		transport := given.GetTransport() // a copy
		client := &http.Client{Transport: transport, Timeout: given.GetTimeout(), CheckRedirect: stay}
		return client, transport.CloseIdleConnections
	case *http.Client:
		client := *given
		client.CheckRedirect = stay
		return &client, func() {} // its connections may be others' too
	default:
		return given, func() {}
	}
}

// wire notes in the request's exchange what goes over it.
type wire struct{ client aws.HTTPClient }

// Do sends a request.
func (w wire) Do(req *http.Request) (*http.Response, error) {
	x, _ := req.Context().Value(exchangeKey{}).(*exchange)
	if x == nil {
		return w.client.Do(req)
	}
	req, err := held(req)
	if err != nil {
		return nil, err
	}
	x.requested(req)
	resp, err := w.client.Do(req)
	if err != nil {
		return resp, err
	}
	x.answered(resp)
	resp.Body = &counted{ReadCloser: resp.Body, left: maxAnswerBytes, exchange: x}
	return resp, nil
}

// held returns the request with its body in memory. The SDK closes the body as soon as
// the answer begins, which breaks the connection if the client was about to look for the
// body's end, and the client can't go to another connection, where the server has closed
// one that was idle, with a body that it can't have again.
func held(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.ContentLength <= 0 {
		return req, nil
	}
	body := make([]byte, req.ContentLength)
	if _, err := io.ReadFull(req.Body, body); err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	req = req.WithContext(req.Context()) // a copy
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return req, nil
}

// counted is an answer's body.
type counted struct {
	io.ReadCloser
	left     int
	exchange *exchange
}

// Read reads up to the limit and then fails.
func (c *counted) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errAnswerTooLarge
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left)])
	c.left -= n
	c.exchange.received(n)
	return n, err
}

type exchangeKey struct{}

// exchange is what one operation did on the wire. Connections are dialled in goroutines
// that may outlive it.
type exchange struct {
	mu      sync.Mutex
	phase   webhook.Phase
	result  webhook.Result // what was seen of it; merged in the end
	begun   map[webhook.Phase]time.Time
	written time.Time // of the request, as far as is known
}

func newExchange() *exchange {
	return &exchange{phase: webhook.PhasePrepare, begun: make(map[webhook.Phase]time.Time)}
}

// watch returns a context whose requests are noted.
func (x *exchange) watch(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, exchangeKey{}, x)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { x.enter(webhook.PhaseWait) },
		DNSStart:             func(httptrace.DNSStartInfo) { x.enter(webhook.PhaseDNS) },
		DNSDone:              func(httptrace.DNSDoneInfo) { x.leave(webhook.PhaseDNS) },
		ConnectStart:         func(string, string) { x.enter(webhook.PhaseConnect) },
		ConnectDone:          func(string, string, error) { x.leave(webhook.PhaseConnect) },
		TLSHandshakeStart:    func() { x.enter(webhook.PhaseTLS) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { x.leave(webhook.PhaseTLS) },
		GotConn:              x.connected,
		WroteHeaders:         x.wroteHeaders,
		WroteRequest:         x.wroteRequest,
		GotFirstResponseByte: x.firstByte,
	})
}

// phases in their order.
var phases = []webhook.Phase{
	webhook.PhasePrepare, webhook.PhaseWait, webhook.PhaseDNS, webhook.PhaseConnect, webhook.PhaseTLS,
	webhook.PhaseRequest, webhook.PhaseResponse, webhook.PhaseBody,
}

// enter goes forward only: a dial that was begun may go on after another connection has
// taken the request.
func (x *exchange) enter(phase webhook.Phase) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if slices.Index(phases, phase) <= slices.Index(phases, x.phase) {
		return
	}
	x.phase = phase
	x.begun[phase] = time.Now()
}

func (x *exchange) leave(phase webhook.Phase) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.phase != phase {
		return
	}
	took := time.Since(x.begun[phase])
	switch phase {
	case webhook.PhaseDNS:
		x.result.Timings.DNS = took
	case webhook.PhaseConnect:
		x.result.Timings.Connect = took
	case webhook.PhaseTLS:
		x.result.Timings.TLS = took
	}
}

// wroteHeaders and wroteRequest are told by another goroutine than the one that reads:
// the latter perhaps after the first byte of the answer.
func (x *exchange) wroteHeaders() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.written = time.Now()
}

func (x *exchange) wroteRequest(info httptrace.WroteRequestInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if info.Err == nil && x.phase == webhook.PhaseRequest {
		x.phase, x.written = webhook.PhaseResponse, time.Now()
	}
}

func (x *exchange) firstByte() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.Timings.FirstByte = time.Since(x.written)
}

func (x *exchange) connected(info httptrace.GotConnInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.phase = webhook.PhaseRequest
	x.result.ConnectionReused = info.Reused
	if info.Reused { // a dial that was begun meanwhile is not this request's
		x.result.Timings = webhook.Timings{}
	}
	if addr, err := netip.ParseAddrPort(info.Conn.RemoteAddr().String()); err == nil {
		x.result.RemoteAddr = addr
	}
}

func (x *exchange) requested(req *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.BytesSent = max(0, req.ContentLength)
}

func (x *exchange) answered(resp *http.Response) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.phase = webhook.PhaseBody
	x.result.StatusCode, x.result.Header = resp.StatusCode, resp.Header.Clone()
	x.result.Protocol, x.result.CompressionUsed = resp.Proto, resp.Uncompressed
}

func (x *exchange) received(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.BytesReceived += int64(n)
}

// report copies what was seen into a result, and returns the phase that was reached.
func (x *exchange) report(r *webhook.Result) webhook.Phase {
	x.mu.Lock()
	defer x.mu.Unlock()
	r.StatusCode, r.Header, r.Protocol = x.result.StatusCode, x.result.Header, x.result.Protocol
	r.ConnectionReused, r.CompressionUsed = x.result.ConnectionReused, x.result.CompressionUsed
	r.RemoteAddr, r.Timings = x.result.RemoteAddr, x.result.Timings
	r.BytesSent, r.BytesReceived = x.result.BytesSent, x.result.BytesReceived
	return x.phase
}
