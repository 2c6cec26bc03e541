// Package memstore keeps a store in memory, in plain maps and slices behind one mutex. It
// is the model of what a store does: as simple as can be, so that it can be seen to be
// right, and the other stores are compared with it. It also fails, stalls and crashes on
// demand, for the tests of whatever stands on a store: see Faults.
//
// What it holds is gone with the process.
package memstore
