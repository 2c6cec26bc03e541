package attempt

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// desk is all that a Sender works with, in memory.
type desk struct {
	endpoint  webhook.Endpoint
	reason    webhook.Reason
	payload   store.Payload
	result    webhook.Result
	err       error // of look-ups
	delivered []webhook.Delivery
	gone      []store.EndpointKey
}

func (d *desk) Endpoint(context.Context, store.TenantKey, store.EndpointKey) (*webhook.Endpoint, webhook.Reason, error) {
	return &d.endpoint, d.reason, d.err
}

func (d *desk) Payloads(context.Context, []store.EventKey) ([]store.Payload, error) {
	return []store.Payload{d.payload}, d.err
}

func (d *desk) Event(_ time.Time, key store.EventKey) webhook.EventID {
	return webhook.EventID(strings.Repeat("e", int(key)))
}

func (d *desk) Delivery(time.Time, store.EventKey, store.EndpointKey) webhook.DeliveryID { return "d" }

func (d *desk) Deliver(_ context.Context, delivery *webhook.Delivery, _ *webhook.Endpoint) webhook.Result {
	d.delivered = append(d.delivered, *delivery)
	return d.result
}

func (d *desk) Verify(context.Context, *webhook.Endpoint, []byte) webhook.Result {
	return webhook.Result{}
}

func (d *desk) Health(context.Context) webhook.Health { return webhook.Health{} }

func (d *desk) sender() *Sender {
	return &Sender{Endpoints: d, Payloads: d, IDs: d, Adapter: d, Gone: func(_ context.Context, _ store.TenantKey, endpoint store.EndpointKey) {
		d.gone = append(d.gone, endpoint)
	}, Policy: Policy{
		Schedule: webhook.Schedule{time.Minute, time.Hour}, MaxRetryAfter: 12 * time.Hour, MaxResponse: 10,
	}}
}

var completed = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func answer(status int) webhook.Result {
	return webhook.Result{
		Success: status >= 200 && status < 300, StatusCode: status, Body: []byte("answered at length"),
		StartedAt: completed.Add(-time.Second), CompletedAt: completed,
	}
}

func fault(kind webhook.FaultKind) webhook.Result {
	return webhook.Result{StartedAt: completed, CompletedAt: completed, Fault: &webhook.Fault{Kind: kind, Code: webhook.FaultOther, Message: "none"}}
}

func TestWhatFollowsAnAttempt(t *testing.T) {
	asked := func(status int, retryAfter time.Duration) webhook.Result {
		result := answer(status)
		result.RetryAfter = retryAfter
		return result
	}
	tests := map[string]struct {
		result webhook.Result
		tried  int
		state  webhook.State
		wait   time.Duration
		lesson lane.Result
	}{
		"success":                               {answer(204), 0, webhook.Succeeded, 0, lane.Result{Verdict: lane.Success, Ends: true}},
		"success of the last attempt":           {answer(200), 2, webhook.Succeeded, 0, lane.Result{Verdict: lane.Success, Ends: true}},
		"first failure":                         {answer(500), 0, webhook.Waiting, time.Minute, lane.Result{Verdict: lane.Failure}},
		"second failure":                        {answer(302), 1, webhook.Waiting, time.Hour, lane.Result{Verdict: lane.Failure}},
		"failure of the last attempt":           {answer(500), 2, webhook.Exhausted, 0, lane.Result{Verdict: lane.Failure, Ends: true}},
		"no answer":                             {fault(webhook.FaultClient), 0, webhook.Waiting, time.Minute, lane.Result{Verdict: lane.Failure}},
		"no answer in time":                     {fault(webhook.FaultTimeout), 0, webhook.Waiting, time.Minute, lane.Result{Verdict: lane.Timeout}},
		"sent too much":                         {answer(429), 0, webhook.Waiting, time.Minute, lane.Result{Verdict: lane.Throttled}},
		"asked to wait longer than planned":     {asked(503, 10*time.Minute), 0, webhook.Waiting, 10 * time.Minute, lane.Result{Verdict: lane.Throttled, HoldUntil: completed.Add(10 * time.Minute)}},
		"asked to come sooner than planned":     {asked(429, time.Second), 0, webhook.Waiting, time.Minute, lane.Result{Verdict: lane.Throttled, HoldUntil: completed.Add(time.Second)}},
		"asked to wait longer than is accepted": {asked(429, 99*time.Hour), 0, webhook.Waiting, 12 * time.Hour, lane.Result{Verdict: lane.Throttled, HoldUntil: completed.Add(12 * time.Hour)}},
		"asked to wait by another failure":      {asked(500, 10*time.Minute), 0, webhook.Waiting, 10 * time.Minute, lane.Result{Verdict: lane.Failure}},
		"the receiver says it is gone for good": {answer(410), 0, webhook.Cancelled, 0, lane.Result{Verdict: lane.Failure, Ends: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := &desk{result: test.result, payload: store.Payload{Event: 3}}
			out, lesson, err := d.sender().Send(t.Context(), lane.Delivery{Endpoint: 2, Event: 3, Tried: test.tried})
			if err != nil {
				t.Fatal(err)
			}
			want := time.Time{}
			if test.wait > 0 {
				want = completed.Add(test.wait)
			}
			if out.State != test.state || !out.RetryAt.Equal(want) {
				t.Errorf("state %v, due %v; want %v, %v", out.State, out.RetryAt, test.state, want)
			}
			if lesson != test.lesson {
				t.Errorf("the lane learns %+v, want %+v", lesson, test.lesson)
			}
			if gone := test.result.StatusCode == 410; gone != slices.Equal(d.gone, []store.EndpointKey{2}) {
				t.Errorf("endpoints told to be gone: %v", d.gone)
			}
			if out.Tried != test.tried || out.Attempt.Number != test.tried+1 || d.delivered[0].Attempt != test.tried+1 {
				t.Errorf("tried %d, logged as %d, sent as %d", out.Tried, out.Attempt.Number, d.delivered[0].Attempt)
			}
		})
	}
}

func TestAnEndpointsOwnPolicyCountsBeforeTheEngines(t *testing.T) {
	own := webhook.Schedule{time.Second}
	tests := map[string]struct {
		endpoint webhook.Endpoint
		status   int
		tried    int
		state    webhook.State
		wait     time.Duration
	}{
		"own wait":                    {webhook.Endpoint{Schedule: own}, 500, 0, webhook.Waiting, time.Second},
		"own end":                     {webhook.Endpoint{Schedule: own}, 500, 1, webhook.Exhausted, 0},
		"single attempt":              {webhook.Endpoint{Schedule: webhook.Schedule{}}, 500, 0, webhook.Exhausted, 0},
		"none of its own":             {webhook.Endpoint{}, 500, 1, webhook.Waiting, time.Hour},
		"status that is final":        {webhook.Endpoint{FinalStatuses: []int{400, 422}}, 422, 0, webhook.Exhausted, 0},
		"status that is not":          {webhook.Endpoint{FinalStatuses: []int{400, 422}}, 404, 0, webhook.Waiting, time.Minute},
		"no answer is no status":      {webhook.Endpoint{FinalStatuses: []int{400}}, 0, 0, webhook.Waiting, time.Minute},
		"gone for good all the same":  {webhook.Endpoint{FinalStatuses: []int{410}}, 410, 0, webhook.Cancelled, 0},
		"success of a single attempt": {webhook.Endpoint{Schedule: webhook.Schedule{}}, 204, 0, webhook.Succeeded, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := &desk{endpoint: test.endpoint, result: answer(test.status), payload: store.Payload{Event: 3}}
			out, lesson, err := d.sender().Send(t.Context(), lane.Delivery{Endpoint: 2, Event: 3, Tried: test.tried})
			want := time.Time{}
			if test.wait > 0 {
				want = completed.Add(test.wait)
			}
			if err != nil || out.State != test.state || !out.RetryAt.Equal(want) || lesson.Ends != test.state.Ended() {
				t.Errorf("%v, due %v, %v; want %v, %v", out.State, out.RetryAt, err, test.state, want)
			}
		})
	}
}

func TestAttemptIsLoggedWithTheBeginningOfTheAnswerOrWhyThereIsNone(t *testing.T) {
	d := &desk{result: answer(500), payload: store.Payload{Event: 3, Type: "invoice.paid"}}
	out, _, _ := d.sender().Send(t.Context(), lane.Delivery{})
	if got := out.Attempt; string(got.Response) != "answered a" || got.StatusCode != 500 || got.Duration != time.Second || got.TimedOut {
		t.Errorf("logged %q, %d, %v, timed out: %v", got.Response, got.StatusCode, got.Duration, got.TimedOut)
	}
	if out.EventType != "invoice.paid" {
		t.Errorf("event type %q: the store would have to look it up", out.EventType)
	}
	d.result = webhook.Result{Fault: &webhook.Fault{Kind: webhook.FaultTimeout, Code: webhook.FaultDNS, Message: "no such host"}}
	out, _, _ = d.sender().Send(t.Context(), lane.Delivery{})
	if got := out.Attempt; string(got.Response) != "no such host" || got.StatusCode != 0 || got.Code != webhook.FaultDNS || !got.TimedOut {
		t.Errorf("logged %q, %d, %q, timed out: %v", got.Response, got.StatusCode, got.Code, got.TimedOut)
	}
}

func TestAnAdapterCannotFailTheStoreByWhatItSays(t *testing.T) {
	d := &desk{payload: store.Payload{Event: 3}, result: webhook.Result{
		URL: "http://a\x00b\xff/", Fault: &webhook.Fault{Code: "odd\x00\xff", Message: "\x00\xff"},
	}}
	out, _, _ := d.sender().Send(t.Context(), lane.Delivery{})
	if got := out.Attempt; got.URL != "http://a\ufffdb\ufffd/" || got.Code != "odd\ufffd\ufffd" || string(got.Response) != "\x00\xff" {
		t.Errorf("logged %q, %q, %q; want text, and the answer as it came", got.URL, got.Code, got.Response)
	}
}

func TestNothingIsSentWhereThereIsNoPlaceForItAnyMore(t *testing.T) {
	event := store.Payload{Event: 3, Type: "invoice.paid"}
	tests := map[string]struct {
		desk desk
		want webhook.Reason
	}{
		"deleted":            {desk{reason: webhook.EndpointDeleted, payload: event}, webhook.EndpointDeleted},
		"disabled":           {desk{endpoint: webhook.Endpoint{Disabled: true}, payload: event}, webhook.EndpointDisabled},
		"hears of other now": {desk{endpoint: webhook.Endpoint{EventTypes: []string{"other"}}, payload: event}, webhook.FilterChanged},
		"payload expunged":   {desk{}, webhook.PayloadExpunged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, _, err := test.desk.sender().Send(t.Context(), lane.Delivery{Tried: 1})
			if err != nil || out.State != webhook.Cancelled || out.Reason != test.want || out.Attempt != nil {
				t.Errorf("got %+v, %v; want cancelled for %q", out, err, test.want)
			}
			if len(test.desk.delivered) > 0 {
				t.Error("it was sent")
			}
		})
	}
}

func TestAttemptThatCouldNotBeMadeOrWasCutOffDoesNotCount(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := &desk{err: errors.New("disk error")}
	if _, _, err := d.sender().Send(ctx, lane.Delivery{}); !errors.Is(err, d.err) {
		t.Errorf("err = %v, want the store's", err)
	}
	cancel()
	d = &desk{payload: store.Payload{Event: 3}, result: webhook.Result{Fault: &webhook.Fault{Code: webhook.FaultCancelled}}}
	if _, _, err := d.sender().Send(ctx, lane.Delivery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want Canceled", err)
	}
	for _, result := range []webhook.Result{answer(500), fault(webhook.FaultTimeout)} { // in the same moment
		d.result = result
		if out, _, err := d.sender().Send(ctx, lane.Delivery{}); err != nil || out.State != webhook.Waiting {
			t.Errorf("got %v, %v, want a failed attempt that is logged", out.State, err)
		}
	}
	d.result = answer(200) // answered before it could be cut off
	if out, _, err := d.sender().Send(ctx, lane.Delivery{}); err != nil || out.State != webhook.Succeeded {
		t.Errorf("got %v, %v, want a success", out.State, err)
	}
}

func TestRetryIsDueLaterAlsoIfTheAdapterTellsNoTimes(t *testing.T) {
	d := &desk{payload: store.Payload{Event: 3}, result: webhook.Result{StatusCode: 500}}
	before := time.Now()
	out, _, err := d.sender().Send(t.Context(), lane.Delivery{})
	if err != nil || out.RetryAt.Before(before.Add(time.Minute)) || out.Attempt.StartedAt.Before(before) {
		t.Errorf("started %v, due %v, %v; want now, and a minute later", out.Attempt.StartedAt, out.RetryAt, err)
	}
}

func TestDeliveryThatWasToBeEndedIsNotSent(t *testing.T) {
	d := &desk{payload: store.Payload{Event: 3}, result: answer(200)}
	_, _, err := d.sender().Send(t.Context(), lane.Delivery{Ending: true})
	if !errors.Is(err, errReopened) || d.delivered != nil {
		t.Errorf("sent %v, %v; want nothing, as no limit was kept for it", d.delivered, err)
	}
}

func TestSendHasOneAttemptOrTheScheduleAndIsNoneOfTheDeliverys(t *testing.T) {
	tests := map[string]struct {
		result  webhook.Result
		retried bool
		tried   int
		state   webhook.State
		wait    time.Duration
	}{
		"once, and it failed":               {answer(500), false, 0, webhook.Exhausted, 0},
		"once, and it was throttled":        {answer(429), false, 0, webhook.Exhausted, 0},
		"once, and it succeeded":            {answer(200), false, 0, webhook.Succeeded, 0},
		"retried, first failure":            {answer(500), true, 0, webhook.Waiting, time.Minute},
		"retried, second failure":           {answer(500), true, 1, webhook.Waiting, time.Hour},
		"retried, last failure":             {answer(500), true, 2, webhook.Exhausted, 0},
		"retried, the receiver is gone":     {answer(410), true, 0, webhook.Cancelled, 0},
		"once, and the receiver is gone":    {answer(410), false, 0, webhook.Cancelled, 0},
		"retried, and there was no answer":  {fault(webhook.FaultTimeout), true, 0, webhook.Waiting, time.Minute},
		"retried, and it succeeded finally": {answer(200), true, 2, webhook.Succeeded, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := &desk{result: test.result, payload: store.Payload{Event: 3, Type: "b"}}
			d.endpoint.EventTypes = []string{"a"} // it is asked for all the same
			out, lesson, err := d.sender().Send(t.Context(), lane.Delivery{Endpoint: 2, Event: 3, Send: 9, Retried: test.retried, Tried: test.tried})
			if err != nil {
				t.Fatal(err)
			}
			if out.State != test.state || out.Send != 9 || out.Attempt.Trigger != webhook.Manual || out.Attempt.Number != test.tried+1 {
				t.Errorf("outcome %+v, attempt %+v; want it %v", out, out.Attempt, test.state)
			}
			if test.wait > 0 != !out.RetryAt.IsZero() || test.wait > 0 && !out.RetryAt.Equal(completed.Add(test.wait)) {
				t.Errorf("due %v, want after %v", out.RetryAt, test.wait)
			}
			if lesson.Ends != out.State.Ended() || lesson.Verdict == lane.Nothing {
				t.Errorf("the lane learns %+v", lesson)
			}
			if len(d.gone) > 0 {
				t.Error("the endpoint is told to be gone by a send")
			}
		})
	}
}

func TestSendEndsWithoutAnAttemptWhereNothingCanBeSent(t *testing.T) {
	tests := map[string]struct {
		desk desk
		want webhook.Reason
	}{
		"no payload":       {desk{}, webhook.PayloadExpunged},
		"endpoint deleted": {desk{reason: webhook.EndpointDeleted, payload: store.Payload{Event: 3}}, webhook.EndpointDeleted},
		"endpoint disabled": {desk{payload: store.Payload{Event: 3}, endpoint: webhook.Endpoint{Disabled: true}},
			webhook.EndpointDisabled},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := &test.desk
			out, lesson, err := d.sender().Send(t.Context(), lane.Delivery{Endpoint: 2, Event: 3, Send: 9})
			if err != nil || out.State != webhook.Cancelled || out.Reason != test.want || out.Send != 9 || out.Attempt != nil || len(d.delivered) > 0 {
				t.Errorf("outcome %+v, %v; %d sent", out, err, len(d.delivered))
			}
			if want := (lane.Result{Ends: true}); lesson != want {
				t.Errorf("the lane learns %+v, want %+v", lesson, want)
			}
		})
	}
}

// What is asked for, by a send or an event that is for the endpoint only, goes there
// whatever it hears of, and nowhere else.
func TestWhatIsAskedForIsSentWhateverTheEndpointHearsOf(t *testing.T) {
	for name, test := range map[string]struct {
		delivery lane.Delivery
		only     store.EndpointKey
		want     webhook.State
	}{
		"a send":                {lane.Delivery{Endpoint: 5, Send: 1}, 0, webhook.Succeeded},
		"for it only":           {lane.Delivery{Endpoint: 5}, 5, webhook.Succeeded},
		"for another one only":  {lane.Delivery{Endpoint: 5}, 6, webhook.Cancelled},
		"neither of them":       {lane.Delivery{Endpoint: 5}, 0, webhook.Cancelled},
		"for it, and expunged":  {lane.Delivery{Endpoint: 5, Payload: &store.Payload{Only: 5}}, 0, webhook.Cancelled},
		"for it, a second time": {lane.Delivery{Endpoint: 5, Tried: 1}, 5, webhook.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{
				endpoint: webhook.Endpoint{EventTypes: []string{"other"}}, result: answer(200),
				payload: store.Payload{Event: 3, Type: "invoice.paid", Only: test.only},
			}
			out, _, err := d.sender().Send(t.Context(), test.delivery)
			if err != nil || out.State != test.want || len(d.delivered) > 0 != (test.want == webhook.Succeeded) {
				t.Errorf("%v, sent %d times, %v; want %v", out.State, len(d.delivered), err, test.want)
			}
		})
	}
}
