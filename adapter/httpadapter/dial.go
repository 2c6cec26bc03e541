package httpadapter

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

// The names of the protocols in TLS (RFC 7301).
const (
	alpnHTTP1 = "http/1.1"
	alpnHTTP2 = "h2"
)

// dialling makes the connections of a pool.
type dialling struct {
	opts *Options
	gone func(*conn) // told of HTTP/2 connections that closed
	two  http2Codec

	mu       sync.Mutex
	sessions map[*tls.Config]tls.ClientSessionCache
}

// dial opens a connection and tells the exchange what it does.
func (d *dialling) dial(ctx context.Context, x *exchange, r *route) (*conn, error) {
	if err := checkTLS(r.tls); err != nil {
		return nil, invalidError{fmt.Errorf("TLSFor: %w", err)}
	}
	w, err := d.wire(ctx, x, r, offers(r.protocol))
	if r.protocol == webhook.HTTP1 && offersNone(err) { // it may speak HTTP/2 alone
		w, err = d.wire(ctx, x, r, offers(webhook.HTTP2))
	}
	if err != nil {
		return nil, err
	}
	c := &conn{route: *r, remote: remoteOf(w.bottom), target: w.target}
	switch {
	case w.http2:
		c.two, err = d.two.open(ctx, w.top, w.bottom, r.addr, func() { d.gone(c) })
	case r.protocol == webhook.HTTP2:
		err = errNotHTTP2
	default:
		c.one = newHTTP1(w.top, w.bottom, d.opts)
	}
	if err != nil {
		_ = w.bottom.Close()
		return nil, fmt.Errorf("begin HTTP: %w", err)
	}
	return c, nil
}

// line is a connection before HTTP is spoken on it.
type line struct {
	bottom net.Conn
	top    net.Conn   // bottom, or TLS above it
	target netip.Addr // what the host was found to be; the zero Addr where the Dialer does not tell
	http2  bool
}

// wire connects, with TLS where the route has it.
func (d *dialling) wire(ctx context.Context, x *exchange, r *route, protocols []string) (line, error) {
	bottom, target, err := d.connect(ctx, x, r)
	if err != nil {
		return line{}, err
	}
	if !r.secure {
		return line{bottom, bottom, target, r.protocol == webhook.HTTP2}, nil
	}
	secured, err := d.handshake(ctx, x, bottom, r, protocols)
	if err != nil {
		_ = bottom.Close()
		return line{}, err
	}
	return line{bottom, secured, target, secured.ConnectionState().NegotiatedProtocol == alpnHTTP2}, nil
}

// offers are the protocols that the receiver may choose from.
func offers(protocol webhook.Protocol) []string {
	switch protocol {
	case webhook.HTTP1:
		return []string{alpnHTTP1}
	case webhook.HTTP2:
		return []string{alpnHTTP2}
	}
	return []string{alpnHTTP2, alpnHTTP1}
}

// offersNone says that the receiver took none of the protocols. TLS tells it by an alert
// (RFC 7301, 3.2), of which crypto/tls exports the text alone.
func offersNone(err error) bool {
	var remote *net.OpError
	return errors.As(err, &remote) && remote.Op == "remote error" && strings.Contains(remote.Err.Error(), "no application protocol")
}

// urlJudge is a Dialer that also judges what a connection knows nothing of, such as that
// only https is allowed.
type urlJudge interface{ CheckURL(*url.URL) error }

// url is what all URLs of a route have in common.
func (r *route) url() *url.URL {
	if r.secure {
		return &url.URL{Scheme: "https", Host: r.addr}
	}
	return &url.URL{Scheme: "http", Host: r.addr}
}

// connect makes the connection below TLS. It returns the address that the host has, if
// the Dialer tells it.
func (d *dialling) connect(ctx context.Context, x *exchange, r *route) (net.Conn, netip.Addr, error) {
	x.enter(stepConnect)
	start := time.Now()
	if judge, ok := d.opts.Dialer.(urlJudge); ok {
		if err := judge.CheckURL(r.url()); err != nil {
			return nil, netip.Addr{}, err
		}
	}
	var told egress.Dial
	c, err := d.opts.Dialer.DialContext(egress.WithTrace(ctx, func(dial egress.Dial) { told = dial }), "tcp", r.addr)
	x.dnsHit = told.Cached
	x.timings.DNS = told.Lookup
	x.timings.Connect = time.Since(start) - told.Lookup
	var lookUp *net.DNSError
	if errors.As(err, &lookUp) {
		x.enter(stepDNS)
	}
	if told.Literal {
		return c, netip.Addr{}, err
	}
	return c, told.Target.Addr(), err
}

func (d *dialling) handshake(ctx context.Context, x *exchange, bottom net.Conn, r *route, protocols []string) (*tls.Conn, error) {
	x.enter(stepTLS)
	start := time.Now()
	defer func() { x.timings.TLS = time.Since(start) }()
	config := d.config(r)
	config.NextProtos = protocols
	secured := tls.Client(bottom, config)
	return secured, secured.HandshakeContext(ctx)
}

// config completes what the caller gave.
func (d *dialling) config(r *route) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.tls != nil {
		config = r.tls.Clone()
		config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	}
	if config.ServerName == "" {
		config.ServerName = strings.TrimSuffix(hostOf(r.addr), ".")
	}
	if config.ClientSessionCache == nil {
		config.ClientSessionCache = d.session(r.tls)
	}
	return config
}

func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr) // one that JoinHostPort made
	return host
}

// session remembers handshakes, apart for each of the caller's settings: a session
// stands for the certificates it was made with.
func (d *dialling) session(config *tls.Config) tls.ClientSessionCache {
	const (
		most  = 1024 // settings
		hosts = 256  // for each
	)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions == nil || len(d.sessions) >= most {
		d.sessions = make(map[*tls.Config]tls.ClientSessionCache)
	}
	cache := d.sessions[config]
	if cache == nil {
		cache = tls.NewLRUClientSessionCache(hosts)
		d.sessions[config] = cache
	}
	return cache
}
