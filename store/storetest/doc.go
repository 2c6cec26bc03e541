// Package storetest holds every store to what package store promises, one case a promise.
//
// Run takes a function that opens an empty store; RunDurable, for a store that outlives
// its process, one that opens what a folder holds; and Model compares a store, operation
// by operation, with package memstore. A change to a store without a case here needs a
// reason.
package storetest
