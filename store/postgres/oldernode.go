package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/migration"
)

// olderNode is a node whose program knows less than is to be needed.
type olderNode struct {
	key   store.NodeKey
	name  string
	knows int
	beat  int64
}

func scanOlderNode(row pgx.CollectableRow) (n olderNode, err error) {
	return n, row.Scan(&n.key, &n.name, &n.knows, &n.beat)
}

const (
	setNeedsSQL   = `UPDATE schema_version SET needs = $1`
	olderNodesSQL = `SELECT key, name, knows, beat FROM node WHERE knows < $1 ORDER BY key`
	// presumedDead is for how long a counter has to stand still, as for other nodes.
	presumedDead = 10 * time.Second
)

// raise has the schema need a version that programs know, from which on no older one joins.
// Nodes of older programs that live are in the way; those that are dead are buried.
func (m *migrator) raise(ctx context.Context, to *migration.Migration) error {
	sights := make(map[store.NodeKey]sight)
	for {
		older, err := m.tryRaise(ctx, to)
		if err != nil || len(older) == 0 {
			return err
		}
		living := 0
		for _, node := range older {
			switch err := m.judge(ctx, node, sights); {
			case errors.Is(err, store.ErrStale):
				living++
			case err != nil:
				return err
			}
		}
		if living == len(older) {
			return m.refusal(to, older)
		}
		const often = 250 * time.Millisecond
		if !pauseFor(ctx, often) {
			return ctx.Err()
		}
	}
}

// tryRaise raises what is needed, unless there are nodes that know less.
func (m *migrator) tryRaise(ctx context.Context, to *migration.Migration) (older []olderNode, err error) {
	err = m.transact(ctx, to.File, func(tx pgx.Tx) (err error) {
		// Whoever joins meanwhile sees what is needed, or is seen here.
		if err := queries(ctx, tx, joinLockSQL); err != nil {
			return err
		}
		if older, err = all(ctx, tx, scanOlderNode, olderNodesSQL, to.Needs); err != nil || len(older) > 0 {
			return err
		}
		_, err = tx.Exec(ctx, setNeedsSQL, to.Needs)
		return err
	})
	return older, err
}

// sight is where a node's counter stood when it was first seen.
type sight struct {
	beat int64
	at   time.Time
}

// judge buries a node that is dead, and returns store.ErrStale of one that lives.
func (m *migrator) judge(ctx context.Context, node olderNode, sights map[store.NodeKey]sight) error {
	first, seen := sights[node.key]
	switch {
	case !seen:
		sights[node.key] = sight{node.beat, time.Now()}
		m.log.InfoContext(ctx, "looking whether a node of an older program lives", "node", node.name, "knows", node.knows)
		return nil
	case first.beat != node.beat:
		return store.ErrStale
	case time.Since(first.at) < m.store.presumedDead:
		return nil
	}
	m.log.WarnContext(ctx, "a node of an older program is dead, and will not come back", "node", node.name)
	return m.transact(ctx, "node "+node.name, func(tx pgx.Tx) error { return bury(ctx, tx, 0, node.key, node.beat) })
}

func (m *migrator) refusal(to *migration.Migration, nodes []olderNode) error {
	refused := &OlderNodesError{Schema: m.store.schema, Version: to.Version, Needs: to.Needs}
	for _, node := range nodes {
		refused.Nodes = append(refused.Nodes, fmt.Sprintf("%s (knows %d)", node.name, node.knows))
	}
	return refused
}
