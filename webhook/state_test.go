package webhook_test

import (
	"testing"

	"github.com/neohook/neohook/webhook"
)

// lawful lists every transition that may happen, by the state before it; no other may.
var lawful = map[webhook.State][]webhook.State{
	webhook.Pending: {webhook.Sending, webhook.Parked, webhook.Cancelled},
	webhook.Sending: {
		webhook.Pending, webhook.Waiting, webhook.Parked, // its attempt was cut short; failed; failed and the endpoint rests
		webhook.Succeeded, webhook.Exhausted, webhook.Cancelled,
	},
	webhook.Waiting: {webhook.Sending, webhook.Waiting, webhook.Parked, webhook.Cancelled, webhook.Succeeded},
	webhook.Parked:  {webhook.Sending, webhook.Waiting, webhook.Parked, webhook.Cancelled, webhook.Succeeded},
}

func TestStatesFollowEachOtherOnlyAsListed(t *testing.T) {
	for from := webhook.State(0); from <= webhook.Cancelled+1; from++ {
		allowed := make(map[webhook.State]bool)
		for _, to := range lawful[from] {
			allowed[to] = true
		}
		for to := webhook.State(0); to <= webhook.Cancelled+1; to++ {
			if got := from.CanBecome(to); got != allowed[to] {
				t.Errorf("%v.CanBecome(%v) = %v, want %v", from, to, got, allowed[to])
			}
		}
	}
}

func TestWhatHasEndedStaysSo(t *testing.T) {
	for state := webhook.Pending; state <= webhook.Cancelled; state++ {
		ends := state == webhook.Succeeded || state == webhook.Exhausted || state == webhook.Cancelled
		if state.Ended() != ends {
			t.Errorf("%v.Ended() = %v", state, state.Ended())
		}
		if ends != (len(lawful[state]) == 0) {
			t.Errorf("%v has ended: %v, and %d states may follow it", state, ends, len(lawful[state]))
		}
	}
}

func TestStateTextReadsBack(t *testing.T) {
	for state := webhook.Pending; state <= webhook.Cancelled; state++ {
		text, err := state.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back webhook.State
		if err := back.UnmarshalText(text); err != nil || back != state {
			t.Errorf("%q reads as %v, %v", text, back, err)
		}
	}
	var state webhook.State
	for _, text := range []string{"", "PENDING", "done", "State(9)"} {
		if err := state.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q reads as %v, want an error", text, state)
		}
	}
	if got := webhook.State(9).String(); got != "State(9)" {
		t.Errorf("String() = %q", got)
	}
}
