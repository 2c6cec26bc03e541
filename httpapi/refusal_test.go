package httpapi

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func TestErrorsBecomeAnswers(t *testing.T) {
	tests := map[string]struct {
		err    error
		status int
		code   string
		retry  string
	}{
		"not found":        {neohook.ErrNotFound, 404, "not_found", ""},
		"malformed":        {webhook.ErrMalformedID, 404, "not_found", ""},
		"conflict":         {neohook.ErrConflict, 409, "conflict", ""},
		"key reused":       {neohook.ErrKeyReused, 409, "idempotency_mismatch", ""},
		"too many secrets": {neohook.ErrTooManySecrets, 400, "limit_reached", ""},
		"overloaded":       {&neohook.OverloadedError{RetryAfter: 1001 * time.Millisecond}, 503, "overloaded", "2"},
		"endpoints":        {&neohook.LimitError{Err: neohook.ErrTooManyEndpoints, Limit: 500}, 400, "limit_reached", ""},
		"backlog":          {&neohook.LimitError{Err: neohook.ErrBacklogFull, Limit: 10}, 429, "backlog_full", "60"},
		"disk nearly full": {&neohook.OverloadedError{Cause: neohook.DiskFull, RetryAfter: 30 * time.Second}, 503, "storage_full", "10"},
		"stopped":          {neohook.ErrStopped, 503, "stopping", "5"},
		"store closed":     {store.ErrClosed, 503, "stopping", "5"},
		"stale":            {store.ErrStale, 503, "contended", "1"},
		"disk full":        {store.ErrFull, 503, "storage_full", "10"},
		"commit unknown":   {store.ErrCommitUnknown, 503, "unavailable", "1"},
		"database away":    {store.ErrUnavailable, 503, "unavailable", "1"},
		"cancelled":        {context.Canceled, 503, "timeout", "1"},
		"deadline":         {context.DeadlineExceeded, 503, "timeout", "1"},
		"any other":        {errors.New("disk on fire"), 500, "internal", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := refuse(fmt.Errorf("publish: %w", test.err), nil)
			if got.status != test.status || got.code != test.code || got.detail == "" || got.retryAfter != test.retry {
				t.Errorf("%d %s (%s) after %q, want %d %s after %q", got.status, got.code, got.detail, got.retryAfter, test.status, test.code, test.retry)
			}
			if (got.status >= 500) != (got.cause != nil) {
				t.Errorf("cause %v of status %d: only what is logged has one", got.cause, got.status)
			}
		})
	}
}

func TestFaultsOfTheDomainAreToldInTheClientsWords(t *testing.T) {
	var invalid webhook.InvalidError
	for _, field := range []string{"uid", "type", "channels[2]", "headers.X-Key.1", "payload"} {
		invalid.Add(field, "is wrong")
	}
	got := refuse(fmt.Errorf("publish: %w", &invalid), eventNames)
	want := []string{"body/eventId", "body/eventType", "body/channels/[2]", "body/headers/X-Key.1", "body/payload"}
	if got.status != 422 || len(got.faults) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, one := range got.faults {
		if one.at() != want[i]+" value_error: is wrong" {
			t.Errorf("%s, want %s", one.at(), want[i])
		}
	}
}
