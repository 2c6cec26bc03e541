package store

import (
	"context"
	"slices"
	"time"
)

// EventType is an event type as stored. Its name is unique in its organisation, archived
// ones included, and stays.
type EventType struct {
	Key          EventTypeKey
	Organisation string
	Name         string
	Description  string
	Group        string
	FeatureFlags []string
	// Schemas are JSON, which stores do not look into; nil is none.
	Schemas    []byte
	Deprecated bool
	Archived   bool
	CreatedAt  time.Time
	UpdatedAt  time.Time
	// Version counts the updates, from 1.
	Version int64
}

// EventTypeFilter narrows a list of event types. Zero fields do not narrow.
type EventTypeFilter struct {
	// Active leaves archived ones out.
	Active bool
	// Flags, if not nil, asks for those without a feature flag and those that have one of
	// these.
	Flags []string
	// WithSchemas asks for the schemas too; see MostPagePayload.
	WithSchemas bool
}

// Match says whether the filter lets a type through.
func (f *EventTypeFilter) Match(t *EventType) bool {
	return !(f.Active && t.Archived) && (f.Flags == nil || len(t.FeatureFlags) == 0 ||
		slices.ContainsFunc(t.FeatureFlags, func(flag string) bool { return slices.Contains(f.Flags, flag) }))
}

// NamePage asks for part of a list that is ordered by name, bytewise.
type NamePage struct {
	// After is the name to go on behind, exclusive; "" is from the beginning of the walk.
	After      string
	Descending bool
	Limit      int // 1 or more
}

// ListedTypes is a part of a list of event types; see Listed.
type ListedTypes struct {
	Items []EventType
	// Last is the last name examined; "" where none was.
	Last string
	Done bool
}

// EventTypes keeps the event types of organisations. A change is durable, and seen by
// every reading, when the call returns.
type EventTypes interface {
	// PutEventTypes stores types in one transaction: one of Version 1 as a new one, under a
	// key of its own from NewKey; any other in place of the one with its key and a version
	// one lower, but for Organisation, Name and CreatedAt, which stay. It returns
	// *ReplayError if once is not nil and was seen before; else, for the first in order of
	// types that cannot be stored, ErrConflict where the name is there (of a new one),
	// ErrNotFound or ErrStale. With an error nothing is stored.
	PutEventTypes(ctx context.Context, types []EventType, once *Once) error
	// DeleteEventType removes a type without a trace; its name is free again. It returns
	// ErrNotFound.
	DeleteEventType(ctx context.Context, organisation, name string) error
	// EventType returns a type, an archived one too, or ErrNotFound.
	EventType(ctx context.Context, organisation, name string) (EventType, error)
	// EventTypesNamed returns those of the names that are there, ascending, archived ones
	// too, without schemas.
	EventTypesNamed(ctx context.Context, organisation string, names []string) ([]EventType, error)
	// EventTypes lists an organisation's types by name. A call examines a bounded number of
	// rows, whatever the filter.
	EventTypes(ctx context.Context, organisation string, filter EventTypeFilter, page NamePage) (ListedTypes, error)
}
