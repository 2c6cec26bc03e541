package adaptertest

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/neohook/neohook/webhook"
)

var (
	keys = []string{
		"attempt", "completed_at", "compression_used", "connection_reused", "method", "response_body",
		"response_headers", "response_time_ms", "started_at", "status_code", "url",
	}
	failureKeys = []string{"error", "error_message"}
)

// checkResult holds what every Result must have, sent or not.
func checkResult(t testing.TB, result webhook.Result) {
	t.Helper()
	if result.StartedAt.IsZero() || result.CompletedAt.IsZero() || result.CompletedAt.Before(result.StartedAt) {
		t.Errorf("started at %v and completed at %v", result.StartedAt, result.CompletedAt)
	}
	if result.Success && result.Fault != nil {
		t.Errorf("a success has the fault %q", result.Fault.Message)
	}
	if !result.Success && result.Fault == nil && result.StatusCode == 0 {
		t.Error("a failure has neither a status nor a fault")
	}
	if f := result.Fault; f != nil {
		switch f.Kind {
		case webhook.FaultTimeout, webhook.FaultClient:
		case webhook.FaultAnswered:
			if result.StatusCode == 0 {
				t.Errorf("the fault %q is an answer's, and there is no status", f.Code)
			}
		default:
			t.Errorf("the fault's kind is %q", f.Kind)
		}
		if f.Code == "" || f.Message == "" {
			t.Errorf("the fault has the code %q and the message %q; neither may be empty", f.Code, f.Message)
		}
	}
	checkKeys(t, result)
}

func checkKeys(t testing.TB, result webhook.Result) {
	t.Helper()
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatalf("the result can't be marshalled: %v", err)
	}
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	want := keys
	if !result.Success {
		want = slices.Sorted(slices.Values(slices.Concat(keys, failureKeys)))
	}
	if have := slices.Sorted(maps.Keys(values)); !slices.Equal(have, want) {
		t.Errorf("the result has the keys %q, want %q", have, want)
	}
}

// checkSent holds a Result of something that was sent, besides.
func checkSent(t testing.TB, result webhook.Result) {
	t.Helper()
	checkResult(t, result)
	if result.Attempt < 1 {
		t.Errorf("attempt = %d, want 1 or more", result.Attempt)
	}
	if result.URL == "" || result.Method == "" {
		t.Errorf("url = %q, method = %q; neither may be empty", result.URL, result.Method)
	}
}

// checkRefused holds a Result of something that was not sent, for this reason.
func checkRefused(t testing.TB, result webhook.Result, code webhook.FaultCode) {
	t.Helper()
	checkResult(t, result)
	if result.Success || result.Fault == nil {
		t.Errorf("success = %v without a fault, want the fault %q", result.Success, code)
	} else if result.Fault.Code != code {
		t.Errorf("fault = %q (%s), want %q", result.Fault.Code, result.Fault.Message, code)
	}
}
