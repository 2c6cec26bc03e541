package httpapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/neohook/neohook/httpapi"
)

// serveOn serves a handler as the program does and returns the address.
func serveOn(t *testing.T, handler http.Handler) string {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	server := &http.Server{Handler: handler, MaxHeaderBytes: 4 << 10, DisableGeneralOptionsHandler: true}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(httpapi.Listener(listener, nil)) }()
	t.Cleanup(func() {
		check(t, server.Close())
		<-ended
	})
	return listener.Addr().String()
}

// say sends bytes and reads one answer.
func say(t *testing.T, address, text string) (*http.Response, string) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	check(t, err)
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, text) }() // the server may answer before the end
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	check(t, err)
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp, string(body)
}

func TestWhatIsNoRequestIsRefusedLikeAnyOther(t *testing.T) {
	w := newWorld(t, worldOptions{})
	address := serveOn(t, w.api)
	tests := map[string]struct {
		said   string
		status int
		code   string
	}{
		"garbage":                     {"garbage\r\n\r\n", 400, "generic_error"},
		"a TLS greeting":              {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "generic_error"},
		"no host":                     {"GET /api/v1/health HTTP/1.1\r\n\r\n", 400, "generic_error"},
		"two hosts":                   {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "generic_error"},
		"an odd name":                 {"GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n", 400, "generic_error"},
		"another version":             {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 400, "generic_error"},
		"another coding":              {"POST /api/v1/app HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "generic_error"},
		"an expectation":              {"POST /api/v1/app HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nContent-Length: 2\r\n\r\n{}", 417, "expectation_failed"},
		"header fields without end":   {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 32<<10), 431, "headers_too_large"},
		"OPTIONS of the server":       {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found"},
		"a path that is none":         {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found"},
		"CONNECT":                     {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found"},
		"a request like those before": {"GET /api/v1/app HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 401, "authentication_failed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			resp, body := say(t, address, test.said)
			var out struct{ Code, Detail string }
			if err := json.Unmarshal([]byte(body), &out); err != nil || out.Code != test.code || out.Detail == "" {
				t.Errorf("%d %q: %v, want %s", resp.StatusCode, body, err, test.code)
			}
			if resp.StatusCode != test.status || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("neohook-request-id") == "" {
				t.Errorf("%d with %v, want %d as JSON with a request id", resp.StatusCode, resp.Header, test.status)
			}
		})
	}
}

// What a handler answers is left as it is, however much it looks like net/http's own.
func TestAnswersOfHandlersAreLeftAlone(t *testing.T) {
	const text, like = "400 Bad Request: mine", "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	address := serveOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			_, _ = fmt.Fprint(w, strings.Repeat(like, 1000))
			return
		}
		w.Header().Set("Connection", "close")
		http.Error(w, text, http.StatusBadRequest)
	}))
	resp, body := say(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp.StatusCode != 400 || body != text+"\n" || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
	}
	if _, body := say(t, address, "GET /long HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); body != strings.Repeat(like, 1000) {
		t.Errorf("%d bytes that differ", len(body))
	}
}
