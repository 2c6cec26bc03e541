// Package postgres is a store.Store on PostgreSQL 14 or newer.
//
// Everything is in one schema, "neohook" unless Options says otherwise. Statements are
// prepared, so a pooler between must be in session mode. Instants come from the caller;
// no statement asks for the server's time.
package postgres
