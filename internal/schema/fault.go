package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Fault is one thing that is wrong.
type Fault struct {
	// Path leads to it, from the outside in: names, and in a payload indexes as "[0]".
	Path    []string
	Message string
}

// maxFaults bounds what is told.
const maxFaults = 10

// faultsOf flattens what the library says, in an order that is always the same.
func faultsOf(err *jsonschema.ValidationError, message func(*jsonschema.ValidationError) string) []Fault {
	var faults []Fault
	gather(err, message, &faults)
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(slices.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	faults = slices.CompactFunc(faults, func(a, b Fault) bool { return a.Message == b.Message && slices.Equal(a.Path, b.Path) })
	return faults[:min(len(faults), maxFaults)]
}

// gather descends to what is wrong in itself. Where one of several alternatives would have
// been right, that is what is wrong, and not each of them.
func gather(err *jsonschema.ValidationError, message func(*jsonschema.ValidationError) string, faults *[]Fault) {
	switch err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range err.Causes {
			gather(cause, message, faults)
		}
	default:
		*faults = append(*faults, Fault{Path: err.InstanceLocation, Message: message(err)})
	}
}

// ofSchema says what is wrong with a schema, in terms of what schemas are.
func ofSchema(err *jsonschema.ValidationError) string {
	switch k := err.ErrorKind.(type) {
	case *kind.Format:
		if k.Want == "regex" {
			return "is no regular expression that can be used: " + clip(k.Err.Error())
		}
	case *kind.PropertyNames:
		for _, cause := range err.Causes {
			if format, is := cause.ErrorKind.(*kind.Format); is {
				return "has the name " + names([]string{k.Property}) + ", which is no regular expression that can be used: " + clip(format.Err.Error())
			}
		}
	case *kind.AnyOf, *kind.OneOf, *kind.Not:
		return "is not what the schema's draft has there"
	}
	return ofValue(err)
}

// ofValue says what would be right. The values that are wrong may be nobody's business.
func ofValue(err *jsonschema.ValidationError) string {
	switch k := err.ErrorKind.(type) {
	case *kind.Type:
		return "must be of type " + strings.Join(k.Want, " or ")
	case *kind.Enum:
		return fmt.Sprintf("must be one of the %d values of its enum", len(k.Want))
	case *kind.Const:
		return "must be the value of its const"
	case *kind.Format:
		return "must be a text of the format " + strconv.Quote(clip(k.Want))
	case *kind.FalseSchema:
		return "must not be there"
	case *kind.Required:
		return "must have " + names(k.Missing)
	case *kind.Dependency:
		return "must have " + names(k.Missing) + " beside " + names([]string{k.Prop})
	case *kind.DependentRequired:
		return "must have " + names(k.Missing) + " beside " + names([]string{k.Prop})
	case *kind.AdditionalProperties:
		slices.Sort(k.Properties)
		return "must not have " + names(k.Properties)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %d items too many", k.Count)
	case *kind.PropertyNames:
		return "must not have the name " + names([]string{k.Property})
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d members, and has %d", k.Want, k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d members, and has %d", k.Want, k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items, and has %d", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items, and has %d", k.Want, k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("must not have the same item twice, as at %d and %d", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return "must contain an item that fits its contains"
	case *kind.MinContains:
		return fmt.Sprintf("must contain at least %d items that fit its contains", k.Want)
	case *kind.MaxContains:
		return fmt.Sprintf("must contain at most %d items that fit its contains", k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters, and has %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters, and has %d", k.Want, k.Got)
	case *kind.Pattern:
		return "must match " + strconv.Quote(clip(k.Want))
	case *kind.Minimum:
		return "must be at least " + clip(k.Want.RatString())
	case *kind.Maximum:
		return "must be at most " + clip(k.Want.RatString())
	case *kind.ExclusiveMinimum:
		return "must be more than " + clip(k.Want.RatString())
	case *kind.ExclusiveMaximum:
		return "must be less than " + clip(k.Want.RatString())
	case *kind.MultipleOf:
		return "must be a multiple of " + clip(k.Want.RatString())
	case *kind.Not:
		return "must not fit its not"
	case *kind.AnyOf:
		return "must fit one of the alternatives of its anyOf"
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			return "must fit one alternative of its oneOf, and fits several"
		}
		return "must fit one of the alternatives of its oneOf"
	}
	return "does not fit the schema"
}

func names(list []string) string {
	const most = 5
	var quoted []string
	for _, name := range list[:min(len(list), most)] {
		quoted = append(quoted, strconv.Quote(clip(name)))
	}
	if len(list) > most {
		quoted = append(quoted, fmt.Sprintf("%d more", len(list)-most))
	}
	return strings.Join(quoted, ", ")
}

// within puts a path before those of faults.
func within(outer []string, faults []Fault) []Fault {
	for i := range faults {
		faults[i].Path = slices.Concat(outer, faults[i].Path)
	}
	return faults
}

// clip bounds a text that somebody else has written.
func clip(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
