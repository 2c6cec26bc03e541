package webhook_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/neohook/neohook/webhook"
)

func marshalled(t *testing.T, result webhook.Result) map[string]any {
	t.Helper()
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestResultMarshalsToTheElevenKeys(t *testing.T) {
	at := time.Date(2024, 1, 15, 10, 30, 0, 0, time.UTC)
	got := marshalled(t, webhook.Result{
		Success: true, Attempt: 1, URL: "https://api.example.com/hook", Method: "POST",
		StartedAt: at, CompletedAt: at.Add(149_600 * time.Microsecond), StatusCode: 200,
		Header: map[string][]string{"Vary": {"a", "b"}}, Body: []byte("ok"), ConnectionReused: true,
		BytesSent: 10, Protocol: "HTTP/1.1",
	})
	want := map[string]any{
		"attempt": 1.0, "url": "https://api.example.com/hook", "method": "POST",
		"started_at": "2024-01-15T10:30:00Z", "status_code": 200.0, "response_time_ms": 150.0,
		"response_headers": map[string]any{"Vary": "a, b"}, "response_body": "ok",
		"completed_at": "2024-01-15T10:30:00.1496Z", "connection_reused": true, "compression_used": false,
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, slices.Sorted(maps.Keys(want))) {
		t.Fatalf("keys = %v, want %v", keys, slices.Sorted(maps.Keys(want)))
	}
	for key, value := range want {
		a, _ := json.Marshal(got[key])
		b, _ := json.Marshal(value)
		if string(a) != string(b) {
			t.Errorf("%s = %s, want %s", key, a, b)
		}
	}
}

func TestResultMarshalsItsFailure(t *testing.T) {
	tests := map[string]struct {
		in          webhook.Result
		error       string
		message     string
		statusKnown bool
	}{
		"a fault": {
			in:    webhook.Result{Fault: &webhook.Fault{Kind: webhook.FaultTimeout, Message: "no answer in 30s"}},
			error: "timeout", message: "no answer in 30s",
		},
		"an answer that is a failure": {
			in:    webhook.Result{StatusCode: 503},
			error: "http_error", message: "the receiver answered 503 Service Unavailable", statusKnown: true,
		},
		"an answer without a name": {
			in: webhook.Result{StatusCode: 799}, error: "http_error", message: "the receiver answered 799", statusKnown: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := marshalled(t, test.in)
			if len(got) != 13 || got["error"] != test.error || got["error_message"] != test.message {
				t.Errorf("got %v, want 13 keys with error %q and error_message %q", got, test.error, test.message)
			}
			if known := got["status_code"] != nil; known != test.statusKnown {
				t.Errorf("status_code = %v", got["status_code"])
			}
			if headers, ok := got["response_headers"].(map[string]any); !ok || len(headers) != 0 {
				t.Errorf("response_headers = %v, want an empty object", got["response_headers"])
			}
		})
	}
}

func TestResultMarksWhatItsBodyIs(t *testing.T) {
	long := strings.Repeat("x", 40)
	tests := map[string]struct {
		body      string
		truncated bool
		want      string
	}{
		"text":                    {"grüß", false, "grüß"},
		"text cut":                {long, true, long[:26] + "…[truncated]"},
		"text cut in a character": {long + "\xe2\x82", true, long[:28] + "…[truncated]"},
		"room made in a character": {
			strings.Repeat("€", 10), true, strings.Repeat("€", 5) + "…[truncated]",
		},
		"shorter than the mark":         {"xy", true, "…[truncated]"},
		"binary":                        {"\xff\x00", false, "base64:/wA="},
		"binary cut":                    {"\xff\x00", true, "base64:/wA=…[truncated]"},
		"ends in half a character":      {"a\xe2\x82", false, "base64:YeKC"},
		"nothing":                       {"", false, ""},
		"nothing of what there was":     {"", true, "…[truncated]"},
		"control characters are text":   {"a\x00b", false, "a\x00b"},
		"the replacement character too": {"\uFFFD", false, "\uFFFD"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := marshalled(t, webhook.Result{Body: []byte(test.body), BodyTruncated: test.truncated})
			if got["response_body"] != test.want {
				t.Errorf("response_body = %q, want %q", got["response_body"], test.want)
			}
		})
	}
}

func FuzzCutText(f *testing.F) {
	f.Add([]byte("grüße €"), 4)
	f.Add([]byte("\xf0\x9f\x98\x80"), 3)
	f.Add([]byte("\xff\xfe\xe2"), 3)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		if at < 0 || at > len(text) {
			t.Skip()
		}
		got := webhook.CutText(text[:at])
		if len(got) > at || at-len(got) >= utf8.UTFMax || string(got) != string(text[:len(got)]) {
			t.Fatalf("CutText(%q) = %q", text[:at], got)
		}
		if utf8.Valid(text) && !utf8.Valid(got) {
			t.Fatalf("CutText(%q) = %q is not UTF-8", text[:at], got)
		}
		if utf8.Valid(text[:at]) && len(got) != at {
			t.Fatalf("CutText(%q) = %q dropped a whole character", text[:at], got)
		}
	})
}

func TestNotMadeTellsWhatIsKnown(t *testing.T) {
	fault := &webhook.Fault{Kind: webhook.FaultClient, Code: webhook.FaultClosed, Message: "closed"}
	endpoint := &webhook.Endpoint{URL: "https://me:secret@example.com/hook"}
	tests := map[string]struct {
		delivery *webhook.Delivery
		endpoint *webhook.Endpoint
		want     webhook.Result
	}{
		"nothing":            {nil, nil, webhook.Result{Attempt: 1}},
		"a delivery alone":   {&webhook.Delivery{Attempt: 3}, nil, webhook.Result{Attempt: 3}},
		"no number":          {&webhook.Delivery{}, nil, webhook.Result{Attempt: 1}},
		"both":               {&webhook.Delivery{Attempt: 2}, endpoint, webhook.Result{Attempt: 2, URL: "https://me:xxxxx@example.com/hook", Method: "POST"}},
		"another method":     {nil, &webhook.Endpoint{URL: "https://example.com/", Method: "PUT"}, webhook.Result{Attempt: 1, URL: "https://example.com/", Method: "PUT"}},
		"a URL that is none": {nil, &webhook.Endpoint{URL: "https://me:secret@%zz/"}, webhook.Result{Attempt: 1, Method: "POST"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := webhook.NotMade(test.delivery, test.endpoint, fault)
			if got.StartedAt.IsZero() || !got.CompletedAt.Equal(got.StartedAt) || got.Fault != fault {
				t.Errorf("from %v to %v with %v, want one instant and the fault given", got.StartedAt, got.CompletedAt, got.Fault)
			}
			if got.Attempt != test.want.Attempt || got.URL != test.want.URL || got.Method != test.want.Method || got.Success {
				t.Errorf("result = %+v, want %+v", got, test.want)
			}
		})
	}
}
