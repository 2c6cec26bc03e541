package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
)

// doubts are the sessions that were lost at the end of a transaction. Their last words may
// still be on their way, and so the transaction end while others have been told that
// nobody knows. So they are ended before the handle does anything else: what it finds
// from then on is what became of the transaction.
type doubts struct {
	mu       sync.Mutex
	sessions []string
}

func (d *doubts) add(session string) {
	if session == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = append(d.sessions, session)
}

// those are the sessions in doubt; nil is none.
func (d *doubts) those() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sessions[:len(d.sessions):len(d.sessions)]
}

// over says of the first n that they have ended. Those of a later crowd may have been
// taken off by another one.
func (d *doubts) over(ended []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gone := make(map[string]bool, len(ended))
	for _, session := range ended {
		gone[session] = true
	}
	var left []string
	for _, session := range d.sessions {
		if !gone[session] {
			left = append(left, session)
		}
	}
	d.sessions = left
}

// A session is known by its process and its beginning, as processes have the same numbers
// again. The number is asked for, since what is between may tell one of its own.
const (
	sessionSQL = `SELECT pid || ' ' || extract(epoch FROM backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()`
	settleSQL  = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid || ' ' || extract(epoch FROM backend_start) = ANY($1)`
)

// sessionKey is where a connection keeps its session.
const sessionKey = "neohook session"

// introduce settles a new connection, and keeps which session of the server it is.
func introduce(ctx context.Context, conn *pgx.Conn, settings ...string) error {
	results, err := conn.PgConn().Exec(ctx, strings.Join(append(settings, sessionSQL), "; ")).ReadAll()
	if err != nil {
		return err
	}
	if last := results[len(results)-1]; len(last.Rows) == 1 {
		conn.PgConn().CustomData()[sessionKey] = string(last.Rows[0][0])
	}
	return nil
}

func sessionOf(conn *pgconn.PgConn) string {
	session, _ := conn.CustomData()[sessionKey].(string)
	return session
}

// settle ends the sessions in doubt, and waits until they are gone. conn is of the same user,
// who may do that.
func (s *Store) settle(ctx context.Context, conn *pgx.Conn) error {
	sessions := s.doubts.those()
	if len(sessions) == 0 {
		return nil
	}
	const most, soon, late = 5 * time.Second, time.Millisecond, 50 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, most,
		fmt.Errorf("%w: a transaction of unknown fate has not ended in %v", store.ErrUnavailable, most))
	defer cancel()
	for pause := soon; ; pause = min(2*pause, late) {
		found, err := all(ctx, conn, pgx.RowTo[bool], settleSQL, sessions)
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
		if len(found) == 0 {
			s.doubts.over(sessions)
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
