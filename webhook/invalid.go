package webhook

import "strings"

// InvalidError says all that is wrong with something a caller asked for. Nothing of it
// was carried out.
type InvalidError struct {
	Fields []FieldError
}

// FieldError is one thing that is wrong.
type FieldError struct {
	// Field is where, in the words of this package in camelCase: "url",
	// "headers.X-Api-Key", "channels[2]".
	Field string
	// Message says what is wrong and what would be right, with the limit.
	Message string
}

// Error joins all faults into one line.
func (e *InvalidError) Error() string {
	var text strings.Builder
	text.WriteString("invalid")
	for i, field := range e.Fields {
		if i > 0 {
			text.WriteByte(';')
		}
		text.WriteString(" " + field.Field + ": " + field.Message)
	}
	return text.String()
}

// Add notes a fault.
func (e *InvalidError) Add(field, message string) {
	e.Fields = append(e.Fields, FieldError{Field: field, Message: message})
}

// Err returns e if a fault was noted, else nil.
func (e *InvalidError) Err() error {
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}
