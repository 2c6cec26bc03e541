package migration_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/neohook/neohook/store/internal/migration"
)

func folder(files map[string]string) fstest.MapFS {
	folder := fstest.MapFS{}
	for name, text := range files {
		folder["migration/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return folder
}

const works = "-- Works with programs that know version 1.\n"

func TestReadFindsStepsAndWhoWorksWithThem(t *testing.T) {
	list, err := migration.Read(folder(map[string]string{
		"0001_init.sql": "-- The tables.\n" + works + "CREATE TABLE a (b integer);\n",
		"0002_more.sql": "-- More.\n-- Works with programs that know version 1.\n\n-- Step: a column.\nALTER TABLE a ADD COLUMN c text;\n" +
			"-- Step by statements: an index.\nSELECT 'CREATE INDEX CONCURRENTLY d ON a (c)' WHERE to_regclass('d') IS NULL;\n",
		"0003_less.sql": "-- Works with programs that know version 2.\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 {
		t.Fatalf("%d migrations, want 3: %+v", len(list), list)
	}
	for i, want := range []migration.Migration{
		{File: "0001_init.sql", Version: 1, Needs: 1, Steps: make([]migration.Step, 1)},
		{File: "0002_more.sql", Version: 2, Needs: 1, Steps: make([]migration.Step, 2)},
		{File: "0003_less.sql", Version: 3, Needs: 2, Steps: make([]migration.Step, 1)},
	} {
		if got := list[i]; got.File != want.File || got.Version != want.Version || got.Needs != want.Needs || len(got.Steps) != len(want.Steps) {
			t.Errorf("%+v, want as %+v", got, want)
		}
	}
	column, index := list[1].Steps[0], list[1].Steps[1]
	if column.Asks || !strings.Contains(column.Text, "ADD COLUMN") || strings.Contains(column.Text, "INDEX") {
		t.Errorf("the first step is %+v", column)
	}
	if !index.Asks || !strings.Contains(index.Text, "INDEX") || strings.Contains(index.Text, "ADD COLUMN") {
		t.Errorf("the second step is %+v", index)
	}
}

func TestReadRefusesWhatItMayMisread(t *testing.T) {
	for name, test := range map[string]struct{ file, text, want string }{
		"no number":               {"init.sql", works, "a name as"},
		"another number":          {"0002_init.sql", works, "0001 as its number"},
		"it does not say who":     {"0001_init.sql", "CREATE TABLE a ();", "must say once"},
		"it says so twice":        {"0001_init.sql", works + works, "must say once"},
		"with nobody":             {"0001_init.sql", "-- Works with programs that know version 2.\n", "from 1 to 1"},
		"statements before steps": {"0001_init.sql", works + "CREATE TABLE a ();\n-- Step: b.\n", "before the first step"},
	} {
		if _, err := migration.Read(folder(map[string]string{test.file: test.text})); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, test.want)
		}
	}
	_, err := migration.Read(folder(map[string]string{
		"0001_a.sql": works, "0002_b.sql": "-- Works with programs that know version 2.\n", "0003_c.sql": works,
	}))
	if err == nil || !strings.Contains(err.Error(), "from 2 to 3") {
		t.Errorf("older programs work again: %v", err)
	}
}
