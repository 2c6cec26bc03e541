package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
)

// What an operator gets wrong is refused with what is wrong, and with what to do.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	address := postgrestest.Address(t)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	run := func(statement string) {
		t.Helper()
		if _, err := conn.Exec(context.Background(), statement); err != nil { // also once the test's has ended
			t.Error(err)
		}
	}
	const other, ascii = "refused_user", "refused_ascii"
	run("CREATE ROLE " + other + " LOGIN")
	t.Cleanup(func() { run("DROP ROLE " + other) })
	run("CREATE DATABASE " + ascii + " ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
	t.Cleanup(func() { run("DROP DATABASE " + ascii) })
	const schema = "refused_owned"
	s, err := postgres.Open(t.Context(), address, postgres.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	t.Cleanup(func() { run("DROP SCHEMA " + schema + " CASCADE") })
	var owner string
	if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&owner); err != nil {
		t.Fatal(err)
	}

	at := func(user, database string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			query := u.Query()
			query.Set("user", user)
			u.RawQuery = query.Encode()
		}
		if database != "" {
			u.Path = "/" + database
		}
		return u.String()
	}
	for name, c := range map[string]struct {
		address, schema string
		words           []string
		away            bool
	}{
		"no such database": {at("", "refused_none"), "", []string{`database "refused_none" does not exist`}, true},
		"encoding":         {at("", ascii), "", []string{ascii, "SQL_ASCII", "ENCODING 'UTF8'"}, false},
		"another's schema": {at(other, ""), schema, []string{"schema " + schema, "connect as " + owner, other}, false},
		"may make none":    {at(other, ""), "refused_schema", []string{"no schema refused_schema", "GRANT CREATE ON DATABASE", `TO "` + other + `"`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := postgres.Open(t.Context(), c.address, postgres.Options{Schema: c.schema})
			if err == nil {
				_ = s.Close()
				t.Fatal("it is opened")
			}
			for _, word := range append(c.words, "postgres: ") {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not say %q", err, word)
				}
			}
			if strings.Contains(err.Error(), "away") || strings.Contains(err.Error(), "\n") || errors.Is(err, store.ErrUnavailable) != c.away {
				t.Errorf("%q calls it away, has lines, or is an ErrUnavailable where it should not be", fmt.Sprint(err))
			}
		})
	}
}
