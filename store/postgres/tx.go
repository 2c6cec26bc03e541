package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// PgxTx makes of a transaction of the caller's own, from pgx, one that events can be
// published in, beside whatever else it does. It goes on to be the caller's, to commit or
// to roll back; it may be one within another, too.
//
// The transaction must be on the database that the store is in, and its user may be
// another than the store's, who needs no more than this:
//
//	GRANT USAGE ON SCHEMA neohook TO shop;
//	GRANT INSERT ON neohook.outbox TO shop;
//	GRANT USAGE ON SEQUENCE neohook.outbox_key TO shop;
//	GRANT SELECT (created_at) ON neohook.instance TO shop;
//
// While it is open it holds up nobody, and nobody it. Whether it is on disk when its Commit
// returns is for its own synchronous_commit to say.
func (s *Store) PgxTx(tx pgx.Tx) store.Tx {
	return foreignTx{s.schema, func(ctx context.Context, query string, args ...any) (int64, error) {
		tag, err := tx.Exec(ctx, query, args...)
		return tag.RowsAffected(), err
	}}
}

// SQLTx is PgxTx for a transaction of database/sql, on a handle of pgx's stdlib.
func (s *Store) SQLTx(tx *sql.Tx) store.Tx {
	return foreignTx{s.schema, func(ctx context.Context, query string, args ...any) (int64, error) {
		result, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	}}
}

// foreignTx is a transaction on a connection that is not the store's: it has another
// search_path, and may have another user and another way to pass arguments.
type foreignTx struct {
	schema string
	exec   func(ctx context.Context, query string, args ...any) (rows int64, err error)
}

// %[1]s is the schema. A row is inserted only where the instance is the one expected.
const insertForeignSQL = `INSERT INTO %[1]s.outbox (key, tenant, organisation, tenant_uid, uid, type, channels, tags, deliver_at, payload_ttl,
		payload, details, about_tenant, about_endpoint, about_event, about_attempt, once_hash, once_body, once_ttl)
	SELECT nextval('%[1]s.outbox_key'), $1::bigint, $2::text, $3::text, $4::text, $5::text, $6::text::text[], $7::text::text[],
		$8::timestamptz, $9::bigint, $10::bytea, $11::bytea, $12::bigint, $13::bigint, $14::bigint, $15::bigint,
		$16::bytea, $17::bytea, $18::bigint
	FROM %[1]s.instance WHERE created_at = $19::timestamptz`

// Announce puts an announcement into the outbox, as part of the transaction.
func (t foreignTx) Announce(ctx context.Context, made time.Time, a store.Announcement) error {
	args := append(announced(&a, a.About), instant(made))
	args[channelsAt], args[tagsAt] = literal(a.Channels), literal(a.Tags)
	rows, err := t.exec(ctx, fmt.Sprintf(insertForeignSQL, t.schema), args...)
	switch {
	case err != nil:
		return t.refusal(err)
	case rows == 0:
		return fmt.Errorf("postgres: %w: its database has another instance of Neohook in schema %s than the engine's: begin it on the engine's database",
			store.ErrTxRefused, t.schema)
	}
	return nil
}

// Where the lists are among the arguments.
const (
	channelsAt = 5
	tagsAt     = 6
)

// literal writes a list as PostgreSQL reads it, since not every driver can pass one; nil is
// none.
func literal(list []string) any {
	if len(list) == 0 {
		return nil
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, len(list))
	for i, text := range list {
		quoted[i] = `"` + escape.Replace(text) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}

// The codes that say that a transaction can't be written to by us.
const (
	undefinedTable  = "42P01"
	invalidSchema   = "3F000"
	notPermitted    = "42501"
	readOnly        = "25006"
	undefinedColumn = "42703" // of another version's table
)

// refusal says what to do about an error.
func (t foreignTx) refusal(err error) error {
	var answered interface{ SQLState() string } // of any driver
	if !errors.As(err, &answered) {
		return fmt.Errorf("postgres: outbox: %w", err)
	}
	var todo string
	switch answered.SQLState() {
	case undefinedTable, invalidSchema, undefinedColumn:
		todo = "its database does not have the store's tables in schema " + t.schema + ": begin it on the engine's database"
	case notPermitted:
		todo = "its user lacks rights: grant them as the documentation of PgxTx says"
	case readOnly:
		todo = "it is read-only: begin one that may write"
	default:
		return fmt.Errorf("postgres: outbox: %w", err)
	}
	return fmt.Errorf("postgres: %w: %s (%w)", store.ErrTxRefused, todo, err)
}
