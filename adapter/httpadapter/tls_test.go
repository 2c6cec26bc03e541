package httpadapter_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/webhook"
)

func TestEndpointsHaveTLSSettingsOfTheirOwnAndKeepTheirConnections(t *testing.T) {
	ca := newAuthority(t, "ours")
	var conns atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].Subject.CommonName + " at " + r.TLS.ServerName))
	}))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.issue("hooks.example", false)},
		ClientCAs:    ca.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)

	settings := map[string]*tls.Config{}
	for _, name := range []string{"alice", "bob"} {
		settings[name] = &tls.Config{
			RootCAs: ca.pool(), ServerName: "hooks.example", Certificates: []tls.Certificate{ca.issue(name, false)},
		}
	}
	a := open(t, httpadapter.Options{
		TLSFor: func(ep *webhook.Endpoint) *tls.Config { return settings[ep.Name] },
	})
	for round := range 3 {
		for name := range settings {
			ep := endpointAt(server.URL)
			ep.Name = name
			result := a.Deliver(t.Context(), delivery("{}"), ep)
			if want := name + " at hooks.example"; string(result.Body) != want {
				t.Fatalf("got %q (%s), want %q", result.Body, result.ErrorMessage(), want)
			}
			if result.ConnectionReused != (round > 0) {
				t.Errorf("round %d of %s: reused = %v", round, name, result.ConnectionReused)
			}
		}
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want one for each of the two settings", n)
	}
	other := endpointAt(server.URL) // without settings of its own it has no certificate
	if result := a.Deliver(t.Context(), delivery("{}"), other); result.Success {
		t.Error("an endpoint used another's connection")
	}
}

func TestTLSSettingsThatDoNotVerifyAreRefused(t *testing.T) {
	bad := map[string]*tls.Config{
		"no verification": {InsecureSkipVerify: true},
		"TLS 1.0":         {MinVersion: tls.VersionTLS10},
		"up to TLS 1.1":   {MaxVersion: tls.VersionTLS11},
	}
	ca := newAuthority(t, "ours")
	url := secureServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue("127.0.0.1", false)}})
	for name, config := range bad {
		if _, err := httpadapter.New(httpadapter.Options{TLS: config}); err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%s: err = %v", name, err)
		}
		a := open(t, httpadapter.Options{TLSFor: func(*webhook.Endpoint) *tls.Config { return config }})
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt(url))
		if result.Fault == nil || result.Fault.Code != webhook.FaultInvalidRequest {
			t.Errorf("%s: fault = %+v", name, result.Fault)
		}
	}
	verified := 0
	custom := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { verified++; return nil }}
	a := open(t, httpadapter.Options{TLS: custom})
	if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(url)); !result.Success || verified != 1 {
		t.Errorf("a verification of the caller's own: %s, called %d times", result.ErrorMessage(), verified)
	}
}

func TestTLSSessionsAreResumed(t *testing.T) {
	ca := newAuthority(t, "ours")
	var resumed atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			resumed.Add(1)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue("127.0.0.1", false)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	a := open(t, httpadapter.Options{TLS: &tls.Config{RootCAs: ca.pool()}, KeepAlive: -1})
	for range 3 {
		if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL)); !result.Success || result.Timings.TLS == 0 {
			t.Fatal(result.ErrorMessage(), result.Timings)
		}
	}
	if n := resumed.Load(); n != 2 {
		t.Errorf("%d handshakes were resumed, want 2", n)
	}
}

func TestAPreferenceForHTTP1LeavesNoReceiverOut(t *testing.T) {
	ca := newAuthority(t, "ours")
	for offered, want := range map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1", "h2 http/1.1": "HTTP/1.1", "": "HTTP/1.1"} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		config := &tls.Config{Certificates: []tls.Certificate{ca.issue("127.0.0.1", false)}, NextProtos: strings.Fields(offered)}
		server.TLS = config.Clone()
		server.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			strict := config.Clone()
			if offered == "h2" && !slices.Contains(hello.SupportedProtos, "h2") {
				strict.NextProtos = []string{"another"} // crypto/tls lets clients of HTTP/1.1 pass a server of h2
			}
			return strict, nil
		}
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		a := open(t, httpadapter.Options{TLS: &tls.Config{RootCAs: ca.pool()}, Protocol: webhook.HTTP1})
		for i := range 2 {
			result := a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL))
			if !result.Success || result.Protocol != want || result.ConnectionReused != (i > 0) {
				t.Errorf("offered %q: %s, %s, reused %v, want %s", offered, result.ErrorMessage(), result.Protocol, result.ConnectionReused, want)
			}
		}
	}
}
