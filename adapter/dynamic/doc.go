// Package dynamic is an adapter whose settings follow the load: the time it allows, how
// much it does at once, how many connections it keeps.
//
//	a, err := dynamic.New(dynamic.Options{})
//	…
//	changed, err := a.Adjust(dynamic.Load{RequestsPerSecond: 150, ErrorRate: 0.05, ResponseTime: 800 * time.Millisecond})
//
// When the settings change, a new adapter takes the place of the old one at once. What the
// old one has in flight ends in its own time, and then it is closed. The load comes from
// wherever it is known: a monitor, a gauge of the program, an operator.
package dynamic
