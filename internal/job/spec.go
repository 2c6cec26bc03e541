package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Spec is what a job is to do, as it is stored.
type Spec struct {
	// Tenant and Endpoint are how callers know those of the job.
	Tenant   webhook.TenantID   `json:"tenant,omitempty"`
	Endpoint webhook.EndpointID `json:"endpoint,omitempty"`
	// Rate is how many deliveries are sent or cancelled a second.
	Rate int `json:"rate"`
	// Filter says which ones: for webhook.JobReplayMissing only what is of events.
	Filter store.DeliveryFilter `json:"filter"`
	// Count is for jobs that count.
	Count Count `json:"count,omitzero"`
}

// Count says what is counted, and of whom.
type Count struct {
	// Tenants are the only ones; nil is all of the organisation.
	Tenants []store.TenantKey `json:"tenants,omitempty"`
	// Unknown were named, and there are no such tenants.
	Unknown []string `json:"unknown,omitempty"`
	// Unit, From and To are when, as by store.SumQuery.
	Unit store.Unit `json:"unit,omitzero"`
	From time.Time  `json:"from,omitzero"`
	To   time.Time  `json:"to,omitzero"`
}

// Encode returns the spec as a store keeps it.
func (s *Spec) Encode() []byte {
	text, _ := json.Marshal(s) // it holds nothing that can't be
	return text
}

// errUnreadable is what becomes of a job that a newer version has stored.
var errUnreadable = errors.New("this version of Neohook can't read what the job is to do: run the version that stored it, or start the job anew")

// Decode reads a spec. An error says that another version has stored it.
func Decode(text []byte) (Spec, error) {
	var s Spec
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, fmt.Errorf("%w (%w)", errUnreadable, err)
	}
	return s, nil
}

// Recover is the filter of webhook.JobRecover: what has a failed attempt that began from
// since on and before until, and no success.
func Recover(since, until time.Time) store.DeliveryFilter {
	return store.DeliveryFilter{
		States:     []webhook.State{webhook.Pending, webhook.Waiting, webhook.Exhausted, webhook.Cancelled},
		FailedFrom: since, FailedTo: until,
	}
}

// ReplayMissing is the filter of webhook.JobReplayMissing: events that were accepted from
// since on and before until.
func ReplayMissing(since, until time.Time) store.DeliveryFilter {
	return store.DeliveryFilter{From: since, To: until.Add(-time.Microsecond)}
}

// events is the part of the filter that is of events.
func (s *Spec) events() store.EventFilter {
	return store.EventFilter{
		Types: s.Filter.Types, Channel: s.Filter.Channel, Tag: s.Filter.Tag, From: s.Filter.From, To: s.Filter.To,
	}
}
