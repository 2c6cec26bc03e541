package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestPasswordOfADatabaseIsNotPrinted(t *testing.T) {
	for _, text := range []string{
		"postgres://neohook:s3cret@db.example/neohook",
		"postgres://db.example/neohook?user=neohook&password=s3cret&sslmode=require",
		"postgresql:///neohook?sslpassword=s3cret",
	} {
		chosen, err := load([]string{"serve", "--database", text}, nil, nil, nil)
		if err != nil {
			t.Fatalf("%s is refused: %v", text, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("starting", "settings", chosen.(*serveCommand).settings)
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("the log has the password: %s", &log)
		}
		if !strings.Contains(log.String(), "neohook") {
			t.Errorf("the log does not name the database: %s", &log)
		}
	}
}

func TestAddressOfAnotherKindOfDatabaseIsRefused(t *testing.T) {
	for _, text := range []string{"mysql://root:s3cret@db/neohook", "db.example", "host=db password=s3cret", "postgres://bad host:s3cret@/x"} {
		_, err := load([]string{"serve", "--database", text}, nil, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "--database") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want an error that names the flag and not the password", text, err)
		}
	}
}

func TestMigrateNeedsADatabase(t *testing.T) {
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"migrate"}, nil, console{out: &out, err: &errs})
	if code != exitUsage || !strings.Contains(errs.String(), "--database") {
		t.Errorf("exit code %d, and says %q", code, &errs)
	}
}
