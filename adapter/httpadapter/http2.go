package httpadapter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/webhook"
)

// http2 speaks HTTP/2 on one connection, by net/http's means.
type http2 struct {
	client *http.ClientConn
	wire   *wire
}

// http2Codec makes HTTP/2 clients of connections. It is net/http's, without its pools.
type http2Codec struct{ transport *http.Transport }

// What a receiver may send ahead of its answer being read. The defaults are 4 MiB a
// request and 1 GiB a connection.
const (
	streamWindow     = 64 << 10
	connectionWindow = 1 << 20
)

// pingAfter is how long a peer may be silent before it is asked whether it is still
// there. Without it a connection that was cut would take request after request.
const pingAfter = 15 * time.Second

type wireKey struct{}

func newHTTP2Codec(o *Options) http2Codec {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true) // the connection is given as it is, with TLS below it or not
	return http2Codec{&http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ctx.Value(wireKey{}).(net.Conn), nil
		},
		Protocols: &protocols, DisableCompression: true, MaxResponseHeaderBytes: int64(o.MaxHeaderBytes),
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connectionWindow,
			SendPingTimeout: pingAfter,
		},
	}}
}

// open begins HTTP/2. gone is called when the connection closes.
func (k http2Codec) open(ctx context.Context, top, bottom net.Conn, addr string, gone func()) (*http2, error) {
	w := &wire{Conn: top, bottom: bottom, gone: gone}
	client, err := k.transport.NewClientConn(context.WithValue(ctx, wireKey{}, w), "http", addr)
	if err != nil {
		return nil, err
	}
	return &http2{client: client, wire: w}, nil
}

// wire is the connection below net/http's client, which does not tell when it closes it.
type wire struct {
	net.Conn
	bottom net.Conn // closed first: taking leave in TLS could wait for a peer that does not read
	gone   func()
	closed atomic.Bool
}

func (w *wire) Close() error {
	if w.closed.Swap(true) {
		return nil
	}
	err := w.bottom.Close()
	_ = w.Conn.Close()
	w.gone()
	return err
}

func (h *http2) close() {
	_ = h.client.Close()
	_ = h.wire.Close()
}

// seats is how many requests the connection carries at a time; 0 where it takes no more.
//
// The client's own Reserve is not used: requests that reserved more streams than the
// peer then allows wait for each other for ever (as of Go 1.26).
func (h *http2) seats() int {
	available := h.client.Available()
	if available == 0 {
		return 0
	}
	return available + h.client.InFlight()
}

// roundTrip sends a request and returns the answer. The context must live until its
// body is read.
func (h *http2) roundTrip(ctx context.Context, x *exchange, m *message) (*http.Response, error) {
	x.enter(stepRequest)
	req := (&http.Request{
		Method: m.method, URL: m.target.url, Host: m.target.hostField, Header: headerOf(m.fields),
		Proto: "HTTP/2.0", ProtoMajor: 2,
	}).WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { x.sent() },
		GotFirstResponseByte: x.answered,
	}))
	if !m.bodiless && len(m.body) > 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(m.body)), int64(len(m.body))
	}
	return h.client.RoundTrip(req)
}

// streamError is net/http's own, which is not exported but gives itself to whatever looks
// like golang.org/x/net/http2.StreamError.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string {
	return fmt.Sprintf("stream %d ended with code %d", e.StreamID, e.Code)
}

// Codes of RFC 9113, 7.
const (
	codeProtocolError = 1
	codeRefusedStream = 7
)

// notProcessed says that the receiver has told, or can't have got, a request so that it
// may be made again (RFC 9113, 8.7).
func notProcessed(err error) bool {
	var stream streamError
	if errors.As(err, &stream) {
		return stream.Code == codeRefusedStream
	}
	text := err.Error() // these are values of net/http that are not exported
	return strings.Contains(text, "received Server's graceful shutdown GOAWAY") ||
		strings.Contains(text, "http2: client conn not usable")
}

// http2Fault names the errors of net/http's HTTP/2; "" for any other. Those of streams
// have a type, the others text alone, and are tested against the real thing.
func http2Fault(err error) (webhook.FaultCode, string) {
	const broken = "the answer breaks the rules of HTTP/2: "
	const closed = "the receiver ended the request before the answer's end: "
	text := err.Error()
	var stream streamError
	switch {
	case strings.Contains(text, "response header list larger than advertised limit"):
		return webhook.FaultHeadersTooLarge, errHeadersTooLarge.Error()
	case errors.As(err, &stream) && stream.Code == codeProtocolError:
		return webhook.FaultMalformedResponse, broken + text
	case errors.As(err, &stream):
		return webhook.FaultReset, closed + text
	case strings.Contains(text, "GOAWAY"), strings.Contains(text, "http2: client connection lost"),
		strings.Contains(text, "http2: client conn not usable"):
		return webhook.FaultReset, closed + text
	case strings.Contains(text, "connection error: "), strings.Contains(text, "http2: failed reading the frame payload"),
		strings.Contains(text, "http2: frame too large"), strings.Contains(text, "more than declared Content-Length"):
		return webhook.FaultMalformedResponse, broken + text
	}
	return "", ""
}
