package httpapi

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// Listener makes the answers that net/http gives by itself, to what is no HTTP or has no
// end of headers, like those of the API: JSON with a code, a detail and a request id. The
// server should have DisableGeneralOptionsHandler too. A nil logger is silent.
//
// It is for TCP: other connections, those of crypto/tls among them, are left as they are.
func Listener(listener net.Listener, logger *slog.Logger) net.Listener {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return jsonListener{listener, logger}
}

type jsonListener struct {
	net.Listener
	log *slog.Logger
}

func (l jsonListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, is := conn.(*net.TCPConn); is && err == nil {
		return &jsonConn{tcp, l.log}, nil
	}
	return conn, err
}

// jsonConn is a connection of a server.
type jsonConn struct {
	*net.TCPConn
	log *slog.Logger
}

// Write writes an answer, or another one in the place of net/http's own. Those are written
// whole in one call.
func (c *jsonConn) Write(p []byte) (int, error) {
	status, reason := ownRefusal(p)
	if status == 0 {
		return c.TCPConn.Write(p)
	}
	id := requestID()
	c.log.Debug("no request", "request_id", id, "status", status, "reason", reason)
	if _, err := c.TCPConn.Write(plainRefusal(status, reason, id)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// What net/http writes of itself: a status line, these fields, and a text.
const (
	ownFields         = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	maxOwn            = 512
	noExpectation     = "HTTP/1.1 417 Expectation Failed\r\n"
	noExpectationText = "Expect has something other than 100-continue"
)

// ownRefusal returns the status that the client should see for an answer that net/http
// gives by itself, and what is wrong; 0 for any other answer.
func ownRefusal(p []byte) (status int, reason string) {
	if bytes.HasPrefix(p, []byte(noExpectation)) {
		return http.StatusExpectationFailed, noExpectationText
	}
	if len(p) > maxOwn || !bytes.HasPrefix(p, []byte("HTTP/1.1 ")) {
		return 0, ""
	}
	line, text, found := strings.Cut(string(p), ownFields)
	if !found || strings.Contains(line, "\r\n") {
		return 0, ""
	}
	status, err := strconv.Atoi(line[len("HTTP/1.1 "):min(len(line), len("HTTP/1.1 400"))])
	if err != nil {
		return 0, ""
	}
	if _, after, found := strings.Cut(text, ": "); found {
		text = after
	}
	if status >= http.StatusInternalServerError { // which is for faults of the server
		status = http.StatusBadRequest
	}
	return status, text
}

// plainRefusal is an answer as it goes over the wire.
func plainRefusal(status int, reason, id string) []byte {
	code := "generic_error"
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		code, reason = "headers_too_large", "the header fields are longer than the server takes"
	case http.StatusExpectationFailed:
		code = "expectation_failed"
	}
	body, _ := json.Marshal(errorOut{code, "The request can't be read: " + reason}) // plain strings
	header := http.Header{
		"Content-Type": jsonType, "Content-Length": {strconv.Itoa(len(body))}, "Connection": {"close"},
		"Cache-Control": noStore, "X-Content-Type-Options": noSniff, requestIDHeader: {id},
	}
	var out bytes.Buffer
	out.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	_ = header.Write(&out) // a buffer takes everything
	out.WriteString("\r\n")
	out.Write(body)
	return out.Bytes()
}
