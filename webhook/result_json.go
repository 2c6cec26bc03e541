package webhook

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// The marks in "response_body".
const (
	truncatedMark = "…[truncated]"
	base64Mark    = "base64:"
)

// MarshalJSON writes the eleven keys "attempt", "url", "method", "started_at",
// "status_code" (null where there was no answer), "response_time_ms" (whole
// milliseconds), "response_headers" (an object of strings, the values of a repeated
// field joined by ", "), "response_body", "completed_at", "connection_reused" and
// "compression_used".
//
// A failure has two more: "error", the Fault's kind or "http_error" where the answer
// itself is the failure, and "error_message", a sentence.
//
// A body that is not UTF-8 is written as "base64:" and its base64. Where there was more
// than the Body, "…[truncated]" stands at the end, in text in place of the last
// characters, so that it gets no longer.
func (r Result) MarshalJSON() ([]byte, error) {
	info := resultJSON{
		Attempt: r.Attempt, URL: r.URL, Method: r.Method,
		StartedAt: jsonTime(r.StartedAt), CompletedAt: jsonTime(r.CompletedAt),
		ResponseTime:    (r.Duration() + time.Millisecond/2).Milliseconds(),
		ResponseHeaders: make(map[string]string, len(r.Header)),
		ResponseBody:    bodyText(r.Body, r.BodyTruncated),
		Reused:          r.ConnectionReused, Compressed: r.CompressionUsed,
	}
	if r.StatusCode != 0 {
		info.StatusCode = &r.StatusCode
	}
	for name, values := range r.Header {
		info.ResponseHeaders[name] = strings.Join(values, ", ")
	}
	info.Error, info.ErrorMessage = r.failure()
	return json.Marshal(info)
}

type resultJSON struct {
	Attempt         int               `json:"attempt"`
	URL             string            `json:"url"`
	Method          string            `json:"method"`
	StartedAt       time.Time         `json:"started_at"`
	StatusCode      *int              `json:"status_code"`
	ResponseTime    int64             `json:"response_time_ms"`
	ResponseHeaders map[string]string `json:"response_headers"`
	ResponseBody    string            `json:"response_body"`
	CompletedAt     time.Time         `json:"completed_at"`
	Reused          bool              `json:"connection_reused"`
	Compressed      bool              `json:"compression_used"`
	Error           string            `json:"error,omitempty"`
	ErrorMessage    string            `json:"error_message,omitempty"`
}

// jsonTime drops the zone and what lies below a microsecond.
func jsonTime(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }

// ErrorMessage says in a sentence why the attempt failed; "" where it succeeded.
func (r *Result) ErrorMessage() string {
	_, message := r.failure()
	return message
}

func (r *Result) failure() (kind, message string) {
	switch {
	case r.Success:
		return "", ""
	case r.Fault != nil:
		return string(r.Fault.Kind), r.Fault.Message
	case r.StatusCode != 0:
		return string(FaultAnswered), strings.TrimSpace(fmt.Sprintf("the receiver answered %d %s", r.StatusCode, http.StatusText(r.StatusCode)))
	}
	return string(FaultClient), "the attempt failed"
}

func bodyText(body []byte, truncated bool) string {
	text := body
	if truncated {
		text = CutText(body)
	}
	switch {
	case !utf8.Valid(text) && truncated:
		return base64Mark + base64.StdEncoding.EncodeToString(body) + truncatedMark
	case !utf8.Valid(text):
		return base64Mark + base64.StdEncoding.EncodeToString(body)
	case !truncated:
		return string(text)
	}
	room := max(0, min(len(text), len(body)-len(truncatedMark)))
	return string(CutText(text[:room])) + truncatedMark
}

// CutText drops the bytes of a last character that was cut off in its middle. It leaves
// alone what is not UTF-8 up to there.
func CutText(text []byte) []byte {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		start := len(text) - back
		if !utf8.RuneStart(text[start]) {
			continue
		}
		if !utf8.FullRune(text[start:]) && utf8.Valid(text[:start]) {
			return text[:start]
		}
		break
	}
	return text
}
