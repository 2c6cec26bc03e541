package neohook

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/neohook/neohook/webhook"
)

// checkTypes refuses event types that an endpoint is newly to hear of and that there are
// not, where the view asks for that.
//
// It looks before the endpoint is stored, and not in that transaction: a type that is
// archived or deleted between the two might as well have been so right after them, which
// leaves the endpoint as it is.
func (o *Organisation) checkTypes(ctx context.Context, before, after []string) error {
	if !o.knownTypes {
		return nil
	}
	asked := make(map[string]bool)
	for _, name := range after {
		asked[name] = true
	}
	for _, name := range before {
		delete(asked, name)
	}
	if len(asked) == 0 {
		return nil
	}
	missing, archived, err := o.without(ctx, asked)
	if err != nil {
		return err
	}
	var bad webhook.InvalidError
	if len(missing) > 0 {
		bad.Add("eventTypes", "names event types that do not exist: "+quoted(missing)+". Create them first")
	}
	if len(archived) > 0 {
		bad.Add("eventTypes", "names event types that are archived: "+quoted(archived))
	}
	return bad.Err()
}

// without tells of names those that no event type has, and those of archived ones.
func (o *Organisation) without(ctx context.Context, asked map[string]bool) (missing, archived []string, _ error) {
	found, err := o.engine.store.EventTypesNamed(ctx, string(o.id), slices.Sorted(maps.Keys(asked)))
	if err != nil {
		return nil, nil, fmt.Errorf("neohook: event types of an endpoint: %w", err)
	}
	for _, t := range found {
		if t.Archived {
			archived = append(archived, t.Name)
		}
		delete(asked, t.Name)
	}
	return slices.Sorted(maps.Keys(asked)), archived, nil
}

// quoted lists names, and says how many more there are.
func quoted(names []string) string {
	const most = 10
	var list []string
	for _, name := range names[:min(len(names), most)] {
		list = append(list, strconv.Quote(name))
	}
	if more := len(names) - most; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}
