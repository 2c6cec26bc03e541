package httpapi

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func batchOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "message.create-batch", route: "POST /app/{app_id}/msg/batch",
			scope: application, needs: access.Publish, status: http.StatusAccepted, once: true,
			refusals: []int{http.StatusTooManyRequests}, bodyBytes: maxBatchBytes, names: wireNames{"events": "messages"},
			summary: "Send up to 1,000 messages at once",
			about: "The messages are stored in one transaction where they can be. One that can't be accepted harms no other: the answer says " +
				"of each what became of it. Each endpoint gets them in their order.\n\n" +
				"With an `idempotency-key` each message is known by its place: a repeat of the request answers as before for those that were " +
				"accepted, and tries the others again.",
		}, createMessages),
	}
}

// batchIn is several messages to send. Each is read by itself, so that one that is not
// valid is refused alone.
type batchIn struct {
	Messages opt[[]raw[messageIn]] `json:"messages" is:"required,min=1,max=1000" doc:"The messages, in the order in which they are to be sent. None can bring an application."`
	rest
}

// raw is a T that is read by itself, later.
type raw[T any] struct{ text jsontext.Value }

func (raw[T]) schema(all *schemas) *schema { return all.of(reflect.TypeFor[T]()) }

// UnmarshalJSONFrom keeps the text.
func (r *raw[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	text, err := dec.ReadValue()
	r.text = text.Clone()
	return err
}

// maxBatchBytes bounds the body of a batch.
const maxBatchBytes = neohook.MaxBatchBytes

type batchQuery struct {
	WithContent opt[bool] `query:"with_content" is:"default=false" doc:"Show payloads."`
}

// batchOut is what became of each message.
type batchOut struct {
	Data     []batchItemOut `json:"data" doc:"What became of each message, in their order."`
	Accepted int            `json:"accepted" doc:"How many were accepted."`
	Refused  int            `json:"refused" doc:"How many were not."`
}

type batchItemOut struct {
	Status  int         `json:"status" doc:"202, or the status that the message alone would have been refused with." eg:"202"`
	Message *messageOut `json:"message,omitzero" doc:"The message, where it was accepted."`
	Error   *batchError `json:"error,omitzero" doc:"The refusal, where it was not."`
}

// batchError is the body of a refusal.
type batchError struct{ refused *refusal }

func (batchError) schema(all *schemas) *schema {
	return &schema{AnyOf: []*schema{all.of(reflect.TypeFor[errorOut]()), all.of(reflect.TypeFor[faultsOut]())}}
}

// MarshalJSONTo writes the body.
func (e batchError) MarshalJSONTo(enc *jsontext.Encoder) error {
	return json.MarshalEncode(enc, e.refused.body())
}

var messageShape = shapeOf(reflect.TypeFor[messageIn]())

func createMessages(c *call, q *batchQuery, in *batchIn) (out batchOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	// One that is not valid keeps its place: under an idempotency-key the others are known
	// by theirs.
	events := make([]webhook.Event, len(in.Messages.Value))
	invalid := make([]faults, len(events))
	for i := range events {
		events[i], invalid[i] = c.readMessage(in.Messages.Value[i].text, i)
	}
	results, err := org.PublishBatch(c.ctx(), c.tenant(), events)
	if err != nil {
		return out, c.missing(err, "")
	}
	out.Data = make([]batchItemOut, len(events))
	for i := range results {
		item := &out.Data[i]
		if err := results[i].Err; err != nil {
			item.refuse(i, err, invalid[i])
			out.Refused++
			continue
		}
		shown := showMessage(&results[i].Event, q.WithContent.Value)
		item.Status, item.Message = http.StatusAccepted, &shown
		out.Accepted++
	}
	return out, nil
}

// readMessage reads a message of a batch. One that is not valid comes with an event that
// is not either.
func (c *call) readMessage(text jsontext.Value, i int) (webhook.Event, faults) {
	var in messageIn
	unknown, bad := messageShape.decode(text, &in)
	for _, name := range unknown {
		if len(c.ignored) <= maxIgnored {
			c.ignored = append(c.ignored, "messages["+strconv.Itoa(i)+"]."+name)
		}
	}
	if in.Application.Given {
		bad.add("is not taken in a batch: create the application first", "body", "application")
	}
	if len(bad) > 0 {
		return webhook.Event{}, bad
	}
	return in.event(c.tenant()), nil
}

// refuse says why a message was not accepted. What is wrong with it was found out before,
// or is known to the engine alone.
func (item *batchItemOut) refuse(i int, err error, invalid faults) {
	if len(invalid) > 0 {
		err = invalid.err()
	}
	no := *refuse(err, eventNames)
	for j := range no.faults {
		loc := []string{"body", "messages", "[" + strconv.Itoa(i) + "]"}
		no.faults[j].Loc = append(loc, no.faults[j].Loc[1:]...)
	}
	item.Status, item.Error = no.status, &batchError{&no}
}
