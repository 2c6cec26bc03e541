package webhook_test

import (
	"testing"

	"github.com/neohook/neohook/webhook"
)

func TestJobKindsAndStatesComeBackFromText(t *testing.T) {
	for kind := webhook.JobRecover; kind <= webhook.JobSubscriptions; kind++ {
		text, err := kind.MarshalText()
		var back webhook.JobKind
		if err != nil || back.UnmarshalText(text) != nil || back != kind {
			t.Errorf("%v comes back from %q as %v", kind, text, back)
		}
	}
	for state := webhook.JobRunning; state <= webhook.JobFailed; state++ {
		text, err := state.MarshalText()
		var back webhook.JobState
		if err != nil || back.UnmarshalText(text) != nil || back != state {
			t.Errorf("%v comes back from %q as %v", state, text, back)
		}
	}
	var kind webhook.JobKind
	var state webhook.JobState
	if kind.UnmarshalText([]byte("JobKind(0)")) == nil || state.UnmarshalText([]byte("")) == nil {
		t.Error("a text of no kind or state was read")
	}
	if kind.String() != "JobKind(0)" || webhook.JobState(9).String() != "JobState(9)" {
		t.Errorf("%v and %v", kind, webhook.JobState(9))
	}
}
