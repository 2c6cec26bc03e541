package httpapi

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/httpapi/openapi"
	"github.com/neohook/neohook/webhook"
)

func importOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "event-type.import-openapi", route: "POST /event-type/import/openapi",
			scope: organisationOnly, needs: access.Administer, once: true,
			summary: "Create and replace event types as an OpenAPI document describes them",
			about: "What is in the document's `webhooks`, or in `x-webhooks` before version 3.1, becomes event types by those names, with the schemas " +
				"of what is sent as version 1. Archived types are so no more; what the document says nothing of, groups and feature flags " +
				"(`x-svix-group-name`, `x-svix-feature-flags` of an operation), stays.\n\n" +
				"Changes of up to 500 types and 8 MiB are made together or not at all.",
		}, importOpenAPI),
	}
}

// openAPIIn is an OpenAPI document to read event types from.
type openAPIIn struct {
	Spec       opt[jsontext.Value] `json:"spec" doc:"The document, as an object." eg:"{\"openapi\":\"3.1.0\",\"webhooks\":{\"pet.new\":{\"post\":{\"description\":\"A pet came\"}}}}"`
	SpecRaw    opt[string]         `json:"specRaw" doc:"The document as a text, JSON or YAML, in place of spec."`
	ReplaceAll opt[bool]           `json:"replaceAll" is:"default=false" doc:"Archive the event types that are not in the document."`
	DryRun     opt[bool]           `json:"dryRun" is:"default=false" doc:"Change nothing, and answer with what would be changed."`
	rest
}

func (in *openAPIIn) check(bad *faults) {
	switch {
	case in.Spec.Given && in.SpecRaw.Given:
		bad.add("is another form of spec: send one of them", "body", "specRaw")
	case !in.Spec.Given && !in.SpecRaw.Given:
		bad.misfit("is required, or specRaw", "body", "spec")
	}
}

// document returns the text of the document, and by which name it came.
func (in *openAPIIn) document() (text []byte, name string) {
	if in.SpecRaw.Given {
		return []byte(in.SpecRaw.Value), "specRaw"
	}
	return in.Spec.Value, "spec"
}

// openAPIOut is what an import has changed.
type openAPIOut struct {
	Data openAPIChangesOut `json:"data" doc:"What was changed, or would be. What is as the document says is not among it."`
}

type openAPIChangesOut struct {
	Modified []string         `json:"modified" doc:"The names of the event types that were created or replaced."`
	ToModify []openAPITypeOut `json:"to_modify,omitzero" doc:"Of a dry run: those event types as they would be."`
	Archived []string         `json:"archived" doc:"The names of the event types that were archived."`
}

// openAPITypeOut is an event type as it would be.
type openAPITypeOut struct {
	like[eventTypeText]
	Name         string                     `json:"name" doc:"The webhook's name, or its operation's id."`
	Description  string                     `json:"description"`
	Deprecated   bool                       `json:"deprecated"`
	Schemas      *map[string]jsontext.Value `json:"schemas"`
	FeatureFlags *[]string                  `json:"featureFlags"`
	FeatureFlag  *string                    `json:"featureFlag" is:"older=featureFlags"`
	GroupName    *string                    `json:"groupName"`
}

func importOpenAPI(c *call, _ *none, in *openAPIIn) (out openAPIOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	text, name := in.document()
	types, err := openapi.EventTypes(text)
	if err != nil {
		var bad faults
		bad.add(err.Error(), "body", name)
		return out, bad.err()
	}
	done, err := org.ImportEventTypes(c.ctx(), neohook.EventTypeImport{
		Types: types, ArchiveOthers: in.ReplaceAll.Value, DryRun: in.DryRun.Value,
	})
	if err != nil {
		return out, spelled(err, wireNames{"eventTypes": name})
	}
	out.Data = openAPIChangesOut{Modified: append([]string{}, done.Stored...), Archived: append([]string{}, done.Archived...)}
	for i := range done.Types {
		out.Data.ToModify = append(out.Data.ToModify, showImported(&done.Types[i]))
	}
	return out, nil
}

func showImported(t *webhook.EventType) openAPITypeOut {
	shown := showEventType(t)
	return openAPITypeOut{
		Name: shown.Name, Description: shown.Description, Deprecated: shown.Deprecated, Schemas: shown.Schemas,
		FeatureFlags: shown.FeatureFlags, FeatureFlag: shown.FeatureFlag, GroupName: shown.GroupName,
	}
}
