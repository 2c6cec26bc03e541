package httpadapter

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
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
