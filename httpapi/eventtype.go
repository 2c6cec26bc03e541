package httpapi

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func eventTypeOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "event-type.list", route: "GET /event-type",
			scope: anyToken, needs: access.View,
			summary: "List the event types",
			about: "By name. An application's token gets the types that have no feature flag, and those that have one of its own.\n\n" +
				"A page with schemas may be short while `done` is false: go on.",
		}, listEventTypes),
		serves(operation{
			name: "event-type.create", route: "POST /event-type",
			scope: organisationOnly, needs: access.Administer, status: http.StatusCreated, once: true, refusals: []int{http.StatusConflict},
			summary: "Create an event type",
			about: "An archived type of the name is replaced. Types need not be created to send messages of them; " +
				"endpoints can only subscribe to types that there are.",
		}, createEventType),
		serves(operation{
			name: "event-type.get", route: "GET /event-type/{event_type_name}",
			scope: anyToken, needs: access.View,
			summary: "Get an event type",
			about:   "An archived one too.",
		}, getEventType),
		serves(operation{
			name: "event-type.update", route: "PUT /event-type/{event_type_name}",
			scope: organisationOnly, needs: access.Administer, upsert: true,
			summary: "Create or replace an event type",
			about:   "An archived one is one no more, unless the body says so.",
		}, putEventType),
		serves(operation{
			name: "event-type.patch", route: "PATCH /event-type/{event_type_name}",
			scope: organisationOnly, needs: access.Administer,
			summary: "Change parts of an event type",
		}, patchEventType),
		serves(operation{
			name: "event-type.delete", route: "DELETE /event-type/{event_type_name}",
			scope: organisationOnly, needs: access.Administer,
			summary: "Archive an event type, or remove it",
			about:   "Messages of it are sent as before, and endpoints that subscribe to it hear of it as before.",
		}, deleteEventType),
	}
}

// eventTypeText is what is said of an event type, whatever its name.
type eventTypeText struct {
	Description  opt[string]                    `json:"description" is:"required" doc:"What the event means, for those who subscribe to it. It may be empty." eg:"An order was placed."`
	GroupName    opt[string]                    `json:"groupName" is:"slug" doc:"A name under which types are shown together." eg:"order"`
	FeatureFlags opt[[]string]                  `json:"featureFlags" is:"max=50,slug" doc:"Hide the type from applications' tokens, unless they have one of these. Null hides it from nobody."`
	FeatureFlag  opt[string]                    `json:"featureFlag" is:"slug,older=featureFlags"`
	Schemas      opt[map[string]jsontext.Value] `json:"schemas" doc:"JSON Schemas of the payload by version, of draft 7 unless their $schema says otherwise, at most 262,144 bytes together. They must not refer to anything outside themselves. The first of a schema's examples is what send-example sends." eg:"{\"1\":{\"type\":\"object\",\"required\":[\"order\"],\"properties\":{\"order\":{\"type\":\"integer\"}},\"examples\":[{\"order\":17}]}}"`
	Deprecated   opt[bool]                      `json:"deprecated" is:"default=false" doc:"For people: the type will go away."`
	Archived     opt[bool]                      `json:"archived" is:"default=false" doc:"Nobody newly subscribes to it, and lists leave it out."`
}

// eventTypeIn is an event type to be made.
type eventTypeIn struct {
	Name opt[string] `json:"name" is:"required,slug" doc:"What messages of the type have as their eventType." eg:"order.created"`
	eventTypeText
	rest
}

// eventTypeUpdate is an event type to be put in place of the one in the path.
type eventTypeUpdate struct {
	eventTypeText
	rest
}

func (in *eventTypeIn) check(bad *faults)     { in.checkAs(in.Name.Value, bad) }
func (in *eventTypeUpdate) check(bad *faults) { in.checkAs(anyName, bad) }

// anyName stands for a name that is in the path.
const anyName = "a"

func (in *eventTypeText) checkAs(name string, bad *faults) {
	oneFlag(in.FeatureFlag, in.FeatureFlags, bad)
	t := webhook.EventType{Name: name}
	in.fill(&t)
	bad.domain(t.Validate(), flagNames(in.FeatureFlag, in.FeatureFlags), "body")
}

// oneFlag refuses feature flags that are told differently under their two names.
func oneFlag(flag opt[string], flags opt[[]string], bad *faults) {
	if flag.Given && flags.Given && !slices.Contains(flags.Value, flag.Value) {
		bad.add("must be one of featureFlags, of which it is the older form", "body", "featureFlag")
	}
}

// flagNames tells under which name the client sent the flags.
func flagNames(flag opt[string], flags opt[[]string]) wireNames {
	if flag.Given && !flags.Given {
		return wireNames{"featureFlags": "featureFlag"}
	}
	return nil
}

// fill writes all that the client rules over, but for the name.
func (in *eventTypeText) fill(t *webhook.EventType) {
	t.Description, t.Group = in.Description.Value, in.GroupName.Value
	t.FeatureFlags, t.Schemas = in.FeatureFlags.Value, schemasOf(in.Schemas.Value)
	if in.FeatureFlag.Given && !in.FeatureFlags.Given {
		t.FeatureFlags = []string{in.FeatureFlag.Value}
	}
	t.Deprecated, t.Archived = in.Deprecated.Value, in.Archived.Value
}

// schemasOf copies schemas out of a body.
func schemasOf(read map[string]jsontext.Value) map[string]json.RawMessage {
	schemas := make(map[string]json.RawMessage, len(read))
	for version, text := range read {
		schemas[version] = json.RawMessage(text.Clone())
	}
	return schemas
}

// eventTypePatch is what changes of an event type.
type eventTypePatch struct {
	like[eventTypeText]
	Description  opt[string]                    `json:"description" is:"solid"`
	GroupName    opt[string]                    `json:"groupName" is:"slug"`
	FeatureFlags opt[[]string]                  `json:"featureFlags" is:"max=50,slug"`
	FeatureFlag  opt[string]                    `json:"featureFlag" is:"slug,older=featureFlags"`
	Schemas      opt[map[string]jsontext.Value] `json:"schemas" doc:"As in POST; they replace all that there are."`
	Deprecated   opt[bool]                      `json:"deprecated" is:"solid"`
	Archived     opt[bool]                      `json:"archived" is:"solid"`
	rest
}

func (in *eventTypePatch) check(bad *faults) {
	oneFlag(in.FeatureFlag, in.FeatureFlags, bad)
	t := webhook.EventType{Name: anyName}
	_ = in.apply(&t)
	bad.domain(t.Validate(), flagNames(in.FeatureFlag, in.FeatureFlags), "body")
}

func (in *eventTypePatch) apply(t *webhook.EventType) error {
	in.Description.patch(&t.Description)
	in.GroupName.patch(&t.Group)
	switch {
	case in.FeatureFlags.Given || in.FeatureFlags.Null:
		in.FeatureFlags.patch(&t.FeatureFlags)
	case in.FeatureFlag.Given:
		t.FeatureFlags = []string{in.FeatureFlag.Value}
	case in.FeatureFlag.Null:
		t.FeatureFlags = nil
	}
	if in.Schemas.Given || in.Schemas.Null {
		t.Schemas = schemasOf(in.Schemas.Value)
	}
	in.Deprecated.patch(&t.Deprecated)
	in.Archived.patch(&t.Archived)
	return nil
}

// eventTypeOut is an event type as shown.
type eventTypeOut struct {
	like[eventTypeText]
	Name         string                     `json:"name" doc:"What messages of the type have as their eventType." eg:"order.created"`
	Description  string                     `json:"description"`
	Archived     bool                       `json:"archived"`
	Deprecated   bool                       `json:"deprecated"`
	Schemas      *map[string]jsontext.Value `json:"schemas" doc:"JSON Schemas of the payload by version; null where there are none or they were not asked for."`
	FeatureFlags *[]string                  `json:"featureFlags"`
	FeatureFlag  *string                    `json:"featureFlag" doc:"The first of featureFlags." is:"older=featureFlags"`
	GroupName    *string                    `json:"groupName"`
	CreatedAt    instant                    `json:"createdAt" doc:"When it was made."`
	UpdatedAt    instant                    `json:"updatedAt" doc:"When it was last changed."`
}

func showEventType(t *webhook.EventType) eventTypeOut {
	out := eventTypeOut{
		Name: t.Name, Description: t.Description, Archived: t.Archived, Deprecated: t.Deprecated,
		Schemas: showSchemas(t.Schemas), FeatureFlags: unlessEmpty(t.FeatureFlags), GroupName: unlessZero(t.Group),
		CreatedAt: instant(t.CreatedAt), UpdatedAt: instant(t.UpdatedAt),
	}
	if len(t.FeatureFlags) > 0 {
		out.FeatureFlag = &t.FeatureFlags[0]
	}
	return out
}

func showSchemas(schemas map[string]json.RawMessage) *map[string]jsontext.Value {
	if len(schemas) == 0 {
		return nil
	}
	shown := make(map[string]jsontext.Value, len(schemas))
	for version, text := range maps.All(schemas) {
		shown[version] = jsontext.Value(text)
	}
	return &shown
}

type eventTypesQuery struct {
	limited
	Iterator        opt[string] `query:"iterator" is:"nameiterator" doc:"The iterator or prevIterator of another page; without one, the first page."`
	IncludeArchived opt[bool]   `query:"include_archived" is:"default=false" doc:"Show archived types too."`
	WithContent     opt[bool]   `query:"with_content" is:"default=false" doc:"Show the schemas."`
}

// nameWalk reads an iterator that is a name: behind "-" it walks backward, as an id does.
// Names may begin with "-" themselves: those have a "~" before them, which no name has.
func nameWalk(iterator string) (at string, backward bool) {
	at, backward = strings.CutPrefix(iterator, "-")
	return strings.TrimPrefix(at, "~"), backward
}

func nameIterator(name string) string {
	if strings.HasPrefix(name, "-") {
		return "~" + name
	}
	return name
}

func eventTypeIterator(t *webhook.EventType) string { return nameIterator(t.Name) }

func listEventTypes(c *call, q *eventTypesQuery, _ *none) (out listOut[eventTypeOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, false)
	w.After, _ = nameWalk(q.Iterator.Value)
	got, err := c.org.EventTypes(c.ctx(), neohook.EventTypeFilter{
		Active: !q.IncludeArchived.Value, Flags: c.flags(), WithSchemas: q.WithContent.Value && !w.peek,
	}, w.Page)
	if err != nil {
		return out, badIterator(err)
	}
	if got.Last != "" {
		got.Last = nameIterator(got.Last)
	}
	return listed(w, got, eventTypeIterator, showEventType), nil
}

// flags are those of whoever is confined to an application: not nil. Everybody else sees
// all event types.
func (c *call) flags() []string {
	if !c.caller.IsConfined() {
		return nil
	}
	return append([]string{}, c.caller.FeatureFlags...)
}

func (c *call) typeName() string { return c.req.PathValue("event_type_name") }

// findEventType returns an event type that is there for whoever asks.
func (c *call) findEventType(name string) (webhook.EventType, error) {
	found, err := c.org.EventType(c.ctx(), name)
	if err == nil && c.caller.IsConfined() && !found.ShownTo(c.caller.FeatureFlags) {
		err = neohook.ErrNotFound
	}
	return found, noEventType(err)
}

func noEventType(err error) error {
	if errors.Is(err, neohook.ErrNotFound) {
		return notFound("Event type not found")
	}
	return err
}

func createEventType(c *call, _ *none, in *eventTypeIn) (out eventTypeOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	made := webhook.EventType{Name: in.Name.Value}
	in.fill(&made)
	made, err = org.CreateEventType(c.ctx(), made)
	if errors.Is(err, neohook.ErrConflict) {
		return out, &refusal{
			status: http.StatusConflict, code: "event_type_exists",
			detail: "An event type of this name exists: change it with PUT or PATCH",
		}
	}
	if err != nil {
		return out, err
	}
	return showEventType(&made), nil
}

func getEventType(c *call, _, _ *none) (out eventTypeOut, _ error) {
	found, err := c.findEventType(c.typeName())
	if err != nil {
		return out, err
	}
	return showEventType(&found), nil
}

func putEventType(c *call, _ *none, in *eventTypeUpdate) (out eventTypeOut, _ error) {
	put, err := upsert(c,
		func() (webhook.EventType, error) {
			return c.org.UpdateEventType(c.ctx(), c.typeName(), func(t *webhook.EventType) error {
				in.fill(t)
				return nil
			})
		},
		func() (webhook.EventType, error) {
			made := webhook.EventType{Name: c.typeName()}
			in.fill(&made)
			return c.org.CreateEventType(c.ctx(), made)
		})
	if err != nil {
		return out, err
	}
	return showEventType(&put), nil
}

func patchEventType(c *call, _ *none, in *eventTypePatch) (out eventTypeOut, _ error) {
	patched, err := c.org.UpdateEventType(c.ctx(), c.typeName(), in.apply)
	if err != nil {
		return out, noEventType(err)
	}
	return showEventType(&patched), nil
}

type deleteEventTypeQuery struct {
	Expunge opt[bool] `query:"expunge" is:"default=false" doc:"Remove it without a trace, in place of archiving it."`
}

func deleteEventType(c *call, q *deleteEventTypeQuery, _ *none) (out none, _ error) {
	if q.Expunge.Value {
		return out, noEventType(c.org.DeleteEventType(c.ctx(), c.typeName()))
	}
	_, err := c.org.UpdateEventType(c.ctx(), c.typeName(), func(t *webhook.EventType) error {
		t.Archived = true
		return nil
	})
	return out, noEventType(err)
}
