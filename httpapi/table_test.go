package httpapi

import (
	"reflect"
	"strings"
	"testing"

	"github.com/neohook/neohook/access"
)

// Building the table compiles every type in it, which panics for one that is malformed.
// So does telling its schema for a field that has no doc.
func TestTableIsComplete(t *testing.T) {
	var all schemas
	names := make(map[string]bool)
	for _, op := range operations() {
		if op.name == "" || op.summary == "" || op.method == "" || !strings.HasPrefix(op.path, "/") {
			t.Errorf("%s %s: a part of the row is missing: %+v", op.method, op.path, op)
		}
		if names[op.name] {
			t.Errorf("%s is there twice", op.name)
		}
		names[op.name] = true
		for _, part := range []reflect.Type{op.asks, op.takes, op.answer} {
			if part != nil {
				all.of(part)
			}
		}
		if (op.status == 204) != (op.answer == nil) {
			t.Errorf("%s: status %d with answer %v", op.name, op.status, op.answer)
		}
	}
}

// A row that leaves open who may use it is not served, even by mistake.
func TestRowMustSayWhoMayUseIt(t *testing.T) {
	for name, op := range map[string]operation{
		"neither":                       {route: "GET /app"},
		"no right":                      {route: "GET /app", scope: organisationOnly},
		"no scope":                      {route: "GET /app", needs: access.View},
		"a right for anyone":            {route: "GET /app", scope: anyone, needs: access.View},
		"no application for the caller": {route: "GET /app", scope: application, needs: access.View},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("is served")
				}
			}()
			serves(op, ping)
		})
	}
}
