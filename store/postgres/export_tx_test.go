package postgres

import (
	"cmp"
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
)

// SettleSQL is what ends a session in doubt.
const SettleSQL = settleSQL

// Schema is where a test's tables are.
func (s *Store) Schema() string { return s.schema }

// InSchema is a store that looks for its tables elsewhere, for PgxTx alone.
func (s *Store) InSchema(schema string) *Store { return &Store{schema: schema} }

// BlocksOfOutboxKeys returns how many blocks are looked at to find the keys in the outbox.
func (s *Store) BlocksOfOutboxKeys(ctx context.Context) (int, error) {
	type plan struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	return readFirst(ctx, s, func(row pgx.CollectableRow) (int, error) {
		var text string
		var plans []plan
		if err := row.Scan(&text); err != nil {
			return 0, err
		}
		err := json.Unmarshal([]byte(text), &plans)
		return plans[0].Plan.Hit + plans[0].Plan.Read, err
	}, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+outboxKeysSQL, cmp.Or(s.walk.seen, noneSeen), s.walk.kept, 0, mostKeys)
}
