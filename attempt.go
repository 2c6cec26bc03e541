package neohook

import (
	"context"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// AttemptFilter narrows a list of attempts. Zero fields do not narrow.
type AttemptFilter struct {
	// Types, Channel and Tag are of the event.
	Types   []string
	Channel string
	Tag     string
	// Endpoint narrows the attempts of an event to those at one endpoint, by id or UID.
	Endpoint webhook.EndpointID
	// Succeeded, if not nil, asks for those that did, or did not.
	Succeeded *bool
	// StatusClass is 100, 200, 300, 400 or 500; NoStatus asks for those without an answer.
	StatusClass int
	NoStatus    bool
	// From and To bound the start of the attempt, both inclusive.
	From, To time.Time
	// WithResponse asks for what was kept of the answers too.
	WithResponse bool
}

// stored returns the filter as a store knows it, but for the Endpoint.
func (f *AttemptFilter) stored() (store.AttemptFilter, error) {
	if f.StatusClass%100 != 0 || f.StatusClass < 0 || f.StatusClass > 500 {
		var bad webhook.InvalidError
		bad.Add("statusClass", "must be 100, 200, 300, 400 or 500")
		return store.AttemptFilter{}, bad.Err()
	}
	return store.AttemptFilter{
		Types: f.Types, Channel: f.Channel, Tag: f.Tag, Succeeded: f.Succeeded, StatusClass: f.StatusClass, NoStatus: f.NoStatus,
		From: f.From, To: f.To, WithResponse: f.WithResponse,
	}, nil
}

func (o *Organisation) showAttempt(a *store.LoggedAttempt) webhook.Attempt {
	ids := o.engine.records.IDs
	return webhook.Attempt{
		ID: ids.Attempt(a.StartedAt, a.Key), Event: ids.Event(a.EventAcceptedAt, a.Event),
		Endpoint:  ids.Endpoint(a.EndpointCreatedAt, a.Endpoint),
		EventType: a.EventType, Channels: a.Channels, Tags: a.Tags, Number: a.Number, Trigger: a.Trigger, URL: a.URL,
		Succeeded: a.Succeeded, StatusCode: a.StatusCode, Code: a.Code, Response: a.Response, Expunged: a.Expunged,
		StartedAt: a.StartedAt, Duration: a.Duration,
	}
}

// Attempt returns an attempt of an event. It has no UID: only its id serves.
func (o *Organisation) Attempt(ctx context.Context, tenant webhook.TenantID, event webhook.EventID, id webhook.AttemptID) (webhook.Attempt, error) {
	_, of, err := o.event(ctx, tenant, event)
	if err != nil {
		return webhook.Attempt{}, err
	}
	var found store.LoggedAttempt
	err = store.ErrNotFound
	if key, _, bad := o.engine.records.IDs.ParseAttempt(id); bad == nil {
		found, err = o.engine.store.Attempt(ctx, of.Key, key)
	}
	if err != nil {
		return webhook.Attempt{}, translate(err, "attempt", string(id))
	}
	return o.showAttempt(&found), nil
}

// AttemptsOfEvent lists the attempts of an event in the order of their recording, at all
// endpoints, deleted ones included, or at the filter's.
func (o *Organisation) AttemptsOfEvent(ctx context.Context, tenant webhook.TenantID, event webhook.EventID, filter AttemptFilter, page Page) (List[webhook.Attempt], error) {
	_, of, err := o.event(ctx, tenant, event)
	if err != nil {
		return List[webhook.Attempt]{}, err
	}
	narrow, err := filter.stored()
	if err == nil && filter.Endpoint != "" {
		var at store.Endpoint
		_, at, err = o.endpoint(ctx, tenant, filter.Endpoint)
		narrow.Endpoint = at.Key
	}
	if err != nil {
		return List[webhook.Attempt]{}, err
	}
	return o.attempts(page, func(part store.Page) (store.Listed[store.LoggedAttempt], error) {
		got, err := o.engine.store.AttemptsOfEvent(ctx, of.Key, narrow, part)
		return got, translate(err, "attempts of event", string(event))
	})
}

// AttemptsAtEndpoint lists the attempts made at an endpoint in the order of their
// recording. The filter's Endpoint is not looked at.
func (o *Organisation) AttemptsAtEndpoint(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, filter AttemptFilter, page Page) (List[webhook.Attempt], error) {
	_, at, err := o.endpoint(ctx, tenant, endpoint)
	if err != nil {
		return List[webhook.Attempt]{}, err
	}
	narrow, err := filter.stored()
	if err != nil {
		return List[webhook.Attempt]{}, err
	}
	return o.attempts(page, func(part store.Page) (store.Listed[store.LoggedAttempt], error) {
		got, err := o.engine.store.AttemptsAtEndpoint(ctx, at.Key, narrow, part)
		return got, translate(err, "attempts at endpoint", string(endpoint))
	})
}

func (o *Organisation) attempts(page Page, read func(store.Page) (store.Listed[store.LoggedAttempt], error)) (List[webhook.Attempt], error) {
	part, err := storePage(page, o.engine.records.IDs.ParseAttempt)
	if err != nil {
		return List[webhook.Attempt]{}, err
	}
	got, err := read(part)
	if err != nil {
		return List[webhook.Attempt]{}, err
	}
	last := o.engine.records.IDs.Attempt(got.LastAt, store.AttemptKey(got.Last))
	return listed(got, o.showAttempt, string(last)), nil
}
