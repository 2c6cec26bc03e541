package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/neohook/neohook/signature"
)

// reception is a request as a receiver got it, and what it made of it.
type reception struct {
	At     time.Time `json:"at"`
	ID     string    `json:"id,omitempty"` // the webhook-id header
	Method string    `json:"method"`
	Path   string    `json:"path"`
	// Signature is "valid", "invalid", or "unchecked" where there is no secret.
	Signature string `json:"signature"`
	// Problem says what is wrong with an invalid one, or with the request.
	Problem string              `json:"problem,omitempty"`
	Status  int                 `json:"status"` // the answer
	Headers map[string][]string `json:"headers"`
	// Body is as it came, in BodyBinary where it is not UTF-8.
	Body       string `json:"body"`
	BodyBinary []byte `json:"body_base64,omitempty"`
}

// receiver answers webhooks.
type receiver struct {
	verifier *signature.Verifier // nil checks nothing
	maxBody  int64
	// answer chooses the status for a request with a good signature. It is called for one
	// request at a time of many, so it must be safe for concurrent use.
	answer func(reception) int
	delay  time.Duration
	// seen is told of each request before it is answered, from many goroutines.
	seen func(reception)
}

// ServeHTTP takes one webhook.
func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := reception{
		At: time.Now(), Method: r.Method, Path: r.URL.RequestURI(),
		ID: r.Header.Get(signature.HeaderID), Headers: r.Header, Signature: "unchecked",
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, rc.maxBody))
	switch {
	case err != nil:
		got.Problem, got.Status = err.Error(), http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			got.Status = http.StatusRequestEntityTooLarge
		}
	case rc.verifier != nil:
		got.Signature = "valid"
		if err := rc.verifier.Verify(r.Header, body, got.At); err != nil {
			got.Signature, got.Problem, got.Status = "invalid", err.Error(), http.StatusUnauthorized
		}
	}
	if utf8.Valid(body) {
		got.Body = string(body)
	} else {
		got.BodyBinary = body
	}
	if got.Status == 0 {
		got.Status = rc.answer(got)
	}
	rc.seen(got)
	rc.wait(r.Context())
	w.WriteHeader(got.Status)
}

// wait lets the delay pass, unless the sender goes or the server ends before.
func (rc *receiver) wait(ctx context.Context) {
	if rc.delay <= 0 {
		return
	}
	timer := time.NewTimer(rc.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
