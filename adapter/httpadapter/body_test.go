package httpadapter_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/neohook/neohook/adapter/httpadapter"
)

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAnswersAreKeptUpToTheLimit(t *testing.T) {
	var body []byte
	encoding := ""
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if encoding != "" {
			w.Header().Set("Content-Encoding", encoding)
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(body)
	})
	const limit = httpadapter.DefaultMaxBodyBytes
	euros := strings.Repeat("€", limit/3+10) // the limit falls in the middle of one
	tests := map[string]struct {
		body      []byte
		encoding  string
		kept      string
		truncated bool
		packed    bool
		json      string // "" is the same as kept
	}{
		"none":                 {},
		"short":                {body: []byte("ok"), kept: "ok"},
		"just the limit":       {body: bytes.Repeat([]byte("x"), limit), kept: strings.Repeat("x", limit)},
		"one more":             {body: bytes.Repeat([]byte("x"), limit+1), kept: strings.Repeat("x", limit), truncated: true, json: strings.Repeat("x", limit-14) + "…[truncated]"},
		"long":                 {body: bytes.Repeat([]byte("x"), 500<<10), kept: strings.Repeat("x", limit), truncated: true, json: strings.Repeat("x", limit-14) + "…[truncated]"},
		"cut in a character":   {body: []byte(euros), kept: euros[:limit/3*3], truncated: true, json: strings.Repeat("€", 3408) + "…[truncated]"},
		"binary":               {body: []byte{0xff, 0xfe, 0}, kept: "\xff\xfe\x00", json: "base64://4A"},
		"compressed":           {body: gzipped(t, "hello"), encoding: "gzip", kept: "hello", packed: true},
		"under an older name":  {body: gzipped(t, "hello"), encoding: "X-GZIP", kept: "hello", packed: true},
		"compressed and long":  {body: gzipped(t, strings.Repeat("x", 500<<10)), encoding: "gzip", kept: strings.Repeat("x", limit), truncated: true, packed: true, json: strings.Repeat("x", limit-14) + "…[truncated]"},
		"not asked for":        {body: []byte("br?"), encoding: "br", kept: "br?", packed: true},
		"identity":             {body: []byte("plain"), encoding: "identity", kept: "plain"},
		"nothing, compressed":  {encoding: "gzip"},
		"two compressed parts": {body: append(gzipped(t, "one "), gzipped(t, "two")...), encoding: "gzip", kept: "one two", packed: true},
	}
	a := open(t, httpadapter.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			body, encoding = test.body, test.encoding
			for range 2 {
				result := a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL))
				if !result.Success || string(result.Body) != test.kept || result.BodyTruncated != test.truncated {
					t.Fatalf("%s: kept %d bytes, truncated %v", result.ErrorMessage(), len(result.Body), result.BodyTruncated)
				}
				if result.CompressionUsed != test.packed || result.BytesReceived != int64(len(test.body)) {
					t.Errorf("compressed %v, %d bytes received", result.CompressionUsed, result.BytesReceived)
				}
				text, err := json.Marshal(result)
				if err != nil {
					t.Fatal(err)
				}
				var info struct {
					Body       string `json:"response_body"`
					Compressed bool   `json:"compression_used"`
				}
				if err := json.Unmarshal(text, &info); err != nil {
					t.Fatal(err)
				}
				want := test.json
				if want == "" {
					want = test.kept
				}
				if info.Body != want || info.Compressed != test.packed {
					t.Errorf("response_body has %d bytes and ends in %q, want %d", len(info.Body), info.Body[max(0, len(info.Body)-20):], len(want))
				}
			}
		})
	}
	if s := a.ConnectionStats(); s.ConnectionReuses != s.TotalRequests-1 {
		t.Errorf("a body cost its connection: %+v", s)
	}
}

func TestTheLimitsOfAnswersAreSettable(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 30_000)) })
	for want, opts := range map[int]httpadapter.Options{
		20_000: {MaxBodyBytes: 20_000}, 0: {MaxBodyBytes: -1}, 30_000: {MaxBodyBytes: 1 << 20, MaxResponseBytes: 10},
	} {
		a := open(t, opts)
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL))
		if !result.Success || len(result.Body) != want || result.BodyTruncated != (want < 30_000) {
			t.Errorf("%s, kept %d bytes, want %d", result.ErrorMessage(), len(result.Body), want)
		}
	}
}

// FuzzAnswer: whatever a receiver sends, what is kept is bounded and, of text, text.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(whole("hello")))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel\xe2\x82\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + string(gzipped(f, "hello"))))
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 500 x\r\nKeep-Alive: timeout=5\r\nRetry-After: 3\r\n\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		const limit = 16
		a, err := httpadapter.New(httpadapter.Options{Dialer: answerer(answer), MaxBodyBytes: limit, MaxResponseBytes: 64, MaxHeaderBytes: 256})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		result := a.Deliver(t.Context(), delivery("{}"), endpointAt("http://192.0.2.1/"))
		if len(result.Body) > limit || result.BytesReceived > 64 {
			t.Fatalf("kept %d bytes of %d", len(result.Body), result.BytesReceived)
		}
		if result.Success == (result.Fault != nil) && (result.StatusCode == 0 || result.StatusCode/100 == 2) {
			t.Fatalf("%+v", result)
		}
		if utf8.Valid(answer) && !result.CompressionUsed && !utf8.Valid(result.Body) {
			t.Fatalf("%q of %q is no text", result.Body, answer)
		}
		if _, err := json.Marshal(result); err != nil {
			t.Fatal(err)
		}
	})
}
