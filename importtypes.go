package neohook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// EventTypeImport is event types as something else describes them, an OpenAPI document for
// one.
type EventTypeImport struct {
	// Types are created, or put in place of those of their names, archived ones too. What
	// they say nothing of, Group and FeatureFlags, stays as it is.
	Types []webhook.EventType
	// ArchiveOthers archives the organisation's other types.
	ArchiveOthers bool
	// DryRun stores nothing.
	DryRun bool
}

// EventTypeChanges are what an import has changed, or would change. What is as it should be
// is not among them.
type EventTypeChanges struct {
	// Stored are the names of types that were created or changed, Archived of those that were
	// archived; both in order.
	Stored, Archived []string
	// Types are, for a DryRun, those of Stored as they would be.
	Types []webhook.EventType
}

// What one transaction of an import writes.
const (
	importTypes = 500
	importBytes = 8 << 20
)

// ImportEventTypes makes an organisation's event types be as they are described elsewhere.
// Up to 500 changes of together 8 MiB are made together or not at all; where there are
// more, a call that fails has made some of them, and can be repeated.
func (o *Organisation) ImportEventTypes(ctx context.Context, in EventTypeImport) (changes EventTypeChanges, _ error) {
	if err := checkOrganisation(o.id); err != nil {
		return changes, err
	}
	at := now()
	once, err := o.storeOnce(at, importEventTypesOp)
	if err != nil {
		return changes, err
	}
	if in.DryRun {
		once = nil
	}
	if answer, repeat, err := o.replay(ctx, once, at); repeat || err != nil {
		return importAnswer(answer, err)
	}
	if err := checkImport(ctx, in.Types); err != nil {
		return changes, err
	}
	run := &typeImport{Organisation: o, in: &in}
	for range maxTries {
		answer, repeat, err := replayed(run.try(ctx, once))
		switch {
		case repeat:
			return importAnswer(answer, err)
		case err == nil:
			return run.done, nil
		case !changedMeanwhile(err):
			return changes, err
		}
	}
	return changes, fmt.Errorf("neohook: import event types: %w", store.ErrStale)
}

func importAnswer(answer []byte, err error) (changes EventTypeChanges, _ error) {
	if err != nil {
		return changes, err
	}
	if err := json.Unmarshal(answer, &changes); err != nil {
		return changes, fmt.Errorf("neohook: answer kept under an idempotency key: %w", err)
	}
	return changes, nil
}

// checkImport says what is wrong with any of the types.
func checkImport(ctx context.Context, types []webhook.EventType) error {
	var bad webhook.InvalidError
	seen := make(map[string]bool, len(types))
	for i := range types {
		if ctx.Err() != nil { // it takes a while where schemas are large
			return fmt.Errorf("neohook: import event types: %w", ctx.Err())
		}
		t := &types[i]
		var invalid *webhook.InvalidError
		if err := checkEventType(t, nil); errors.As(err, &invalid) {
			for _, field := range invalid.Fields {
				bad.Add("eventTypes."+t.Name, field.Field+" "+field.Message)
			}
		}
		if seen[t.Name] {
			bad.Add("eventTypes."+t.Name, "is there twice")
		}
		seen[t.Name] = true
	}
	return bad.Err()
}

// typeImport is an import on its way.
type typeImport struct {
	*Organisation
	in *EventTypeImport
	// pending are to be stored, of so many bytes of schemas; done is what was.
	pending []store.EventType
	bytes   int
	done    EventTypeChanges
}

// try goes over all types and stores what is not as it should be. It returns an error by
// which it is to be tried again where somebody else changes one of them meanwhile.
func (i *typeImport) try(ctx context.Context, once *store.Once) error {
	i.pending, i.bytes = nil, 0
	named := make(map[string]bool, len(i.in.Types))
	for n := range i.in.Types {
		named[i.in.Types[n].Name] = true
		if err := i.describe(ctx, &i.in.Types[n]); err != nil {
			return err
		}
	}
	if i.in.ArchiveOthers {
		if err := i.archive(ctx, named); err != nil {
			return err
		}
	}
	// The last transaction has the once: a repeat of what was cut short goes on.
	return i.flush(ctx, once)
}

// describe makes a type as the import says.
func (i *typeImport) describe(ctx context.Context, t *webhook.EventType) error {
	stored, err := i.engine.store.EventType(ctx, string(i.id), t.Name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		key, err := i.engine.store.NewKey(ctx)
		if err != nil {
			return fmt.Errorf("neohook: draw a key: %w", err)
		}
		stored = store.EventType{Key: store.EventTypeKey(key), Organisation: string(i.id), Name: t.Name, CreatedAt: now()}
	case err != nil:
		return fmt.Errorf("neohook: event type %q: %w", t.Name, err)
	}
	next, err := changeEventType(&stored, func(into *webhook.EventType) error {
		into.Description, into.Schemas, into.Deprecated, into.Archived = t.Description, t.Schemas, t.Deprecated, false
		if t.Group != "" {
			into.Group = t.Group
		}
		if len(t.FeatureFlags) > 0 {
			into.FeatureFlags = t.FeatureFlags
		}
		return nil
	})
	if err != nil || stored.Version > 0 && reflect.DeepEqual(next, stored) {
		return err
	}
	return i.put(ctx, next)
}

// archive archives the types that are not named.
func (i *typeImport) archive(ctx context.Context, named map[string]bool) error {
	page := store.NamePage{Limit: MaxPageLimit}
	for {
		got, err := i.engine.store.EventTypes(ctx, string(i.id), store.EventTypeFilter{Active: true, WithSchemas: true}, page)
		if err != nil {
			return fmt.Errorf("neohook: event types of %q: %w", i.id, err)
		}
		for _, t := range got.Items {
			if named[t.Name] {
				continue
			}
			t.Archived = true
			if err := i.put(ctx, t); err != nil {
				return err
			}
		}
		if got.Done || got.Last == "" {
			return nil
		}
		page.After = got.Last
	}
}

// put has the next version of a type stored, with others.
func (i *typeImport) put(ctx context.Context, next store.EventType) error {
	if len(i.pending) == importTypes || len(i.pending) > 0 && i.bytes+len(next.Schemas) > importBytes {
		if err := i.flush(ctx, nil); err != nil {
			return err
		}
	}
	next.Version++
	next.UpdatedAt = now()
	i.pending, i.bytes = append(i.pending, next), i.bytes+len(next.Schemas)
	return nil
}

// flush stores what is pending.
func (i *typeImport) flush(ctx context.Context, once *store.Once) error {
	done, err := i.with(i.pending)
	if err != nil {
		return err
	}
	if once != nil {
		if once.Answer, err = json.Marshal(done); err != nil {
			return err
		}
	}
	if !i.in.DryRun && (len(i.pending) > 0 || once != nil) {
		err = i.writeEventTypes(ctx, i.pending, once)
	}
	if err != nil {
		return err
	}
	i.pending, i.bytes, i.done = nil, 0, done
	return nil
}

// with is what is done once these types are stored.
func (i *typeImport) with(types []store.EventType) (done EventTypeChanges, err error) {
	done.Stored, done.Archived = slices.Clone(i.done.Stored), slices.Clone(i.done.Archived)
	done.Types = slices.Clone(i.done.Types)
	for n := range types {
		if types[n].Archived {
			done.Archived = append(done.Archived, types[n].Name)
			continue
		}
		done.Stored = append(done.Stored, types[n].Name)
		if i.in.DryRun {
			shown, err := showEventType(&types[n])
			if err != nil {
				return done, err
			}
			done.Types = append(done.Types, shown)
		}
	}
	slices.Sort(done.Stored)
	return done, nil
}
