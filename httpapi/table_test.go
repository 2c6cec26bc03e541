package httpapi

import (
	"reflect"
	"testing"
)

// Building the table compiles every type in it, which panics for one that is malformed.
// So does telling its schema for a field that has no doc.
func TestTableIsComplete(t *testing.T) {
	var all schemas
	names := make(map[string]bool)
	for _, op := range operations() {
		if op.name == "" || op.summary == "" || op.status == 0 || op.method == "" {
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
