// Package migration reads the files that take a store's tables from one version to the
// next. It is the form that both engines have them in.
//
// A file is migration/0002_what_it_does.sql, and brings the tables to version 2. It is never
// edited once released. A program knows the versions up to the last file in it.
//
// # Who works with it
//
// A line of it says, in these words, which programs work with the tables from the beginning
// of the migration on: those that know at least a version.
//
//	-- Works with programs that know version 1.
//
// What only adds (a table, an index, a column with a default) works with all that the
// version before works with: it expands. What takes away what older programs use, or has
// programs write what older ones can't read, works from a later version on: it contracts.
// That is asked of what was released before only, so that a release and the one before it
// always work side by side. A release that begins to write rows in a new form thus brings a
// migration that may have no statements, and says from which version on programs read it.
//
// The type of a column is never changed, nor is it renamed: statements that were prepared
// before would fail.
//
// # Steps
//
// A file without steps is one. Else each begins with a line that says what it is for:
//
//	-- Step: the column, which is there at once.
//	-- Step by statements: an index, without holding up those who write.
//
// The first kind is carried out in a transaction, of PostgreSQL's with a short wait for
// locks. A table that is written to all the time should be the only one that its step
// locks. The second kind is a query, on PostgreSQL only. Each text that it gives is a
// statement, to be carried out by itself and outside of a transaction; then it is asked
// again, until it gives none. So it can be broken off anywhere, and is to find out by
// itself what is left to do: an index that was broken off is there, and is not valid.
package migration

import (
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

// Migration takes tables to a version.
type Migration struct {
	// File is its name, for messages.
	File string
	// Version is what it takes the tables to.
	Version int
	// Needs is the version that programs must know to work with the tables from its beginning
	// on.
	Needs int
	Steps []Step
}

// Step is a part of a migration that is carried out by itself.
type Step struct {
	// Text is its statements, or the query that gives them.
	Text string
	// Asks says that it is a query.
	Asks bool
}

var (
	fileName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)
	needs    = regexp.MustCompile(`(?m)^-- Works with programs that know version (\d+)\.$`)
	beginOf  = regexp.MustCompile(`(?m)^-- Step( by statements)?: .*$`)
)

// Read reads the migrations in a folder named migration, which are numbered from 1 on.
func Read(files fs.FS) ([]Migration, error) {
	entries, err := fs.ReadDir(files, "migration")
	if err != nil {
		return nil, err
	}
	var list []Migration
	least := 1
	for i, entry := range entries {
		text, err := fs.ReadFile(files, "migration/"+entry.Name())
		if err != nil {
			return nil, err
		}
		m, err := parse(entry.Name(), string(text))
		switch {
		case err != nil:
			return nil, err
		case m.Version != i+1:
			return nil, fmt.Errorf("migration %s: want %04d as its number", m.File, i+1)
		case m.Needs < least || m.Needs > m.Version:
			return nil, fmt.Errorf("migration %s: it works with programs that know version %d, which must be from %d to %d", m.File, m.Needs, least, m.Version)
		}
		least = m.Needs
		list = append(list, m)
	}
	return list, nil
}

func parse(file, text string) (Migration, error) {
	m := Migration{File: file}
	name := fileName.FindStringSubmatch(file)
	if name == nil {
		return m, fmt.Errorf("migration %s: want a name as 0002_what_it_does.sql", file)
	}
	m.Version, _ = strconv.Atoi(name[1])
	known := needs.FindAllStringSubmatch(text, -1)
	if len(known) != 1 {
		return m, fmt.Errorf("migration %s: it must say once which programs it works with", file)
	}
	m.Needs, _ = strconv.Atoi(known[0][1])

	begins := beginOf.FindAllStringSubmatchIndex(text, -1)
	if len(begins) == 0 {
		m.Steps = []Step{{Text: text}}
		return m, nil
	}
	if statements(text[:begins[0][0]]) {
		return m, fmt.Errorf("migration %s: there are statements before the first step", file)
	}
	for i, at := range begins {
		end := len(text)
		if i+1 < len(begins) {
			end = begins[i+1][0]
		}
		const asked = 2 // where the submatch begins, or -1
		m.Steps = append(m.Steps, Step{Text: text[at[0]:end], Asks: at[asked] >= 0})
	}
	return m, nil
}

// statements says whether there is more in a text than comments.
func statements(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
			return true
		}
	}
	return false
}
