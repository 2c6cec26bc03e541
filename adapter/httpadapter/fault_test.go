package httpadapter_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func TestBlockedNameTellsTheOperatorWhatToChangeAndAStrangerNoAddress(t *testing.T) {
	names := lookUps{"inside.example": {netip.MustParseAddr("10.1.2.3")}, "meta.example": {netip.MustParseAddr("169.254.169.254")}}
	a, err := httpadapter.New(httpadapter.Options{Egress: egress.Options{Resolver: names}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for host := range names {
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt("http://"+host+"/"))
		want := `the address of "` + host + `" is blocked by the egress policy: it must be public, or in the egress allow list (Allow)`
		if got := result.ErrorMessage(); got != want {
			t.Errorf("the message is %q, want %q", got, want)
		}
	}
}

// lookUps answers names from a map; a missing one is not found.
type lookUps map[string][]netip.Addr

func (l lookUps) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if host == "slow.example" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if addrs, ok := l[host]; ok {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, Server: "10.9.8.7:53", IsNotFound: true}
}

// secureServer serves TLS, and HTTP/1.1 above it.
func secureServer(t testing.TB, config *tls.Config) string {
	t.Helper()
	url := rawServer(t, func(c net.Conn) {
		secured := tls.Server(c, config)
		if secured.HandshakeContext(t.Context()) != nil {
			return
		}
		in := bufio.NewReader(secured)
		for readRequest(in) {
			if _, err := io.WriteString(secured, whole("ok")); err != nil {
				return
			}
		}
	})
	return strings.Replace(url, "http:", "https:", 1)
}

// stuck is a Dialer that never gets anywhere.
type stuck struct{}

func (stuck) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
}

// Every code, from the real thing wherever the machine can bring it about.
func TestFaultsHaveStableCodes(t *testing.T) {
	ca, stranger := newAuthority(t, "ours"), newAuthority(t, "another")
	good := ca.issue("127.0.0.1", false)
	trusting := &tls.Config{RootCAs: ca.pool()}
	serveTLS := func(config *tls.Config) string { return secureServer(t, config) }
	closedPort := func() string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		return "http://" + listener.Addr().String()
	}
	silent := rawServer(t, untilClosed)
	names := lookUps{
		"inside.example": {netip.MustParseAddr("10.1.2.3")}, "meta.example": {netip.MustParseAddr("169.254.169.254")},
	}
	refusingProxy, err := url.Parse(rawServer(t, answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	deadProxy, _ := url.Parse(closedPort())

	type testCase struct {
		opts  httpadapter.Options
		url   string
		code  webhook.FaultCode
		kind  webhook.FaultKind
		phase webhook.Phase
		// hidden must not be in the message, which strangers see.
		hidden string
	}
	own := httpadapter.Options{Egress: egress.Options{Resolver: names, Allow: loopback}}
	withTLS := httpadapter.Options{TLS: trusting}
	proxied := func(through *url.URL) httpadapter.Options {
		return httpadapter.Options{Egress: egress.Options{Allow: loopback, Proxy: through}}
	}
	slowConnect := httpadapter.Options{TLS: trusting, ConnectTimeout: 100 * time.Millisecond}
	client, timedOut := webhook.FaultClient, webhook.FaultTimeout
	tests := map[string]testCase{
		"unknown host":      {own, "http://nowhere.example/", webhook.FaultDNS, client, webhook.PhaseDNS, "10.9.8.7"},
		"slow look-up":      {own, "http://slow.example/", webhook.FaultDNS, timedOut, webhook.PhaseDNS, ""},
		"private address":   {own, "http://10.0.0.1/", webhook.FaultBlockedAddress, client, webhook.PhaseConnect, ""},
		"private name":      {own, "http://inside.example/", webhook.FaultBlockedAddress, client, webhook.PhaseConnect, "10.1.2.3"},
		"metadata":          {own, "https://meta.example/", webhook.FaultBlockedAddress, client, webhook.PhaseConnect, "169.254"},
		"loopback, default": {httpadapter.Options{Egress: egress.Options{}}, silent, webhook.FaultBlockedAddress, client, webhook.PhaseConnect, ""},
		"https alone":       {httpadapter.Options{Egress: egress.Options{HTTPSOnly: true, Allow: loopback}}, silent, webhook.FaultBlockedAddress, client, webhook.PhaseConnect, ""},
		"nothing listens":   {own, closedPort(), webhook.FaultRefused, client, webhook.PhaseConnect, ""},
		"never connects":    {httpadapter.Options{Dialer: stuck{}}, "http://127.0.0.1/", webhook.FaultConnectTimeout, timedOut, webhook.PhaseConnect, ""},
		"no route":          {httpadapter.Options{Dialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}}, "http://192.0.2.1/", "", client, webhook.PhaseConnect, ""},
		"proxy refuses":     {proxied(refusingProxy), silent, webhook.FaultProxy, client, webhook.PhaseConnect, refusingProxy.Host},
		"proxy is away":     {proxied(deadProxy), silent, webhook.FaultProxy, client, webhook.PhaseConnect, deadProxy.Host},

		"silent in TLS":        {slowConnect, strings.Replace(silent, "http", "https", 1), webhook.FaultConnectTimeout, timedOut, webhook.PhaseTLS, ""},
		"no TLS":               {withTLS, strings.Replace(rawServer(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }), "http", "https", 1), webhook.FaultTLSNotSpoken, client, webhook.PhaseTLS, ""},
		"closes in TLS":        {withTLS, strings.Replace(rawServer(t, func(net.Conn) {}), "http", "https", 1), webhook.FaultTLS, client, webhook.PhaseTLS, ""},
		"expired":              {withTLS, serveTLS(&tls.Config{Certificates: []tls.Certificate{ca.issue("127.0.0.1", true)}}), webhook.FaultTLSExpired, client, webhook.PhaseTLS, ""},
		"unknown authority":    {withTLS, serveTLS(&tls.Config{Certificates: []tls.Certificate{stranger.issue("127.0.0.1", false)}}), webhook.FaultTLSUnknownAuthority, client, webhook.PhaseTLS, ""},
		"another host":         {withTLS, serveTLS(&tls.Config{Certificates: []tls.Certificate{ca.issue("other.example", false)}}), webhook.FaultTLSHostname, client, webhook.PhaseTLS, ""},
		"TLS 1.1":              {withTLS, serveTLS(&tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), webhook.FaultTLSVersion, client, webhook.PhaseTLS, ""},
		"wants a client (1.2)": {withTLS, serveTLS(&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}), webhook.FaultTLSRefused, client, webhook.PhaseTLS, ""},
		"wants a client (1.3)": {withTLS, serveTLS(&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert}), webhook.FaultTLSRefused, client, webhook.PhaseResponse, ""},
		"HTTP/1.1 alone":       {httpadapter.Options{TLS: trusting, Protocol: webhook.HTTP2}, serveTLS(&tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"http/1.1"}}), webhook.FaultTLSRefused, client, webhook.PhaseTLS, ""},
		"no ALPN":              {httpadapter.Options{TLS: trusting, Protocol: webhook.HTTP2}, serveTLS(&tls.Config{Certificates: []tls.Certificate{good}}), webhook.FaultMalformedResponse, client, webhook.PhaseTLS, ""},

		"no answer": {own, silent, webhook.FaultResponseTimeout, timedOut, webhook.PhaseResponse, ""},
		"half a body": {own, rawServer(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
			untilClosed(c)
		}), webhook.FaultBodyTooSlow, timedOut, webhook.PhaseBody, ""},
		"not HTTP":     {own, rawServer(t, func(c net.Conn) { _, _ = io.WriteString(c, "hello\r\n"); untilClosed(c) }), webhook.FaultMalformedResponse, client, webhook.PhaseResponse, ""},
		"long header":  {httpadapter.Options{Egress: own.Egress, MaxHeaderBytes: 1000}, rawServer(t, answering("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 2000)+"\r\n\r\n")), webhook.FaultHeadersTooLarge, client, webhook.PhaseResponse, ""},
		"long body":    {httpadapter.Options{Egress: own.Egress, MaxBodyBytes: 10, MaxResponseBytes: 10}, rawServer(t, answering(whole("12345678901"))), webhook.FaultBodyTooLarge, client, webhook.PhaseBody, ""},
		"closes early": {own, rawServer(t, func(c net.Conn) { readRequest(bufio.NewReader(c)) }), webhook.FaultReset, client, webhook.PhaseResponse, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.opts.Timeout = patience(test.code)
			test.opts.ConnectTimeout = cmp.Or(test.opts.ConnectTimeout, test.opts.Timeout)
			if test.opts.Dialer == nil && test.opts.Egress.Resolver == nil && test.opts.Egress.Proxy == nil && name != "loopback, default" {
				test.opts.Egress.Allow = loopback
			}
			a, err := httpadapter.New(test.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			result := a.Deliver(t.Context(), delivery("{}"), endpointAt(test.url))
			fault := result.Fault
			if result.Success || fault == nil {
				t.Fatalf("result = %+v", result)
			}
			if name == "no route" { // what becomes of it depends on the machine's network
				if fault.Code != webhook.FaultUnreachable && fault.Code != webhook.FaultOther && fault.Code != webhook.FaultConnectTimeout {
					t.Errorf("fault = %+v", fault)
				}
				return
			}
			if fault.Code != test.code || fault.Kind != test.kind || fault.Phase != test.phase {
				t.Errorf("got %s, %s in %s (%v), want %s, %s in %s", fault.Code, fault.Kind, fault.Phase, fault.Cause, test.code, test.kind, test.phase)
			}
			if fault.Message == "" || test.hidden != "" && strings.Contains(fault.Message, test.hidden) {
				t.Errorf("message = %q", fault.Message)
			}
			if fault.Cause == nil || !errors.Is(fault, fault.Cause) {
				t.Errorf("cause = %v", fault.Cause)
			}
		})
	}
}

func TestACancelledAttemptSaysSo(t *testing.T) {
	arrived := make(chan struct{})
	url := rawServer(t, func(c net.Conn) {
		readRequest(bufio.NewReader(c))
		arrived <- struct{}{}
		untilClosed(c)
	})
	a := open(t, httpadapter.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	result := a.Deliver(ctx, delivery("{}"), endpointAt(url))
	if result.Fault == nil || result.Fault.Code != webhook.FaultCancelled || result.Fault.Kind != webhook.FaultClient {
		t.Errorf("fault = %+v", result.Fault)
	}
	if h := a.HealthCheck(t.Context()); h.Pool.Open != 0 {
		t.Errorf("the connection was kept: %+v", h.Pool)
	}
	result = a.Deliver(ctx, delivery("{}"), endpointAt(url)) // it has ended already
	if result.Fault == nil || result.Fault.Code != webhook.FaultCancelled {
		t.Errorf("fault = %+v", result.Fault)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	result = a.Deliver(late, delivery("{}"), endpointAt(url))
	if result.Fault == nil || result.Fault.Code != webhook.FaultCancelled || result.Fault.Kind != webhook.FaultTimeout {
		t.Errorf("fault = %+v", result.Fault)
	}
	if s := a.ConnectionStats(); s.ConnectionErrors != 0 {
		t.Errorf("stats = %+v", s)
	}
}

func TestAWaitThatIsTooLongIsAnExhaustedPool(t *testing.T) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	server := serve(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	a := open(t, httpadapter.Options{PoolSize: 1})
	done := make(chan webhook.Result)
	go func() { done <- a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL)) }()
	<-arrived
	ep := endpointAt(server.URL)
	ep.Timeout = 30 * time.Millisecond
	result := a.Deliver(t.Context(), delivery("{}"), ep)
	if result.Fault == nil || result.Fault.Code != webhook.FaultPoolExhausted || result.Fault.Kind != webhook.FaultTimeout || result.Fault.Phase != webhook.PhaseWait {
		t.Errorf("fault = %+v", result.Fault)
	}
	close(release)
	if result := <-done; !result.Success {
		t.Error(result.ErrorMessage())
	}
	if s := a.ConnectionStats(); s.PoolExhausted != 1 {
		t.Errorf("stats = %+v", s)
	}
}
