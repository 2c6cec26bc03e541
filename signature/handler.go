package signature

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/http"
	"time"
)

// DefaultMaxBodyBytes is the longest body that a Handler reads unless told otherwise,
// twice the largest payload that an engine accepts unless told otherwise.
const DefaultMaxBodyBytes = 2 << 20

// Handler passes on to next the requests that verify, with their body as it came, to
// be read from the beginning. Others never reach next: 401 for a missing or wrong
// signature or time, 413 for a body that is too long, 400 for one that breaks off, each
// with a JSON body {"code", "detail"}.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := v.readBody(w, r)
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			refuse(w, http.StatusRequestEntityTooLarge, `{"code":"payload_too_large","detail":"The body is too long."}`)
			return
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, `{"code":"incomplete_body","detail":"The body ended too early."}`)
			return
		}
		if err := v.Verify(r.Header, body, time.Now()); err != nil {
			refuse(w, http.StatusUnauthorized, refusal(err))
			return
		}
		r = r.WithContext(r.Context()) // a copy: the caller's request is not changed
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		next.ServeHTTP(w, r)
	})
}

func (v *Verifier) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := cmp.Or(v.MaxBodyBytes, DefaultMaxBodyBytes)
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // there is a body that nobody will read
		return nil, &http.MaxBytesError{Limit: limit}
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

// refusal tells a sender whose clock is wrong from one whose key is; neither helps to
// forge a signature.
func refusal(err error) string {
	switch {
	case errors.Is(err, ErrNoHeaders):
		return `{"code":"missing_signature","detail":"The headers webhook-id, webhook-timestamp and webhook-signature are needed."}`
	case errors.Is(err, ErrNoMatch):
		return `{"code":"invalid_signature","detail":"No signature matches the body."}`
	}
	return `{"code":"invalid_timestamp","detail":"The header webhook-timestamp is not close to the present time."}`
}

func refuse(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
