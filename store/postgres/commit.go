package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neohook/neohook/store"
)

// Commit stores a batch in one transaction: first what came of deliveries, then what is
// accepted. It takes two round trips where nothing is unusual. In the first one it asks
// what the verdicts depend on, and carries the outcomes out as they are expected to fit. In
// the last one it stores all that is left, and ends the transaction.
//
// What it locks, it locks in one order, and rows of one table by their keys: endpoints that
// fail, rows of the outbox, deliveries, events that late outcomes are of, jobs, and what
// there can be only once.
func (s *Store) Commit(ctx context.Context, batch *store.Batch) ([]store.Verdict, error) {
	for {
		var c *commit
		err := s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
			c = newCommit(s, batch) // under its membership
			return c.run(ctx, conn)
		})
		switch {
		case errors.Is(err, errNoRange):
			// Whether they are there, the next try finds out.
			if err := s.makeRanges(ctx, c.accepting.highest(), batch.Now); err != nil && !errors.Is(err, store.ErrCommitUnknown) {
				return nil, err
			}
		case err != nil:
			return nil, err
		default:
			s.reached(ctx, c.accepting.highest(), batch.Now)
			s.waker.told(&c.told)
			batch.Heard = c.heard
			return c.accepting.verdicts, nil
		}
	}
}

// errNoRange says that there is no partition for the keys that were drawn. So it is for the
// first commit of all, and in a rush that has overtaken those who make them ahead.
var errNoRange = errors.New("postgres: no range for the keys of events")

// commit is one try at a batch.
type commit struct {
	store     *Store
	now       time.Time
	accepting accepting
	recording recording
	failing   marks
	counted   counted
	told      post
	acted     []store.SignalKey
	heard     store.Heard
}

func newCommit(s *Store, batch *store.Batch) *commit {
	now := instant(batch.Now)
	return &commit{
		store: s, now: now,
		accepting: newAccepting(batch.Accepts, now, &s.held),
		recording: newRecording(batch.Outcomes, now),
		failing:   newMarks(batch.Outcomes, &s.member),
		told:      post{member: &s.member},
		acted:     batch.Acted,
	}
}

const (
	beginSQL  = `begin`
	commitSQL = `commit`
	// A transaction that has written nothing does not wait for a standby.
	markSQL = `SELECT pg_logical_emit_message(true, 'neohook', '')`
)

func (c *commit) run(ctx context.Context, conn *pgx.Conn) error {
	ask := new(pgx.Batch)
	ask.Queue(beginSQL)
	if err := c.store.member.enter(ask); err != nil {
		return err
	}
	c.accepting.ask(ask)
	c.failing.ask(ask)
	c.recording.begin(ask)
	c.hear(ask)
	if err := send(ctx, conn, ask); err != nil {
		return err
	}
	if highest := c.accepting.highest(); highest != 0 && !c.store.ranges.covers(highest) {
		return errNoRange
	}
	if err := c.recording.finish(ctx, conn); err != nil {
		return err
	}
	c.accepting.judge()
	return c.end(ctx, conn)
}

// end stores what is left and ends the transaction, in one round trip.
func (c *commit) end(ctx context.Context, conn *pgx.Conn) error {
	last := new(pgx.Batch)
	c.accepting.store(last, &c.counted, &c.told)
	c.recording.store(last, &c.counted, &c.told)
	c.failing.store(last)
	c.announce(last)
	queueRevisits(last, c.now, c.recording.touched)
	c.counted.queue(last, c.now)
	c.told.queue(last)
	c.accepting.claim(last)
	if c.accepting.repeats() {
		last.Queue(markSQL)
	}
	queueCommit(last)
	err := send(ctx, conn, last)
	switch {
	case beaten(err):
		return errBeaten
	case heldUp(err):
		return c.avoid(ctx, conn)
	}
	return commitFault(err)
}

// avoid has the batch stored without what others hold for long.
func (c *commit) avoid(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "rollback"); err != nil {
		return err
	}
	if err := c.accepting.probe(ctx, conn); err != nil {
		return err
	}
	return errBeaten
}

// hear finds the signals for the node, and ends those that were acted upon.
func (c *commit) hear(batch *pgx.Batch) {
	member := &c.store.member
	if member.key == 0 {
		return
	}
	if len(c.acted) > 0 {
		batch.Queue(endSignalsSQL, c.acted)
	}
	var found []store.Signal
	batch.Queue(signalsSQL, c.store.heard.lowest(), member.key, member.mask, store.MostHeard+1).Query(func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectRows(rows, scanSignal)
		c.heard = hear(found)
		return err
	})
}

// announce puts the announcements into the outbox whose cause has come about.
func (c *commit) announce(batch *pgx.Batch) {
	for i := range c.recording.outcomes {
		o := &c.recording.outcomes[i]
		about := store.About{Tenant: o.Tenant, Endpoint: o.Endpoint}
		if o.AnnounceFailing != nil && c.failing.kept(o) {
			batch.Queue(insertOutboxSQL, announced(o.AnnounceFailing, about)...)
		}
		if o.Announce != nil && c.recording.results[i].moved {
			about.Event, about.Attempt = o.Event, c.recording.results[i].attempt
			batch.Queue(insertOutboxSQL, announced(o.Announce, about)...)
		}
	}
}

// queueCommit ends a transaction with a batch of statements. Where one of them fails the
// server passes over the rest of them, and with it over this.
func queueCommit(batch *pgx.Batch) {
	batch.Queue(commitSQL).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() == "ROLLBACK" {
			return pgx.ErrTxCommitRollback
		}
		return nil
	})
}

// send makes one round trip of a batch of statements.
func send(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	return conn.SendBatch(ctx, batch).Close()
}

// beaten says of an error that another transaction was first to claim a key or a UID.
func beaten(err error) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && answered.Code == uniqueViolation &&
		(strings.HasPrefix(answered.TableName, "published_") || answered.TableName == "event_uid")
}
