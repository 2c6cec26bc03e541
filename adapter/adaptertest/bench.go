package adaptertest

import (
	"testing"

	"github.com/neohook/neohook/webhook"
)

// Bench is an adapter and the receivers it is tried on. Each case gets one of its own.
type Bench struct {
	Adapter webhook.Adapter
	// Taking takes whatever it is sent.
	Taking Receiver
	// Refusing answers each request, and so that a delivery fails. nil leaves out the
	// cases that need it.
	Refusing *Receiver
	// Silent takes a request and does not answer for a minute at least, or until its
	// sender goes away. nil leaves out the cases that need it.
	Silent *Receiver
}

// Receiver is an endpoint and what arrives there.
type Receiver struct {
	Endpoint webhook.Endpoint
	// Arrived has each payload that came. One that is delivered has been sent to it before
	// Deliver returns, or soon after. It has room for 1,000.
	Arrived <-chan []byte
}

// endpoint is a copy, as cases change it.
func (r *Receiver) endpoint() *webhook.Endpoint {
	endpoint := r.Endpoint
	return &endpoint
}

// Run holds the adapter to each promise of webhook.Adapter. open makes a Bench and
// closes what it opened in t.Cleanup, the adapter too.
func Run(t *testing.T, open func(*testing.T) Bench) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bench := open(t)
			if reason := c.needs(bench); reason != "" {
				t.Skip(reason)
			}
			c.run(t, bench)
		})
	}
}

// promise is one case. It takes a TB so that the suite's own tests can see it fail.
type promise struct {
	name  string
	needs func(Bench) string // why it can't be tried; "" if it can
	run   func(testing.TB, Bench)
}

var cases = []promise{
	{"TakesADelivery", nothing, takesADelivery},
	{"SendsThePayloadByteForByte", nothing, sendsThePayload},
	{"CountsAttemptsFromOne", nothing, countsAttempts},
	{"LeavesItsArgumentsAlone", nothing, leavesArguments},
	{"TellsWhyItFailed", refusing, tellsWhy},
	{"DoesNotRetry", refusing, doesNotRetry},
	{"TellsNoSecret", refusing, tellsNoSecret},
	{"SendsNothingOnceTheContextHasEnded", nothing, endedBefore},
	{"EndsWithTheContext", silent, endsWithContext},
	{"EndsAtTheTimeout", silent, endsAtTimeout},
	{"RefusesNil", nothing, refusesNil},
	{"Verifies", nothing, verifies},
	{"TellsItsHealth", nothing, tellsHealth},
	{"IsSafeForConcurrentUse", nothing, concurrently},
	{"RefusesOnceClosed", closer, closes},
	{"EndsWhatIsInFlightOnClose", closerAndSilent, closesInFlight},
}

func nothing(Bench) string { return "" }

func refusing(b Bench) string {
	if b.Refusing == nil {
		return "the bench has no Refusing receiver"
	}
	return ""
}

func silent(b Bench) string {
	if b.Silent == nil {
		return "the bench has no Silent receiver"
	}
	return ""
}

func closer(b Bench) string {
	if _, ok := b.Adapter.(interface{ Close() error }); !ok {
		return "the adapter has no Close"
	}
	return ""
}

func closerAndSilent(b Bench) string {
	if reason := closer(b); reason != "" {
		return reason
	}
	return silent(b)
}

// arrival waits for the next payload.
func arrival(t testing.TB, r *Receiver) []byte {
	t.Helper()
	select {
	case payload := <-r.Arrived:
		return payload
	case <-t.Context().Done():
		t.Fatal("nothing arrived")
		return nil
	}
}

// noMore checks that nothing else has arrived.
func noMore(t testing.TB, r *Receiver) {
	t.Helper()
	select {
	case payload := <-r.Arrived:
		t.Errorf("another delivery arrived: %q", payload)
	default:
	}
}
