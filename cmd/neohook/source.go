package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// given is one setting as the environment or a file gives it.
type given struct {
	text   string
	origin string // as "NEOHOOK_LISTEN" or "neohook.yaml:3: listen", for messages
}

// source is what the environment or a file gives, by setting.
type source map[string]given

const envPrefix = "NEOHOOK_"

// envName is the variable of a setting: of "log-level" it is NEOHOOK_LOG_LEVEL.
func envName(setting string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// foreign matches variables with our prefix that are others' to set: the token of a program
// that calls the API, what Kubernetes puts into every container beside a service named
// neohook, and what steers our tests.
var foreign = regexp.MustCompile(`^NEOHOOK_(TOKEN|TEST_.*|(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_.*)?)?))$`)

// fromEnvironment takes the settings out of environ, a list of NAME=value. An empty
// value is as good as none. A variable with our prefix that is no setting is an error,
// since it can only be a misspelt one.
func fromEnvironment(environ, settings []string) (source, error) {
	byVariable := make(map[string]string, len(settings))
	for _, setting := range settings {
		byVariable[envName(setting)] = setting
	}
	found := source{}
	for _, entry := range environ {
		variable, text, _ := strings.Cut(entry, "=")
		setting, known := byVariable[variable]
		switch {
		case known && text != "":
			found[setting] = given{text: text, origin: variable}
		case !known && strings.HasPrefix(variable, envPrefix) && !foreign.MatchString(variable):
			return nil, fmt.Errorf("unknown variable %s in the environment%s",
				variable, didYouMean(variable, slices.Sorted(maps.Keys(byVariable))))
		}
	}
	return found, nil
}

// fromFile takes the settings out of a YAML file: a mapping of names to plain values or
// lists of plain values. Unknown and repeated names are errors.
func fromFile(path string, text []byte, settings []string) (source, error) {
	document, err := onlyDocument(path, text)
	if err != nil {
		return nil, err
	}
	found := source{}
	if len(document.Content) == 0 { // nothing but comments
		return found, nil
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return found, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want settings, one a line, as listen: 127.0.0.1:8071", path, root.Line)
	}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		where := fmt.Sprintf("%s:%d: ", path, key.Line)
		if !slices.Contains(settings, key.Value) {
			return nil, fmt.Errorf("%sunknown key %q%s", where, key.Value, didYouMean(key.Value, settings))
		}
		if _, twice := found[key.Value]; twice {
			return nil, fmt.Errorf("%s%s is given twice", where, key.Value)
		}
		text, err := plainText(value)
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", where, key.Value, err)
		}
		found[key.Value] = given{text: text, origin: where + key.Value}
	}
	return found, nil
}

// onlyDocument parses the one document of a YAML file. A second one is an error: its
// settings would be passed over without a word.
func onlyDocument(path string, text []byte) (only yaml.Node, _ error) {
	documents := yaml.NewDecoder(bytes.NewReader(text))
	var second yaml.Node
	err := documents.Decode(&only)
	if err == nil {
		err = documents.Decode(&second)
	}
	switch {
	case errors.Is(err, io.EOF):
		return only, nil
	case err != nil:
		return only, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return only, fmt.Errorf("%s:%d: a second document begins here; write all settings in one", path, second.Line)
}

// plainText returns a value as it would stand on the command line: a list's items with
// commas between.
func plainText(value *yaml.Node) (string, error) {
	switch value.Kind {
	case yaml.ScalarNode:
		if value.Tag == "!!null" {
			return "", fmt.Errorf("has no value; leave the line out for the default")
		}
		return value.Value, nil
	case yaml.AliasNode:
		return plainText(value.Alias)
	case yaml.SequenceNode:
		items := make([]string, len(value.Content))
		for i, item := range value.Content {
			if item.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("line %d: want a plain value", item.Line)
			}
			items[i] = item.Value
		}
		return strings.Join(items, ","), nil
	}
	return "", fmt.Errorf("want a plain value or a list of them")
}

// value returns what the source has for a flag, or nil. It reads the text once to blame
// the source, and not the flag, for one that is wrong.
func (s source) value(flag *kong.Flag) (any, error) {
	entry, found := s[flag.Name]
	if !found {
		return nil, nil
	}
	if err := trial(flag, entry.text); err != nil {
		return nil, &sourceError{fmt.Errorf("%s: %w", entry.origin, err)}
	}
	return entry.text, nil
}

// sourceError is what is wrong with a source, in a message that names the place.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// didYouMean names the known word nearest to a wrong one, where one is near at all.
func didYouMean(wrong string, known []string) string {
	best, least := "", len(wrong)/2+1
	for _, word := range known {
		if d := distance(wrong, word); d < least {
			best, least = word, d
		}
	}
	if best == "" {
		return "; known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf(", did you mean %s?", best)
}

// distance is the number of letters to insert, delete, replace or swap with their
// neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	var before, previous []int // the rows of i-2 and i-1
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, previous, row = previous, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := previous[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(previous[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
