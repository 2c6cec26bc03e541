package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
)

// The codes that mean something here (PostgreSQL, appendix A).
const (
	uniqueViolation = "23505"
	diskFull        = "53100"
	configLimit     = "53400" // also a temporary file that is too large

	tooManyConnections = "53300"
	nowStandby         = "25006" // the server has become a standby

	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	lockNotAvailable     = "55P03" // within lock_timeout
	idleTooLong          = "25P03" // within a transaction

	connectionClass   = "08"
	interventionClass = "57P" // somebody ends the connection, or the server
)

// mostLost is how many connections in a row may be lost before that is told.
const mostLost = 3

// errBeaten says that another transaction has stored first what this one was to store
// once, and that to begin anew will find it.
var errBeaten = errors.New("postgres: another transaction was first")

// translate says in the store's words what went wrong with a statement, by its code.
func translate(err error) error {
	var answered *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return store.ErrNotFound
	case errors.As(err, &answered):
		switch answered.Code {
		case diskFull, configLimit:
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		case uniqueViolation:
			return fmt.Errorf("%w: %w", store.ErrConflict, err)
		case nowStandby, tooManyConnections:
			return unavailable(err)
		}
		if intervened(answered.Code) {
			return unavailable(err)
		}
	}
	return err
}

// translateOn is translate for what was done on a connection. One that is gone says that
// the server is not to be reached, unless the caller has given up.
func translateOn(ctx context.Context, conn *pgx.Conn, err error) error {
	if err = translate(err); err != nil && conn.IsClosed() && ctx.Err() == nil {
		err = unavailable(err)
	}
	return err
}

// intervened says that the server, or somebody through it, has ended the connection.
func intervened(code string) bool {
	return code == idleTooLong || strings.HasPrefix(code, connectionClass) || strings.HasPrefix(code, interventionClass)
}

// passes says of the error that a transaction ended with, so that it is rolled back, that
// it may well go through in another try, after so many. lost is a connection that broke.
func passes(err error, lost bool, tries int) bool {
	const mostBlocked = 20
	var answered *pgconn.PgError
	switch {
	case errors.Is(err, store.ErrCommitUnknown):
		return false
	case errors.Is(err, errBeaten):
		return tries < mostBlocked
	case !errors.As(err, &answered):
		return lost && tries < mostLost
	}
	switch code := answered.Code; {
	case code == serializationFailure, code == deadlockDetected:
		return tries < mostBlocked
	case intervened(code):
		return tries < mostLost
	}
	return false
}

// commitFault is for the end of a transaction: where the server has not answered, nobody
// knows what it did. Nor where it ends the connection with its answer: it may have stored
// the transaction before, and been waiting for a standby. What pgconn.SafeToRetry says is
// of no use here: it says so of answers that did not come, too.
func commitFault(err error) error {
	var answered *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, pgx.ErrTxCommitRollback):
		return err
	case errors.As(err, &answered) && answered.SeverityUnlocalized == "ERROR":
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrCommitUnknown, err)
}
