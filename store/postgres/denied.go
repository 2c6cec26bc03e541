package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// whoSQL finds the owner of a schema, "" where it is not there.
const whoSQL = `SELECT current_user::text, current_database()::text, coalesce((SELECT pg_get_userbyid(nspowner)::text FROM pg_catalog.pg_namespace WHERE nspname = $1), '')`

// denied says, of an error by which the schema could not be read or made, what the user
// lacks. A schema that a user has no rights to is to it as if it were not there.
func (s *Store) denied(ctx context.Context, err error) error {
	const undefinedTable, insufficientPrivilege = "42P01", "42501"
	answered, is := errors.AsType[*pgconn.PgError](err)
	if !is || answered.Code != undefinedTable && answered.Code != insufficientPrivilege {
		return err
	}
	var user, database, owner string
	_, unknown := readFirst(ctx, s, func(row pgx.CollectableRow) (struct{}, error) {
		return struct{}{}, row.Scan(&user, &database, &owner)
	}, whoSQL, s.schema)
	switch {
	case unknown != nil || owner == user:
		return err
	case owner == "":
		return fmt.Errorf("postgres: there is no schema %[1]s in the database %[2]s, and %[3]s may not make it: GRANT CREATE ON DATABASE %[4]s TO %[5]s (%[6]w)",
			s.schema, database, user, pgx.Identifier{database}.Sanitize(), pgx.Identifier{user}.Sanitize(), err)
	}
	return fmt.Errorf("postgres: schema %s is %s's, and can't be used as %s: connect as %[2]s (%[4]w)", s.schema, owner, user, err)
}
