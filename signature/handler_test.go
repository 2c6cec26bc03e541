package signature_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/signature"
)

func TestHandler(t *testing.T) {
	keys := mustParse(t, vectorHMAC)
	const body = "{\"n\": 1.50,\t\"text\":\"\\u00e9\"}\n"
	signed := func(text string) http.Header {
		return header("webhook", "msg_1", time.Now(), signature.Sign(keys, "msg_1", time.Now(), []byte(text)))
	}
	tests := map[string]struct {
		header http.Header
		body   io.Reader
		status int
		code   string // "": next was reached
	}{
		"signed":                   {signed(body), strings.NewReader(body), 200, ""},
		"signed, without length":   {signed(body), io.MultiReader(strings.NewReader(body)), 200, ""},
		"signed, no body":          {signed(""), http.NoBody, 200, ""},
		"as long as may be":        {signed(strings.Repeat("x", 100)), strings.NewReader(strings.Repeat("x", 100)), 200, ""},
		"not signed":               {http.Header{}, strings.NewReader(body), 401, "missing_signature"},
		"another body":             {signed(body + " "), strings.NewReader(body), 401, "invalid_signature"},
		"of long ago":              {header("webhook", vectorID, time.Unix(vectorUnix, 0), vectorV1), strings.NewReader(vectorBody), 401, "invalid_timestamp"},
		"too long":                 {signed(body), strings.NewReader(strings.Repeat("x", 101)), 413, "payload_too_large"},
		"too long, without length": {signed(body), io.MultiReader(strings.NewReader(strings.Repeat("x", 101))), 413, "payload_too_large"},
		"breaks off":               {signed(body), io.MultiReader(strings.NewReader(body), failing{}), 400, "incomplete_body"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var want, got []byte
			if test.code == "" {
				want, _ = io.ReadAll(test.body)
				test.body = io.MultiReader(bytes.NewReader(want))
			}
			reached := false
			verifier := mustVerifier(t, vectorHMAC)
			verifier.MaxBodyBytes = 100
			handler := verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				reached = true
				got, _ = io.ReadAll(r.Body)
				if r.ContentLength != int64(len(got)) {
					t.Errorf("ContentLength = %d of %d", r.ContentLength, len(got))
				}
			}))
			r := httptest.NewRequest(http.MethodPost, "/", test.body)
			r.Header = test.header
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)

			if w.Code != test.status {
				t.Errorf("status = %d, want %d", w.Code, test.status)
			}
			if reached != (test.code == "") {
				t.Fatalf("next reached: %v", reached)
			}
			if reached {
				if !bytes.Equal(got, want) {
					t.Errorf("body = %q, want %q", got, want)
				}
				return
			}
			var refusal struct{ Code, Detail string }
			if err := json.Unmarshal(w.Body.Bytes(), &refusal); err != nil || refusal.Code != test.code || refusal.Detail == "" {
				t.Errorf("answer = %s (%v), want code %q", w.Body, err, test.code)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type = %q", got)
			}
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("cut") }

func TestHandlerOverTheWire(t *testing.T) {
	secret := signature.Generate()
	verifier := mustVerifier(t, secret)
	verifier.MaxBodyBytes = 1 << 10
	server := httptest.NewServer(verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})))
	defer server.Close()

	for _, size := range []int{0, 1 << 10, 1<<10 + 1, 1 << 20} {
		body := bytes.Repeat([]byte("x"), size)
		r, err := http.NewRequest(http.MethodPost, server.URL, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header("webhook", "msg_1", time.Now(), signature.Sign(mustParse(t, secret), "msg_1", time.Now(), body))
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if size <= 1<<10 && (resp.StatusCode != 200 || !bytes.Equal(answer, body)) {
			t.Errorf("%d bytes: %s, %d bytes back", size, resp.Status, len(answer))
		}
		if size > 1<<10 && resp.StatusCode != 413 {
			t.Errorf("%d bytes: %s, want 413", size, resp.Status)
		}
	}
}
