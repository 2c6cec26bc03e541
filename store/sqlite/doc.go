// Package sqlite keeps a store in one SQLite database file.
//
// One process owns the file, by a lock on its folder. Inside, there is one writer: every
// change goes through it, in turn, as one transaction that is on disk when the call
// returns (write-ahead log, synchronous=FULL). Readers have connections of their own, so
// that neither waits for the other.
//
// A change that has begun is carried through: a context is looked at until its turn
// comes, not after, so that an answer is never in doubt. Reads are short and behave the
// same.
package sqlite
