package egress

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	socks "golang.org/x/net/proxy"
)

// ProxyError says that the proxy could not be reached or did not open the connection.
type ProxyError struct {
	// Proxy is its scheme, host and port.
	Proxy string
	// StatusCode is what an HTTP proxy answered to CONNECT; 0 where it did not come to that.
	StatusCode int
	// Err is the cause; nil where there is a status.
	Err error
}

// Error names the proxy, without its password, and what it said.
func (e *ProxyError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("egress: proxy %s answered %d %s", e.Proxy, e.StatusCode, http.StatusText(e.StatusCode))
	}
	return fmt.Sprintf("egress: proxy %s: %v", e.Proxy, e.Err)
}

// Unwrap returns the cause.
func (e *ProxyError) Unwrap() error { return e.Err }

// Timeout says whether the cause is a limit of time that passed.
func (e *ProxyError) Timeout() bool {
	var timeout net.Error
	return errors.As(e.Err, &timeout) && timeout.Timeout()
}

// A proxy opens connections through one proxy. Its own address is the operator's and is
// not judged.
type proxy struct {
	scheme   string
	host     target
	user     *url.Userinfo
	tls      *tls.Config // of an https proxy
	resolves bool
	bypass   bypass
	cache    *cache
}

// A bypass is what is dialled without the proxy.
type bypass struct {
	hosts    []hostPattern
	prefixes []netip.Prefix
}

func newProxy(o Options, c *cache) (*proxy, error) {
	if o.Proxy == nil {
		if len(o.ProxyBypass) > 0 || o.ProxyResolves {
			return nil, errors.New("egress: ProxyBypass or ProxyResolves is set and Proxy is not")
		}
		return nil, nil
	}
	u := o.Proxy
	port, known := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	if !known || u.Opaque != "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("egress: Proxy %s is not http, https or socks5, ://, and a host and port alone", u.Redacted())
	}
	host, err := parseTarget(net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	if err != nil {
		return nil, fmt.Errorf("egress: Proxy %s: %w", u.Redacted(), err)
	}
	p := &proxy{scheme: u.Scheme, host: host, user: u.User, resolves: o.ProxyResolves, cache: c}
	if p.bypass, err = newBypass(o.ProxyBypass); err != nil {
		return nil, err
	}
	if p.scheme == "https" {
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.ProxyTLS != nil {
			p.tls = o.ProxyTLS.Clone()
		}
		p.tls.ServerName = cmp.Or(p.tls.ServerName, cmp.Or(host.name, host.ip.String()))
		p.tls.NextProtos = []string{"http/1.1"} // CONNECT as written below
	}
	return p, nil
}

func newBypass(list []string) (bypass, error) {
	var b bypass
	for _, text := range list {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			checked, err := prefixes("ProxyBypass", []netip.Prefix{prefix})
			if err != nil {
				return b, err
			}
			b.prefixes = append(b.prefixes, checked...)
			continue
		}
		patterns, err := hostPatterns("ProxyBypass", []string{text})
		if err != nil {
			return b, err
		}
		b.hosts = append(b.hosts, patterns...)
	}
	return b, nil
}

// hasHost says whether the target as such goes without the proxy.
func (b *bypass) hasHost(t *target) bool {
	for _, pattern := range b.hosts {
		if t.matches(pattern) {
			return true
		}
	}
	return false
}

// hasAddress says whether an address goes without the proxy.
func (b *bypass) hasAddress(ip netip.Addr) bool {
	_, found := contains(b.prefixes, ip.Unmap().WithZone(""))
	return found
}

// connect opens a connection through the proxy to "host:port".
func (p *proxy) connect(ctx context.Context, to string) (net.Conn, error) {
	var conn net.Conn
	var err error
	switch p.scheme {
	case "socks5", "socks5h":
		conn, err = p.socks(ctx, to)
	default:
		conn, err = p.tunnel(ctx, to)
	}
	if err == nil {
		return conn, nil
	}
	failed := &ProxyError{Proxy: p.String(), Err: err}
	if status, ok := err.(refusal); ok { //nolint:errorlint // tunnel returns it as it is
		failed.StatusCode, failed.Err = int(status), nil
	} else if ctx.Err() != nil {
		failed.Err = ctx.Err() // what it did to the connection says less
	}
	return nil, failed
}

// String is the proxy's URL without user and password.
func (p *proxy) String() string {
	host := cmp.Or(p.host.name, p.host.ip.String())
	return p.scheme + "://" + net.JoinHostPort(host, fmt.Sprint(p.host.port))
}

// reach opens a connection to the proxy itself.
func (p *proxy) reach(ctx context.Context) (net.Conn, error) {
	addrs := []netip.Addr{p.host.ip}
	if !p.host.ip.IsValid() {
		var err error
		if addrs, _, err = p.cache.resolve(ctx, p.host.lookup()); err != nil {
			return nil, err
		}
	}
	var dialer net.Dialer
	conn, _, err := race(ctx, addrs, func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(ip, p.host.port).String())
	})
	if err != nil || p.tls == nil {
		return conn, err
	}
	secure := tls.Client(conn, p.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// socks asks a SOCKS5 proxy (RFC 1928, 1929).
func (p *proxy) socks(ctx context.Context, to string) (net.Conn, error) {
	var auth *socks.Auth
	if p.user != nil {
		password, _ := p.user.Password()
		auth = &socks.Auth{User: p.user.Username(), Password: password}
	}
	dialer, err := socks.SOCKS5("tcp", p.String(), auth, reacher{p})
	if err != nil {
		return nil, err
	}
	return dialer.(socks.ContextDialer).DialContext(ctx, "tcp", to)
}

// reacher is a proxy's reach in the form that the socks package asks for.
type reacher struct{ proxy *proxy }

func (r reacher) Dial(_, _ string) (net.Conn, error) {
	return nil, errors.New("dial without a context")
}

func (r reacher) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return r.proxy.reach(ctx)
}

// A refusal is the status with which a proxy declined a CONNECT.
type refusal int

func (r refusal) Error() string { return http.StatusText(int(r)) }

// maxConnectAnswer bounds the header of a proxy's answer.
const maxConnectAnswer = 64 << 10

// tunnel asks an HTTP proxy by CONNECT (RFC 9110, 9.3.6).
func (p *proxy) tunnel(ctx context.Context, to string) (net.Conn, error) {
	conn, err := p.reach(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	rest, err := p.ask(conn, to)
	if !stop() {
		err = ctx.Err() // the deadline is in the past now: the connection is of no use
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if len(rest) > 0 {
		return &prefixed{conn, bytes.NewReader(rest)}, nil
	}
	return conn, nil
}

// ask sends CONNECT and reads the answer. It returns what the target has sent already,
// as servers of HTTP/2 may.
func (p *proxy) ask(conn net.Conn, to string) (rest []byte, err error) {
	request := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n"
	if p.user != nil {
		password, _ := p.user.Password()
		credentials := base64.StdEncoding.EncodeToString([]byte(p.user.Username() + ":" + password))
		request += "Proxy-Authorization: Basic " + credentials + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return nil, err
	}
	answer := bufio.NewReader(io.LimitReader(conn, maxConnectAnswer))
	for {
		resp, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // it is the connection
		if err != nil {
			return nil, fmt.Errorf("answer to CONNECT: %w", err)
		}
		if resp.StatusCode >= 200 {
			if resp.StatusCode >= 300 {
				return nil, refusal(resp.StatusCode)
			}
			return answer.Peek(answer.Buffered())
		}
	}
}

// prefixed is a connection of which the beginning has been read.
type prefixed struct {
	net.Conn
	rest *bytes.Reader
}

func (c *prefixed) Read(b []byte) (int, error) {
	if c.rest.Len() > 0 {
		return c.rest.Read(b)
	}
	return c.Conn.Read(b)
}
