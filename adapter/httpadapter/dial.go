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
	bottom, address, err := d.connect(ctx, x, r)
	if err != nil {
		return nil, err
	}
	top, multiplexed := bottom, r.protocol == webhook.HTTP2
	if r.secure {
		if err := checkTLS(r.tls); err != nil {
			_ = bottom.Close()
			return nil, invalidError{fmt.Errorf("TLSFor: %w", err)}
		}
		secured, err := d.handshake(ctx, x, bottom, r)
		if err != nil {
			_ = bottom.Close()
			return nil, err
		}
		top, multiplexed = secured, secured.ConnectionState().NegotiatedProtocol == alpnHTTP2
		if r.protocol == webhook.HTTP2 && !multiplexed {
			_ = bottom.Close()
			return nil, errNotHTTP2
		}
	}
	c := &conn{route: *r, remote: remoteOf(bottom), target: address}
	if !multiplexed {
		c.one = newHTTP1(top, bottom, d.opts)
		return c, nil
	}
	if c.two, err = d.two.open(ctx, top, bottom, r.addr, func() { d.gone(c) }); err != nil {
		_ = bottom.Close()
		return nil, fmt.Errorf("begin HTTP/2: %w", err)
	}
	return c, nil
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

func (d *dialling) handshake(ctx context.Context, x *exchange, bottom net.Conn, r *route) (*tls.Conn, error) {
	x.enter(stepTLS)
	start := time.Now()
	defer func() { x.timings.TLS = time.Since(start) }()
	secured := tls.Client(bottom, d.config(r))
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
	switch r.protocol {
	case webhook.HTTP1:
		config.NextProtos = []string{alpnHTTP1}
	case webhook.HTTP2:
		config.NextProtos = []string{alpnHTTP2}
	default:
		config.NextProtos = []string{alpnHTTP2, alpnHTTP1}
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
