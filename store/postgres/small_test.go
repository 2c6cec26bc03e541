package postgres

import "testing"

// SmallRanges has the stores that are opened until the test ends divide their tables into
// ranges of so few events. Tests that call it do not run beside others.
func SmallRanges(t *testing.T, keys int64) {
	before := dividedTables
	t.Cleanup(func() { dividedTables = before })
	dividedTables = nil
	for _, of := range before {
		of.smallest, of.largest = keys, keys
		dividedTables = append(dividedTables, of)
	}
}
