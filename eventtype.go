package neohook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/schema"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// EventTypeFilter narrows a list of event types. Zero fields do not narrow.
type EventTypeFilter struct {
	// Active leaves archived types out.
	Active bool
	// Flags, if not nil, asks for the types that are shown to a token with these feature
	// flags.
	Flags []string
	// WithSchemas asks for the schemas too.
	WithSchemas bool
}

// CreateEventType stores an event type and returns it. Times are not looked at. An archived
// type of the name is replaced, and keeps its CreatedAt. ErrConflict: there is one that is
// not archived. Its Schemas must be JSON Schemas that refer to nothing outside themselves.
func (o *Organisation) CreateEventType(ctx context.Context, t webhook.EventType) (webhook.EventType, error) {
	if err := checkOrganisation(o.id); err != nil {
		return webhook.EventType{}, err
	}
	at := now()
	once, err := o.storeOnce(at, createEventTypeOp)
	if err != nil {
		return webhook.EventType{}, err
	}
	if answer, repeat, err := o.replay(ctx, once, at); repeat || err != nil {
		return shown(answer, err, showEventType)
	}
	made := store.EventType{Organisation: string(o.id), Name: t.Name, CreatedAt: at, UpdatedAt: at}
	if err := putEventType(&made, &t, nil); err != nil {
		return webhook.EventType{}, err
	}
	for range maxTries {
		next, err := o.firstVersion(ctx, made)
		if err != nil {
			return webhook.EventType{}, err
		}
		if once != nil {
			if once.Answer, err = json.Marshal(next); err != nil {
				return webhook.EventType{}, err
			}
		}
		answer, repeat, err := replayed(o.writeEventTypes(ctx, []store.EventType{next}, once))
		switch {
		case repeat:
			return shown(answer, err, showEventType)
		case err == nil:
			return showEventType(&next)
		case !changedMeanwhile(err):
			return webhook.EventType{}, translate(err, "event type", t.Name)
		}
	}
	return webhook.EventType{}, translate(store.ErrStale, "event type", t.Name)
}

// firstVersion returns made as it is to be stored: under a fresh key, or in place of an
// archived type of its name.
func (o *Organisation) firstVersion(ctx context.Context, made store.EventType) (store.EventType, error) {
	stored, err := o.engine.store.EventType(ctx, made.Organisation, made.Name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		key, err := o.engine.store.NewKey(ctx)
		if err != nil {
			return made, fmt.Errorf("neohook: draw a key: %w", err)
		}
		made.Key, made.Version = store.EventTypeKey(key), 1
		return made, nil
	case err != nil:
		return made, translate(err, "event type", made.Name)
	case !stored.Archived:
		return made, translate(store.ErrConflict, "event type", made.Name)
	}
	made.Key, made.CreatedAt, made.Version = stored.Key, stored.CreatedAt, stored.Version+1
	return made, nil
}

// changedMeanwhile says that a type is no longer as it was read.
func changedMeanwhile(err error) bool {
	return errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)
}

// writeEventTypes stores types, and sees to it that payloads are checked against them.
func (o *Organisation) writeEventTypes(ctx context.Context, types []store.EventType, once *store.Once) error {
	err := o.engine.store.PutEventTypes(ctx, types, once)
	for i := range types {
		o.engine.catalogue.Refresh(types[i].Organisation, types[i].Name)
	}
	return err
}

// putEventType writes into a stored type what callers rule over. What is in before was held
// to be right then.
func putEventType(into *store.EventType, t *webhook.EventType, before map[string]json.RawMessage) error {
	if err := checkEventType(t, before); err != nil {
		return err
	}
	return record.PutEventType(into, t)
}

// checkEventType is Validate, and that the schemas that are not in before are schemas.
func checkEventType(t *webhook.EventType, before map[string]json.RawMessage) error {
	if err := t.Validate(); err != nil {
		return err
	}
	var bad webhook.InvalidError
	for version, text := range t.Schemas {
		if was, known := before[version]; known && string(was) == string(text) {
			continue
		}
		_, faults := schema.Compile(text)
		for _, fault := range faults {
			bad.Add("schemas."+version, atPath(fault))
		}
	}
	slices.SortStableFunc(bad.Fields, func(a, b webhook.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return bad.Err()
}

// atPath tells a fault in a schema in one line.
func atPath(fault schema.Fault) string {
	if len(fault.Path) == 0 {
		return fault.Message
	}
	return "at /" + strings.Join(fault.Path, "/") + ": " + fault.Message
}

func showEventType(t *store.EventType) (webhook.EventType, error) { return record.EventType(t) }

// EventType returns an event type, an archived one too.
func (o *Organisation) EventType(ctx context.Context, name string) (webhook.EventType, error) {
	stored, err := o.eventType(ctx, name)
	if err != nil {
		return webhook.EventType{}, err
	}
	return showEventType(&stored)
}

func (o *Organisation) eventType(ctx context.Context, name string) (stored store.EventType, err error) {
	if err := checkOrganisation(o.id); err != nil {
		return stored, err
	}
	err = store.ErrNotFound
	if webhook.IsName(name) {
		stored, err = o.engine.store.EventType(ctx, string(o.id), name)
	}
	return stored, translate(err, "event type", name)
}

// EventTypes lists the organisation's event types by name, bytewise; the After and Last of
// its pages are names. A page is short where the schemas on it are large.
func (o *Organisation) EventTypes(ctx context.Context, filter EventTypeFilter, page Page) (list List[webhook.EventType], _ error) {
	if err := checkOrganisation(o.id); err != nil {
		return list, err
	}
	limit, err := page.limit()
	if err != nil {
		return list, err
	}
	if page.After != "" && !webhook.IsName(page.After) {
		return list, fmt.Errorf("%w: it is no name of an event type", webhook.ErrMalformedID)
	}
	got, err := o.engine.store.EventTypes(ctx, string(o.id),
		store.EventTypeFilter{Active: filter.Active, Flags: filter.Flags, WithSchemas: filter.WithSchemas},
		store.NamePage{After: page.After, Descending: page.Descending, Limit: limit})
	if err != nil {
		return list, translate(err, "event types of", string(o.id))
	}
	list = List[webhook.EventType]{Items: make([]webhook.EventType, len(got.Items)), Last: got.Last, Done: got.Done}
	for i := range got.Items {
		if list.Items[i], err = showEventType(&got.Items[i]); err != nil {
			return list, err
		}
	}
	return list, nil
}

// UpdateEventType reads an event type, lets change alter it, stores what came of it and
// returns that. It begins again where somebody else has changed the type in between, so
// change may be called several times; an error of change ends it and is returned as it is.
// What change does to Name and times is not looked at. An update that changes nothing
// leaves UpdatedAt.
func (o *Organisation) UpdateEventType(ctx context.Context, name string, change func(*webhook.EventType) error) (webhook.EventType, error) {
	for range maxTries {
		stored, err := o.eventType(ctx, name)
		if err != nil {
			return webhook.EventType{}, err
		}
		next, err := changeEventType(&stored, change)
		if err != nil {
			return webhook.EventType{}, err
		}
		if reflect.DeepEqual(next, stored) {
			return showEventType(&stored)
		}
		next.UpdatedAt = now()
		next.Version++
		err = o.writeEventTypes(ctx, []store.EventType{next}, nil)
		if err == nil {
			return showEventType(&next)
		}
		if !changedMeanwhile(err) {
			return webhook.EventType{}, translate(err, "event type", name)
		}
	}
	return webhook.EventType{}, translate(store.ErrStale, "event type", name)
}

// changeEventType returns what change makes of a stored type.
func changeEventType(stored *store.EventType, change func(*webhook.EventType) error) (next store.EventType, err error) {
	before, err := showEventType(stored)
	if err != nil {
		return next, err
	}
	after, err := showEventType(stored) // again, as the two must not share maps
	if err != nil {
		return next, err
	}
	if err := change(&after); err != nil {
		return next, err
	}
	next = *stored
	after.Name = stored.Name
	return next, putEventType(&next, &after, before.Schemas)
}

// DeleteEventType removes an event type without a trace. Events of it are sent as before;
// to archive it instead, set Archived in an UpdateEventType.
func (o *Organisation) DeleteEventType(ctx context.Context, name string) error {
	if err := checkOrganisation(o.id); err != nil {
		return err
	}
	err := store.ErrNotFound
	if webhook.IsName(name) {
		err = o.engine.store.DeleteEventType(ctx, string(o.id), name)
		o.engine.catalogue.Refresh(string(o.id), name)
	}
	return translate(err, "event type", name)
}
