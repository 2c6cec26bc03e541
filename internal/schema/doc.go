// Package schema holds payloads to JSON Schemas, both written by people who need not mean
// well. What a schema means is github.com/santhosh-tekuri/jsonschema's to know; this package
// keeps it within bounds:
//
//   - a schema refers to nothing outside itself: no file is opened and no address asked;
//   - its text, its depth, its number of parts and its regular expressions are limited, so
//     that compiling it is a matter of milliseconds;
//   - checking a payload has a budget of steps. A schema of a few lines can ask for more of
//     them than there are atoms (by alternatives that refer to alternatives), and a regular
//     expression for as many as it and the text are long together.
//
// Regular expressions are those of Go (RE2): they take linear time, and have neither
// look-around nor back-references.
package schema
