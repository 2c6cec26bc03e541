//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store/postgres/postgrestest"
)

const postgresFolder = "../../store/postgres"

// released counts the program's own migrations.
func released(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob(postgresFolder + "/migration/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	return len(files)
}

// What two later releases bring: the next one adds to tables that all nodes write to at all
// times, and the one behind it takes away what the present one relies on.
const (
	addsSQL = `-- Works with programs that know version %d.

-- Step: who has accepted an event.
ALTER TABLE event ADD COLUMN source text NOT NULL DEFAULT 'present';

-- Step: a column of what is read and written by all nodes all the time.
ALTER TABLE node ADD COLUMN note text;

-- Step: another one.
ALTER TABLE signal ADD COLUMN note text;

-- Step by statements: an index, which takes a while.
SELECT CASE WHEN indexrelid IS NULL THEN 'CREATE INDEX CONCURRENTLY signal_tenant ON signal (tenant)' ELSE 'DROP INDEX CONCURRENTLY signal_tenant' END
	FROM (VALUES (to_regclass('signal_tenant'))) AS named (oid) LEFT JOIN pg_index ON indexrelid = named.oid
	WHERE indisvalid IS NOT TRUE;
`
	takesSQL = `-- Works with programs that know version %d.
ALTER TABLE event ALTER COLUMN source DROP DEFAULT;
`
)

// buildReleases builds the next release, which also writes the new column, and the one behind
// it, without a change of the source: an overlay stands in for it.
func buildReleases(t *testing.T) (next, last string) {
	t.Helper()
	known := released(t)
	folder, replace := t.TempDir(), make(map[string]string)
	stand := func(file, text string) {
		t.Helper()
		path, err := filepath.Abs(filepath.Join(postgresFolder, file))
		if err != nil {
			t.Fatal(err)
		}
		replace[path] = filepath.Join(folder, filepath.Base(file))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	built := func(name string) string {
		t.Helper()
		overlay, err := json.Marshal(map[string]any{"Replace": replace})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, "overlay.json")
		if err := os.WriteFile(file, overlay, 0o600); err != nil {
			t.Fatal(err)
		}
		path, err := build(name, "-overlay", file)
		if err != nil {
			t.Fatalf("go build: %v", err)
		}
		return path
	}
	source, err := os.ReadFile(postgresFolder + "/accept.go")
	if err != nil {
		t.Fatal(err)
	}
	writes := strings.NewReplacer("INSERT INTO event (key, tenant", "INSERT INTO event (source, key, tenant", "SELECT key, tenant, type, $1", "SELECT 'next', key, tenant, type, $1")
	if strings.Count(string(source), "INSERT INTO event (key, tenant") != 2 || strings.Count(string(source), "SELECT key, tenant, type, $1") != 2 {
		t.Fatal("the statements that store events are others")
	}
	stand("accept.go", writes.Replace(string(source)))
	stand(fmt.Sprintf("migration/%04d_adds.sql", known+1), fmt.Sprintf(addsSQL, known))
	next = built("neohook-next")
	stand(fmt.Sprintf("migration/%04d_takes.sql", known+2), fmt.Sprintf(takesSQL, known+1))
	return next, built("neohook-last")
}

// migration is a run of neohook migrate.
type migration struct {
	command *exec.Cmd
	out     bytes.Buffer
	log     *transcript
	ended   chan struct{}
}

func startMigration(t *testing.T, program, address string) *migration {
	t.Helper()
	m := &migration{command: programAt(program, "migrate", "--database", address), log: newTranscript(), ended: make(chan struct{})}
	m.command.Stdout, m.command.Stderr = &m.out, m.log
	if err := m.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(m.ended)
		_ = m.command.Wait() // the exit code tells
		m.log.end()
	}()
	t.Cleanup(func() {
		_ = m.command.Process.Kill() // it may have ended
		<-m.ended
	})
	return m
}

// want waits for the end, with an exit code and a text on stdout or, after a failure, stderr.
func (m *migration) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	<-m.ended
	said := m.out.String()
	if code != 0 {
		said = complaint(m.log.String())
	}
	for _, text := range texts {
		if m.command.ProcessState.ExitCode() != code || !strings.Contains(said, text) {
			t.Fatalf("exit code %d, and it says\n%s%s\nwant %d and %q", m.command.ProcessState.ExitCode(), &m.out, m.log, code, text)
		}
	}
}

func TestMigrateTellsWhatItHasDone(t *testing.T) {
	known := released(t)
	database := postgrestest.Own(t, "fsync=off")
	change := func(query string) {
		t.Helper()
		if _, err := database.Query(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	program := built(t)
	migrate := func() *migration { return startMigration(t, program, database.Address()) }
	// It is enough to own the schema.
	change(`CREATE ROLE modest LOGIN`)
	change(`CREATE SCHEMA neohook AUTHORIZATION modest`)
	modest := strings.Replace(database.Address(), "user=neohook", "user=modest", 1)
	startMigration(t, program, modest).want(t, exitOK, fmt.Sprintf("The schema is made, with version %d.\n", known))
	change(`DROP SCHEMA neohook CASCADE`)
	startMigration(t, program, modest).want(t, exitFailed, "permission denied")

	migrate().want(t, exitOK, fmt.Sprintf("The schema is made, with version %d.\n", known))
	migrate().want(t, exitOK, fmt.Sprintf("The schema has version %d: there is nothing to do.\n", known))

	// A release that this one works beside has migrated.
	change(fmt.Sprintf(`UPDATE neohook.schema_version SET version = %d`, known+1))
	migrate().want(t, exitOK, fmt.Sprintf("The schema has version %d: there is nothing to do.\n", known+1))
	folder := t.TempDir()
	startProcess(t, folder, "--database", database.Address()).kill()

	// And one that it does not work beside.
	change(fmt.Sprintf(`UPDATE neohook.schema_version SET version = %d, needs = %d`, known+2, known+1))
	newer := fmt.Sprintf("schema neohook has version %d, for programs that know version %d or newer, and this program knows %d: use a newer release", known+2, known+1, known)
	migrate().want(t, exitFailed, "neohook: postgres: "+newer)
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0", "--migrate"}, {"recount"}, {"token", "list"}} {
		code, _, errs := said(t, programAt(program, append(args, "--data", folder, "--database", database.Address())...))
		if code != exitFailed || !strings.Contains(complaint(errs), newer) {
			t.Errorf("%s: exit code %d, and it says\n%s\nwant %d and %q", args[0], code, errs, exitFailed, newer)
		}
	}
}

// upgradeRun is a run of nodes that are replaced by those of later releases.
type upgradeRun struct {
	*nodesRun
	foreign    *pgx.Conn
	next, last string
	known      int
}

// TestUpgradeUnderLoad is what an operator does: migrate, replace the nodes one by one, and
// again for the release behind, while events are published and sent. What goes wrong on
// the way is that somebody's report is in the way of the migration, that it is killed, and
// that a node is.
func TestUpgradeUnderLoad(t *testing.T) {
	if !full() {
		t.Skip("left out: builds the program two more times; set NEOHOOK_TEST_FULL=1")
	}
	seed := number(t, "NEOHOOK_TEST_SEED", uint64(time.Now().UnixNano()))
	t.Logf("NEOHOOK_TEST_SEED=%d", seed)
	present := built(t)
	run := &upgradeRun{nodesRun: newNodesRun(t, seed, present), known: released(t)}
	run.permits = run.judge
	run.next, run.last = buildReleases(t)
	var err error
	if run.foreign, err = pgx.Connect(t.Context(), run.database.Address()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.foreign.Close(t.Context()) }()
	const events = 9_000
	run.execute(events, []func(){
		run.migrateBehindAReport,
		func() { run.replace(0, run.next) },
		func() { run.killAndReplace(1, run.next) },
		func() { run.replace(0, present) }, // back, as it was
		run.contractTooEarly,
		func() { run.replace(0, run.next) },
		func() { run.replace(2, run.next) },
		run.contract,
		func() { run.replace(0, run.last) },
		func() { run.replace(1, run.last) },
		func() { run.replace(2, run.last) },
	})
	for source, least := range map[string]int{"present": events / 20, "next": events / 10} {
		if n := run.ask(`SELECT count(*) FROM neohook.event WHERE source = $1`, source); n < least {
			t.Errorf("programs that know the column as %q have stored %d events, want %d or more", source, n, least)
		}
	}
}

func (run *upgradeRun) ask(query string, args ...any) (n int) {
	run.Helper()
	if err := run.foreign.QueryRow(run.Context(), query, args...).Scan(&n); err != nil {
		run.Fatal(err)
	}
	return n
}

func (run *upgradeRun) execForeign(queries ...string) {
	run.Helper()
	for _, query := range queries {
		if _, err := run.foreign.Exec(run.Context(), query); err != nil {
			run.Fatal(err)
		}
	}
}

// migrateBehindAReport migrates while somebody reads, two at once, after one was killed.
func (run *upgradeRun) migrateBehindAReport() {
	run.execForeign(`SET application_name = 'report'`, `BEGIN`, `SELECT count(*) FROM neohook.event`)
	address := run.database.Address()
	killed := startMigration(run.T, run.next, address)
	if !killed.log.await("a migration waits for a lock") {
		run.Fatalf("it does not wait: %s%s", &killed.out, killed.log)
	}
	if err := killed.command.Process.Kill(); err != nil {
		run.Fatal(err)
	}
	<-killed.ended
	both := [2]*migration{startMigration(run.T, run.next, address), startMigration(run.T, run.next, address)}
	for _, m := range both { // one for the report, and one for the other
		if !m.log.await("wait") {
			run.Fatalf("it does not wait: %s%s", &m.out, m.log)
		}
	}
	run.awaitAcked(run.present() + 500) // though one wants the table for itself, and another reads it
	run.execForeign(`COMMIT`)
	made := fmt.Sprintf("The schema had version %d and has version %d now.", run.known, run.known+1)
	nothing := fmt.Sprintf("The schema has version %d: there is nothing to do.", run.known+1)
	<-both[0].ended
	<-both[1].ended
	first, second := both[0], both[1]
	if strings.Contains(second.out.String(), made) {
		first, second = second, first
	}
	first.want(run.T, exitOK, made)
	second.want(run.T, exitOK, nothing)
}

// present is how many events have been acknowledged.
func (run *upgradeRun) present() int {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.acked
}

// replace ends a node in order, and starts another release in its place.
func (run *upgradeRun) replace(i int, program string) {
	node := run.nodes[i]
	node.leaving.Store(true)
	if code := node.present().terminate(run.T); code != exitOK {
		run.Errorf("%s ends with exit code %d\n%s", node.name, code, node.present().log)
	}
	run.startAs(i, program)
}

// killAndReplace is replace of a node that is killed.
func (run *upgradeRun) killAndReplace(i int, program string) {
	began, node := time.Now(), run.nodes[i]
	node.leaving.Store(true)
	node.present().kill()
	run.startAs(i, program)
	run.mu.Lock()
	defer run.mu.Unlock()
	run.troubled = append(run.troubled, period{fmt.Sprintf("%s is killed", node.name), began, time.Now()})
}

func (run *upgradeRun) startAs(i int, program string) {
	run.nodes[i].program = program
	run.start(i)
	run.nodes[i].leaving.Store(false)
}

// contractTooEarly is refused while nodes live that would not work with what is to come.
func (run *upgradeRun) contractTooEarly() {
	refused := startMigration(run.T, run.last, run.database.Address())
	refused.want(run.T, exitFailed, fmt.Sprintf("can't have version %d while servers run that do not know version %d", run.known+2, run.known+1),
		fmt.Sprintf("node-0 (knows %d)", run.known), fmt.Sprintf("node-2 (knows %d)", run.known))
	if strings.Contains(complaint(refused.log.String()), "node-1") {
		run.Errorf("it names a node that is not in the way: %s", refused.log)
	}
	code, _, errs := said(run.T, programAt(run.last, "serve", "--listen", "127.0.0.1:0", "--data", run.nodes[0].folder+"-last", "--database", run.database.Address()))
	if want := fmt.Sprintf("schema neohook has version %d, and this program needs %d: run neohook migrate", run.known+1, run.known+2); code != exitFailed || !strings.Contains(errs, want) {
		run.Errorf("exit code %d, and a program that is too new says\n%s\nwant %q", code, errs, want)
	}
}

// contract goes through once they are gone, and older programs do not come back.
func (run *upgradeRun) contract() {
	startMigration(run.T, run.last, run.database.Address()).want(run.T, exitOK,
		fmt.Sprintf("The schema had version %d and has version %d now.", run.known+1, run.known+2))
	code, _, errs := said(run.T, programAt(built(run.T), "serve", "--listen", "127.0.0.1:0", "--data", run.nodes[0].folder+"-old", "--database", run.database.Address()))
	if want := fmt.Sprintf("for programs that know version %d or newer, and this program knows %d: use a newer release", run.known+1, run.known); code != exitFailed || !strings.Contains(errs, want) {
		run.Errorf("exit code %d, and a program that is too old says\n%s\nwant %q", code, errs, want)
	}
}

// judge permits publishers to be told to come again, and to find a node gone that is being
// replaced: nothing else.
func (run *upgradeRun) judge(node *testNode, server *process, err error) {
	if refused, ok := errors.AsType[refusal](err); ok {
		if refused.status != http.StatusServiceUnavailable {
			run.Errorf("a publisher was told %v", refused)
		}
		return
	}
	if !node.leaving.Load() && node.present() == server {
		run.Errorf("a publisher could not reach %s, which is not being replaced: %v", node.name, err)
	}
}
