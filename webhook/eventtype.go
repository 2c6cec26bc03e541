package webhook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// EventType says what events of a type are, for those who subscribe to them and those who
// publish them. It belongs to an organisation, and is known by its Name. Events may be
// published whose type nobody has described.
type EventType struct {
	// Name is what Event.Type is compared with, and like it.
	Name        string
	Description string
	// Group is a name, like a type's, under which types are shown together; "" is none.
	Group string
	// FeatureFlags hide the type from a tenant's own tokens, unless they have one of these
	// flags; each like a Name, at most MaxFeatureFlags. Empty hides it from nobody.
	FeatureFlags []string
	// Schemas are JSON Schemas of the payload by version, such as "1"; at most
	// MaxSchemaVersions. They are of draft 7 unless their $schema says otherwise.
	Schemas map[string]json.RawMessage
	// Deprecated and Archived are for people: events of the type are sent as before. Nobody
	// newly subscribes to an archived one.
	Deprecated bool
	Archived   bool
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Limits of an EventType.
const (
	MaxFeatureFlags   = 50
	MaxSchemaVersions = 50
	// MaxSchemaBytes bounds all schemas of a type together, as they are stored.
	MaxSchemaBytes = 256 << 10
)

// Validate returns all that is wrong with what a caller sets of an event type, as
// *InvalidError, or nil. Times are not looked at, nor whether the Schemas are schemas.
func (t *EventType) Validate() error {
	var bad InvalidError
	if !IsName(t.Name) {
		bad.Add("name", nameRule)
	}
	checkText(&bad, "description", t.Description)
	if t.Group != "" && !IsName(t.Group) {
		bad.Add("groupName", nameRule)
	}
	checkNames(&bad, "featureFlags", t.FeatureFlags, MaxFeatureFlags)
	if len(t.Schemas) > MaxSchemaVersions {
		bad.Add("schemas", "must be at most "+strconv.Itoa(MaxSchemaVersions))
	}
	size := 0
	for version, schema := range t.Schemas {
		size += len(version) + len(schema)
		if !IsName(version) {
			bad.Add("schemas", "must have versions as names, of "+nameRule[len("must be "):])
		}
	}
	if size > MaxSchemaBytes {
		bad.Add("schemas", fmt.Sprintf("must be at most %d bytes together, not %d", MaxSchemaBytes, size))
	}
	return bad.Err()
}

// ShownTo says whether a token with these feature flags may see the type.
func (t *EventType) ShownTo(flags []string) bool {
	return len(t.FeatureFlags) == 0 || slices.ContainsFunc(t.FeatureFlags, func(flag string) bool {
		return slices.Contains(flags, flag)
	})
}
