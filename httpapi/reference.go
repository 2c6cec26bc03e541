package httpapi

import (
	"fmt"
	"regexp"
)

// references are the names in paths, by what they are called there, with what the
// document says of each. All of them are ids or names of the caller's own choosing.
var references = map[string]reference{
	"app_id":                  {"The application's id, or its uid.", "app_"},
	"endpoint_id":             {"The endpoint's id, or its uid.", "ep_"},
	"operational_endpoint_id": {"The endpoint's id, or its uid.", "ep_"},
	"msg_id":                  {"The message's id, or its eventId.", "msg_"},
	"attempt_id":              {"The attempt's id.", "atmpt_"},
	"task_id":                 {"The task's id.", "qtask_"},
	"token_id":                {"The token's id, which is not the token.", "tok_"},

	"event_type_name": {"The event type's name.", ""},
}

// reference is a name in a path.
type reference struct {
	doc string
	// prefix begins the ids that it takes; "" where it takes names only.
	prefix string
}

var braced = regexp.MustCompile(`\{([a-z_]+)\}`)

// referencesIn lists the names in a path. It panics for one that is not in references.
func referencesIn(path string) (names []string) {
	for _, match := range braced.FindAllStringSubmatch(path, -1) {
		if _, known := references[match[1]]; !known {
			panic(fmt.Sprintf("httpapi: %s: references has no %s", path, match[1]))
		}
		names = append(names, match[1])
	}
	return names
}

// checkPath refuses references that can't name anything.
func (c *call) checkPath() error {
	var bad faults
	for _, name := range c.op.references {
		if msg := slug(c.req.PathValue(name)); msg != "" {
			bad.add(msg, "path", name)
		}
	}
	return bad.err()
}
