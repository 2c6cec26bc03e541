package httpapi

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func documentOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "document.get", route: "GET /openapi.json",
			scope:   anyone,
			summary: "Get the OpenAPI 3.1 document of this API",
		}, getDocument),
	}
}

// documentOut is the document itself.
type documentOut struct{ *file }

func (documentOut) schema(*schemas) *schema {
	return &schema{Type: kinds{"object"}, Required: []string{"openapi", "info", "paths"}}
}

func getDocument(c *call, _, _ *none) (documentOut, error) {
	made, err := c.api.document()
	return documentOut{made}, err
}

// makeDocument writes the document of the table.
func (api *API) makeDocument() (*file, error) {
	doc := newDocument(operations(), api.version, api.maxBodyBytes())
	text, err := json.Marshal(doc, encodeOptions, jsontext.WithIndent("  "))
	if err != nil {
		return nil, err
	}
	return newFile("application/json", text), nil
}
