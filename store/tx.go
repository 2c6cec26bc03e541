package store

import (
	"context"
	"time"
)

// Tx is a transaction of somebody else's on a Store's database. The stores that can take
// part in one make a Tx of it, by methods of their own.
type Tx interface {
	// Announce puts an announcement into the outbox, in the transaction: it is there once
	// that is committed, and never where it is rolled back. It begins and ends nothing, and
	// takes no place that others wait for, unless the database knows but one writer at a
	// time.
	//
	// made is the CreatedAt of the Store's Instance, by which a transaction on another
	// database is told. The error is ErrTxRefused, with what to do about it, for such a one
	// and for any that the Store can't be part of: nothing is written then. After another
	// error the transaction is to be rolled back.
	Announce(ctx context.Context, made time.Time, a Announcement) error
}
