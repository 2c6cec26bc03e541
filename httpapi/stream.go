package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func streamOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "delivery.stream", route: "GET /app/{app_id}/delivery/stream",
			scope: application, needs: access.View, refusals: []int{http.StatusTooManyRequests}, media: streamType,
			summary: "Follow an application's deliveries as they are recorded",
			about:   streamText,
		}, streamDeliveries),
	}
}

// A stream is server-sent events (HTML Living Standard, 9.2): one for each delivery that
// something was recorded of.
const (
	// defaultHeartbeat is how often a stream says something where there is nothing to tell.
	defaultHeartbeat = 15 * time.Second
	// patience is how long a client may take to accept what it is sent.
	patience = 10 * time.Second

	streamType = "text/event-stream"
)

type streamQuery struct {
	Endpoints opt[[]string] `query:"endpoint_id" is:"max=50,slug" doc:"Only deliveries to these endpoints, by id or uid."`
}

// progressOut is what was recorded of a delivery: the data of an event in the stream.
type progressOut struct {
	DeliveryID webhook.DeliveryID `json:"deliveryId" doc:"The delivery: a message for an endpoint."`
	MsgID      webhook.EventID    `json:"msgId" doc:"The message."`
	EventType  string             `json:"eventType" doc:"The message's type."`
	EndpointID webhook.EndpointID `json:"endpointId" doc:"The endpoint."`
	State      string             `json:"state" is:"enum=waiting|succeeded|exhausted|cancelled" doc:"How far it has come. For a resend, how far that has."`
	Reason     *webhook.Reason    `json:"reason" doc:"Why it was cancelled."`
	NextAt     *instant           `json:"nextAttempt" doc:"When it is tried again."`
	Attempt    *triedOut          `json:"attempt" doc:"What was tried; null where it ended without an attempt."`
}

// triedOut is an attempt as the stream shows it.
type triedOut struct {
	Number     int               `json:"number" doc:"From 1; of a resend, those of the same."`
	Trigger    int               `json:"triggerType" is:"enum=0|1" doc:"0 by schedule, 1 by hand."`
	URL        string            `json:"url" doc:"Where it went, without a password."`
	Succeeded  bool              `json:"succeeded" doc:"Whether the answer was 2xx."`
	StatusCode int               `json:"responseStatusCode" doc:"Of the answer; 0 where there was none."`
	Fault      webhook.FaultCode `json:"error" doc:"Why there was no answer, for programs; empty where there was one."`
	DurationMS int64             `json:"responseDurationMs" doc:"What it took."`
	Timestamp  instant           `json:"timestamp" doc:"When it began."`
}

func showProgress(p *neohook.Progress) progressOut {
	out := progressOut{
		DeliveryID: p.Delivery, MsgID: p.Event, EventType: p.EventType, EndpointID: p.Endpoint, State: p.State.String(),
		Reason: unlessZero(p.Reason), NextAt: unlessNever(p.DueAt),
	}
	if a := p.Attempt; a != nil {
		out.Attempt = &triedOut{
			Number: a.Number, Trigger: int(a.Trigger), URL: a.URL, Succeeded: a.Succeeded, StatusCode: a.StatusCode,
			Fault: a.Code, DurationMS: a.Duration.Milliseconds(), Timestamp: instant(a.StartedAt),
		}
	}
	return out
}

// stream is an answer that goes on until somebody ends it.
type stream struct {
	call     *call
	follower *neohook.Follower
	buf      bytes.Buffer
	checked  time.Time
}

// streamOut is a stream as an answer.
type streamOut struct{ *stream }

func (streamOut) schema(all *schemas) *schema {
	return &schema{
		Type: kinds{"string"}, ContentSchema: all.of(reflect.TypeFor[progressOut]()),
		Description: "Server-sent events. The data of one named `delivery` is as contentSchema says.",
	}
}

const streamText = "Each event named `delivery` tells what was recorded of a delivery, within milliseconds. One named `missed` says that there was more " +
	"before the next: the client was too slow, or came back too late, and finds the rest in the lists. A comment comes every 15 seconds.\n\n" +
	"The stream is kept in memory, for a minute after its last reader has gone: send the id of the last event as `last-event-id` to go on " +
	"behind it. It ends when the token does, and when the server stops. Eight can read the stream of an application at once."

func streamDeliveries(c *call, q *streamQuery, _ *none) (out streamOut, _ error) {
	opts := neohook.FollowOptions{After: c.req.Header.Get("Last-Event-ID")}
	for _, ref := range q.Endpoints.Value {
		opts.Endpoints = append(opts.Endpoints, webhook.EndpointID(ref))
	}
	follower, err := c.org.Follow(c.ctx(), c.tenant(), opts)
	if err != nil {
		return out, c.missing(err, "Endpoint")
	}
	return streamOut{&stream{call: c, follower: follower, checked: time.Now()}}, nil
}

// serve writes events until the client goes, may read no more, or does not take them, and
// until the API or the engine ends.
func (s *stream) serve(w http.ResponseWriter, r *http.Request, status int) int {
	defer s.follower.Close()
	header := w.Header()
	header.Set("Content-Type", streamType)
	header.Set("X-Accel-Buffering", "no") // proxies that gather answers must not
	control := http.NewResponseController(w)
	// A server's limits are for requests that end. Where they can't be lifted, it has none.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(patience))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return status
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer s.call.api.streams.add(cancel)()

	s.buf.WriteString("retry: 1000\n\n")
	for {
		_ = control.SetWriteDeadline(time.Now().Add(patience))
		if _, err := w.Write(s.buf.Bytes()); err != nil {
			return status
		}
		if err := control.Flush(); err != nil {
			return status
		}
		s.buf.Reset()
		if !s.fill(ctx) {
			return status
		}
	}
}

// fill waits for something to write. It returns false where the stream ends.
func (s *stream) fill(ctx context.Context) bool {
	waiting, cancel := context.WithTimeout(ctx, s.call.api.heartbeat)
	defer cancel()
	list, missed, err := s.follower.Next(waiting)
	switch {
	case ctx.Err() != nil, !s.mayStill():
		return false
	case errors.Is(err, context.DeadlineExceeded):
		s.buf.WriteString(":\n\n")
		return true
	case err != nil:
		return false
	}
	if missed {
		s.buf.WriteString("event: missed\ndata: {}\n\n")
	}
	for i := range list {
		s.buf.WriteString("id: " + list[i].ID + "\nevent: delivery\ndata: ")
		if err := json.MarshalWrite(&s.buf, showProgress(&list[i]), encodeOptions); err != nil {
			return false
		}
		s.buf.WriteString("\n\n")
	}
	return true
}

// trusted is how long a reader is not asked again for its token.
const trusted = time.Second

// mayStill says whether the reader may be told what has come. It asks when there is
// something to tell and not before, so that what comes after a token has ended is not told.
func (s *stream) mayStill() bool {
	if time.Since(s.checked) < trusted {
		return true
	}
	s.checked = time.Now()
	return s.call.mayStill() == nil
}

// mayStill says why a caller may not go on with what it was let do before.
func (c *call) mayStill() error {
	return errors.Join(c.authenticate(), c.authorise(), c.confine())
}

// streams are those that go on. The zero value is ready.
type streams struct {
	mu    sync.Mutex
	next  int
	open  map[int]context.CancelFunc
	ended bool
}

// add returns what takes the stream out again.
func (s *streams) add(end context.CancelFunc) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		end()
		return func() {}
	}
	if s.open == nil {
		s.open = make(map[int]context.CancelFunc)
	}
	s.next++
	n := s.next
	s.open[n] = end
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, n)
	}
}

// EndStreams ends the answers that would go on for ever, for the sake of a server's
// Shutdown, which waits for every answer: give it to RegisterOnShutdown.
func (api *API) EndStreams() {
	s := &api.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for _, end := range s.open {
		end()
	}
}
