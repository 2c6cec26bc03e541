package httpadapter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// http1 speaks HTTP/1.1 on one connection, one request at a time, in the goroutine of
// whoever asks. net/http reads the answers; its own client takes two goroutines a
// connection and about twice the processor time for a small webhook.
type http1 struct {
	top    net.Conn // what HTTP is spoken on: bottom, or TLS above it
	bottom net.Conn
	probe  *probe // nil where the connection can't be looked at
	plain  bool   // TCP alone, which holds nothing back
	// closes makes each request ask for the connection to be closed behind it.
	closes bool
	header int64 // most bytes of an answer's header

	// Of the exchange under way.
	in      source
	reader  *bufio.Reader
	stop    func() bool
	writing chan error // the request's body, if it is written meanwhile; nil if it is not
	abort   func()     // made once
}

// Sizes of a request: up to inOnePiece a body is copied behind the header, for one
// write; up to inOneGo it is written before the answer is read, as what connections
// take without being read from. Longer ones are written at the same time, because a
// receiver may answer, and stop reading, before it has all.
const (
	inOnePiece = 16 << 10
	inOneGo    = 32 << 10
)

const maxInformational = 5 // answers of 1xx before the real one, as many as net/http takes

var (
	errHeadersTooLarge  = errors.New("the answer's header is too long")
	errMalformed        = errors.New("the answer is not well-formed")
	errTooInformational = errors.New("too many 1xx answers")
	longAgo             = time.Unix(1, 0)
	readers             = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
	writers             = sync.Pool{New: func() any { return new([]byte) }}
	answersTo           = &http.Request{Method: http.MethodPost}
	answersToHead       = &http.Request{Method: http.MethodHead}
)

func newHTTP1(top, bottom net.Conn, o *Options) *http1 {
	_, plain := top.(*net.TCPConn)
	h := &http1{top: top, bottom: bottom, probe: newProbe(bottom), plain: plain, closes: o.KeepAlive < 0, header: int64(o.MaxHeaderBytes)}
	h.abort = func() { _ = bottom.SetDeadline(longAgo) }
	return h
}

// ready says whether the peer still waits for a request: it neither closed the
// connection nor sent something unasked.
func (h *http1) ready() bool {
	if h.probe != nil {
		// The deadline of the request before may have passed; looking would fail.
		if h.bottom.SetDeadline(time.Time{}) != nil || !h.probe.quiet() {
			return false
		}
	}
	if h.plain {
		return true
	}
	// TLS may have decrypted more than was asked for. With a deadline that has passed, this
	// gives what it holds and does not read on.
	if h.bottom.SetDeadline(longAgo) != nil {
		return false
	}
	var one [1]byte
	n, err := h.top.Read(one[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// close ends the connection. It does not take leave in TLS: that could wait for a peer
// that does not read.
func (h *http1) close() { _ = h.bottom.Close() }

// roundTrip sends a request and returns the answer, whose body must be read before done
// is called, which must be called in any case. sent says that something has left.
func (h *http1) roundTrip(ctx context.Context, x *exchange, m *message) (resp *http.Response, sent bool, err error) {
	h.in = source{conn: h.top, left: h.header}
	h.reader = readers.Get().(*bufio.Reader)
	h.reader.Reset(&h.in)
	h.stop = nil
	if err := h.top.SetDeadline(x.deadline); err != nil {
		return nil, false, err
	}
	if ctx.Done() != nil {
		h.stop = context.AfterFunc(ctx, h.abort)
	}
	x.enter(stepRequest)
	n, writeErr := h.write(x, m)
	if writeErr != nil && (n == 0 || isTimeout(writeErr)) {
		return nil, n > 0, writeErr
	}
	// A receiver that has seen enough may answer and close before it has all of the
	// request: what it said is worth more than the broken pipe.
	resp, err = h.read(x, m)
	if err != nil && writeErr != nil {
		err = writeErr
	}
	return resp, true, err
}

// write sends the request, or begins to.
func (h *http1) write(x *exchange, m *message) (int, error) {
	buffer := writers.Get().(*[]byte)
	head := m.appendHead((*buffer)[:0], h.closes)
	body := m.body
	if len(body) <= inOnePiece {
		head = append(head, body...)
		body = nil
	}
	n, err := h.top.Write(head)
	*buffer = head
	writers.Put(buffer)
	if err == nil && len(body) > inOneGo {
		h.writing = make(chan error, 1)
		go func() {
			_, err := h.top.Write(body)
			if err == nil {
				x.sent()
			}
			h.writing <- err
		}()
		return n, nil
	}
	if err == nil && len(body) > 0 {
		var more int
		more, err = h.top.Write(body)
		n += more
	}
	if err == nil {
		x.sent()
	}
	return n, err
}

// read reads the answer's header.
func (h *http1) read(x *exchange, m *message) (*http.Response, error) {
	_, err := h.reader.Peek(1)
	if err != nil {
		return nil, h.in.cause(err)
	}
	x.answered()
	request := answersTo
	if m.method == http.MethodHead {
		request = answersToHead
	}
	for range maxInformational + 1 {
		resp, err := http.ReadResponse(h.reader, request)
		if err != nil {
			return nil, h.in.cause(err)
		}
		switch {
		case resp.StatusCode < 100:
			return nil, malformedError{fmt.Errorf("the status %d is none", resp.StatusCode)}
		case resp.StatusCode >= 200, resp.StatusCode == http.StatusSwitchingProtocols:
			h.in.left = math.MaxInt64
			return resp, nil
		}
	}
	return nil, errTooInformational
}

// done ends an exchange, and says whether the connection can carry another one if its
// answer was read to the end.
func (h *http1) done() (reusable bool) {
	reusable = h.in.err == nil && h.reader.Buffered() == 0
	if h.stop != nil && !h.stop() {
		reusable = false // its deadline was, or will be, set to the past
	}
	if h.writing != nil {
		if !reusable {
			h.close()
		}
		reusable = h.written() && reusable
	}
	h.reader.Reset(nil)
	readers.Put(h.reader)
	h.reader = nil
	return reusable
}

// written ends the writing of a body, and says whether all of it went out. An answer may
// be here a moment before the writer knows that it is done.
func (h *http1) written() bool {
	const moment = 50 * time.Millisecond // as net/http waits
	timer := time.NewTimer(moment)
	defer timer.Stop()
	var err error
	select {
	case err = <-h.writing:
	case <-timer.C: // answered without having read it all
		h.close()
		err = <-h.writing
	}
	h.writing = nil
	return err == nil
}

// source reads from a connection, and remembers what went wrong there, so that it can be
// told from what is wrong with the bytes.
type source struct {
	conn net.Conn
	left int64
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		s.err = errHeadersTooLarge
		return 0, s.err
	}
	n, err := s.conn.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err != nil {
		s.err = err
	}
	return n, err
}

// cause tells why a reader above could not go on.
func (s *source) cause(err error) error {
	if s.err != nil {
		return s.err
	}
	return malformedError{err}
}

// malformedError is an answer that is not HTTP.
type malformedError struct{ error }

func (e malformedError) Unwrap() []error { return []error{errMalformed, e.error} }

// message is a request as it goes out.
type message struct {
	method string
	target *target
	fields []field
	body   []byte
	// bodiless requests do not even say that their body is empty.
	bodiless bool
}

func (m *message) appendHead(out []byte, closes bool) []byte {
	out = append(out, m.method...)
	out = append(out, ' ')
	out = append(out, m.target.requestURI...)
	out = append(out, " HTTP/1.1\r\nHost: "...)
	out = append(out, m.target.hostField...)
	for _, f := range m.fields {
		out = append(out, "\r\n"...)
		out = append(out, f.name...)
		out = append(out, ": "...)
		out = append(out, f.value...)
	}
	if !m.bodiless {
		out = append(out, "\r\nContent-Length: "...)
		out = strconv.AppendInt(out, int64(len(m.body)), 10)
	}
	if closes {
		out = append(out, "\r\nConnection: close"...)
	}
	return append(out, "\r\n\r\n"...)
}
