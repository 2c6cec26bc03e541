package httpadapter

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/neohook/neohook/webhook"
)

var errBodyTooLarge = errors.New("the answer's body is too long")

// answerBody is what was read of an answer's body.
type answerBody struct {
	kept       []byte
	truncated  bool
	compressed bool
	wire       int64 // bytes, as they came
	ended      bool  // read to its end, so that the connection can go on
}

// scratch is where bodies are read to; what is kept is copied, to its size.
var scratch = sync.Pool{New: func() any { return new([8 << 10]byte) }}

var unzippers sync.Pool

// readBody reads an answer's body to its end, keeps the first keep bytes, and gives up
// after most, counted on the wire and after decompression. The source, where it is not
// nil, says what an error really is.
func readBody(resp *http.Response, keep int, most int64, from *source) (body answerBody, err error) {
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		body.ended = true
		return body, nil
	}
	counted := &countingReader{r: resp.Body, left: most, from: from}
	defer func() { body.wire = most - counted.left }()

	plain := io.Reader(counted)
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case encoding == "" || strings.EqualFold(encoding, "identity"):
	case strings.EqualFold(encoding, "gzip") || strings.EqualFold(encoding, "x-gzip"):
		body.compressed = true
		unzipper, err := openGzip(counted)
		if errors.Is(err, io.EOF) { // an empty body is none
			body.ended = true
			return body, nil
		}
		if err != nil {
			return body, gzipError(err, counted.ended)
		}
		defer unzippers.Put(unzipper)
		plain = unzipper
	default: // not asked for; kept as it is
		body.compressed = true
	}

	buffer := scratch.Get().(*[8 << 10]byte)
	defer scratch.Put(buffer)
	var all int64
	for {
		n, err := plain.Read(buffer[:])
		room := min(n, keep-len(body.kept))
		body.kept = append(body.kept, buffer[:room]...)
		body.truncated = body.truncated || room < n
		all += int64(n)
		switch {
		case err == io.EOF:
			body.finish(counted)
			return body, nil
		case err != nil:
			body.cut()
			return body, gzipError(err, counted.ended)
		case all > most:
			body.cut()
			return body, errBodyTooLarge
		}
	}
}

// finish reads what may stand behind the end of a compressed body.
func (b *answerBody) finish(rest *countingReader) {
	if b.truncated {
		b.kept = webhook.CutText(b.kept)
	}
	if b.compressed {
		_, err := io.Copy(io.Discard, rest)
		b.ended = err == nil
		return
	}
	b.ended = true
}

// cut marks a body whose end was not reached.
func (b *answerBody) cut() {
	b.truncated = true
	b.kept = webhook.CutText(b.kept)
}

// countingReader gives up when there is more than left.
type countingReader struct {
	r     io.Reader
	left  int64
	from  *source
	ended bool
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err == io.EOF {
		c.ended = true
	} else if err != nil && c.from != nil {
		if err = c.from.cause(err); err == io.EOF { // of the connection, not of the body
			err = io.ErrUnexpectedEOF
		}
	}
	if int64(n) > c.left {
		n = int(c.left)
		c.left = 0
		return n, errBodyTooLarge
	}
	c.left -= int64(n)
	return n, err
}

func openGzip(r io.Reader) (*gzip.Reader, error) {
	if unzipper, ok := unzippers.Get().(*gzip.Reader); ok {
		if err := unzipper.Reset(r); err != nil {
			return nil, err
		}
		return unzipper, nil
	}
	return gzip.NewReader(r)
}

// errCompression marks an answer whose compression is broken.
var errCompression = errors.New("the answer's compression is broken")

// gzipError tells broken compression from a connection that broke.
func gzipError(err error, wireEnded bool) error {
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) ||
		wireEnded && errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", errCompression, err)
	}
	return err
}
