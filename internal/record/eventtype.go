package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// EventType returns a stored event type as callers see it, sharing nothing with it.
func EventType(t *store.EventType) (webhook.EventType, error) {
	schemas, err := Schemas(t)
	return webhook.EventType{
		Name: t.Name, Description: t.Description, Group: t.Group, FeatureFlags: slices.Clone(t.FeatureFlags),
		Schemas: schemas, Deprecated: t.Deprecated, Archived: t.Archived, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}, err
}

// Schemas returns the schemas of a stored event type, by version.
func Schemas(t *store.EventType) (schemas map[string]json.RawMessage, _ error) {
	if t.Schemas == nil {
		return nil, nil
	}
	if err := json.Unmarshal(t.Schemas, &schemas); err != nil {
		return nil, fmt.Errorf("schemas of event type %s: %w", t.Name, err)
	}
	return schemas, nil
}

// PutEventType writes into a stored event type what callers rule over, sharing nothing with
// t. Its schemas must be JSON.
func PutEventType(into *store.EventType, t *webhook.EventType) error {
	into.Description, into.Group, into.FeatureFlags = t.Description, t.Group, cloneSlice(t.FeatureFlags)
	into.Deprecated, into.Archived, into.Schemas = t.Deprecated, t.Archived, nil
	if len(t.Schemas) == 0 {
		return nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // as it was written
	if err := encoder.Encode(t.Schemas); err != nil {
		return err
	}
	into.Schemas = bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	return nil
}
