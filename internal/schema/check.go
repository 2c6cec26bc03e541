package schema

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Limits of a payload that is to be checked.
const (
	maxPayloadDepth  = 1000
	maxPayloadValues = 250_000
)

// The budget of a check, in steps.
const (
	leastBudget   = 20_000
	budgetPerByte = 8
	mostBudget    = 2_000_000
)

// Payload is a payload that was read, to be held to any number of schemas.
type Payload struct {
	value any
	bytes int
}

// Read reads a payload. The faults say why it can't be held to any schema.
func Read(payload []byte) (Payload, []Fault) {
	value, err := parse(payload, limits{depth: maxPayloadDepth, values: maxPayloadValues})
	if err != nil {
		return Payload{}, []Fault{{Message: err.Error()}}
	}
	return Payload{value, len(payload)}, nil
}

// Check says what is wrong with a payload, and where; nil is nothing. No message repeats a
// value. It takes a second or two for the most that a schema and a payload can ask for.
func (s *Schema) Check(payload Payload) []Fault {
	p := s.take()
	if p == nil {
		var faults []Fault
		if p, _, faults = s.compile(); faults != nil {
			return faults // which were none before
		}
	}
	defer s.put(p)
	return p.check(payload)
}

func (s *Schema) take() *program {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.idle) - 1
	if last < 0 {
		return nil
	}
	p := s.idle[last]
	s.idle = s.idle[:last]
	return p
}

func (s *Schema) put(p *program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < maxIdle {
		s.idle = append(s.idle, p)
	}
}

func (p *program) check(payload Payload) (faults []Fault) {
	defer func() {
		switch fault := recover(); {
		case fault == nil:
		case fault == any(errBudget):
			faults = []Fault{{Message: "takes more steps to check than are made for one payload: the schema is too involved for it"}}
		default: // a value or a schema that the library stumbles over
			faults = []Fault{{Message: "can't be checked"}}
		}
	}()
	p.budget = min(leastBudget+budgetPerByte*payload.bytes, mostBudget)
	p.spend(before(p.root))
	err := p.root.Validate(payload.value)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return bracketed(faultsOf(invalid, ofValue), payload.value)
	}
	return []Fault{{Message: fmt.Sprint("can't be checked: ", clip(err.Error()))}}
}

// bracketed puts the indexes in paths into brackets, which tells them from names.
func bracketed(faults []Fault, root any) []Fault {
	for i := range faults {
		faults[i].Path = slices.Clone(faults[i].Path)
		value := root
		for j, token := range faults[i].Path {
			switch within := value.(type) {
			case map[string]any:
				value = within[token]
			case []any:
				faults[i].Path[j] = "[" + token + "]"
				index, err := strconv.Atoi(token)
				if err != nil || index < 0 || index >= len(within) {
					value = nil
					continue
				}
				value = within[index]
			}
		}
	}
	return faults
}
