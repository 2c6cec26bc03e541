package httpapi

import (
	"errors"
	"net/http"
	"slices"

	"github.com/neohook/neohook/webhook"
)

// fault is one thing that is wrong with a request.
type fault struct {
	// Loc is where: "body", "query" or "path", then the names as the client spelled them.
	Loc  []string `json:"loc" doc:"Where: body, query, path or header, then the names as you spelled them." eg:"[\"body\",\"url\"]"`
	Msg  string   `json:"msg" doc:"What is wrong, for people." eg:"is required"`
	Type string   `json:"type" doc:"What is wrong, for programs: value_error for a rule that is broken, value_error.jsondecode for JSON that does not fit." eg:"value_error.jsondecode"`
}

// The types of fault that clients know.
const (
	badValue = "value_error"
	badJSON  = "value_error.jsondecode" // does not fit the type: wrong kind, missing, malformed
)

// faults gathers what is wrong.
type faults []fault

// add notes that the value at loc breaks a rule.
func (f *faults) add(msg string, loc ...string) {
	*f = append(*f, fault{Loc: slices.Clone(loc), Msg: msg, Type: badValue})
}

// misfit notes that the JSON at loc does not fit its type.
func (f *faults) misfit(msg string, loc ...string) {
	*f = append(*f, fault{Loc: slices.Clone(loc), Msg: msg, Type: badJSON})
}

// domain adds what the domain finds wrong inside where, except where there was a
// complaint already.
func (f *faults) domain(err error, names wireNames, where ...string) {
	if err == nil {
		return
	}
	var invalid *webhook.InvalidError
	if !errors.As(err, &invalid) {
		return
	}
	known := *f
	for _, one := range names.faults(invalid, where...) {
		if !slices.ContainsFunc(known, func(other fault) bool { return slices.Equal(one.Loc, other.Loc) }) {
			*f = append(*f, one)
		}
	}
}

// spelled is an error of the engine with the names of its fields on the wire.
func spelled(err error, names wireNames) error {
	var invalid *webhook.InvalidError
	if errors.As(err, &invalid) {
		return names.faults(invalid, "body").err()
	}
	return err
}

// err returns the refusal of a request that is not valid, or nil.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &refusal{status: http.StatusUnprocessableEntity, faults: f}
}
