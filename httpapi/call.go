package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// requestIDHeader names the request in its answer and in the log.
const requestIDHeader = "Neohook-Request-Id"

// call is one request on its way through an operation.
type call struct {
	api  *API
	op   *operation
	req  *http.Request
	resp http.ResponseWriter
	id   string
	// caller is who asks, once authenticated, and org what acts for them.
	caller access.Caller
	org    *neohook.Organisation
	// app is the application of a caller who is confined to it and named it by its uid.
	app webhook.TenantID
	// status is that of the answer where it is not the operation's usual one.
	status int
	// buf holds the request's body, then the answer's.
	buf     *bytes.Buffer
	ignored []string
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxKeptBytes is the largest buffer worth keeping for the next call, and the largest
// made for a body before it has arrived.
const maxKeptBytes = 64 << 10

// Fields of answers that are always the same.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
)

// ServeHTTP answers a request to the resource, whatever happens.
func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	buf, _ := buffers.Get().(*bytes.Buffer)
	c := &call{api: res.api, req: r, resp: w, id: requestID(), buf: buf}
	header := w.Header()
	header[requestIDHeader] = []string{c.id}
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff

	status := c.serve(res)
	if log := c.api.log; log.Enabled(r.Context(), slog.LevelDebug) {
		log.DebugContext(r.Context(), "request", "request_id", c.id, "method", r.Method, "path", r.URL.Path,
			"status", status, "duration", time.Since(start))
	}
	if buf.Cap() <= maxKeptBytes {
		buf.Reset()
		buffers.Put(buf)
	}
}

// requestID returns a name that no other request of these days has.
func requestID() string {
	const digits = 36
	return strconv.FormatUint(rand.Uint64()|1<<63, digits) //nolint:gosec // nothing is guarded by it
}

// serve answers and returns the status.
func (c *call) serve(res *resource) (status int) {
	defer func() {
		if fault := recover(); fault != nil {
			if fault == http.ErrAbortHandler { //nolint:errorlint // panics are compared as net/http does
				panic(fault)
			}
			c.api.log.ErrorContext(c.req.Context(), "panic in a request", "request_id", c.id,
				"method", c.req.Method, "path", c.req.URL.Path, "panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
			status = c.send(http.StatusInternalServerError, refuse(nil, nil).body())
		}
	}()
	if c.crossOrigin() {
		return c.send(http.StatusNoContent, nil)
	}
	answer, err := c.perform(res)
	nameIgnored(c.resp.Header(), c.ignored)
	if err != nil {
		return c.refuse(err)
	}
	if c.op.needs == access.Publish {
		c.foundRoom()
	}
	switch {
	case c.status != 0:
		status = c.status
	case c.op.status != 0:
		status = c.op.status
	}
	return c.send(status, answer)
}

func (c *call) perform(res *resource) (any, error) {
	op, err := res.operation(c.req.Method)
	if err != nil {
		return nil, err
	}
	c.op = op
	return op.serve(c)
}

// refuse answers with an error.
func (c *call) refuse(err error) int {
	var names wireNames
	if c.op != nil {
		names = c.op.names
	}
	no := refuse(err, names)
	if no.status >= http.StatusInternalServerError {
		c.logFault(no)
	}
	header := c.resp.Header()
	if no.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	if no.allow != "" {
		header.Set("Allow", no.allow)
	}
	if no.retryAfter != "" {
		header.Set("Retry-After", no.retryAfter)
	}
	return c.send(no.status, no.body())
}

// logFault says why the server could not do what was asked.
func (c *call) logFault(no *refusal) {
	level := slog.LevelError
	switch {
	case c.ctx().Err() != nil:
		level = slog.LevelDebug // the client has gone: nothing failed
	case no.code == storageFull && !c.api.full.refuse(time.Now()):
		level = slog.LevelDebug // as the one before
	case errors.Is(no.cause, store.ErrUnavailable) && !c.api.away.refuse(time.Now()):
		level = slog.LevelDebug // as the one before
	case no.code == storageFull, errors.Is(no.cause, store.ErrUnavailable): // does not pass by itself
	case no.status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	}
	c.api.log.Log(c.ctx(), level, "request failed", "request_id", c.id, "operation", c.opName(),
		"status", no.status, "error", no.cause)
}

// foundRoom notes that a message was accepted.
func (c *call) foundRoom() {
	c.foundDatabase()
	if lasted, refused := c.api.full.end(time.Now()); refused > 0 {
		c.api.log.InfoContext(c.ctx(), "the store has room again", "request_id", c.id, "lasted", lasted, "refused", refused)
	}
}

// foundDatabase notes that the database has answered.
func (c *call) foundDatabase() {
	if lasted, refused := c.api.away.end(time.Now()); refused > 0 {
		c.api.log.InfoContext(c.ctx(), "the database is there again", "request_id", c.id, "lasted", lasted, "refused", refused)
	}
}

func (c *call) opName() string {
	if c.op == nil {
		return ""
	}
	return c.op.name
}

// encodeOptions: a payload goes out in the spelling it came in, lone surrogates included.
var encodeOptions = json.JoinOptions(
	jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(true), json.Deterministic(true),
)

// send writes the answer. The body is whole before the status is sent, so that what can't
// be encoded is a clean failure.
func (c *call) send(status int, body any) int {
	header := c.resp.Header()
	switch body := body.(type) {
	case nil:
		c.resp.WriteHeader(status)
		return status
	case interface {
		serve(http.ResponseWriter, *http.Request, int) int
	}:
		return body.serve(c.resp, c.req, status)
	}
	c.buf.Reset()
	if err := json.MarshalWrite(c.buf, body, encodeOptions); err != nil {
		c.api.log.ErrorContext(c.req.Context(), "answer can't be encoded", "request_id", c.id, "operation", c.opName(), "error", err)
		status = http.StatusInternalServerError
		c.buf.Reset()
		c.buf.WriteString(`{"code":"internal","detail":"The server failed"}`)
	}
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(c.buf.Len())}
	c.resp.WriteHeader(status)
	if c.req.Method != http.MethodHead {
		_, _ = c.resp.Write(c.buf.Bytes()) // the client has gone: nobody is left to tell
	}
	return status
}

func (c *call) ctx() context.Context { return c.req.Context() }

// readQuery reads the query string into the operation's type.
func (c *call) readQuery(query any) error {
	unknown, err := c.op.query.parse(c.req.URL.RawQuery, query)
	c.ignored = append(c.ignored, unknown...)
	return err
}

// readBody reads and decodes the body into the operation's type.
func (c *call) readBody(body any) error {
	if err := c.receive(); err != nil {
		return err
	}
	unknown, bad := c.op.body.decode(c.buf.Bytes(), body)
	c.ignored = append(c.ignored, unknown...)
	if len(bad) > 0 && !c.op.bodyFirst {
		if err := c.lookUp(); err != nil {
			return err
		}
	}
	return bad.err()
}

// receive reads the whole body, up to its limit.
func (c *call) receive() error {
	if coding := c.req.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return &refusal{
			status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			detail: "The body must be sent without a Content-Encoding",
		}
	}
	length := c.req.ContentLength
	limit := max(c.op.bodyBytes, c.api.maxBodyBytes())
	if length > limit {
		return bodyTooLarge(limit)
	}
	// ReadFrom wants MinRead to spare to see the end without growing.
	c.buf.Grow(int(min(max(length, 0)+bytes.MinRead, maxKeptBytes)))
	n, err := c.buf.ReadFrom(io.LimitReader(c.req.Body, limit+1))
	switch {
	case n > limit:
		return bodyTooLarge(limit)
	case err != nil:
		return &refusal{status: http.StatusBadRequest, code: "generic_error", detail: "The body could not be read to its end"}
	}
	return nil
}

// lookUp returns what is amiss with the entities of the path, which must exist.
func (c *call) lookUp() error {
	app, ep := c.tenant(), c.endpoint()
	if app != "" && !(c.op.upsert && ep == "") {
		if _, err := c.org.Tenant(c.ctx(), app); err != nil {
			return c.missing(err, "")
		}
	}
	if name := c.typeName(); name != "" && !c.op.upsert {
		_, err := c.findEventType(name)
		return err
	}
	if ep != "" && !c.op.upsert {
		if _, err := c.org.Endpoint(c.ctx(), app, ep); err != nil {
			return c.missing(err, "Endpoint")
		}
	}
	return nil
}

// missing says what it was that an operation did not find: the application of its path,
// or the part of it that is named; "" is none.
func (c *call) missing(err error, part string) error {
	if !errors.Is(err, neohook.ErrNotFound) && !errors.Is(err, webhook.ErrMalformedID) {
		return err
	}
	if part != "" {
		if _, err := c.org.Tenant(c.ctx(), c.tenant()); err == nil {
			return notFound(part + " not found")
		}
	}
	return notFound("Application not found")
}

// The references in the path.
func (c *call) tenant() webhook.TenantID {
	return cmp.Or(c.app, webhook.TenantID(c.req.PathValue("app_id")))
}
func (c *call) endpoint() webhook.EndpointID {
	return webhook.EndpointID(cmp.Or(c.req.PathValue("endpoint_id"), c.req.PathValue("operational_endpoint_id")))
}
func (c *call) event() webhook.EventID     { return webhook.EventID(c.req.PathValue("msg_id")) }
func (c *call) attempt() webhook.AttemptID { return webhook.AttemptID(c.req.PathValue("attempt_id")) }
